"""svd-lab: learn Stable Video Diffusion by making videos.

>>> from svd_lab import load_video_pipeline, generate_video
>>> pipe = load_video_pipeline()
>>> clip = generate_video("rocket", "rocket.mp4", seed=42)

The public names are loaded on first use (PEP 562), so that `import svd_lab` stays below 0.2 s and does not import torch.
Import it before torch: it sets OMP_WAIT_POLICY and THP_MEM_ALLOC_ENABLE, which keep torch fast on a CPU (see `threads`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from svd_lab.language import say
from svd_lab.threads import take_large_pages, wait_politely
from svd_lab.version import __version__  # noqa: F401

if TYPE_CHECKING:
    from svd_lab.clip import Clip
    from svd_lab.generation import generate_video
    from svd_lab.images import open_image
    from svd_lab.pipelines import load_image_pipeline, load_video_pipeline
    from svd_lab.recipe_file import read_recipe
    from svd_lab.replaying import replay
    from svd_lab.runner import Cancelled
    from svd_lab.text2video import generate_text2video

__all__ = [
    "Cancelled",
    "Clip",
    "generate_text2video",
    "generate_video",
    "load_image_pipeline",
    "load_video_pipeline",
    "open_image",
    "read_recipe",
    "replay",
]

_HOME = {
    "Cancelled": "svd_lab.runner",
    "Clip": "svd_lab.clip",
    "generate_text2video": "svd_lab.text2video",
    "generate_video": "svd_lab.generation",
    "load_image_pipeline": "svd_lab.pipelines",
    "load_video_pipeline": "svd_lab.pipelines",
    "open_image": "svd_lab.images",
    "read_recipe": "svd_lab.recipe_file",
    "replay": "svd_lab.replaying",
}

wait_politely()
take_large_pages()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(
            say("module 'svd_lab' has no attribute {name!r}; it has {listed}", name=name, listed=", ".join(__all__))
        )
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
