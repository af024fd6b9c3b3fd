"""Write the Python code that makes the video of a run again."""

from __future__ import annotations

from typing import Any

from svd_lab.settings_table import default_of
from svd_lab.studio.model_choice import arguments, record
from svd_lab.studio.session import TEXT, Session


def code(session: Session, run: dict[str, Any]) -> str:
    """Write code that loads the same models and repeats the call of `run`, without the settings that have their default."""
    loads = [f"pipe = load_video_pipeline({arguments(run.get('model') or record(session.pipe))})"]
    names, imports = [session.call, "load_video_pipeline"], []
    keywords: dict[str, str] = {"seed": repr(run["call"]["seed"]), "pipe": "pipe"}
    call, path = dict(run["call"]), (session.history.folder / run["file"]).as_posix()
    if session.call == TEXT:
        names.append("load_image_pipeline")
        image_model = arguments(run.get("image_model") or record(session.image_pipe))
        loads.append(f"image_pipe = load_image_pipeline({image_model})")
        keywords["image_pipe"] = "image_pipe"
        first = repr(call.pop("prompt"))
    else:
        first = repr(run["source"])
    changed = {
        name: value for name, value in call.items() if name != "seed" and value != default_of(name, session.call)
    }
    keywords |= {name: repr(value) for name, value in changed.items()}
    imports.insert(0, f"from svd_lab import {', '.join(sorted(names))}")
    if any("torch." in load for load in loads):
        imports.append("import torch")  # after svd_lab, which keeps torch fast on a shared CPU
    given = [first, repr(path), *(f"{key}={value}" for key, value in keywords.items())]
    body = "".join(f"    {argument},\n" for argument in given)
    return "\n".join([*imports, "", *loads, f"clip = {session.call}(\n{body})", "clip"])
