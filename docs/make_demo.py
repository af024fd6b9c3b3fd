"""Make the README's moving pictures: clips that the miniatures make of bundled pictures, or of six prompts.

python docs/make_demo.py                     # docs/demo.gif: four of the demo's six clips, as `svd-lab demo` makes them
python docs/make_demo.py --texts --seed 7    # docs/text-demo.gif
"""

import argparse
import tempfile
from pathlib import Path

from svd_lab import Clip, generate_text2video, generate_video, load_image_pipeline, load_video_pipeline
from svd_lab.commands.terminal import progress

SHOWN = (
    "rocket",
    "balloon",
    "boat",
    "car",
)  # a ball's pattern and a rabbit's legs lose their shape, as the README says
TEXTS = (
    "a photograph of an astronaut riding a horse",
    "밤하늘의 로켓",
    "two rabbits in a meadow",
    "a green car on a road",
    "바닷속 거북이를 탄 펭귄",
    "a sailboat on the ocean at sunset",
)
GAP = 4  # pixels between clips
HOLD = 4  # repeats of the last frame before the loop starts again


def grid(clips: list[Clip], columns: int) -> Clip:
    """Put clips of equal length and size side by side, as one clip."""
    from PIL import Image

    width, height = clips[0].frames[0].size
    rows = -(-len(clips) // columns)
    frames = []
    for moment in zip(*(clip.frames for clip in clips), strict=True):
        page = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
        for i, frame in enumerate(moment):
            page.paste(frame, (i % columns * (width + GAP), i // columns * (height + GAP)))
        frames.append(page)
    return Clip(frames + frames[-1:] * HOLD, clips[0].seed, clips[0].recipe)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", action="store_true", help="start from prompts instead of pictures")
    parser.add_argument("--out", type=Path, help="default: demo.gif or text-demo.gif beside this script")
    parser.add_argument("--model", default="mini", help="as for load_video_pipeline (mini)")
    parser.add_argument("--seed", type=int, default=42, help="the README's: 42, and 7 for texts")
    parser.add_argument("--columns", type=int, help="clips side by side (2, and 3 for texts)")
    options = parser.parse_args()
    out = options.out or Path(__file__).with_name("text-demo.gif" if options.texts else "demo.gif")
    pipe = load_video_pipeline(options.model)
    image_pipe = load_image_pipeline(options.model) if options.texts else None
    clips = []
    with tempfile.TemporaryDirectory() as folder:
        for number, start in enumerate(TEXTS if options.texts else SHOWN):
            with progress(str(start)) as on_step:
                call = dict(pipe=pipe, num_frames=14 if options.texts else 10, on_step=on_step)
                video = f"{folder}/{number}.mp4"
                if options.texts:
                    clip = generate_text2video(start, video, options.seed, image_pipe=image_pipe, **call)
                else:
                    clip = generate_video(start, video, options.seed, **call)
            clips.append(clip)
    grid(clips, options.columns or (3 if options.texts else 2)).save_gif(out, fps=7)
    size = out.stat().st_size
    print(f"{out}: {size / 1e6:.2f} MB")
    if size > 1_500_000:
        raise SystemExit(
            f"{out.name} has {size / 1e6:.2f} MB, more than the 1.5 MB that a README may load: make it shorter or smaller"
        )


if __name__ == "__main__":
    main()
