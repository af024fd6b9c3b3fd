"""The table of measures, with floors and goals, as Markdown; printed, or written into a page of the docs.

    python -m svd_lab.training.measure.report out.json [cost.json] --markdown docs/measures.md
    python -m svd_lab.training.measure.report new.json --against old.json      # compare two models on the same scenes

Reads what `evaluate --json` wrote; a later file adds to an earlier one.
"""

import argparse
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svd_lab.training.measure.significance import differences, shown, standard_errors

BEGIN, END = "<!-- measures:begin -->", "<!-- measures:end -->"
NAMES = dict(known="known things", held_out="held-out things")
Bounds = tuple[float | None, float | None]  # at least, at most
Result = Mapping[str, Any]  # what `evaluate --json` writes


@dataclass(frozen=True)
class Row:
    """A line of the table for one group of scenes; without floor and goal it is printed, not judged."""

    text: str
    key: str  # of the figures of that group
    group: str
    floor: Bounds | None = None
    goal: Bounds | None = None
    form: str = "{:.2f}"


def both(text: str, key: str, floor: Bounds, goal: Bounds, form: str = "{:.2f}") -> list[Row]:
    """The same line for known and for held-out things."""
    return [Row(text, key, group, floor, goal, form) for group in NAMES]


DB, SHARE = "{:.1f} dB", "{:.0%}"
ROWS = [
    *both("VAE round trip, PSNR, all pixels", "vae_all", (31, None), (33, None), DB),
    *both("VAE round trip, PSNR, pixels of the thing", "vae_thing", (24, None), (27, None), DB),
    *both("first frame against the input picture, PSNR", "first", (29, None), (32, None), DB),
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
    *both("still background, temporal std, of 255", "background_std", (None, 1.5), (None, 0.8)),
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


#: The columns of the table of other settings: {figure: (head, form)}.
SETTINGS = dict(
    first=("first frame", DB), iou_share=("IoU share", "{:.2f}"), moving_gain=("moving gain", DB), length=("length", "{:.2f}"),
    cosine=("cosine", "{:.2f}"), area=("area", "{:.2f}"), background_std=("background std", "{:.2f}"),
)  # fmt: skip


def within(value: float, bounds: Bounds) -> bool:
    """Whether a figure is inside its bounds, ends included."""
    low, high = bounds
    return (low is None or value >= low) and (high is None or value <= high)


def verdict(value: float | None, bounds: Bounds | None, form: str) -> str:
    """Judge a figure, for example "≥ 29.0 dB: OK"; a figure that is missing is missed."""
    if bounds is None:
        return "–"
    low, high = (None if b is None else form.format(b) for b in bounds)
    text = f"{low} – {high}" if low and high else f"≥ {low}" if low else f"≤ {high}"
    return f"{text}: {'OK' if value is not None and within(value, bounds) else '**missed**'}"


def line(row: Row, figures: Mapping[str, Mapping[str, Any]], errors: Mapping[str, float | None]) -> str:
    """A line of the table: the figure, its verdicts, and the same figure of copy and ceiling."""
    show = lambda who: row.form.format(v) if (v := figures.get(who, {}).get(row.key)) is not None else "–"  # noqa: E731
    value, error = figures["model"].get(row.key), errors.get(row.key)
    figure = show("model") if value is None or error is None else f"{show('model')} ± {row.form.format(error)}"
    cells = [row.text, NAMES.get(row.group, "CPU"), figure, verdict(value, row.floor, row.form)]
    cells += [verdict(value, row.goal, row.form), show("copy"), show("ceiling")]
    return "| " + " | ".join(cells) + " |"


def table(result: Result) -> str:
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


def comparison(old: Result, new: Result) -> str:
    """Compare two results as Markdown; differences of more than two standard errors are bold.

    Raises:
        ValueError: They are not of the same scenes.
    """
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


def page(result: Result) -> str:
    """Everything for the docs: the table, how it was measured, other settings, unseen pictures, the cost."""
    parts = [table(result)]
    if about := result.get("about"):
        parts.append(_setup(about))
    parts += [_compared(group, result[group]) for group in NAMES if group in result]
    if rows := _settings(result):
        parts.append(rows)
    if pictures := result.get("unseen"):
        lines = [f"| {r['picture']} | {r['first']:.1f} dB | {r['energy']:.2f} |" for r in pictures]
        parts.append("\n".join(["| unseen picture | first frame | motion energy |", "|---|---|---|", *lines]))
    if cost := result.get("cost"):
        parts.append(_cost(cost))
    return "\n\n".join(parts)


def _setup(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['scenes']} scenes of known and as many of held-out things, seed {about['seed']}, "
        f"{about['frames']} frames, {about['steps']} steps, bucket {about['bucket']}, "
        f"guidance {about['guidance'][0]:g} to {about['guidance'][1]:g}, "
        f"decode_chunk_size {about['chunk']}, fp32, on {about['device']}, in {about['seconds']:.0f} s ({versions})."
    )


def _compared(group: str, result: dict[str, Any]) -> str:
    return (
        f"{NAMES[group].capitalize()}: {result['model']['compared']} of {len(result['clips'])} could be compared at the end "
        f"(the others had left the picture or had the colour of their background); background std with "
        f"decode_chunk_size 2: {result['background_std_chunk2']:.2f} of 255."
    )


def _settings(result: Result) -> str:
    """The table of other settings as Markdown, or "" if none was measured."""
    rows = []
    for group in (group for group in NAMES if result.get(group, {}).get("settings")):
        ways = {"10 steps, guidance 1 to 3": result[group]["model"], **result[group]["settings"]}
        for name, figures in ways.items():
            cells = [form.format(figures[k]) if figures[k] is not None else "–" for k, (_, form) in SETTINGS.items()]
            rows.append(f"| {name} | {NAMES[group]} | " + " | ".join(cells) + " |")
    head = ["setting", "of", *(text for text, _ in SETTINGS.values())]
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *rows]) if rows else ""


def _cost(cost: dict[str, Any]) -> str:
    rates = " and ".join(f"{rate:.0f}" for rate in cost["conv"])
    return (
        f"Cost of `generate_video(picture, file)`, 10 frames × 10 steps, chunk 2, on {cost['threads']} CPU threads: loaded "
        f"in {cost['load']:.1f} s (imports included), first call {cost['first']:.1f} s, fastest later call "
        f"{cost['warm']:.1f} s, peak RSS {cost['rss']:.2f} GiB, while a 3×3 convolution ran at {rates} GFLOP/s."
    )


def fill(path: Path, text: str) -> None:
    """Replace the text between the marks in `path`; without them, or without the file, append marks and text."""
    block = f"{BEGIN}\n{text}\n{END}"
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    new, n = re.subn(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, old, flags=re.DOTALL)
    path.write_text(new if n else f"{old.rstrip()}\n\n{block}\n".lstrip(), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help='JSON files of `evaluate`, or {"cost": …}')
    parser.add_argument("--markdown", type=Path, help="page to fill; otherwise print")
    parser.add_argument("--against", type=Path, help="another result of the same scenes: print the differences")
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
