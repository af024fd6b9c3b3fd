"""The command `svd-lab models`: the models on this machine."""

from __future__ import annotations

import argparse
from typing import Any

from svd_lab.commands.options import manual
from svd_lab.language import say


def add_models(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "models",
        parents=list(parents),
        help="list the models: where they are, how large, what is missing",
        **manual(
            "List all models that svd-lab knows by name: where each is on this machine, how large, and what is missing. Models are "
            "looked for in the folders that the environment variable SVD_LAB_MODELS names, in the package, and in the Hub cache.",
            "svd-lab models",
            "SVD_LAB_MODELS=/path/to/models svd-lab models",
        ),
    )
    parser.set_defaults(run=lambda _: list_models())


def list_models() -> None:
    """Print the table of models, each with its place on this machine and what is wrong with it."""
    from svd_lab.models.checkpoints import check_location, locate, model_roots
    from svd_lab.models.table import FAMILIES

    for family in FAMILIES:
        print(say("with {loader}, {makes}:", loader=family.loader, makes=say(family.makes)))
        for key, model in family.models.items():
            found = locate(key, family)
            print(f"{key:12}{say(model.about)}")
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
