"""Use the studio in JupyterLab, Notebook 7 and Voilà in a real browser, as a student does, and check what the page shows.

    python tests/browser_studio.py                                   # JupyterLab, as CI does: about two minutes
    python tests/browser_studio.py --front lab notebook voila --shots SHOTS
    python tests/browser_studio.py --panel text                      # the panel that starts from a prompt

Not collected by pytest: it needs a chromium (Debian: `apt install chromium fonts-noto-cjk`), the extra "browser", and for their
fronts Notebook 7 (`pip install notebook`) and Voilà (`pip install voila`). The checks of browser_checks.py are run in order on one
notebook with the miniature; each prints a line with its seconds. It fails (exit 1) if one of them does. Screenshots go to SHOTS.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from browser_checks import CHECKS, TEXT_CHECKS, Studio
from browser_lessons import BROWSER_FLAGS, ROOT, lab, wait_for_address, wait_for_kernel
from playwright.sync_api import Page, TimeoutError, sync_playwright

NAME = "studio.ipynb"


def notebook(language: str, panel: str) -> nbformat.NotebookNode:
    """Make a notebook that opens a studio. panel: "video" or "text"."""
    open_panel = f"video_studio(pipe, language={language!r})"
    if panel == "text":
        open_panel = f"text_studio(pipe, load_image_pipeline('mini', device='cpu'), language={language!r})"
    cells = [
        "from svd_lab import load_image_pipeline, load_video_pipeline\n"
        "from svd_lab.studio import text_studio, video_studio\n"
        'pipe = load_video_pipeline("mini", device="cpu")',
        f"import time\n\nstart = time.perf_counter()\nstudio = {open_panel}\nstudio.panel\n"
        'print(f"opened in {time.perf_counter() - start:.2f} s")',
        "studio",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


@contextmanager
def voila(folder: Path, jupyter: str, port: int) -> Iterator[str]:
    """Serve the notebook with Voilà during the block; yields the address."""
    command = [
        str(Path(shutil.which(jupyter) or jupyter).with_name("voila")),
        str(folder / NAME),
        "--no-browser",
        f"--port={port}",
    ]
    command += ["--KernelSpecManager.ensure_native_kernel=False"]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": str(ROOT)}
    with (folder / ".lab.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            yield wait_for_address(f"http://127.0.0.1:{port}", "/static/", server, folder / ".lab.log")
        finally:
            server.terminate()
            server.wait(30)


def open_in_jupyter(page: Page, address: str, front: str) -> None:
    """Open the notebook and click "Run All Cells"."""
    page.goto(f"{address}/lab/tree/{NAME}?reset" if front == "lab" else f"{address}/notebooks/{NAME}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    wait_for_kernel(address, NAME)
    page.wait_for_timeout(2000)  # until the page has the kernel, too
    if front == "lab":
        page.keyboard.press("Control+B")  # hides the side bar
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def turn_dark(page: Page) -> None:
    """Choose the dark theme in the menu of JupyterLab or Notebook."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Theme").first.hover()
    page.locator(".lm-Menu-item", has_text="JupyterLab Dark").first.click()
    page.wait_for_function("document.body.dataset.jpThemeLight == 'false'", timeout=15_000)


def turn_voila_dark(page: Page) -> None:
    """Open the page again with Voilà's dark theme."""
    page.goto(f"{page.url.split('?')[0]}?theme=dark")
    page.wait_for_selector(".svd-studio", timeout=90_000)


def drive(front: str, options: argparse.Namespace) -> bool:
    """Run the checks in one front end; return whether all passed."""
    passed = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        nbformat.write(notebook(options.language, options.panel), folder / NAME)
        os.environ["JUPYTERLAB_SETTINGS_DIR"] = str(folder / ".user")  # not the tester's own, which would turn dark
        os.environ["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / ".workspaces")
        server = voila(folder, options.jupyter, options.port)
        if front != "voila":
            server = lab(folder, options.jupyter, options.port, front)
        with server as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=options.browser, args=BROWSER_FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 2600 if options.shots else 1400})
            if front == "voila":
                page.goto(address, timeout=90_000)
            else:
                open_in_jupyter(page, address, front)
            try:
                page.wait_for_selector(".svd-studio", timeout=90_000)
            except TimeoutError:
                shown = [text[:2000] for text in page.locator(".jp-OutputArea").all_inner_texts()]
                print(
                    f"{front}: no panel; the cells show",
                    *shown,
                    (folder / ".lab.log").read_text()[-3000:],
                    sep="\n",
                    file=sys.stderr,
                )
                return False
            print(f"{front}: {page.get_by_text('opened in').last.inner_text().strip()}", flush=True)
            dark = turn_voila_dark if front == "voila" else turn_dark
            studio = Studio(page, folder, options.language, options.shots, front, dark)
            for check in TEXT_CHECKS if options.panel == "text" else CHECKS:
                if options.only and check.__name__ not in options.only:
                    continue
                start = time.monotonic()
                try:
                    check(studio)
                    result = "ok"
                except Exception as error:  # the next checks may still pass
                    result, passed = f"FAILED: {error}", False
                    studio.shoot(f"failed-{check.__name__}")
                print(f"  {check.__name__:12} {time.monotonic() - start:5.1f} s  {result}", flush=True)
            browser.close()
        if "Unknown subshell_id" in (log := (folder / ".lab.log").read_text(errors="replace")):
            print(
                f"  the server's log has {log.count('Unknown subshell_id')} clicks that were lost with their subshell"
            )
        if not passed:
            print(log[-3000:], file=sys.stderr)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--front", nargs="+", choices=["lab", "notebook", "voila"], default=["lab"])
    parser.add_argument("--panel", choices=["video", "text"], default="video")
    parser.add_argument("--only", nargs="+", help="names of checks, default: all")
    parser.add_argument("--language", choices=["ko", "en"], default="ko")
    parser.add_argument("--shots", type=Path, help="folder for screenshots")
    parser.add_argument("--jupyter", default="jupyter", help="the jupyter command to use")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="path of chromium")
    parser.add_argument("--port", type=int, default=8898)
    options = parser.parse_args()
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    return 0 if all([drive(front, options) for front in options.front]) else 1


if __name__ == "__main__":
    sys.exit(main())
