"""Find a model's files, and check that they are complete. Reads file names, JSON and safetensors headers; never torch.

A checkpoint is a folder in diffusers' layout for the pipeline of its family (see `table`): model_index.json and a folder for each
part, three of which hold weights. `locate` finds a model on this machine; `check_folder` refuses in plain words what torch would
refuse, minutes later, in a traceback.
"""

import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svd_lab.bundled import mini_folder, text_mini_folder
from svd_lab.language import mark, say
from svd_lab.models import turbo
from svd_lab.models.table import FAMILIES, IMAGE, VIDEO, Family, Model

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
Problem = tuple[type[OSError], str]  #: what a file deserves, and what is wrong with it in words
UNCHECKED = "svd-lab.unchecked"  #: beside a model's snapshots in the Hub cache until `hub` has checked its weights


@dataclass(frozen=True)
class Location:
    """Where a model is.

    Attributes:
        name: For messages and recipes.
        hub_id: Its id on the Hub, or None.
        folder: Its folder, or None where it is only on the Hub.
        source: Where it was found, in words.
        note: What the user should know about the search, or "".
        turbo: The turbo file that belongs to it, or None.
    """

    name: str
    hub_id: str | None
    folder: Path | None
    source: str
    note: str = ""
    turbo: Path | None = None


def locate(model: str | Path, family: Family = VIDEO) -> Location:
    """Find a model.

    The first of these that has it wins: an existing folder, a class's disk (where the table names one), SVD_LAB_MODELS (one or
    several folders), the package, the Hub cache. The folder found is not checked yet, except that an incomplete one on a class's
    disk is skipped, as the note then says.

    Args:
        model: A name in the family's table, a folder in diffusers' layout, or a Hub id ("owner/name").
        family: The kind of pipeline.

    Raises:
        TypeError: It is neither text nor a path.
        ValueError: It does not name a model.
        FileNotFoundError: It is a path that does not exist.
    """
    if not isinstance(model, str | Path):
        raise TypeError(
            say(
                "model must be a name, a folder or a Hub id, not {model!r} ({kind}). {choices}",
                model=model,
                kind=type(model).__name__,
                choices=_choices(family),
            )
        )
    text = str(model).strip()
    if text in family.models:
        return _find(text, family.models[text], family)
    folder = Path(text).expanduser()
    if text and folder.is_dir():
        return Location(folder.resolve().name, None, folder, mark("your folder"))
    if folder.is_file():
        raise ValueError(
            say(
                "model {text!r} is a file. Give the folder that holds model_index.json. {choices}",
                text=text,
                choices=_choices(family),
            )
        )
    for other in FAMILIES:
        if other is not family and any(text in (key, row.hub_id, *row.former_ids) for key, row in other.models.items()):
            raise ValueError(
                say(
                    "model {text!r} is {makes}: load it with {loader}({text!r}). {choices}",
                    text=text,
                    makes=say(other.makes),
                    loader=other.loader,
                    choices=_choices(family),
                )
            )
    if isinstance(model, str) and HUB_ID.fullmatch(text):
        for key, row in family.models.items():
            if text == row.hub_id:
                return _find(key, row, family)
            if text in row.former_ids:
                moved = say(
                    "{text} was removed from the Hub by its publisher; the same model is kept at {hub_id}",
                    text=text,
                    hub_id=row.hub_id,
                )
                return _find(key, row, family, moved)
        return _find(text, Model(text, ""), family)
    if text.startswith(("http:", "https:")):
        example = family.models[family.real].hub_id
        raise ValueError(
            say("model {text!r} is a URL. Give the Hub id alone, for example {example!r}.", text=text, example=example)
        )
    if isinstance(model, Path) or os.sep in text or "\\" in text or text.startswith(("~", ".")):
        raise FileNotFoundError(
            say(
                "model {text!r}: no such folder (relative to {here}). {choices}",
                text=text,
                here=Path.cwd(),
                choices=_choices(family),
            )
        )
    close = difflib.get_close_matches(text.lower().replace("_", "-"), [*family.models, "auto"], n=1)
    hint = say("Did you mean {close!r}? ", close=close[0]) if close else ""
    raise ValueError(
        say("model {text!r} is not known. {hint}{choices}", text=text, hint=hint, choices=_choices(family))
    )


def _choices(family: Family) -> str:
    names = ", ".join(repr(name) for name in ["auto", *family.models])
    return say("Give one of {names}, a folder in diffusers' layout, or a Hub id like 'owner/name'.", names=names)


def _find(name: str, row: Model, family: Family, note: str = "") -> Location:
    for mount in map(Path, row.mounts):
        if (mount / "model_index.json").is_file():
            try:
                check_folder(mount, half=False, family=family)
                return Location(name, row.hub_id, mount, mark("the class's disk"), note)
            except (OSError, ValueError) as error:
                note = (
                    say("{note}; {error} Looking elsewhere.", note=note, error=error)
                    if note
                    else say("{error} Looking elsewhere.", error=error)
                )
    for candidate in _candidates(name, row):
        if candidate.is_dir():
            return Location(name, row.hub_id, candidate, "SVD_LAB_MODELS", note)
    gone = ", ".join(str(root) for root in model_roots() if not root.is_dir())
    if gone:
        lost = say("SVD_LAB_MODELS names {gone}, which is not a folder.", gone=gone)
        note = f"{note}; {lost}" if note else lost
    if row.hub_id is None:
        folder = text_mini_folder() if family is IMAGE else mini_folder()
        return Location(name, None, folder, mark("in the package"), note, turbo.FILE if row.turbo else None)
    cached = next(filter(None, map(cached_folder, (row.hub_id, *row.former_ids))), None)
    return Location(name, row.hub_id, cached, mark("the Hub cache") if cached else mark("the Hub"), note)


def check_download(found: Location) -> None:
    """Raise FileNotFoundError where a model would be downloaded although SVD_LAB_MODELS is set.

    A lab names its disk so that nobody downloads anything: a slip in the name must not become a download for every student.
    """
    if not model_roots() or not on_hub(found):
        return
    gone = [root for root in model_roots() if not root.is_dir()]
    wrong = say(" ({gone} is not a folder)", gone=", ".join(map(str, gone))) if gone else ""
    raise FileNotFoundError(
        say(
            "{name} is not in the folders that SVD_LAB_MODELS names: {roots}{wrong}. Nothing was downloaded. Put its folder, "
            "{folder}, into one of them, correct the variable, or unset it to download the model.",
            name=found.name,
            roots=os.pathsep.join(map(str, model_roots())),
            wrong=wrong,
            folder=found.hub_id.split("/")[-1],
        )
    )


def on_hub(found: Location) -> bool:
    """Whether a model is downloaded when it is missing or incomplete where it was found."""
    return found.source in ("the Hub", "the Hub cache")


def model_roots() -> list[Path]:
    """Return the folders that the environment variable SVD_LAB_MODELS names, separated by os.pathsep (":", on Windows ";")."""
    return [Path(root).expanduser() for root in os.environ.get("SVD_LAB_MODELS", "").split(os.pathsep) if root.strip()]


def _candidates(name: str, row: Model) -> list[Path]:
    ids = [hub_id for hub_id in (row.hub_id, *row.former_ids) if hub_id]
    names = [*ids, *(hub_id.split("/")[-1] for hub_id in ids), row.below or name]
    found = []
    for root in model_roots():
        found += [root / name for name in names]
        if root.name in names and (root / "model_index.json").is_file():
            found.append(root)  # the variable names the model's own folder instead of its parent
    return found


def cached_folder(hub_id: str) -> Path | None:
    """Return the snapshot of `hub_id` in the Hub cache, perhaps an incomplete one, or None.

    Also None for one that was never compared with the Hub, because the run that downloaded it was killed.
    """
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(hub_id, "model_index.json")
    if not isinstance(index, str) or (Path(index).parents[2] / UNCHECKED).exists():
        return None
    return Path(index).parent


def check_folder(folder: Path, half: bool, family: Family = VIDEO) -> str | None:
    """Check that a folder holds a complete pipeline, and choose the variant of its weights to read.

    Args:
        folder: The model's folder.
        half: Whether fp16 files are preferred; either variant serves when only one is complete.
        family: The kind of pipeline expected.

    Returns:
        "fp16" or None, as from_pretrained's `variant`.

    Raises:
        FileNotFoundError: Files are missing; names each.
        ValueError: It is another kind of model.
        OSError: Files are broken; names each.
    """
    index, problems = _read_index(folder, family)
    variant = None
    if not problems:
        extra = {part: files for part, files in family.optional.items() if index.get(part) not in (None, [None, None])}
        problems = _layout_problems(folder, index, family, extra)
        stems = family.weights | {part: stem for part, (_, stem) in extra.items() if stem}
    if not problems:
        order = ["fp16", None] if half else [None, "fp16"]
        by_variant = {kind: _weight_problems(folder, stems, kind) for kind in order}
        variant = min(order, key=lambda kind: len(by_variant[kind]))  # the preferred one at a tie
        problems = by_variant[variant]
    if problems:
        text = "; ".join(problem for _, problem in problems)
        if any(path.is_symlink() and not path.exists() for path in folder.rglob("*")):
            text += say(". Its links lead nowhere: copy the files themselves out of the Hub cache (cp -rL, rsync -L)")
        kind = FileNotFoundError if any(kind is FileNotFoundError for kind, _ in problems) else OSError
        raise kind(
            say(
                "the model folder {folder} is not whole: {text}. Copy or download it again completely.",
                folder=folder,
                text=text,
            )
        )
    return variant


def check_location(found: Location, half: bool, family: Family = VIDEO) -> str | None:
    """Check the folder of `found`, which is not None, and its turbo file; returns and raises as `check_folder`."""
    if found.turbo and (problem := safetensors_problem(found.turbo)):
        kind = OSError if found.turbo.is_file() else FileNotFoundError
        raise kind(say("the turbo file {turbo} {problem}. Install svd-lab again.", turbo=found.turbo, problem=problem))
    return check_folder(found.folder, half, family)


def _read_index(folder: Path, family: Family) -> tuple[dict[str, Any], list[Problem]]:
    """Read model_index.json: (its content, problems). Raises ValueError where it names another kind of pipeline."""
    index_file = folder / "model_index.json"
    if not index_file.is_file():
        singles = sorted(path.name for path in folder.glob("*") if path.suffix in (".safetensors", ".ckpt"))
        hint = say(" (a single file like {file} is a different layout)", file=singles[0]) if singles else ""
        return {}, [(FileNotFoundError, say("model_index.json is missing{hint}", hint=hint))]
    try:
        index = json.loads(index_file.read_text("utf-8"))
        name = index["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        return {}, [(OSError, say("model_index.json cannot be read ({error})", error=error))]
    if name != family.pipeline:
        other = next((other for other in FAMILIES if other.pipeline == name), None)
        raise ValueError(
            say(
                "the model folder {folder} holds a {name}, not a {pipeline}. Give {makes}",
                folder=folder,
                name=name,
                pipeline=family.pipeline,
                makes=say(family.makes),
            )
            + (say("; this one is loaded by {loader}().", loader=other.loader) if other else ".")
        )
    return index, []


def _layout_problems(
    folder: Path, index: dict[str, Any], family: Family, extra: dict[str, tuple[str, str | None]]
) -> list[Problem]:
    problems: list[Problem] = []
    for part, config in (family.configs | {part: config for part, (config, _) in extra.items()}).items():
        entry = index.get(part)
        if not isinstance(entry, list) or entry[:1] not in [[library] for library in family.libraries]:
            problems.append(
                (OSError, say("model_index.json names no usable {part} ({entry!r})", part=part, entry=entry))
            )
        path = folder / part / config
        if not path.is_file():
            problems.append((FileNotFoundError, say("{part}/{config} is missing", part=part, config=config)))
            continue
        try:
            json.loads(path.read_text("utf-8"))
        except ValueError as error:
            problems.append(
                (OSError, say("{part}/{config} cannot be read ({error})", part=part, config=config, error=error))
            )
    words = folder / "tokenizer"  # without these files transformers silently makes an empty vocabulary
    if "tokenizer" in family.configs and not (words / "tokenizer.json").is_file():
        missing = [name for name in ("vocab.json", "merges.txt") if not (words / name).is_file()]
        problems += [
            (FileNotFoundError, say("tokenizer/{name} is missing (and there is no tokenizer.json)", name=name))
            for name in missing
        ]
    return problems


def _weight_problems(folder: Path, stems: dict[str, str], variant: str | None) -> list[Problem]:
    problems: list[Problem] = []
    for part, stem in stems.items():
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
                problems.append(
                    (OSError, say("{part}/{name} cannot be read ({error})", part=part, name=index.name, error=error))
                )
                continue
        for path in files:
            problem = safetensors_problem(path)
            if problem:
                kind = OSError if path.is_file() else FileNotFoundError
                problems.append((kind, f"{part}/{path.name} {problem}"))
    return problems


def safetensors_problem(path: Path) -> str | None:
    """Return what is wrong with a safetensors file, judging by its size and header alone, or None.

    The file is an 8-byte little-endian length, a JSON header of that length, then the tensors; the header's data_offsets give the
    length of that last part [https://huggingface.co/docs/safetensors, "Format"].
    """
    if not path.is_file():
        pickles = sorted(
            other.name for other in path.parent.glob("*") if other.suffix in (".bin", ".ckpt", ".pt", ".pth")
        )
        if pickles:
            return say(
                "is missing (only {file} is there: a pickle, which can run code, is never read; get the safetensors)",
                file=pickles[0],
            )
        return say("is missing")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start == b"version ":
            return say("is a Git LFS pointer, not the weights (run: git lfs pull)")
        length = int.from_bytes(start, "little")
        if size < 8 or length > size - 8:
            return say("is cut off ({size} bytes)", size=size)
        try:
            header = json.loads(file.read(length))
            end = max(
                (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"),
                default=0,
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return say("is not a safetensors file")
    if size != 8 + length + end:
        return say("is cut off or padded ({size} bytes instead of {whole})", size=size, whole=8 + length + end)
    return None
