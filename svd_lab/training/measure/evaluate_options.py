"""The options of `evaluate`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

UNSEEN = "svd_lab.training.measure.unseen_pictures"


@dataclass(frozen=True)
class Options:
    """The options of the command line, which `parse` explains."""

    scenes: int = 32
    buckets: int = 32
    seed: int = 1
    json: Path | None = None
    markdown: Path | None = None
    folder: str = "mini"
    sheets: Path | None = None
    unseen: Path | None = None
    steps: int = 10
    device: str | None = None
    batch: int = 0
    quick: bool = False
    cost: bool = False
    threads: int = 2
    pictures: list[Path] = field(init=False)  # the pictures in `unseen`

    def __post_init__(self) -> None:
        files = self.unseen.iterdir() if self.unseen and self.unseen.is_dir() else ()
        pictures = sorted(f for f in files if f.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"))
        object.__setattr__(self, "pictures", pictures)


def parse(arguments: Sequence[str] | None, about: str | None) -> Options:
    """Read and check the command line; a wrong argument ends the program. about: the text of --help."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--scenes", type=int, default=32, help="scenes of known things, and as many of held-out ones (32)")
    add(
        "--buckets",
        type=int,
        default=32,
        help="in how many of the scenes all motion buckets are measured (32; 0: none)",
    )
    add("--seed", type=int, default=1, help="of the scenes and of the noise (1)")
    add("--json", type=Path, help="write every figure here, clip by clip too")
    add(
        "--markdown",
        type=Path,
        help="write the table into this file, between its measures:begin and measures:end marks",
    )
    add("--folder", default="mini", help="model folder, or a name that load_video_pipeline knows (mini)")
    add("--sheets", type=Path, help="write contact sheets into this folder, truth over model")
    add(
        "--unseen",
        type=Path,
        help=f"also pictures unlike the training world's, a folder of them (`python -m {UNSEEN} DIR`)",
    )
    add("--steps", type=int, default=10, help="denoising steps (10)")
    add("--device", help="cuda or cpu (cuda if there is one)")
    add("--batch", type=int, default=0, help="clips at a time (16 on a GPU, 1 on a CPU)")
    add("--quick", action="store_true", help="no other guidance or steps, no motion buckets of held-out things")
    add(
        "--cost",
        action="store_true",
        help="also seconds and memory of a default call on the CPU, in a process of its own",
    )
    add("--threads", type=int, default=2, help="of the CPU for --cost (2)")
    options = Options(**vars(parser.parse_args(arguments)))
    for name in ("scenes", "steps", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(options, name)}")
    for name in ("batch", "buckets", "seed"):
        if getattr(options, name) < 0:
            parser.error(f"--{name} must not be negative, not {getattr(options, name)}")
    if options.unseen and not options.pictures:
        parser.error(
            f"--unseen {options.unseen} has no .png, .jpg or .webp: make some with python -m {UNSEEN} {options.unseen}"
        )
    return options
