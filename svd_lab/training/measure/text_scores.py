"""The prompts that a text miniature is measured with, and the scores of its pictures, which a judge gives."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import torch

from svd_lab.training.stages.judge import THRESHOLD, Judge, look
from svd_lab.training.text.scene_grammar import RELATIONS, Scene, colours_of, draw_scene, held_out, scene_of, things
from svd_lab.training.world.stills import labels, place_keys

KINDS = (*RELATIONS, "coloured")
SCORES = ("present", "best", "place", "relation", "colour")

FLOORS = {
    "thing present, English": 0.9, "thing present, Korean": 0.85, "both things, English": 0.75, "both things, Korean": 0.75,
    "place right": 0.9, "class 1": 0.75, "class 2": 0.75,
}  # fmt: skip
LIMITS = dict(image=6, text_to_video=25, rss=1.2)  # of the cost: seconds, seconds, GiB


def prompts_for(kind: str, n: int, seed: int) -> list[Scene]:
    """Choose scenes to measure; the same seed gives the same ones.

    Args:
        kind: One of KINDS. "alone" goes through all things in turn, "coloured" is one thing in a colour.
        n: How many; of "coloured" at most all combinations.
        seed: Which ones.

    Returns:
        Scenes; but for "coloured", every second one is a combination that training never had.
    """
    rng, chosen = Random(seed * 1000 + KINDS.index(kind)), []
    if kind == "coloured":
        pairs = [(thing.name, colour) for thing in things() for colour in colours_of(thing)]
        return [scene_of(name, colour=colour) for name, colour in rng.sample(pairs, min(n, len(pairs)))]
    while len(chosen) < n:
        if kind == "alone":  # each thing: a place of training, then a held-out one
            name, want = things()[len(chosen) // 2 % len(things())].name, len(chosen) % 2 == 1
            scenes = [scene_of(name, place=place) for place in place_keys()]
            chosen.append(rng.choice([s for s in scenes if held_out(s) == want] or scenes))
        else:
            chosen.append(draw_scene(rng, kind, training=len(chosen) % 2 == 0))
    return chosen


def score(judge: Judge, scenes: Sequence[Scene], pictures: torch.Tensor) -> list[dict[str, Any]]:
    """Let the judge compare pictures with what they should show.

    Args:
        judge: Trained.
        scenes: The n scenes of the prompts.
        pictures: [n,3,128,224] in 0..1.

    Returns:
        For each picture, None where there is nothing to compare: present (it shows all named things), best (the most probable
        thing is a named one), place, relation and colour (of the first thing) are right, held_out (training never had it).
    """
    truth, seen, rows = labels(scenes), look(judge, pictures), []
    for i, scene in enumerate(scenes):
        named = [item.thing for item in scene.items]
        coloured = bool(named) and bool(scene.items[0].colour)
        rows.append(
            dict(
                present=all(seen.things[i, k] > THRESHOLD for k in named),
                best=int(seen.things[i].argmax()) in named if named else None,
                place=bool(seen.place[i] == truth["place"][i]) if scene.placed else None,
                relation=bool(seen.relation[i] == truth["relation"][i]) if named else None,
                colour=bool(seen.colour[i] == truth["colour"][i]) if coloured else None,
                held_out=held_out(scene),
            )
        )
    return rows


def mean(rows: Sequence[dict[str, Any]], key: str, **only: Any) -> float | None:
    """The share of rows where `key` is true, among those that have it and match `only`; None if there are none.

    Args:
        rows: From `score`, perhaps with more keys.
        key: One of SCORES.
        only: Values that other keys must have; a tuple allows several.
    """
    allowed = {k: v if isinstance(v, tuple) else (v,) for k, v in only.items()}
    values = [r[key] for r in rows if r[key] is not None and all(r[k] in v for k, v in allowed.items())]
    return round(sum(values) / len(values), 4) if values else None


def clipped(pictures: torch.Tensor) -> float:
    """The share of colour values at the ends of the range, 0 or 255, which too much guidance raises."""
    return round(((pictures < 1 / 255) | (pictures > 254 / 255)).float().mean().item(), 4)


def accepted(judge: Judge, pictures: torch.Tensor, which: int) -> list[bool]:
    """Whether pictures show a prompt of CLASS_PROMPTS: 0 an astronaut riding a horse, 1 a city at night from above."""
    seen, names = look(judge, pictures), [t.name for t in things()]
    if which == 1:
        return [place_keys()[p] == "aerial" for p in seen.place.tolist()]
    both = (seen.things[:, [names.index("astronaut"), names.index("horse")]] > THRESHOLD).all(1)
    return [bool(b) and RELATIONS[r] == "riding" for b, r in zip(both, seen.relation.tolist(), strict=True)]


def headline(rows: Sequence[dict[str, Any]], lessons: Sequence[float]) -> dict[str, float | None]:
    """The table of the most important scores.

    Args:
        rows: From `Evaluation.relations`.
        lessons: For each of CLASS_PROMPTS the share of accepted pictures.
    """
    pairs = ("beside", "on", "above", "riding")
    present = lambda kind, **only: mean(rows, "present", relation_name=kind, **only)  # noqa: E731
    return {
        "thing present, English": present("alone", language="en"),
        "thing present, Korean": present("alone", language="ko"),
        "both things, English": present(pairs, language="en"),
        "both things, Korean": present(pairs, language="ko"),
        "place right": mean(rows, "place"),
        "relation right": mean(rows, "relation"),
        "colour right (one thing)": mean(rows, "colour", relation_name="coloured"),
        "thing present, combination never trained": present("alone", held_out=True),
        "both things, combination never trained": present(pairs, held_out=True),
        "class 1": lessons[0],
        "class 2": lessons[1],
    }


def markdown(result: dict[str, Any]) -> str:
    """The headline scores, and the cost if it was measured, with their floors and limits."""
    lines = ["| measure | value | floor |", "|---|---|---|"]
    for name, value in result["table"].items():
        floor = FLOORS.get(name)
        mark = "" if floor is None or value is None else f"{floor:.0%}" + (" **missed**" if value < floor else "")
        lines.append(f"| {name} | {'–' if value is None else f'{value:.1%}'} | {mark} |")
    for name, limit in LIMITS.items() if "cost" in result else ():
        value = result["cost"][name]
        lines.append(f"| {name} | {value:.2f} | {limit}{' **missed**' if value > limit else ''} |")
    return "\n".join(lines)
