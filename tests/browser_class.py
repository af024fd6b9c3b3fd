"""Check a class's page in a real browser, with 30 and with 1,000 students: playback, requests, filters, escaping, phone width.

    python tests/browser_class.py --shots SHOTS [--chromium /usr/bin/chromium]

Run it by hand before a release; it needs the extra "browser". The clips are those of the committed notebooks.
"""

from __future__ import annotations

import argparse
import base64
import random
import re
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from svd_lab.classroom.page import write_summary
from svd_lab.classroom.plan import Run
from svd_lab.classroom.store import open_store, prepare

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LESSONS = ["01_pipeline", "02_rocket", "03_your_picture", "04_text_to_video"]
MESSAGES = [
    "OSError: [Errno 28] No space left on device",
    "RuntimeError: <img src=x onerror=alert(1)> " + "and so on " * 40,
    "DeadKernelError: Kernel died",
]
GIVEN = [
    "민지",
    "서준",
    "하은",
    "<b>수아</b>",
    'Eugene "Gene"',
    "현우",
    "Anna-Lena Maria Schmidt-Hohenstein",
    "100% 지우",
]


def notebook_clips() -> list[bytes]:
    """Extract the mp4s of the committed notebooks."""
    texts = [path.read_text("utf-8").replace("\\n", "") for path in sorted((ROOT / "lessons" / "en").glob("*.ipynb"))]
    return [
        base64.b64decode(found) for text in texts for found in re.findall(r"data:video/mp4;base64,([\w+/=]+)", text)
    ]


def make_class(folder: Path, students: int, lessons: list[str], language: str, title: str) -> int:
    """Write a class's folder with real clips, in which one run in twelve failed; return how many failed."""
    store, dice, clips = open_store(str(folder)), random.Random(1), notebook_clips()
    prepare(store, resume=False)
    runs, records = [], {}
    for number in range(students):
        name = f"{'김이박최정강조윤장임'[number % 10]}{GIVEN[number // 10 % len(GIVEN)]} {number}"
        for lesson in lessons:
            place = re.sub('[<>/"%]', "_", name) + f"/{lesson}"
            start = (
                {"prompt": "an astronaut riding a horse, " * 4}
                if lesson[:2] == "04"
                else {"picture": f"photos/{number}.jpg"}
            )
            runs.append(Run(name, lesson, place, "key", "sha", {"seed": dice.randrange(2**32), **start}))
            (folder / place).mkdir(parents=True)
            record: dict[str, Any] = {"status": "failed", "cell": "code cell 4 of 12 (rabbit)", "clips": []}
            record |= {
                "message": dice.choice(MESSAGES),
                "files": {f"{lesson}.ipynb": 1},
                "seconds": dice.uniform(2, 90),
            }
            if len(runs) % 12:
                names = ["rocket.mp4", "fps.mp4", "motion bucket.mp4"][: 1 + number % 3]
                for offset, clip in enumerate(names):
                    (folder / place / clip).write_bytes(clips[(number + offset) % len(clips)])
                record |= {"status": "done", "cell": None, "message": "", "clips": names}
                record["files"]["result.json"] = 1
            records[place] = record
    write_summary(store, runs, records, title, language)
    return len(runs) // 12


def count(page: Page, what: str) -> int:
    """Count the page's videos that are "playing" or "open"."""
    test = {"playing": "v.readyState >= 2 && !v.paused", "open": "v.hasAttribute('src')"}[what]
    return page.evaluate(f"[...document.querySelectorAll('video')].filter(v => {test}).length")


def check(page: Page, folder: Path, runs: int, failed: int, shots: Path, name: str) -> None:
    """Open the page and try everything on it; raises AssertionError."""
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: (messages.append("a dialog"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((folder / "index.html").as_uri())
    page.wait_for_selector(".card")
    assert page.locator(".card.failed").count() == min(60, failed)
    assert "failed" in page.locator(".card").first.get_attribute("class")
    page.screenshot(path=shots / f"{name}.png")
    page.select_option("select[name=status]", "1")
    for _ in range(100):  # not wait_for_function, which needs eval, which the page forbids
        if count(page, "playing"):
            break
        page.wait_for_timeout(100)
    page.wait_for_timeout(1500)
    assert 1 <= count(page, "playing") <= count(page, "open") <= 40, "only those in view are open and play"
    page.screenshot(path=shots / f"{name}-done.png")
    assert (
        re.sub(r"\D+", " ", page.locator("output").text_content()).split()[0]
        == re.sub(r"\D+", " ", f"{runs - failed:,}").split()[0]
    )
    page.fill("input[name=student]", "nobody")
    assert page.locator("#none").is_visible() and not page.locator(".card").count()
    page.fill("input[name=student]", "김민지 0")
    page.wait_for_timeout(200)
    assert {text.split("\n")[0] for text in page.locator(".card .name").all_text_contents()} == {"김민지 0"}
    page.fill("input[name=student]", "")
    page.select_option("select[name=status]", "")
    for _ in range(5):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(300)
    assert page.locator(".card").count() >= min(runs, 180), "scrolling loads more"
    assert count(page, "open") <= 40
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen"
    assert page.locator(".card img, .card script, .name b").count() == 0
    assert not messages and all(url.startswith("file://") for url in requests), (messages, requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=Path, required=True, help="folder for the screenshots")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    options.shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=options.chromium, args=FLAGS)
        for students, lessons, language, title in [
            (30, LESSONS[1:2], "ko", "3학년 2반"),
            (1000, LESSONS, "en", "All classes"),
        ]:
            folder = Path(scratch, str(students))
            failed = make_class(folder, students, lessons, language, title)
            size = (folder / "index.html").stat().st_size / 1e6
            for width, height in [(1280, 900), (390, 844)]:
                page = browser.new_page(viewport={"width": width, "height": height})
                check(page, folder, students * len(lessons), failed, options.shots, f"{students}-{width}")
                page.close()
                print(
                    f"{students} students, {len(lessons)} lessons, {width} pixels wide: ok, {size:.2f} MB",
                    flush=True,
                )
        browser.close()


if __name__ == "__main__":
    main()
