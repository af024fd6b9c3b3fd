"""The table of measures, with floors and goals, as Markdown; and into a page of the docs.

    python -m svd_lab.training.measure.report out.json [cost.json] --markdown docs/measures.md
    python -m svd_lab.training.measure.report new.json --against old.json       # is one model better than another, on the same scenes?

Reads what `evaluate --json` wrote (a later file adds to an earlier one), replaces what stands between the page's marks.
"""

import argparse
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from svd_lab.training.measure.significance import differences, shown, standard_errors

BEGIN, END = "<!-- measures:begin -->", "<!-- measures:end -->"
NAMES = dict(known="known things", held_out="held-out things")
Bounds = tuple[float | None, float | None]  # at least, at most


@dataclass(frozen=True)
class Row:
    """One line of the table for one group: `key` of its figures; floor and goal None: printed, not judged."""

    text: str
    key: str
    group: str
    floor: Bounds | None = None
    goal: Bounds | None = None
    form: str = "{:.2f}"


def both(text: str, key: str, floor: Bounds, goal: Bounds, form: str = "{:.2f}") -> list[Row]:
    return [Row(text, key, group, floor, goal, form) for group in NAMES]


DB, SHARE = "{:.1f} dB", "{:.0%}"
ROWS = [
    *both("VAE round trip, PSNR, all pixels", "vae_all", (31, None), (33, None), DB),
    *both("VAE round trip, PSNR, pixels of the thing", "vae_thing", (24, None), (27, None), DB),
    *both("first frame against the given picture, PSNR", "first", (29, None), (32, None), DB),
    Row("last frame, IoU of the thing, from copy (0) to truth (1)", "iou_share", "known", (0.4, None), (0.7, None)),
    Row(
        "last frame, IoU of the thing, from copy (0) to truth (1)", "iou_share", "held_out", (0.25, None), (0.55, None)
    ),
    Row("pixels that move, PSNR gain over a static copy", "moving_gain", "known", (4, None), (8, None), DB),
    Row("pixels that move, PSNR gain over a static copy", "moving_gain", "held_out", (2.5, None), (5, None), DB),
    Row("displacement of the thing, length against truth", "length", "known", (0.8, 1.2), (0.9, 1.1)),
    Row("displacement of the thing, length against truth", "length", "held_out"),
    Row("displacement of the thing, cosine with truth", "cosine", "known", (0.9, None), (0.97, None)),
    Row("displacement of the thing, cosine with truth", "cosine", "held_out"),
    *both("area of the thing at the end against truth, median", "area", (0.85, 1.2), (0.95, 1.05)),
    *both("things kept (area 0.35 to 2 times truth's)", "kept", (0.95, None), (0.99, None), SHARE),
    *both("background that should stand still, temporal std, of 255", "background_std", (None, 1.5), (None, 0.8)),
    *both("motion energy against bucket 20 … 240, Spearman", "bucket_spearman", (0.95, None), (0.99, None)),
    *both("clips whose motion grows at every step of the bucket", "bucket_grows", (0.9, None), (0.97, None), SHARE),
]
WORLD = [
    *(Row("the static copy's own IoU", "iou_copy", group) for group in NAMES),
    *(Row("the static copy's own PSNR in the pixels that move", "moving_copy", group, form=DB) for group in NAMES),
    *(Row("median travel, in heights of the thing", "travel", group, (1 / 3, None)) for group in NAMES),
]
COST = [
    Row("default call, seconds (fastest warm)", "warm", "cost", (None, 15), (None, 10), "{:.1f} s"),
    Row("default call, peak RSS of the process", "rss", "cost", (None, 1.5), (None, 1.0), "{:.2f} GiB"),
]


def within(value: float, bounds: Bounds) -> bool:
    low, high = bounds
    return (low is None or value >= low) and (high is None or value <= high)


def verdict(value: float | None, bounds: Bounds | None, form: str) -> str:
    """ "≥ 29.0 dB: OK"; a figure that is missing is missed."""
    if bounds is None:
        return "–"
    low, high = (None if b is None else form.format(b) for b in bounds)
    text = f"{low} – {high}" if low and high else f"≥ {low}" if low else f"≤ {high}"
    return f"{text}: {'OK' if value is not None and within(value, bounds) else '**missed**'}"


def line(row: Row, figures: dict[str, dict], errors: dict[str, float | None]) -> str:
    show = lambda who: row.form.format(v) if (v := figures.get(who, {}).get(row.key)) is not None else "–"  # noqa: E731
    value, error = figures["model"].get(row.key), errors.get(row.key)
    figure = show("model") if value is None or error is None else f"{show('model')} ± {row.form.format(error)}"
    cells = [row.text, NAMES.get(row.group, "CPU"), figure, verdict(value, row.floor, row.form)]
    cells += [verdict(value, row.goal, row.form), show("copy"), show("ceiling")]
    return "| " + " | ".join(cells) + " |"


def table(result: dict) -> str:
    """The judged table as Markdown. Figures that were not measured (--quick, no --cost) have no line."""
    lines = ["| measure | of | figure | floor | goal | copy | ceiling |", "|---|---|---|---|---|---|---|"]
    errors = {group: standard_errors(result[group]["clips"]) for group in NAMES if group in result}
    for row in ROWS:
        if row.group in result and (row.key in result[row.group]["model"]):
            lines.append(line(row, result[row.group], errors[row.group]))
    lines += [line(row, dict(model=result[row.group]["model"]), {}) for row in WORLD if row.group in result]
    if "cost" in result:
        lines += [line(row, dict(model=result["cost"]), {}) for row in COST]
    return "\n".join(lines)


def comparison(old: dict, new: dict) -> str:
    """The measures of two results as Markdown, and their difference: **bold** where it is more than two standard errors."""
    lines = ["| measure | of | old | new | difference |", "|---|---|---|---|---|"]
    for group in (g for g in NAMES if g in old and g in new):
        change = differences(old[group]["clips"], new[group]["clips"])
        for row in (r for r in ROWS if r.group == group and r.key in change):
            value, error = change[row.key]
            if math.isnan(value):
                continue
            cells = [row.text, NAMES[group], *(row.form.format(r[group]["model"][row.key]) for r in (old, new))]
            cells.append(shown(value, error))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(result: dict) -> str:
    """Everything for the docs: the table, how it was measured, other settings, the outside, the cost."""
    about, parts = result.get("about"), [table(result)]
    if about:
        parts.append(
            f"{about['scenes']} scenes of known and as many of held-out things, seed {about['seed']}, "
            f"{about['frames']} frames, {about['steps']} steps, bucket {about['bucket']}, "
            f"guidance {about['guidance'][0]:g} to {about['guidance'][1]:g}, "
            f"decode_chunk_size {about['chunk']}, fp32, on {about['device']}, in {about['seconds']:.0f} s ("
            + ", ".join(f"{name} {version}" for name, version in about["versions"].items())
            + ")."
        )
    for group in NAMES:
        if group in result:
            g = result[group]
            parts.append(
                f"{NAMES[group].capitalize()}: {g['model']['compared']} of {len(g['clips'])} could be compared at the end "
                f"(the others had left the picture or hidden before a background of their colour); background std with "
                f"decode_chunk_size 2: {g['background_std_chunk2']:.2f} of 255."
            )
    keys = dict(
        first=DB,
        iou_share="{:.2f}",
        moving_gain=DB,
        length="{:.2f}",
        cosine="{:.2f}",
        area="{:.2f}",
        background_std="{:.2f}",
    )
    rows = []
    for group in NAMES:
        others = result.get(group, {}).get("settings")
        if others:
            for name, figures in {"10 steps, guidance 1 to 3": result[group]["model"], **others}.items():
                cells = [form.format(figures[k]) if figures[k] is not None else "–" for k, form in keys.items()]
                rows.append(f"| {name} | {NAMES[group]} | " + " | ".join(cells) + " |")
    if rows:
        head = [
            "setting",
            "of",
            "first frame",
            "IoU share",
            "moving gain",
            "length",
            "cosine",
            "area",
            "background std",
        ]
        parts.append("\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *rows]))
    if result.get("outside"):
        lines = [f"| {r['picture']} | {r['first']:.1f} dB | {r['energy']:.2f} |" for r in result["outside"]]
        parts.append("\n".join(["| picture from outside | first frame | motion energy |", "|---|---|---|", *lines]))
    if "cost" in result:
        c = result["cost"]
        parts.append(
            f"Cost of `generate_video(picture, file)`, 10 frames × 10 steps, chunk 2, on {c['threads']} CPU threads: loaded "
            f"in {c['load']:.1f} s (imports included), first call {c['first']:.1f} s, fastest later call {c['warm']:.1f} s, "
            f"peak RSS {c['rss']:.2f} GiB, in a minute in which a 3×3 convolution ran at "
            + " and ".join(f"{r:.0f}" for r in c["conv"])
            + " GFLOP/s."
        )
    return "\n\n".join(parts)


def fill(path: Path, text: str) -> None:
    """Replace what stands between the marks in `path`; without such a file or marks, put them and the text at its end."""
    block = f"{BEGIN}\n{text}\n{END}"
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    new, n = re.subn(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, old, flags=re.DOTALL)
    path.write_text(new if n else f"{old.rstrip()}\n\n{block}\n".lstrip(), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help='JSON files of evaluate, or {"cost": …}')
    parser.add_argument("--markdown", type=Path, help="the page to fill (without: print)")
    parser.add_argument("--against", type=Path, help="another result, of the same scenes: print how the two differ")
    args = parser.parse_args()
    result: dict = {}
    for path in args.results:
        result |= json.loads(path.read_text(encoding="utf-8"))
    if args.against:
        try:
            print(comparison(json.loads(args.against.read_text(encoding="utf-8")), result))
        except ValueError as error:
            raise SystemExit(f"{args.against} and {', '.join(map(str, args.results))}: {error}") from None
    elif args.markdown:
        fill(args.markdown, page(result))
    else:
        print(page(result))


if __name__ == "__main__":
    main()
