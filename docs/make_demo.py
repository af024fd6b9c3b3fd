"""Make docs/demo.gif, the moving picture of the README: what the bundled miniature makes of the bundled pictures.

python docs/make_demo.py            # about two minutes on two CPU cores; nothing is chosen by hand, one seed for all
"""

import argparse
import tempfile
from pathlib import Path

from svd_lab import Clip, generate_video, load_video_pipeline
from svd_lab.cli import PICTURES, progress

GAP, HOLD = 4, 4  # pixels between the clips; how often the last frame is repeated before the loop


def grid(clips: list[Clip], columns: int) -> Clip:
    """Clips of one length and size side by side, as one clip."""
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
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("demo.gif"))
    parser.add_argument("--model", default="mini", help="as for load_video_pipeline (mini)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--columns", type=int, default=3)
    options = parser.parse_args()
    pipe = load_video_pipeline(options.model)
    clips = []
    with tempfile.TemporaryDirectory() as folder:
        for picture in sorted(PICTURES.glob("*.jpg")):
            with progress(picture.name) as on_step:
                video = f"{folder}/{picture.stem}.mp4"
                clip = generate_video(picture, video, options.seed, pipe=pipe, num_frames=14, on_step=on_step)
            clips.append(clip)
    grid(clips, options.columns).save_gif(options.out, fps=7)
    size = options.out.stat().st_size
    print(f"{options.out}: {size / 1e6:.2f} MB")
    if size > 1_500_000:
        raise SystemExit("demo.gif is larger than 1.5 MB: too much for a README")


if __name__ == "__main__":
    main()
