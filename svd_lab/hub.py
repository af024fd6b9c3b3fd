"""Download a model from the Hub, and say in plain words why that failed."""

from __future__ import annotations

import sys
from pathlib import Path

from svd_lab.families import Family


def download_model(hub_id: str, half: bool, family: Family) -> Path:
    """Download (or complete) the safetensors and configs of `hub_id`; a chain of Hub exceptions becomes one clear OSError.

    half: True when the fp16 files are preferred. Returns the folder in the Hub cache.
    """
    import diffusers

    pipeline = getattr(diffusers, family.pipeline)

    print(f"downloading {hub_id} from the Hub (once; it stays in the Hub cache) …", file=sys.stderr)
    for variant in ("fp16", None) if half else (None, "fp16"):
        try:
            return Path(pipeline.download(hub_id, variant=variant, use_safetensors=True))
        except Exception as error:
            # diffusers' words for a variant that is not there, and for one that is there as a pickle only
            if "no such modeling files" not in str(error) and "necessary `safetensors`" not in str(error):
                raise hub_error(hub_id, error) from error
    raise FileNotFoundError(
        f"{hub_id} on the Hub has no complete safetensors weights, and pickles, which can run code, are never read. "
        f"Choose another model, or convert it: https://huggingface.co/{hub_id}"
    )


def hub_error(hub_id: str, error: BaseException) -> OSError:
    """Translate what huggingface_hub or diffusers raised, causes and contexts included, into one OSError that says what to do."""
    import errno

    from huggingface_hub import errors

    chain = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    said = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"

    def any_of(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    page = f"https://huggingface.co/{hub_id}"
    if any(isinstance(link, OSError) and link.errno == errno.ENOSPC for link in chain):
        return OSError(
            errno.ENOSPC,
            f"the disk is full while downloading {hub_id}. Free space, or set HF_HOME to another disk",
        )
    if any_of(errors.GatedRepoError):  # before RepositoryNotFoundError, which it subclasses
        return PermissionError(
            f"{hub_id} is gated: accept its licence on {page}, then log in here with `hf auth login`. ({said})"
        )
    if any_of(errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        return FileNotFoundError(
            f"the Hub has no public model {hub_id!r}: check the spelling on {page}; for a private one log in with "
            f"`hf auth login`. ({said})"
        )
    if any_of(errors.OfflineModeIsEnabled):
        return ConnectionError(
            f"{hub_id} is not on this machine, and the Hub is switched off by HF_HUB_OFFLINE: unset it, or give a folder. ({said})"
        )
    if any_of(errors.RemoteEntryNotFoundError):
        return FileNotFoundError(
            f"{hub_id} on the Hub is not a diffusers pipeline (no model_index.json). See {page}. ({said})"
        )
    status = next(
        (link.response.status_code for link in chain if isinstance(link, errors.HfHubHTTPError) and link.response),
        None,
    )
    if status is not None:
        return ConnectionError(f"the Hub answered {status} for {hub_id}: try again later, or give a folder. ({said})")
    return ConnectionError(
        f"{hub_id} is not whole on this machine, and the Hub cannot be reached: check the network and the proxy, or give a "
        f"folder. ({said})"
    )
