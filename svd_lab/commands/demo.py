"""What the svd-lab command does, for `cli` to call: the demo, the list of models, a clip's recipe, and progress in a terminal."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import svd_lab

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def make_demo(folder: Path, out: Path, seed: int, load: Callable[[], Any]) -> None:
    """Every picture of `folder` becomes a video in `out`, made by the pipeline that load() gives; contact-sheet.png shows all.

    Raises FileNotFoundError for a folder without pictures, before the pipeline is loaded.
    """
    from PIL import Image

    pictures = [path for path in folder.glob("*") if path.suffix.lower() in _PICTURE_SUFFIXES]
    pictures.sort(key=lambda path: (path.stem != "rocket", path.name))  # the class's first picture comes first
    if not pictures:
        raise FileNotFoundError(
            f"there is no picture ({', '.join(_PICTURE_SUFFIXES)}) in {folder}. Give a folder: --pictures DIR"
        )
    pipe = load()
    sheets = []
    for number, picture in enumerate(pictures, 1):
        video = out / f"{picture.stem}.mp4"
        with progress(f"{number}/{len(pictures)} {video.name}") as on_step:
            clip = svd_lab.generate_video(picture, video, seed, pipe=pipe, on_step=on_step)
        print(f"{number}/{len(pictures)} {video}", flush=True)
        sheets.append(clip.contact_sheet(columns=5))
    gap = 16
    height = sum(sheet.height + gap for sheet in sheets) - gap
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), height), "white")
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height + gap
    sheet_file = out / "contact-sheet.png"
    whole.save(sheet_file)
    print(f"All frames on one sheet: {sheet_file}\nLook into {out.resolve()}")


def list_models() -> None:
    """Print the table of models, and for each whether it is whole on this machine."""
    from svd_lab.models.checkpoints import check_location, locate, model_roots
    from svd_lab.models.table import FAMILIES

    for family in FAMILIES:
        print(f"with {family.loader}, {family.makes}:")
        for key, model in family.models.items():
            found = locate(key, family)
            print(f"{key:12}{model.about}")
            if found.folder is None:
                print(f"{'':12}not here; the Hub has it as {model.hub_id}")
                continue
            size = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
            print(f"{'':12}{found.source}, {size / 1e6:,.0f} MB: {found.folder}")
            try:
                check_location(found, half=False, family=family)
            except (OSError, ValueError) as error:
                print(f"{'':12}cannot be used: {error}")
    for root in model_roots():
        if not root.is_dir():
            print(f"SVD_LAB_MODELS names {root}, which is not a folder")
    if not model_roots():
        print("SVD_LAB_MODELS is not set: it can name folders in which models are looked for")


def show_recipe(path: str, replayed: str | None) -> None:
    """Print the recipe of an mp4 as JSON; make its clip again where `replayed` names a file."""
    # Escaped beyond ASCII only where a terminal could obey it: the names are whatever the file says.
    text = json.dumps(svd_lab.read_recipe(path), ensure_ascii=False, indent=2)
    print("".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text))
    if replayed is not None:
        with progress(Path(replayed).name) as on_step, plain_warnings():
            svd_lab.replay(path, replayed, on_step=on_step)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """What there is to say about a prompt or a replay as one line, without Python's file and line number."""
    from svd_lab.prompts import PromptWarning
    from svd_lab.replay import ReplayWarning

    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
            if issubclass(category, PromptWarning | ReplayWarning):
                print(f"svd-lab: {message}", file=sys.stderr)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int, float], None]]:
    """An on_step function: a tqdm bar on a terminal, a plain line a step elsewhere (a log, a pipe)."""
    if not sys.stderr.isatty():
        yield lambda step, total, left: print(
            f"{label}: step {step}/{total}, about {left:.0f} s left", file=sys.stderr, flush=True
        )
        return
    from tqdm import tqdm

    # tqdm's own count is 0, and its bar empty, on a terminal that tells no size (docker, ssh -t, a pseudo terminal).
    columns, rows = shutil.get_terminal_size()
    layout = "{desc} {bar} {n_fmt}/{total_fmt}{postfix}"
    bar = tqdm(desc=label, leave=False, ncols=columns, nrows=rows, bar_format=layout, mininterval=0)  # shows every step
    with bar:

        def on_step(step: int, total: int, left: float) -> None:
            bar.total = total
            bar.set_postfix_str(f"about {left:.0f} s left", refresh=False)
            bar.update(step - bar.n)

        yield on_step
