"""Run whole lessons in JupyterLab in a real browser, as a student does, and check what the page shows.

    python tests/browser_lessons.py 01 02 --language en --shots SHOTS

Not collected by pytest: it needs the extras "lessons" and "browser" and a chromium (Debian: `apt install chromium fonts-noto-cjk`),
and takes as long as the lessons. Each notebook is copied with docs/ into an empty folder, its outputs are removed, and "Run All
Cells" is clicked. It fails (exit 1) if a cell raises or does not run, a video does not play, or a picture is broken. Screenshots,
one for each screenful, go to SHOTS.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Cells out of view are attached, too, so that the checks see the whole notebook.
SETTINGS = (
    '{"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},'
    ' "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}'
)
COUNTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(e => e.textContent.trim())"
ERRORS = "[...document.querySelectorAll('[data-mime-type=\"application/vnd.jupyter.error\"]')].map(e => e.textContent)"
VIDEOS = "[...document.querySelectorAll('.jp-OutputArea video')].map(v => [v.readyState, v.videoWidth, v.duration])"
BROKEN = "[...document.querySelectorAll('.jp-Notebook img')].filter(i => !i.naturalWidth).map(i => i.src.slice(0, 80))"


@contextmanager
def lab(folder: Path, jupyter: str, port: int, front: str = "lab") -> Iterator[str]:
    """Serve `folder` with JupyterLab ("lab") or Notebook 7 ("notebook") during the block; yields the address."""
    overrides = folder / ".settings"
    overrides.mkdir()
    (overrides / "overrides.json").write_text(SETTINGS)
    app = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[front]
    options = [f"--port={port}", "--no-browser", "--IdentityProvider.token=", "--ServerApp.root_dir=" + str(folder)]
    options += [f"--{app}.app_settings_dir={overrides}", "--KernelSpecManager.ensure_native_kernel=False"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": str(ROOT)}
    with (folder / ".lab.log").open("wb") as log:
        server = subprocess.Popen([jupyter, front, *options], stdout=log, stderr=log, env=environment)
        try:
            yield wait_for_address(f"http://127.0.0.1:{port}", "/api", server, folder / ".lab.log")
        finally:
            server.terminate()
            server.wait(30)


def wait_for_address(address: str, path: str, server: subprocess.Popen[bytes], log: Path) -> str:
    """Return `address` once its `path` answers; raise RuntimeError, with the end of the log, if the server ends or stays silent."""
    for _ in range(120):
        try:
            urllib.request.urlopen(address + path, timeout=1).close()
            return address
        except urllib.error.HTTPError:
            return address  # a refusal is an answer, too
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.5)
    raise RuntimeError(f"no server at {address}: {log.read_text(errors='replace')[-2000:]}")


def wait_for_kernel(address: str, name: str, limit: float = 60) -> None:
    """Wait until the server has an idle kernel for notebook `name`; TimeoutError after `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{address}/api/sessions", timeout=10) as answer:
            states = {session["path"]: session["kernel"]["execution_state"] for session in json.load(answer)}
        if states.get(name) == "idle":
            return
        time.sleep(0.5)
    raise TimeoutError(f"no kernel for {name} within {limit:.0f} s")


def run_in_browser(page: Page, address: str, name: str, limit: float) -> list[str]:
    """Open notebook `name` (a path in the server's folder), run all of it, and return what went wrong."""
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    wait_for_kernel(address, name)
    page.wait_for_timeout(2000)  # until the page has the kernel, too
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_timeout(2000)
    select = page.locator(".jp-Dialog button.jp-mod-accept")
    if select.count():  # it did not have it yet: JupyterLab asks for a kernel, and the notebook's own is preselected
        select.click()
    end = time.monotonic() + limit
    while time.monotonic() < end:
        counts = page.evaluate(COUNTS)
        if page.evaluate(ERRORS) or (counts and all(count.strip("[]:").isdigit() for count in counts)):
            break
        time.sleep(1)
    problems = [f"a cell raised: {text[-300:]}" for text in page.evaluate(ERRORS)]
    problems += [f"cell {i} has not run: {c!r}" for i, c in enumerate(page.evaluate(COUNTS)) if not c[1:-2].isdigit()]
    page.wait_for_timeout(2000)  # until the last outputs are drawn
    videos = page.evaluate(VIDEOS)
    problems += [f"video {i} does not play: {v}" for i, v in enumerate(videos) if v[0] < 2 or not v[1] or not v[2]]
    if not videos:
        problems.append("no video is shown")
    return problems + [f"a picture is broken: {source}" for source in page.evaluate(BROKEN)]


def take_screenshots(page: Page, folder: Path) -> None:
    """Write NN.png for each screenful, from top to bottom."""
    folder.mkdir(parents=True, exist_ok=True)
    scroller = ".jp-WindowedPanel-outer"
    page.evaluate(f"document.querySelector('{scroller}').scrollTop = 0")
    for number in range(1, 100):
        page.wait_for_timeout(400)
        page.screenshot(path=folder / f"{number:02}.png")
        if not page.evaluate(
            f"(e => {{const y = e.scrollTop; e.scrollTop += e.clientHeight - 60; return e.scrollTop > y}})"
            f"(document.querySelector('{scroller}'))"
        ):
            break


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", default=[""], help="starts of names, as 01; default: all")
    parser.add_argument("--language", choices=["ko", "en"], default="ko")
    parser.add_argument("--shots", type=Path, help="folder for screenshots")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a lesson may take")
    parser.add_argument("--jupyter", default="jupyter", help="the jupyter command to use")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="path of chromium")
    parser.add_argument("--port", type=int, default=8899)
    options = parser.parse_args()
    source = ROOT / "lessons" / options.language
    chosen = [p for p in sorted(source.glob("*.ipynb")) if p.name.startswith(tuple(options.lessons))]
    failed = not chosen
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        notebooks = folder / "lessons" / options.language  # as in a clone, because their pictures are in ../../docs
        notebooks.mkdir(parents=True)
        shutil.copytree(ROOT / "docs", folder / "docs")
        for path in chosen:
            notebook = nbformat.read(path, as_version=4)
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
            nbformat.write(notebook, notebooks / path.name)
        with lab(folder, options.jupyter, options.port) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=options.browser, args=BROWSER_FLAGS)
            for path in chosen:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                start = time.monotonic()
                problems = run_in_browser(page, address, f"lessons/{options.language}/{path.name}", options.limit)
                videos = len(page.evaluate(VIDEOS))
                print(
                    f"{path.name}: {time.monotonic() - start:.0f} s, {videos} videos", *problems, sep="\n  ", flush=True
                )
                if options.shots:
                    take_screenshots(page, options.shots / path.stem)
                failed |= bool(problems)
                page.close()
            browser.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
