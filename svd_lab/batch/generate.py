"""Many pictures or prompts, spread over all devices of one host; resumed after a kill, undisturbed by a bad picture.

    result = generate_batch("pictures", "out", num_frames=14)         # a folder, or a list of pictures
    result = generate_batch(prompts=["a red rocket", ...], out="out")

With more than one device each gets a process of its own (torch's launcher starts them, accelerate's PartialState says which is
which), with one it runs here. Each item is one call of generate_video or generate_text2video with the seed and settings given, so
its frames are those of that call alone. An item is done when its mp4 carries the recipe of the same request: settings, seed, pixels
of the picture or prompt, model and weights. What is done is not done again, whatever ended the last run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svd_lab.batch.items import check_all, is_done, list_items


@dataclass
class BatchResult:
    """What became of each item, by the name of its video: made now, done before, or failed (and why). seconds: of it all, loading
    included. item_seconds: of each that was made now."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    item_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
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

    pictures: a folder, whose pictures are taken in the order of their names, or a list of files. prompts: texts instead.
    out: made if it is missing. The videos are named for their pictures, or numbered and named for their prompts.
    seed, settings: of generate_video or generate_text2video, the same for each item; 0 to 2**32 - 1, so that a run can be resumed.
    model, image_model, device, dtype ("float16", …), speed, memory: as for load_video_pipeline and load_image_pipeline.
    processes: None: one a CUDA GPU, else one. With more than one, process i takes GPU i, or they share the CPU.
    say(line): told of each item as it ends.

    A picture that cannot be read, and any other item that fails, is in `failed` of the result; the others are made. Raises
    TypeError or ValueError for wrong settings before any model is loaded, FileNotFoundError for no pictures, and what
    loading raises; RuntimeError with its words where no process could load.
    """
    start = time.perf_counter()
    items = list_items(pictures, prompts, Path(out))
    check_all(prompts is not None, seed, settings)
    job = {"items": items, "seed": seed, "settings": settings, "speed": speed, "memory": memory, "dtype": dtype}
    job |= {"parent": os.getpid()}
    job |= {
        "model": os.fspath(model),
        "image_model": os.fspath(image_model),
        "device": device,
        "text": prompts is not None,
    }
    Path(out).mkdir(parents=True, exist_ok=True)
    count = processes if processes is not None else _devices(device)
    count = min(count, len(items))
    if count < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    ended: dict[str, dict[str, Any]] = {}
    if count == 1:
        for line in work(job, 0, 1):
            ended[line["video"]] = line
            say(_told(line, len(ended), len(items)))
        reason = ""
    else:
        reason = _launch(job, count, ended, lambda line: say(_told(line, len(ended), len(items))))
    result = BatchResult(seconds=time.perf_counter() - start)
    for item in items:
        line = ended.get(item["video"], {"failed": reason or "its process ended before it came to it"})
        name = Path(item["video"]).name
        if "failed" in line:
            result.failed[name] = line["failed"]
        else:
            (result.kept if line["kept"] else result.made).append(name)
            if not line["kept"]:
                result.item_seconds[name] = line["seconds"]
    return result


def work(job: dict[str, Any], index: int, count: int, device: Any = None) -> Iterable[dict[str, Any]]:
    """Do every item of `job` that falls to process `index` of `count`; yields {"video", "kept", "seconds"} or {"video", "failed"}.

    Items go round the processes in turn, so that those that are left after a kill fall to all of them alike.
    """
    import torch

    from svd_lab.pipelines import load_image_pipeline, load_video_pipeline

    options = {"device": device or job["device"], "dtype": getattr(torch, job["dtype"]) if job["dtype"] else None}
    pipes = {"pipe": load_video_pipeline(job["model"], **options, speed=job["speed"], memory=job["memory"])}
    if job["text"]:
        pipes["image_pipe"] = load_image_pipeline(job["image_model"], **options)
    for pipe in pipes.values():
        pipe.set_progress_bar_config(disable=True)
    for item in job["items"][index::count]:
        begin = time.perf_counter()
        try:
            kept = _do(item, job, pipes)
            yield {"video": item["video"], "kept": kept, "seconds": time.perf_counter() - begin}
        except Exception as error:  # of whatever kind: one item must not cost the others
            yield {"video": item["video"], "failed": str(error) or type(error).__name__}


def _do(item: dict[str, str], job: dict[str, Any], pipes: dict[str, Any]) -> bool:
    """Make one item, unless its video is there: then True."""
    from svd_lab.generation import generate_video
    from svd_lab.images import open_image
    from svd_lab.text2video import generate_text2video

    settings, video = job["settings"], item["video"]
    if "prompt" in item:
        if is_done(video, job, pipes, {"prompt": item["prompt"]}):
            return True
        generate_text2video(item["prompt"], video, job["seed"], **pipes, **settings, on_image=lambda _: None)
        return False
    picture = open_image(item["picture"])
    if is_done(video, job, pipes, {"picture": picture}):
        return True
    generate_video(item["picture"], video, job["seed"], **pipes, **settings)
    return False


def _devices(device: str | None) -> int:
    """How many processes: one a GPU, unless one GPU, or none, is named."""
    import torch

    return max(1, torch.cuda.device_count()) if device in (None, "cuda") else 1


def _launch(
    job: dict[str, Any], count: int, ended: dict[str, dict[str, Any]], tell: Callable[[dict[str, Any]], object]
) -> str:
    """Run `job` in `count` processes, what each item came to into `ended`; returns why items may be missing, "" where none should.

    torch's launcher ends all processes when one dies, and when this one does.
    """
    with tempfile.TemporaryDirectory(prefix="svd-lab-batch-") as folder:
        file, lines = Path(folder) / "job.json", Path(folder) / "ended.jsonl"
        file.write_text(json.dumps(job))
        lines.touch()
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        # Threads as here, shared out: the launcher would give each process one, and sums on a CPU depend on it.
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, _cores() // count)),
        }
        process = subprocess.Popen([*launcher, "-m", "svd_lab.batch.worker", str(file), str(lines)], env=environment)
        try:
            rest = fatal = ""
            with lines.open() as reader:
                while True:
                    running = process.poll() is None
                    for text in iter(reader.readline, ""):
                        rest += text
                        if rest.endswith("\n"):  # a line can be read before its end is written
                            line, rest = json.loads(rest), ""
                            if "fatal" in line:
                                fatal = line["fatal"]
                                continue
                            ended[line["video"]] = line
                            tell(line)
                    if not running:
                        break
                    time.sleep(0.1)
        except BaseException:
            process.terminate()
            raise
        finally:
            code = process.wait()
    if fatal and not ended:
        raise RuntimeError(fatal)
    died = f"a process of the batch ended with status {code} before it came to this one; run it again for the rest"
    return fatal or (died if code else "")


def _cores() -> int:
    from svd_lab.threads import cpu_quota

    return int(cpu_quota() or os.cpu_count() or 1)


def _told(line: dict[str, Any], number: int, total: int) -> str:
    name = Path(line["video"]).name
    if "failed" in line:
        return f"{number}/{total} {name}: failed: {line['failed'].splitlines()[0]}"
    return f"{number}/{total} {name}: " + ("done before" if line["kept"] else f"{line['seconds']:.1f} s")
