"""Many pictures or prompts, spread over all GPUs of a machine; resumable, and a bad picture does not stop the others.

    result = generate_batch("pictures", "out", num_frames=14)         # a folder, or a list of pictures
    result = generate_batch(prompts=["a red rocket", ...], out="out")

With more than one GPU each gets its own process (started by torch's launcher, numbered by accelerate's PartialState); with one the
batch runs in this process. Each item is one call of generate_video or generate_text2video, so its frames are those of that call.
An item is done when its mp4 carries the recipe of the same request: settings, seed, pixels of the picture or prompt, model and
weights. Items that are done are kept, however the last run ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from svd_lab import language
from svd_lab.batch.items import BatchRequest, check_call, is_done, list_items
from svd_lab.limits import cpu_quota


@dataclass
class BatchResult:
    """What became of each item, by the name of its video.

    Attributes:
        made: Made now.
        kept: Done before.
        failed: {name: reason}.
        seconds: The whole batch, loading included.
        item_seconds: {name: seconds} of each that was made now.
    """

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    item_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed


def generate_batch(
    pictures: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    out: str | os.PathLike[str] = "out",
    seed: int = 42,
    *,
    prompts: Iterable[str] | None = None,
    model: str | Path = "auto",
    image_model: str | Path = "auto",
    device: str | None = None,
    dtype: str | None = None,
    speed: str = "auto",
    memory: str = "auto",
    processes: int | None = None,
    say: Callable[[str], object] = print,
    **settings: Any,
) -> BatchResult:
    """Make a video of each picture, or of each prompt, in the folder `out`.

    Args:
        pictures: A folder, whose pictures are taken in the order of their names, or a list of files.
        out: Folder for the videos, created if missing. They are named after their pictures, or numbered and named after their
            prompts.
        seed: Of every item; 0 to 2**32 - 1, so that the batch can be resumed.
        prompts: Texts, instead of pictures.
        model, image_model, device, speed, memory: As for load_video_pipeline and load_image_pipeline.
        dtype: Name of a torch type, such as "float16".
        processes: None for one per CUDA GPU, else one. With more than one, process i takes GPU i, or all share the CPU.
        say: Called with a line when an item ends.
        **settings: Of generate_video or generate_text2video, the same for every item.

    Returns:
        What became of each item. One that fails, such as a picture that cannot be read, does not stop the others.

    Raises:
        TypeError, ValueError: Wrong settings, before a model is loaded.
        FileNotFoundError: There are no pictures.
        RuntimeError: No process could load the model. With one process, whatever loading raises.
    """
    start = time.perf_counter()
    items = list_items(pictures, prompts, Path(out))
    check_call(prompts is not None, seed, settings)
    if processes is not None and processes < 1:
        raise ValueError(language.say("processes must be at least 1, not {processes}", processes=processes))
    request = BatchRequest(
        items=items,
        text=prompts is not None,
        seed=seed,
        settings=settings,
        model=os.fspath(model),
        image_model=os.fspath(image_model),
        device=device,
        dtype=dtype,
        speed=speed,
        memory=memory,
        parent=os.getpid(),
    )
    Path(out).mkdir(parents=True, exist_ok=True)
    count = min(processes or _process_count(device), len(items))
    outcomes: dict[str, dict[str, Any]] = {}

    def on_outcome(outcome: dict[str, Any]) -> None:
        outcomes[outcome["video"]] = outcome
        say(_describe(outcome, len(outcomes), len(items)))

    reason = ""
    if count == 1:
        for outcome in run_share(request, 0, 1):
            on_outcome(outcome)
    else:
        reason = _run_processes(request, count, on_outcome)
    return _result(items, outcomes, reason, time.perf_counter() - start)


def _result(
    items: list[dict[str, str]], outcomes: dict[str, dict[str, Any]], reason: str, seconds: float
) -> BatchResult:
    """Sort the outcomes; an item without one failed for `reason`."""
    result = BatchResult(seconds=seconds)
    for item in items:
        outcome = outcomes.get(
            item["video"], {"failed": reason or language.say("its process ended before it was started")}
        )
        name = Path(item["video"]).name
        if "failed" in outcome:
            result.failed[name] = outcome["failed"]
        elif outcome["kept"]:
            result.kept.append(name)
        else:
            result.made.append(name)
            result.item_seconds[name] = outcome["seconds"]
    return result


def run_share(request: BatchRequest, index: int, count: int, device: str | None = None) -> Iterator[dict[str, Any]]:
    """Do the share of one process: every `count`-th item, so that what is left after a kill is spread over all processes.

    Args:
        request: The batch.
        index: Number of this process.
        count: How many processes there are.
        device: Where to run; None for `request.device`.

    Yields:
        The outcome of each item: {"video", "kept", "seconds"} or {"video", "failed"}.
    """
    import torch

    from svd_lab.pipelines import load_image_pipeline, load_video_pipeline

    options = {"device": device or request.device, "dtype": getattr(torch, request.dtype) if request.dtype else None}
    pipes = {"pipe": load_video_pipeline(request.model, **options, speed=request.speed, memory=request.memory)}
    if request.text:
        pipes["image_pipe"] = load_image_pipeline(request.image_model, **options)
    for pipe in pipes.values():
        pipe.set_progress_bar_config(disable=True)
    for item in request.items[index::count]:
        start = time.perf_counter()
        try:
            kept = _make_item(item, request, pipes)
            yield {"video": item["video"], "kept": kept, "seconds": time.perf_counter() - start}
        except Exception as error:  # of any kind: one item must not stop the others
            yield {"video": item["video"], "failed": str(error) or type(error).__name__}


def _make_item(item: dict[str, str], request: BatchRequest, pipes: dict[str, Any]) -> bool:
    """Make the video of an item unless it is done; returns whether it was."""
    from svd_lab.generation import generate_video
    from svd_lab.text2video import generate_text2video

    if is_done(item, request, pipes):
        return True
    if "prompt" in item:
        generate_text2video(
            item["prompt"], item["video"], request.seed, **pipes, **request.settings, on_image=lambda _: None
        )
    else:
        generate_video(item["picture"], item["video"], request.seed, **pipes, **request.settings)
    return False


def _process_count(device: str | None) -> int:
    """One process per GPU, unless a device is named."""
    import torch

    return max(1, torch.cuda.device_count()) if device in (None, "cuda") else 1


def _run_processes(request: BatchRequest, count: int, on_outcome: Callable[[dict[str, Any]], object]) -> str:
    """Run the batch in `count` processes. torch's launcher ends them all when one dies, and when this process does.

    Returns:
        Why outcomes may be missing; "" where none should.

    Raises:
        RuntimeError: No process could load the model.
    """
    cores = int(cpu_quota() or os.cpu_count() or 1)
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // count))  # the launcher's own default is 1
    ended, fatal = 0, ""
    with tempfile.TemporaryDirectory(prefix="svd-lab-batch-") as folder:
        request_file, outcome_file = Path(folder) / "request.json", Path(folder) / "outcomes.jsonl"
        request_file.write_text(json.dumps(asdict(request)))
        outcome_file.touch()
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        process = subprocess.Popen(
            [*launcher, "-m", "svd_lab.batch.worker", str(request_file), str(outcome_file)],
            env={**os.environ, "OMP_NUM_THREADS": threads},
        )
        try:
            with outcome_file.open() as reader:
                for outcome in _follow(reader, process):
                    if "fatal" in outcome:
                        fatal = outcome["fatal"]
                    else:
                        ended += 1
                        on_outcome(outcome)
        except BaseException:
            process.terminate()
            raise
        finally:
            status = process.wait()
    if fatal and not ended:
        raise RuntimeError(fatal)
    died = language.say(
        "a process of the batch ended with status {status} before this item was done; run the batch again for the rest",
        status=status,
    )
    return fatal or (died if status else "")


def _follow(reader: TextIO, process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the JSON of each line that is appended to a file, until the process has ended."""
    rest, running = "", True
    while running:
        running = process.poll() is None  # before reading, so that the last lines are read, too
        for text in iter(reader.readline, ""):
            rest += text
            if rest.endswith("\n"):  # a line can be read before its end is written
                yield json.loads(rest)
                rest = ""
        if running:
            time.sleep(0.1)


def _describe(outcome: dict[str, Any], number: int, total: int) -> str:
    name = Path(outcome["video"]).name
    if "failed" in outcome:
        return language.say(
            "{number}/{total} {name}: failed: {reason}",
            number=number,
            total=total,
            name=name,
            reason=outcome["failed"].splitlines()[0],
        )
    return f"{number}/{total} {name}: " + (
        language.say("done before") if outcome["kept"] else language.say("{seconds:.1f} s", seconds=outcome["seconds"])
    )
