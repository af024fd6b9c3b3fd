"""`svd-lab studio`: the studio as a page in a browser, by Voilà, without JupyterLab."""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from svd_lab.commands.options import IMAGE_MODELS, MODELS, language_option, manual

_NEEDS = "svd-lab studio shows the panel with Voilà, which is not installed: pip install 'svd-lab[studio]'"


def add_studio(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "studio",
        parents=list(parents),
        help="open the studio, a panel for every setting, as a page in a browser",
        **manual(
            "Open the studio, a panel with every setting, a preview and a history, as a page in a browser. Ctrl-C ends it. It "
            "needs no JupyterLab, but Voilà: pip install 'svd-lab[studio]'. Only who has the page's whole address, with its "
            "token, can use it.",
            "svd-lab studio",
            "svd-lab studio --text --out my-videos",
            "svd-lab studio --no-browser --port 8900",
        ),
    )
    parser.add_argument("--text", action="store_true", help="start from a prompt instead of a picture")
    parser.add_argument("--model", default="auto", help=f"{MODELS} (auto)")
    parser.add_argument("--image-model", default="auto", help=f"with --text: {IMAGE_MODELS} (auto)")
    parser.add_argument("--out", default="studio", metavar="DIR", help="folder for the videos (studio)")
    language_option(parser, "the panel")
    parser.add_argument("--port", type=int, metavar="N", help="of the page (8866, or the next one that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    if importlib.util.find_spec("voila") is None:
        raise ImportError(_NEEDS)
    import nbformat
    from voila.app import Voila

    from svd_lab.models.checkpoints import locate
    from svd_lab.models.table import IMAGE, VIDEO

    for model, family in ((options.model, VIDEO), (options.image_model, IMAGE)):
        if model != "auto":
            locate(model, family)  # a mistake is said here, not on the page
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "studio.ipynb")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source(options))])
        notebook.metadata.kernelspec = _write_kernel(Path(folder))
        nbformat.write(notebook, page)
        words = [str(page), "--token", "--show_tracebacks=True"]
        words += [f"--port={options.port}"] if options.port else []
        words += ["--no-browser"] if options.no_browser else []
        app = Voila(log_format="%(message)s")
        app.initialize(words)
        app.log.addFilter(lambda record: record.levelno >= logging.ERROR or "running at" in record.getMessage())
        app.start()


def _write_kernel(folder: Path) -> dict[str, str]:
    """Add a kernel of this Python to those that Jupyter finds; ipykernel's own warns whoever starts it about eavesdroppers."""
    home = folder / "kernels" / "svd-lab"
    home.mkdir(parents=True)
    quiet = ["-f", "{connection_file}", "--IPKernelApp.log_level=ERROR"]
    kernel = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", *quiet],
        "display_name": "svd-lab",
        "language": "python",
    }
    (home / "kernel.json").write_text(json.dumps(kernel), "utf-8")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")]))
    return {"name": "svd-lab", "display_name": "svd-lab", "language": "python"}


def source(options: argparse.Namespace) -> str:
    """The one cell of the page's notebook; its paths are relative to the folder in which the command was given."""
    opened = "text_studio(pipe, load_image_pipeline({image_model!r}), " if options.text else "video_studio(pipe, "
    return (
        "import os\n\nos.chdir({here!r})\n"
        "from svd_lab import load_image_pipeline, load_video_pipeline\n"
        "from svd_lab.studio import text_studio, video_studio\n\n"
        "pipe = load_video_pipeline({model!r})\n" + opened + "language={language!r}, out_dir={out!r})"
    ).format(**vars(options), here=str(Path.cwd()))
