"""Where a model's files lie, and whether they are whole. Reads file names, JSON and safetensors headers; never torch.

A checkpoint is a folder in diffusers' layout for StableVideoDiffusionPipeline: model_index.json and five folders, of which
three hold weights. `locate` says where a model is on this machine, `check_folder` refuses in plain words what torch would
refuse, minutes later, in a traceback.
"""

import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

PIPELINE_CLASS = "StableVideoDiffusionPipeline"
CONFIGS = {
    "vae": "config.json",
    "unet": "config.json",
    "image_encoder": "config.json",
    "scheduler": "scheduler_config.json",
    "feature_extractor": "preprocessor_config.json",
}
WEIGHTS = {"vae": "diffusion_pytorch_model", "unet": "diffusion_pytorch_model", "image_encoder": "model"}
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Model:
    """One row of the table of models: its Hub id (None: comes with the package) and a line about it."""

    hub_id: str | None
    about: str


MODELS = {
    "mini": Model(None, "the miniature in this package: 14 frames of 224x128, for a CPU"),
    "svd": Model(
        "stabilityai/stable-video-diffusion-img2vid",
        "Stable Video Diffusion: 14 frames of 1024x576, for a GPU",
    ),
    "svd-xt": Model("stabilityai/stable-video-diffusion-img2vid-xt", "the same, trained on to 25 frames of 1024x576"),
}


@dataclass(frozen=True)
class Location:
    """Where a model is: `name` for people and recipes, `folder` (None: only on the Hub), and `source`, where it was found."""

    name: str
    hub_id: str | None
    folder: Path | None
    source: str


def mini_folder() -> Path:
    """The folder of the weights that come with the package."""
    return Path(__file__).with_name("mini") / "weights"


def locate(model: str | Path) -> Location:
    """Find `model`: a name of the table, a folder in diffusers' layout, or a Hub id ("owner/name").

    The first that holds it wins: an existing folder, SVD_LAB_MODELS (one or several folders), the package, the Hub cache.
    The folder found is not checked yet. Raises TypeError or ValueError for what names no model, FileNotFoundError for a
    path that is not there.
    """
    if not isinstance(model, str | Path):
        raise TypeError(
            f"model must be a name, a folder or a Hub id, not {model!r} ({type(model).__name__}). {_choices()}"
        )
    text = str(model).strip()
    if text in MODELS:
        return _find(text, MODELS[text].hub_id, text)
    folder = Path(text).expanduser()
    if text and folder.is_dir():
        return Location(folder.resolve().name, None, folder, "your folder")
    if folder.is_file():
        raise ValueError(f"model {text!r} is a file. Give the folder that holds model_index.json. {_choices()}")
    if isinstance(model, str) and HUB_ID.fullmatch(text):
        key = next((key for key, known in MODELS.items() if known.hub_id == text), None)
        return _find(key or text, text, key)
    if text.startswith(("http:", "https:")):
        raise ValueError(f"model {text!r} is an address. Give the Hub id alone, for example {MODELS['svd'].hub_id!r}.")
    if isinstance(model, Path) or os.sep in text or "\\" in text or text.startswith(("~", ".")):
        raise FileNotFoundError(f"model {text!r}: there is no such folder (looked from {Path.cwd()}). {_choices()}")
    close = difflib.get_close_matches(text.lower().replace("_", "-"), [*MODELS, "auto"], n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"model {text!r} is not known. {hint}{_choices()}")


def _choices() -> str:
    names = ", ".join(repr(name) for name in ["auto", *MODELS])
    return f"Give one of {names}, a folder in diffusers' layout, or a Hub id like 'owner/name'."


def _find(name: str, hub_id: str | None, key: str | None) -> Location:
    for candidate in _candidates(hub_id, key):
        if candidate.is_dir():
            return Location(name, hub_id, candidate, "SVD_LAB_MODELS")
    if hub_id is None:
        return Location(name, None, mini_folder(), "in the package")
    cached = cached_folder(hub_id)
    return Location(name, hub_id, cached, "the Hub cache" if cached else "the Hub")


def model_roots() -> list[Path]:
    """The folders named by the environment variable SVD_LAB_MODELS, separated by os.pathsep (":", on Windows ";")."""
    return [Path(root).expanduser() for root in os.environ.get("SVD_LAB_MODELS", "").split(os.pathsep) if root.strip()]


def _candidates(hub_id: str | None, key: str | None) -> list[Path]:
    owner_and_name = [hub_id, hub_id.split("/")[-1]] if hub_id else []
    names = [*owner_and_name, *([key] if key else [])]
    found = []
    for root in model_roots():
        found += [root / name for name in names]
        if root.name in names and (root / "model_index.json").is_file():
            found.append(root)  # the variable names the model's own folder instead of the one above it
    return found


def cached_folder(hub_id: str) -> Path | None:
    """The snapshot of `hub_id` in the Hub cache (perhaps an incomplete one), or None."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(hub_id, "model_index.json")
    return Path(index).parent if isinstance(index, str) else None


def check_folder(folder: Path, half: bool) -> str | None:
    """Check that `folder` holds a whole StableVideoDiffusionPipeline, and say which variant of its weights to read.

    half: True when the fp16 files are preferred; either kind serves when only one is whole. Returns "fp16" or None, as
    from_pretrained's `variant`. Raises FileNotFoundError (something is missing), ValueError (another kind of model), or
    OSError (a broken file), each naming every file in question.
    """
    problems = _layout_problems(folder)
    variant = None
    if not problems:
        order = ["fp16", None] if half else [None, "fp16"]
        by_variant = {kind: _weight_problems(folder, kind) for kind in order}
        variant = min(order, key=lambda kind: len(by_variant[kind]))  # the preferred one at a tie
        problems = by_variant[variant]
    if problems:
        text = "; ".join(problems)
        kind = FileNotFoundError if "missing" in text else OSError
        raise kind(f"the model folder {folder} is not whole: {text}. Copy or download it again, complete.")
    return variant


def _layout_problems(folder: Path) -> list[str]:
    index_file = folder / "model_index.json"
    if not index_file.is_file():
        singles = sorted(path.name for path in folder.glob("*") if path.suffix in (".safetensors", ".ckpt"))
        hint = f" (a single file like {singles[0]} is another layout)" if singles else ""
        return [f"model_index.json is missing{hint}"]
    try:
        index = json.loads(index_file.read_text("utf-8"))
        name = index["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        return [f"model_index.json cannot be read ({error})"]
    if name != PIPELINE_CLASS:
        raise ValueError(
            f"the model folder {folder} holds a {name}, not a {PIPELINE_CLASS}. "
            "Give a Stable Video Diffusion model (image to video)."
        )
    problems = []
    for part, config in CONFIGS.items():
        entry = index.get(part)
        # Any other library would be code of the folder's own.
        if not isinstance(entry, list) or entry[:1] not in (["diffusers"], ["transformers"]):
            problems.append(f"model_index.json names no usable {part} ({entry!r})")
        path = folder / part / config
        if not path.is_file():
            problems.append(f"{part}/{config} is missing")
            continue
        try:
            json.loads(path.read_text("utf-8"))
        except ValueError as error:
            problems.append(f"{part}/{config} cannot be read ({error})")
    return problems


def _weight_problems(folder: Path, variant: str | None) -> list[str]:
    problems = []
    for part, stem in WEIGHTS.items():
        dotted = f".{variant}" if variant else ""
        single = folder / part / f"{stem}{dotted}.safetensors"
        index = folder / part / f"{stem}.safetensors.index{dotted}.json"
        if single.exists() or not index.is_file():
            files = [single]
        else:
            try:
                files = [
                    index.with_name(shard)
                    for shard in sorted(set(json.loads(index.read_text())["weight_map"].values()))
                ]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                problems.append(f"{part}/{index.name} cannot be read ({error})")
                continue
        for path in files:
            problem = safetensors_problem(path)
            if problem:
                problems.append(f"{part}/{path.name} {problem}")
    return problems


def safetensors_problem(path: Path) -> str | None:
    """What is wrong with a safetensors file, told from its size and header alone; None when it is whole.

    The file is an 8-byte little-endian length, a JSON header of that length, then the tensors; the header's data_offsets say
    how long that last part must be [https://huggingface.co/docs/safetensors, "Format"].
    """
    if not path.is_file():
        pickles = sorted(
            other.name for other in path.parent.glob("*") if other.suffix in (".bin", ".ckpt", ".pt", ".pth")
        )
        if pickles:
            return f"is missing (only {pickles[0]} is there: a pickle, which can run code, is never read; get the safetensors)"
        return "is missing"
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start == b"version ":
            return "is a Git LFS pointer, not the weights (run: git lfs pull)"
        length = int.from_bytes(start, "little")
        if size < 8 or length > size - 8:
            return f"is cut off ({size} bytes)"
        try:
            header = json.loads(file.read(length))
            end = max(
                (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"),
                default=0,
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return "is not a safetensors file"
    if size != 8 + length + end:
        return f"is cut off or padded ({size} bytes instead of {8 + length + end})"
    return None
