"""What a student does with the studio, as checks of a page that shows it; tests/browser_studio.py opens the pages and runs them.

Each check is a function of a `Studio`. They are run in the order of CHECKS, on one panel with the miniature.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, Page

from svd_lab.language import say
from svd_lab.studio.fields import TEXT_FIELDS, VIDEO_FIELDS

BAD = ["abc", "-5", "1e999", "  ", "99999999999"]
OTHER = {  # a value for every field, other than its first one
    "motion_bucket_id": "50", "num_inference_steps": "3", "seed": "7", "num_frames": "4", "fps": "9", "playback_fps": "5.5",
    "noise_aug_strength": "0.1", "min_guidance_scale": "1.5", "max_guidance_scale": "2.5", "decode_chunk_size": "3",
    "width": "160", "height": "96", "fit": "stretch", "file": "film",
}  # fmt: skip
WIDER = "(e => e.scrollWidth - e.clientWidth)(document.querySelector('.svd-studio'))"
IN_SIGHT = """(() => {
  const [run, bar, field] = [document.querySelector('.svd-studio button.mod-primary'), document.querySelector('.svd-bar'),
    document.activeElement].map(e => e.getBoundingClientRect());
  return [run.top > 0 && run.bottom < innerHeight, bar.bottom <= innerHeight && bar.height < innerHeight / 3,
    field.bottom <= bar.top];
})()"""
FOCUSED = """(e => !e || !e.closest('.svd-studio') ? '' :
  (e.labels?.length ? e.labels[0].innerText : e.innerText || e.getAttribute('aria-label') || e.tagName).trim())
  (document.activeElement)"""
DARK_TEXTS = """[...document.querySelectorAll('.svd-studio .svd-help, .svd-studio label, .svd-studio h3, .svd-studio .svd-note')]
  .filter(e => e.offsetParent).map(e => [e.innerText.slice(0, 30), getComputedStyle(e).color])
  .filter(([text, colour]) => Math.max(...colour.match(/[\\d.]+/g).slice(0, 3).map(Number)) < 140)"""
ROLES = {"button", "textbox", "combobox", "checkbox", "progressbar", "Video", "image", "DisclosureTriangle"}


class Studio:
    """A panel on a page.

    Args:
        page: The page that shows it.
        folder: The notebook's folder.
        language: "ko" or "en".
        shots: The folder for screenshots, or None.
        front: "lab", "notebook" or "voila".
        dark: Turns the page's theme dark.
    """

    def __init__(
        self, page: Page, folder: Path, language: str, shots: Path | None, front: str, dark: Callable[[Page], None]
    ) -> None:
        self.page, self.folder, self.language, self.shots = page, folder, language, shots
        self.front, self.dark = front, dark
        self.box = page.locator(".svd-studio").first
        self.run, self.stop = self.box.locator("button.mod-primary"), self.box.locator("button.mod-warning")

    def word(self, message: str, **values: object) -> str:
        return say(message, self.language, **values)

    def label(self, name: str) -> str:
        field = next(f for f in (*VIDEO_FIELDS, *TEXT_FIELDS) if f.name == name)
        return self.word(field.label)

    def field(self, name: str) -> Locator:
        return self.box.get_by_label(self.label(name), exact=True)

    def type(self, name: str, text: str) -> None:
        self.field(name).fill(text)
        self.field(name).press("Tab")

    def status(self) -> str:
        return self.box.locator("[role=status]").inner_text() if self.box.locator("[role=status]").count() else ""

    def until(self, promise: Callable[[], object], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not promise():
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}; the panel says {self.texts()}"
            self.page.wait_for_timeout(50)

    def texts(self) -> list[str]:
        return self.box.locator("[role=status], [role=alert]").all_inner_texts()

    def says(self, message: str, **values: object) -> bool:
        """Whether the panel shows the message, up to its first value where none is given."""
        shown = self.word(message, **values) if values else self.beginning(message)
        return any(shown in text for text in self.texts())

    def beginning(self, message: str) -> str:
        """The message up to its first value or mark-up."""
        gap = dict.fromkeys(re.findall(r"{(\w+)", message), "<")
        return self.word(message, **gap).split("<")[0].strip()

    def steps_of(self, total: int) -> bool:
        return f"/{total}" in self.status() or f"of {total}" in self.status()

    def make(self, seconds: float = 120) -> dict[str, Any]:
        """Click Run, wait for the video, and return its record."""
        made = len(self.records())
        self.run.click()
        return self.finish(made + 1, seconds)

    def finish(self, made: int, seconds: float = 120) -> dict[str, Any]:
        self.until(
            lambda: len(self.records()) == made and self.says("Done! Seed <b>{seed}</b>, {path}"),
            seconds,
            f"run {made} ends",
        )
        return self.records()[-1]

    def records(self) -> list[dict[str, Any]]:
        path = self.folder / "studio" / "runs.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def videos(self) -> list[Path]:
        return list(self.folder.glob("studio/*-[0-9][0-9][0-9].mp4"))

    def shoot(self, name: str) -> None:
        if self.shots:
            self.page.wait_for_timeout(300)
            self.box.screenshot(path=self.shots / f"{self.front}-{name}.png")


def opens(s: Studio) -> None:
    """The panel shows the basic settings, an estimate, and the picture as the model will get it."""
    s.until(lambda: "⏱" in s.box.inner_text(), 30, "an estimate")
    assert s.box.locator("img").count() >= 7
    assert sum(entry.is_visible() for entry in s.box.locator(".svd-card .svd-entry").all()) == 3
    s.shoot("01-open")


def refuses(s: Studio) -> None:
    """A bad value in any field is explained, and Run runs nothing."""
    s.box.get_by_role("button", name=s.word("All settings")).click()
    s.field("num_frames").wait_for(state="visible")
    s.shoot("02-more")
    typed = [field for field in VIDEO_FIELDS if field.kind != "fit"]
    for field in typed:
        entry = s.field(field.name)
        before = entry.input_value()
        for bad in ["a/b"] if field.kind == "name" else BAD:
            if bad.strip() or field.blank is None:
                entry.fill(bad)
                entry.press("Tab")
                s.until(
                    lambda: s.box.locator(".svd-card [role=alert]").count() == 1, 5, f"{field.name} refuses {bad!r}"
                )
        if field is typed[0]:
            s.run.click()
            s.until(lambda: s.says("Fix the fields marked in red first."), 5, "Run is refused, too")
            s.shoot("03-refused")
        entry.fill(before)
        entry.press("Tab")
        s.until(
            lambda: s.box.locator(".svd-card [role=alert]").count() == 0, 5, f"{field.name} accepts {before!r} again"
        )
    assert not s.videos() and not s.records()


def stays(s: Studio) -> None:
    """With all settings open, Run and the estimate stay in sight wherever the page is scrolled; no label counts uploads."""
    size = s.page.viewport_size
    s.page.set_viewport_size({"width": size["width"], "height": 700})
    for name in ("motion_bucket_id", "num_frames", "max_guidance_scale", "file"):
        s.field(name).focus()
        s.page.wait_for_timeout(300)
        seen = s.page.evaluate(IN_SIGHT)
        assert seen == [True, True, True], f"at {name}: Run, the bar, and the field above it are in sight: {seen}"
    s.page.set_viewport_size(size)
    assert (
        s.box.locator("button", has_text=s.word("Upload a picture")).evaluate("e => getComputedStyle(e).fontSize")
        == "0px"
    )


def chooses(s: Studio) -> None:
    """Another model is loaded and its settings are entered; back again, they return. The card says what changed."""
    model, steps = s.box.get_by_label(s.word("Model"), exact=True), s.field("num_inference_steps")
    before = steps.input_value()
    model.select_option("mini-turbo")
    s.until(lambda: steps.input_value() == "4", 60, "mini-turbo is ready")
    assert s.make()["model"]["name"] == "mini-turbo"
    s.until(lambda: "mini → mini-turbo" in s.box.locator(".svd-run").first.inner_text(), 10, "the card says so")
    model.select_option("mini")
    s.until(lambda: steps.input_value() == before, 60, "the settings are back")


def runs(s: Studio) -> None:
    """A double click on Run runs once; the bar moves, a preview appears, the video plays and is on disk."""
    s.type("num_inference_steps", "6")
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
        return s.says("Done! Seed <b>{seed}</b>, {path}")

    s.until(look, 120, "the run ends")
    assert len(seen) >= 4 and preview, f"the bar was at {sorted(seen)}, preview {preview}"
    s.box.locator("video").first.scroll_into_view_if_needed()  # chromium pauses it out of view
    video = "(v => [v.readyState >= 2, v.videoWidth, !v.paused])(document.querySelector('.svd-studio video'))"
    s.until(lambda: s.page.evaluate(video) == [True, 224, True], 10, "the video plays")
    assert len(s.videos()) == len(s.records()) == 1
    s.shoot("05-done")
    if s.shots:  # for docs/studio.md and the lessons: the panel as a beginner sees it
        s.box.get_by_role("button", name=s.word("Basic settings only")).click()
        s.page.mouse.move(5, 5)
        s.page.wait_for_timeout(3500)  # until the video's controls fade
        s.shoot("05-basic")
        s.box.get_by_role("button", name=s.word("All settings")).click()


def cancels(s: Studio) -> None:
    """A second Run is refused; the kernel responds meanwhile; Stop ends the run within a step and leaves no file."""
    s.type("num_inference_steps", "60")
    s.run.click()
    s.until(lambda: s.steps_of(60), 30, "the first step")
    s.page.evaluate(
        "window.seen = []; new MutationObserver(() => window.seen.push(...[...document.querySelectorAll("
        "'.svd-studio [role=status], .svd-studio [role=alert]')].map(e => e.innerText))).observe("
        "document.querySelector('.svd-studio'), {subtree: true, childList: true, characterData: true})"
    )
    s.run.click()
    busy = s.beginning("Already running. Press again when it is done.")
    s.until(lambda: any(busy in text for text in s.page.evaluate("window.seen")), 10, "a second run is refused")
    s.type("motion_bucket_id", "-3")
    s.until(lambda: s.box.locator(".svd-card [role=alert]").count() == 1, 10, "the panel responds while it runs")
    s.type("motion_bucket_id", "127")
    start = time.monotonic()
    s.stop.click()
    s.until(lambda: s.says("Stopped. No file was written."), 20, "the run stops")
    print(f"      stopped within {time.monotonic() - start:.1f} s")
    assert len(s.videos()) == 1


def changes(s: Studio) -> None:
    """Every control is changed, and the run has these values; a preset's button enters its value."""
    for field in VIDEO_FIELDS:
        if field.kind == "fit":
            words = next(words for value, words in field.presets if value == OTHER[field.name])
            s.field(field.name).select_option(s.word(words))
            continue
        for value, _ in field.presets:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            s.box.get_by_title(s.word("{label}: {value}", label=s.word(field.label), value=shown), exact=True).click()
            s.until(lambda: s.field(field.name).input_value() == shown, 5, f"{field.name}: {shown} is entered")  # noqa: B023
        s.type(field.name, OTHER[field.name])
    s.box.get_by_role("button", name=s.word("random")).click()
    s.until(lambda: s.field("seed").input_value() != OTHER["seed"], 5, "a seed is drawn")
    s.type("seed", OTHER["seed"])
    s.box.get_by_role("button", name=s.word("balloon"), exact=True).click()
    s.page.wait_for_timeout(300)
    made = s.make()
    found = {name: str(value) for name, value in made["call"].items()} | {"file": made["file"].removesuffix(".mp4")}
    assert found == OTHER and made["source"] == "balloon", f"{found}, {made['source']}"
    for name in ("width", "height", "file", "playback_fps"):
        s.type(name, "")
    for name, text in {"num_frames": "10", "min_guidance_scale": "1", "fps": "7", "decode_chunk_size": "2"}.items():
        s.type(name, text)
    s.field("fit").select_option(s.field("fit").locator("option").first.inner_text())


def uploads(s: Studio) -> None:
    """An uploaded picture is shown as the model will get it, in two fits, and made into a video."""
    Image.radial_gradient("L").convert("RGB").resize((300, 500)).save(s.folder / "mine.png")
    with s.page.expect_file_chooser() as chooser:
        s.box.get_by_role("button", name=s.word("Upload a picture")).click()
    chooser.value.set_files(s.folder / "mine.png")
    s.until(lambda: list(s.folder.glob("studio/pictures/mine-*.png")), 10, "the picture is kept")
    shown = s.box.locator(".svd-card img").first
    before = shown.get_attribute("src")
    s.field("fit").select_option(s.field("fit").locator("option").nth(1).inner_text())
    s.until(lambda: shown.get_attribute("src") != before, 10, "another fit is shown")
    s.shoot("06-upload")
    s.type("num_inference_steps", "2")
    assert Path(s.make()["source"]).name.startswith("mine-")


def restores(s: Studio) -> None:
    """A click in the history restores settings, picture and video; two videos play side by side; the code is shown."""
    s.box.get_by_role("button", name=s.word("Back to number {number}", number=1), exact=True).click()
    texts = s.records()[0]["texts"]
    for name in ("motion_bucket_id", "num_inference_steps", "noise_aug_strength", "seed"):
        s.until(lambda: s.field(name).input_value() == texts[name], 10, f"{name} is back")  # noqa: B023
    s.until(
        lambda: s.field("fit").input_value() == s.field("fit").locator("option").first.inner_text(),
        5,
        "the fit is back",
    )
    s.box.locator("summary", has_text=s.word("As code")).click()
    assert "'rocket'," in s.box.locator("details pre").last.inner_text()
    for box in s.box.locator("input[type=checkbox]").all()[-2:]:
        box.check()
    s.box.get_by_role("button", name=s.word("Compare the selected videos")).click()
    s.until(lambda: s.box.locator("video").count() == 2, 20, "the comparison plays")
    s.page.wait_for_timeout(600)
    s.shoot("07-compare")


def has_names(s: Studio) -> None:
    """In chromium's accessibility tree every control, picture and video of the panel has a name."""
    tree = s.page.context.new_cdp_session(s.page)
    root = tree.send("DOM.getDocument")["root"]["nodeId"]
    panel = tree.send("DOM.querySelector", {"nodeId": root, "selector": ".svd-studio"})["nodeId"]
    nodes = tree.send("Accessibility.queryAXTree", {"nodeId": panel})["nodes"]
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in nodes
        if not node.get("ignored") and node["role"]["value"] in ROLES
    ]
    nameless = [role for role, name in found if not name]
    assert not nameless, f"without a name: {nameless}"
    assert len(found) > 50 and {"button", "textbox", "checkbox"} <= {role for role, _ in found}, found


def by_path(s: Studio) -> None:
    """The Enter key opens a path; a missing file is explained."""
    path = s.box.get_by_label(s.word("Path or web address"), exact=True)
    path.fill("no-such.png")
    path.press("Enter")
    s.until(lambda: any("no-such.png" in text for text in s.texts()), 10, "it is explained")
    path.fill("mine.png")
    path.press("Enter")
    s.until(lambda: not any("no-such.png" in text for text in s.texts()), 10, "the picture opens")


def by_keyboard(s: Studio) -> None:
    """The Tab, Space and Enter keys are enough for a picture, a number, Run and a video; the focus goes through all in order."""
    rocket, rabbit = (s.word(name) for name in ("rocket", "rabbit"))
    s.box.get_by_role("button", name=s.word("Upload a picture")).focus()
    walked: list[str] = []

    def tab_to(name: str, key: str = "Tab") -> None:
        for _ in range(90):
            s.page.keyboard.press(key)
            walked.append(s.page.evaluate(FOCUSED))
            if walked[-1] == name:
                return
        raise AssertionError(f"{name} is not reached with {key}: {walked}")

    tab_to(rocket, "Shift+Tab")
    tab_to(rabbit, "Shift+Tab")
    before = s.box.locator(".svd-card img").first.get_attribute("src")
    s.page.keyboard.press("Space")
    s.until(lambda: s.box.locator(".svd-card img").first.get_attribute("src") != before, 10, "the rabbit is shown")
    walked.clear()
    tab_to(s.label("num_inference_steps"))
    s.page.keyboard.press("Control+A")
    s.page.keyboard.type("1")
    tab_to(s.word("Generate"))
    labels = [s.word(f.label) for f in VIDEO_FIELDS]
    reached = [name for name in walked if name in labels]
    assert reached == labels, f"Tab goes to {reached}"
    made = len(s.records())
    s.page.keyboard.press("Enter")
    run = s.finish(made + 1)
    assert run["source"] == "rabbit" and run["call"]["num_inference_steps"] == 1


def reloads(s: Studio) -> None:
    """A page that is reloaded during a run shows the panel again, and the run finishes.

    Voilà gives a reloaded page a new kernel, so there only the finished videos remain.
    """
    made = len(s.records())
    if s.front == "voila":
        s.page.reload()
        s.page.wait_for_selector(".svd-studio", timeout=90_000)
        s.until(lambda: s.box.locator(".svd-run").count() == min(made, 12), 20, "the finished videos are listed")
        s.box.get_by_role("button", name=s.word("All settings")).click()
        return
    s.type("num_inference_steps", "12")
    s.page.keyboard.press("Control+S")
    s.page.wait_for_timeout(1500)
    s.run.click()
    s.until(lambda: s.steps_of(12), 30, "the first step")
    s.page.goto(s.page.url.split("?")[0])
    s.page.wait_for_selector(".svd-studio", timeout=60_000)
    s.finish(made + 1)
    s.type("motion_bucket_id", "77")
    s.run.click()
    s.until(lambda: s.steps_of(12), 20, "the panel still works")
    s.stop.click()
    s.until(lambda: s.says("Stopped. No file was written."), 30, "and stops")


def is_narrow(s: Studio) -> None:
    """At 390 pixels nothing is cut off, and a video can be made."""
    size = s.page.viewport_size
    s.page.set_viewport_size({"width": 390, "height": 3400 if s.shots else 844})
    s.page.wait_for_timeout(1500)
    assert s.page.evaluate(WIDER) <= 1, f"{s.page.evaluate(WIDER)} pixels are cut off"
    s.shoot("08-narrow")
    s.type("num_inference_steps", "1")
    s.make()
    s.page.set_viewport_size(size)


def is_dark(s: Studio) -> None:
    """In a dark theme every text is light enough to read."""
    s.dark(s.page)
    s.page.wait_for_timeout(1000)
    assert not s.page.evaluate(DARK_TEXTS), s.page.evaluate(DARK_TEXTS)
    s.shoot("09-dark")


def writes(s: Studio) -> None:
    """The panel for prompts: bad values are refused, the picture comes first, then the video; a run can be restored."""
    s.until(lambda: "⏱" in s.box.inner_text(), 60, "an estimate")
    s.box.get_by_role("button", name=s.word("All settings")).click()
    for name in ("prompt", "guidance_scale", "image_num_inference_steps", "num_inference_steps"):
        before = s.field(name).input_value()
        s.type(name, "  " if name == "prompt" else "-5")
        s.until(lambda: s.box.locator(".svd-card [role=alert]").count() == 1, 5, f"{name} is refused")
        s.type(name, before)
        s.until(lambda: s.box.locator(".svd-card [role=alert]").count() == 0, 5, f"{name} is accepted again")
    asked = {"prompt": "a rabbit in a meadow", "negative_prompt": "letters", "guidance_scale": "5", "seed": "3"}
    asked |= {"image_num_inference_steps": "6", "num_inference_steps": "3"}
    for name, text in asked.items():
        s.type(name, text)
    made = len(s.records())
    s.run.click()
    drawn = s.box.locator(".svd-card").first.locator("img")
    s.until(
        lambda: drawn.count() == 1 and s.word("The picture from the image model") in s.box.inner_text(),
        60,
        "the picture is drawn",
    )
    s.shoot("10-text")
    run = s.finish(made + 1)
    assert {name: str(run["call"][name]) for name in asked} == asked | {"guidance_scale": "5.0"}, run["call"]
    s.type("prompt", "a boat")
    s.box.get_by_role("button", name=s.word("Back to number {number}", number=run["number"]), exact=True).click()
    s.until(lambda: s.field("prompt").input_value() == asked["prompt"], 10, "the prompt is back")
    s.box.locator("summary", has_text=s.word("As code")).click()
    assert "generate_text2video" in s.box.locator("details pre").last.inner_text()
    s.shoot("11-text-done")


TEXT_CHECKS = [writes, has_names]
CHECKS = [
    opens, refuses, stays, runs, cancels, changes, uploads, restores, chooses,
    has_names, by_path, by_keyboard, reloads, is_narrow, is_dark,
]  # fmt: skip
