"""Download a model from the Hub, verify it, and explain failures in plain words.

docs/downloads.md lists the failures with their messages; tests/models/test_hub_faults.py produces each of them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from svd_lab.language import mark, say
from svd_lab.models.checkpoints import UNCHECKED, model_roots
from svd_lab.models.table import Family

TRIES = 3  #: of a download whose connection breaks; complete files are not fetched again
_RESET = ("ReadError", "ChunkedEncodingError")  # httpx's and, below huggingface_hub 1.0, requests' error
_NOT_THE_HUB = mark(
    "a web page answered instead of the Hub, such as the login page of a Wi-Fi or a proxy: open "
    "https://huggingface.co in a browser on this machine, log in if asked, and try again"
)


def download_model(hub_id: str, half: bool, family: Family) -> Path:
    """Download (or complete) the safetensors and configs of a model, and check the weights' sha256.

    Args:
        hub_id: "owner/name".
        half: Whether fp16 files are preferred.
        family: The kind of pipeline.

    Returns:
        The folder in the Hub cache.

    Raises:
        OSError: The download failed, in a clear sentence. Nothing incomplete or wrong is left that a later call could take for the
            model.
    """
    import diffusers

    pipeline = getattr(diffusers, family.pipeline)
    _check_token()
    info = _ask(hub_id)
    if info is not None and info.id != hub_id:
        print(say("{hub_id} is called {id} on the Hub now", hub_id=hub_id, id=info.id), file=sys.stderr)
    print(
        say("downloading {hub_id} from the Hub (once; it stays in the Hub cache), then checking it …", hub_id=hub_id),
        file=sys.stderr,
    )
    for variant in ("fp16", None) if half else (None, "fp16"):
        try:
            with _public_log():
                folder = Path(_download(pipeline, hub_id, variant))
        except Exception as error:
            # diffusers' messages for a missing variant, and for one that exists only as a pickle
            if "no such modeling files" not in str(error) and "necessary `safetensors`" not in str(error):
                # The chain of the libraries' errors is long and shows signed URLs; it stays in __context__.
                raise hub_error(hub_id, error) from None
        else:
            if info is not None:
                _check_weights(hub_id, folder, info if folder.name == info.sha else _ask(hub_id, folder.name))
            elif (folder.parents[1] / UNCHECKED).exists():
                raise ConnectionError(
                    say(
                        "the weights of {hub_id} were downloaded but never checked, and the Hub is switched off by "
                        "HF_HUB_OFFLINE: unset it for one call",
                        hub_id=hub_id,
                    )
                )
            return folder
    raise FileNotFoundError(
        say(
            "{hub_id} on the Hub has no complete safetensors weights, and pickles, which can run code, "
            "are never read. Choose another model, or convert it: https://huggingface.co/{hub_id}",
            hub_id=hub_id,
        )
    )


def next_steps(hub_id: str, family: Family, mini: bool = False) -> str:
    """Return what the user can do about a failed download, as numbered lines; mini: offer the miniature, too."""
    roots = ", ".join(str(root) for root in model_roots()) or say("not set")
    steps = [
        say(
            "accept the licence, if the model has one: open https://huggingface.co/{hub_id} in a browser, logged in;",
            hub_id=hub_id,
        ),
        say("log in on this machine, with a token that has read access: `hf auth login`;"),
        say(
            "give a folder that holds the model: {loader}('/path/to/{name}'), or name the folder above "
            "it in the environment variable SVD_LAB_MODELS (now {roots})",
            loader=family.loader,
            name=hub_id.split("/")[-1],
            roots=roots,
        )
        + (";" if mini else "."),
    ]
    if mini:
        steps.append(say("or use the miniature that comes with this package: {loader}('mini').", loader=family.loader))
    return say("What to do next:\n") + "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1))


def hub_error(hub_id: str, error: BaseException) -> OSError:
    """Translate an error of huggingface_hub or diffusers, causes and contexts included, into one OSError that says what to do."""
    from huggingface_hub import errors

    chain = _chain(error)
    said = public(_said(error, chain))

    def any_of(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    page = f"https://huggingface.co/{hub_id}"
    system = [link for link in chain if isinstance(link, OSError)]
    if any(link.errno in (errno.ENOSPC, errno.EDQUOT) for link in system):
        return OSError(
            say(
                "the disk is full while downloading {hub_id}. Free space, or set HF_HOME to another disk. ({said})",
                hub_id=hub_id,
                said=said,
            )
        )
    unwritable = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
    if any(link.errno in unwritable and link.filename for link in system):  # a firewall's EACCES names no file
        return PermissionError(
            say(
                "the Hub cache cannot be written ({cache}) while downloading {hub_id}: set HF_HOME to a "
                "folder with write permission. ({said})",
                cache=_cache(),
                hub_id=hub_id,
                said=said,
            )
        )
    if any_of(errors.GatedRepoError):  # before RepositoryNotFoundError, which it subclasses
        return PermissionError(
            say(
                "{hub_id} is gated: accept its licence on {page}, then log in here with `hf auth login`. ({said})",
                hub_id=hub_id,
                page=page,
                said=said,
            )
        )
    if any_of(errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        return FileNotFoundError(
            say(
                "the Hub has no public model {hub_id!r}: check the spelling on {page}; for a private one log "
                "in with `hf auth login`. ({said})",
                hub_id=hub_id,
                page=page,
                said=said,
            )
        )
    if any_of(errors.OfflineModeIsEnabled):
        return ConnectionError(
            say(
                "{hub_id} is not on this machine, and the Hub is switched off by HF_HUB_OFFLINE: unset it, "
                "or give a folder. ({said})",
                hub_id=hub_id,
                said=said,
            )
        )
    if any_of(errors.RemoteEntryNotFoundError):
        return FileNotFoundError(
            say(
                "{hub_id} on the Hub is not a diffusers pipeline (no model_index.json). See {page}. ({said})",
                hub_id=hub_id,
                page=page,
                said=said,
            )
        )
    if any_of(errors.FileMetadataError):
        return _not_the_hub(hub_id, said)
    answers = [link.response for link in chain if getattr(link, "response", None) is not None]  # a 404 may be falsy
    if answers:
        is_page = "html" in answers[0].headers.get("Content-Type", "").lower()
        return _status_error(hub_id, answers[0].status_code, is_page, said)
    if any("Consistency check failed" in str(link) for link in chain):
        return ConnectionError(
            say(
                "a file of {hub_id} arrived truncated, or was replaced on the way; it was removed. Try again. ({said})",
                hub_id=hub_id,
                said=said,
            )
        )
    if any(type(link).__name__ in _RESET for link in chain):
        return ConnectionError(
            say(
                "the connection broke again and again while downloading {hub_id}: try again. ({said})",
                hub_id=hub_id,
                said=said,
            )
        )
    if any("Timeout" in kind.__name__ for link in chain for kind in type(link).__mro__):
        return TimeoutError(
            say(
                "the Hub is too slow to answer for {hub_id}, or stopped sending: try again. ({said})",
                hub_id=hub_id,
                said=said,
            )
        )
    return ConnectionError(
        say(
            "{hub_id} is not whole on this machine, and the Hub cannot be reached: check the network and "
            "the proxy, or give a folder. ({said})",
            hub_id=hub_id,
            said=said,
        )
    )


def public(text: str) -> str:
    """Return `text` without what may be secret: tokens, passwords in URLs, and the query of a (signed) URL."""
    from huggingface_hub import get_token

    token = get_token()
    text = text.replace(token, "hf_…") if token else text
    text = re.sub(r"hf_[A-Za-z0-9]{16,}", "hf_…", text)
    # huggingface_hub shortens a file's URL to its end, which is the signature
    text = re.sub(r"\s*\(?\(…\)\S*", "", text)
    return re.sub(r"(https?://)(?:[^/@\s]*@)?([^\s?'\")]*)(\?[^\s'\")]*)?", r"\1\2", text)


def _download(pipeline: Any, hub_id: str, variant: str | None) -> str:
    """Download with diffusers, and continue after a reset connection (httpx's ReadError): huggingface_hub itself resumes only after
    a time-out or a closed connection."""
    for left in reversed(range(TRIES)):
        try:
            return pipeline.download(hub_id, variant=variant, use_safetensors=True)
        except Exception as error:
            broken = any(type(link).__name__ in _RESET for link in _chain(error))
            if not (broken and left):
                raise
            print(say("the connection broke; resuming (tries left: {left}) …", left=left), file=sys.stderr)
    raise AssertionError("the last try returns or raises")


@contextmanager
def _public_log() -> Iterator[None]:
    """Pass huggingface_hub's log through `public`: its warning about a broken connection shows the file's signed URL."""

    def clean(record: logging.LogRecord) -> bool:
        record.msg, record.args = public(record.getMessage()), ()
        return True

    handlers = list(logging.getLogger("huggingface_hub").handlers)
    for handler in handlers:
        handler.addFilter(clean)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(clean)


def _ask(hub_id: str, revision: str | None = None) -> Any:
    """The Hub's ModelInfo with every file's size and sha256; None where HF_HUB_OFFLINE is set.

    diffusers asks for it as well, but without a time-out [huggingface_hub, HfApi.model_info(timeout=None)].
    """
    from huggingface_hub import constants, errors, model_info

    try:
        return model_info(hub_id, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except errors.OfflineModeIsEnabled:
        return None
    except json.JSONDecodeError:
        raise ConnectionError(
            say("{hub_id} cannot be downloaded: {not_the_hub}.", hub_id=hub_id, not_the_hub=say(_NOT_THE_HUB))
        ) from None
    except Exception as error:
        raise hub_error(hub_id, error) from None


def _check_weights(hub_id: str, folder: Path, info: Any) -> None:
    """Compare each weights file (every file in LFS) with the Hub's sha256; remove those that differ.

    huggingface_hub compares sizes only. Reading 4.5 GB once takes seconds, at download time only. A mark beside the model in the
    cache stays until the check is done, so that a run that is killed leaves no unchecked model.
    """
    mark = folder.parents[1] / UNCHECKED
    try:
        mark.touch()
    except OSError as error:
        raise hub_error(hub_id, error) from None
    wrong = []
    for sibling in info.siblings or []:
        path = folder / sibling.rfilename
        if sibling.lfs is None or not path.is_file():
            continue
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sibling.lfs["sha256"]:
                wrong.append(sibling.rfilename)
                _remove(path)
    mark.unlink(missing_ok=True)
    if wrong:
        raise OSError(
            say(
                "{listed} of {hub_id} arrived with different content than on the Hub (the sha256 differs), "
                "and was removed: try again. If it happens again, something between this machine and the "
                "Hub, or this disk, corrupts files",
                listed=", ".join(wrong),
                hub_id=hub_id,
            )
        )


def _remove(path: Path) -> None:
    """Remove a file of a snapshot and the targets of its links: the blob, or the copy that several caches share."""
    while path.is_symlink():
        target = path.parent / path.readlink()
        path.unlink(missing_ok=True)
        path = target
    path.unlink(missing_ok=True)


def _check_token() -> None:
    """Refuse a token that an HTTP header cannot carry: the error about that header would show it in clear."""
    from huggingface_hub import get_token

    token = get_token()
    if token and not re.fullmatch("[!-~]+", token):
        raise PermissionError(
            say(
                "the Hub's token on this machine (HF_TOKEN, or saved by `hf auth login`) contains a space, a "
                "control code or another character that no token has: copy it again"
            )
        )


def _not_the_hub(hub_id: str, said: str) -> ConnectionError:
    reason = say(_NOT_THE_HUB)
    return ConnectionError(
        say("{hub_id} cannot be downloaded: {not_the_hub}. ({said})", hub_id=hub_id, not_the_hub=reason, said=said)
    )


def _status_error(hub_id: str, status: int, is_page: bool, said: str) -> OSError:
    if is_page and 400 <= status < 500 and status != 407:  # the Hub refuses in JSON
        return _not_the_hub(hub_id, said)
    if status in (401, 403):
        why = (
            say("does not accept this machine's token")
            if status == 401
            else say("says that this machine's token may not read it")
        )
        return PermissionError(
            say(
                "the Hub answered {status} for {hub_id}: it {why} (HF_TOKEN, or saved by `hf auth login`). "
                "Make a new one on https://huggingface.co/settings/tokens, or unset it where the model is "
                "public. ({said})",
                status=status,
                hub_id=hub_id,
                why=why,
                said=said,
            )
        )
    who = say("the proxy requires a login: it") if status == 407 else say("the Hub, or a proxy in front of it,")
    return ConnectionError(
        say(
            "{who} answered {status} for {hub_id}: try again later, or give a folder. ({said})",
            who=who,
            status=status,
            hub_id=hub_id,
            said=said,
        )
    )


def _chain(error: BaseException) -> list[BaseException]:
    """The error, its cause or context, the cause of that, and so on."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def _said(error: BaseException, chain: list[BaseException]) -> str:
    """The first line of the server's message, else of the error itself."""
    words = [getattr(link, "server_message", None) for link in chain] + [str(error)]
    text = next((word.strip() for word in words if word and word.strip()), "")
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else ''}"


def _cache() -> str:
    from huggingface_hub import constants

    folder, home = str(constants.HF_HUB_CACHE), str(Path.home())
    return "~" + folder[len(home) :] if folder.startswith(home) else folder
