"""Drive the studio in JupyterLab in a real browser, as a student does, and look at what is shown there.

    python tests/browser_studio.py --jupyter /path/to/jupyter --shots /tmp/shots

By hand, like tests/browser_lessons.py, and with what that needs. Every check is a function below, run in order on one notebook with
the miniature; each prints a line, with the seconds it took. The run fails (exit 1) when one of them does. Screenshots go into the
folder given.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import browser_lessons
import nbformat
from browser_lessons import BROWSER_FLAGS, lab, wait_for_kernel
from PIL import Image
from playwright.sync_api import Page, sync_playwright

WORDS = {  # what a student reads on the controls that are clicked here
    "ko": {
        "more": "더 많은 손잡이", "steps": "단계", "restore": "1번 설정으로", "compare": "고른 영상 나란히 보기",
        "path": "경로나 웹 주소", "busy": "이미 만들고", "stopped": "멈췄어요", "done": "다 됐어요", "motion": "움직임",
        "frames": "프레임 수",
        "red": "붉은 글씨", "code": "코드로 보기", "fit": "그림 맞추기", "pad": "여백 넣기", "crop": "자르기",
        "upload": "내 그림 올리기",
    },
    "en": {
        "more": "More knobs", "steps": "Steps", "restore": "Back to number 1", "compare": "Compare the chosen ones",
        "path": "Path or web address", "busy": "Already at work", "stopped": "Stopped", "done": "Done", "motion": "Motion",
        "frames": "Frames", "red": "marked in red", "code": "As code", "fit": "Fitting the picture", "pad": "pad", "crop": "crop",
        "upload": "Upload a picture",
    },
}  # fmt: skip
# JupyterLab 4.6 sends clicks through a subshell of ipykernel 7, and after a reload of the page some of them to one that is gone
# ("Unknown subshell_id" in the server's log; `reloads` shows it with --subshells). Students can run the cell again.
NO_SUBSHELLS = ', "@jupyterlab/apputils-extension:kernels-settings": {"commsOverSubshells": "disabled"}}'
BAD = ["abc", "-5", "1e999", "  ", "99999999999"]
UNNAMED = """[...document.querySelectorAll('.svd-studio button, .svd-studio input, .svd-studio select, .svd-studio textarea')]
  .filter(e => e.offsetParent && !(e.innerText.trim() || e.title || e.getAttribute('aria-label') || e.labels?.length))
  .map(e => e.outerHTML.slice(0, 120))"""
WIDER = "(e => e.scrollWidth - e.clientWidth)(document.querySelector('.svd-studio'))"


class Studio:
    """The panel on the page."""

    def __init__(self, page: Page, folder: Path, language: str, shots: Path | None) -> None:
        self.page, self.folder, self.words, self.shots = page, folder, WORDS[language], shots
        self.box = page.locator(".svd-studio").first
        self.run, self.stop = self.box.locator("button.mod-primary"), self.box.locator("button.mod-warning")

    def field(self, word: str):
        return self.box.get_by_label(self.words[word], exact=True)

    def type(self, word: str, text: str) -> None:
        self.field(word).fill(text)
        self.field(word).press("Tab")

    def status(self) -> str:
        return self.box.locator("[role=status]").inner_text()

    def until(self, promise: Callable[[], object], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not promise():
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}; the status is {self.texts()}"
            self.page.wait_for_timeout(50)

    def texts(self) -> list[str]:
        return self.box.locator("[role=status], [role=alert]").all_inner_texts()

    def says(self, word: str) -> bool:
        return any(self.words[word] in text for text in self.texts())

    def finish(self, seconds: float = 90) -> None:
        self.until(lambda: self.says("done"), seconds, "the run ends")

    def shoot(self, name: str) -> None:
        if self.shots:
            self.page.wait_for_timeout(300)
            self.box.screenshot(path=self.shots / f"{name}.png")


def opens(s: Studio) -> None:
    """The panel shows four things to set, an estimate, and the picture as the model will see it."""
    s.until(lambda: "⏱" in s.box.inner_text(), 20, "an estimate")
    assert s.box.locator("img").count() >= 7
    assert sum(entry.is_visible() for entry in s.box.locator(".svd-card .svd-entry").all()) == 3
    s.shoot("01-open")


def names(s: Studio) -> None:
    """Every control has a name for those who do not see it."""
    s.box.get_by_role("button", name=s.words["more"]).click()
    s.field("frames").wait_for(state="visible")
    assert not s.page.evaluate(UNNAMED), s.page.evaluate(UNNAMED)
    s.shoot("02-more")


def refuses(s: Studio) -> None:
    """A bad value in any field is told in words, and Run runs nothing."""
    entries = [e for e in s.box.locator(".svd-card .svd-entry input").all() if e.is_visible()]
    assert len(entries) >= 12
    for entry in entries:
        before = entry.input_value()
        optional = bool(entry.get_attribute("placeholder"))
        for bad in BAD if not optional else ["a/b"]:
            entry.fill(bad)
            entry.press("Tab")
            s.until(lambda: s.box.locator("[role=alert]").count() >= 1, 5, f"{bad!r} is refused")
        if entry is entries[0]:
            s.run.click()
            s.until(lambda: s.says("red"), 5, "Run refuses, too")
            s.shoot("03-refused")
        entry.fill(before)
        entry.press("Tab")
        s.until(lambda: s.box.locator(".svd-card [role=alert]").count() == 0, 5, "the mended value is taken")
    assert not list(s.folder.glob("studio/*.mp4"))


def runs(s: Studio) -> None:
    """A double click on Run runs once; the bar moves, a preview shows, the video plays, and it lies on disk."""
    s.type("steps", "6")
    s.run.dblclick()
    bar = s.box.locator("progress")
    seen: set[str] = set()
    preview = False

    def look() -> bool:
        if bar.count():
            seen.add(bar.get_attribute("value") or "")
        nonlocal preview
        if not preview and s.box.locator("img[src^='data:image/webp']").count():
            preview = True
            s.shoot("04-running")
        return s.says("done")

    s.until(look, 90, "the run ends")
    assert len(seen) >= 4 and preview, f"the bar was at {sorted(seen)}, preview {preview}"
    video = "(v => [v.readyState >= 2, v.videoWidth, !v.paused])(document.querySelector('.svd-studio video'))"
    s.until(lambda: s.page.evaluate(video) == [True, 224, True], 10, "the video plays")
    assert len(list(s.folder.glob("studio/*.mp4"))) == 1
    s.shoot("05-done")


def cancels(s: Studio) -> None:
    """Run while running says so; Stop ends the run within a step and leaves no file; the kernel answers meanwhile."""
    s.type("steps", "60")
    s.run.click()
    s.until(lambda: "/60" in s.status() or "of 60" in s.status(), 30, "the first step")
    s.run.click()
    s.until(lambda: s.says("busy") or "60" in s.status(), 5, "a second run is told")
    s.type("motion", "-3")
    s.until(lambda: s.box.locator(".svd-card [role=alert]").count() == 1, 5, "the panel answers while it runs")
    s.type("motion", "127")
    start = time.monotonic()
    s.stop.click()
    s.until(lambda: s.says("stopped"), 20, "the run stops")
    print(f"      stopped within {time.monotonic() - start:.1f} s")
    assert len(list(s.folder.glob("studio/*.mp4"))) == 1


def uploads(s: Studio) -> None:
    """An uploaded picture is shown as the model will see it, in both ways to fit it, and made into a video."""
    Image.radial_gradient("L").convert("RGB").resize((300, 500)).save(s.folder / "mine.png")
    with s.page.expect_file_chooser() as chooser:
        s.box.get_by_role("button", name=s.words["upload"]).click()
    chooser.value.set_files(s.folder / "mine.png")
    s.until(lambda: list(s.folder.glob("studio/pictures/mine-*.png")), 10, "the picture is kept")
    shown = s.box.locator(".svd-card img").first
    before = shown.get_attribute("src")
    s.field("fit").select_option(s.words["pad"])
    s.until(lambda: shown.get_attribute("src") != before, 10, "another fit shows")
    s.shoot("06-upload")
    s.type("steps", "2")
    s.type("motion", "200")
    s.run.click()
    s.finish()


def restores(s: Studio) -> None:
    """A click in the history brings settings, picture and video back; two play side by side; the code is there."""
    s.box.get_by_role("button", name=s.words["restore"]).click()
    s.until(
        lambda: s.field("motion").input_value() == "127" and s.field("steps").input_value() == "6",
        10,
        "settings are back",
    )
    s.until(lambda: s.field("fit").input_value() == s.words["crop"], 5, "the fit is back")
    s.box.locator("summary", has_text=s.words["code"]).click()
    assert 'PICTURES["rocket"]'.replace('"', "'") in s.box.locator("details pre").last.inner_text()
    for box in s.box.locator("input[type=checkbox]").all():
        box.check()
    s.box.get_by_role("button", name=s.words["compare"]).click()
    s.until(lambda: s.box.locator("video").count() == 2, 20, "the comparison plays")
    s.page.wait_for_timeout(600)
    s.shoot("07-compare")


def by_path(s: Studio) -> None:
    """A path opens with the Enter key; one that is not there is told in words."""
    s.field("path").fill("no-such.png")
    s.field("path").press("Enter")
    s.until(lambda: any("no-such.png" in text for text in s.texts()), 10, "it is told")
    s.field("path").fill("mine.png")
    s.field("path").press("Enter")
    s.until(lambda: not any("no-such.png" in text for text in s.texts()), 10, "the picture opens")


def by_keyboard(s: Studio) -> None:
    """Tab and Enter are enough: from a field to Run, and to a video."""
    s.type("steps", "1")
    s.field("motion").focus()
    for _ in range(80):
        if s.page.evaluate("document.activeElement.classList.contains('mod-primary')"):
            break
        s.page.keyboard.press("Tab")
    else:
        raise AssertionError("Run is not reached with Tab")
    s.page.keyboard.press("Enter")
    s.until(lambda: not s.says("done"), 10, "it starts")
    s.finish()


def reloads(s: Studio) -> None:
    """A page that is reloaded while a video is made shows the panel again, and the run comes to its end."""
    s.type("steps", "12")
    made = len(list(s.folder.glob("studio/*.mp4")))
    s.page.keyboard.press("Control+S")
    s.page.wait_for_timeout(1500)
    s.run.click()
    s.until(lambda: "/12" in s.status() or "of 12" in s.status(), 30, "the first step")
    s.page.goto(s.page.url.split("?")[0])
    s.page.wait_for_selector(".svd-studio", timeout=60_000)
    s.until(lambda: len(list(s.folder.glob("studio/*.mp4"))) == made + 1, 90, "the run ends")
    s.until(lambda: s.says("done"), 20, "the panel tells")
    s.page.wait_for_timeout(1000)  # the page is still drawing the notebook below the panel
    s.type("motion", "77")
    s.run.click()
    s.until(lambda: not s.says("done"), 10, "the panel still works")
    s.stop.click()
    s.until(lambda: s.says("stopped"), 30, "and stops")


def is_narrow(s: Studio) -> None:
    """At 390 pixels nothing is cut off."""
    s.page.set_viewport_size({"width": 390, "height": 844})
    s.page.wait_for_timeout(1500)
    assert s.page.evaluate(WIDER) <= 1, f"{s.page.evaluate(WIDER)} pixels are cut off"
    s.shoot("08-narrow")
    s.page.set_viewport_size({"width": 1280, "height": 1400})


def is_dark(s: Studio) -> None:
    """In a dark theme every text is light enough to read."""
    s.page.get_by_role("menuitem", name="Settings", exact=True).click()
    s.page.locator(".lm-Menu-item", has_text="Theme").first.hover()
    s.page.locator(".lm-Menu-item", has_text="JupyterLab Dark").first.click()
    s.until(lambda: s.page.evaluate("document.body.dataset.jpThemeLight") == "false", 15, "the theme is dark")
    s.page.wait_for_timeout(1500)
    dark = """[...document.querySelectorAll('.svd-studio .svd-help, .svd-studio label, .svd-studio h3, .svd-studio .svd-note')]
      .filter(e => e.offsetParent).map(e => [e.innerText.slice(0, 30), getComputedStyle(e).color])
      .filter(([text, colour]) => Math.max(...colour.match(/[\\d.]+/g).slice(0, 3).map(Number)) < 140)"""
    assert not s.page.evaluate(dark), s.page.evaluate(dark)
    s.shoot("09-dark")


CHECKS = [opens, names, refuses, runs, cancels, uploads, restores, by_path, by_keyboard, reloads, is_narrow, is_dark]


def notebook(language: str) -> nbformat.NotebookNode:
    cells = [
        "import svd_lab\nfrom svd_lab import load_video_pipeline\nfrom svd_lab.controls import video_studio\n"
        'pipe = load_video_pipeline("mini", device="cpu")',
        f"import time\n\nstart = time.perf_counter()\nstudio = video_studio(pipe, language={language!r})\nstudio.panel\n"
        'print(f"opened in {time.perf_counter() - start:.2f} s")',
        "studio",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", choices=["ko", "en"], default="ko")
    parser.add_argument("--shots", type=Path, help="folder for screenshots")
    parser.add_argument("--jupyter", default="jupyter", help="the jupyter command whose JupyterLab is used")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="chromium's executable")
    parser.add_argument(
        "--subshells", action="store_true", help="with JupyterLab's own setting for widgets; see NO_SUBSHELLS"
    )
    parser.add_argument("--port", type=int, default=8898)
    options = parser.parse_args()
    failed = 0
    if not options.subshells:
        browser_lessons.SETTINGS = browser_lessons.SETTINGS[:-1] + NO_SUBSHELLS
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        nbformat.write(notebook(options.language), folder / "studio.ipynb")
        os.environ["JUPYTERLAB_SETTINGS_DIR"] = str(folder / ".user")  # the dark theme must not become the tester's own
        os.environ["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / ".workspaces")
        with lab(folder, options.jupyter, options.port) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=options.browser, args=BROWSER_FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            page.goto(f"{address}/lab/tree/studio.ipynb?reset")
            page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
            wait_for_kernel(address, "studio.ipynb")
            page.wait_for_timeout(2000)
            page.keyboard.press("Control+B")  # the side bar folds away
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            page.wait_for_selector(".svd-studio", timeout=90_000)
            print(page.locator(".jp-OutputArea").nth(1).inner_text().strip())
            studio = Studio(page, folder, options.language, options.shots)
            for check in CHECKS:
                start = time.monotonic()
                try:
                    check(studio)
                    result = "ok"
                except Exception as error:  # the next check may still tell something
                    result, failed = f"FAILED: {error}", 1
                    studio.shoot(f"failed-{check.__name__}")
                print(f"{check.__name__:12} {time.monotonic() - start:5.1f} s  {result}", flush=True)
            browser.close()
    return failed


if __name__ == "__main__":
    sys.exit(main())
