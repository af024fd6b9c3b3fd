"""Vehicles and boats of random shapes facing left; rockets and airplanes facing up and right; each function draws one."""

import math
from collections.abc import Sequence

from svd_lab.training.world.invented.pen import Pen


def wheels(p: Pen, y: float, places: Sequence[float], size: float) -> None:
    for x in places:
        p.oval(x, y, size, size, (35, 35, 42))
        p.oval(x, y, 0.5 * size, 0.5 * size, p.pale if p.rng.random() < 0.5 else (200, 200, 205))


def car(p: Pen) -> None:
    r = p.rng
    low, belt, top = 0.64, r.uniform(0.46, 0.52), r.uniform(0.28, 0.38)
    hood, boot = r.uniform(0.24, 0.36), r.uniform(0.7, 0.92)
    front = belt + r.uniform(0.0, 0.05)
    p.shape(
        [(0.08, low), (0.06, front + 0.05), (0.1, front), (hood, belt), (boot, belt), (0.93, belt + 0.03), (0.94, low)],
        p.main,
    )
    slant = r.uniform(0.05, 0.14)
    p.shape(
        [(hood - 0.02, belt + 0.01), (hood + slant, top), (boot - r.uniform(0, 0.1), top), (boot + 0.02, belt + 0.01)],
        p.main if r.random() < 0.7 else p.second,
    )
    glass = (165, 215, 240) if r.random() < 0.7 else p.pale
    middle = (hood + slant + boot) / 2
    p.shape(
        [(hood + 0.03, belt), (hood + slant + 0.015, top + 0.03), (middle - 0.015, top + 0.03), (middle - 0.015, belt)],
        glass,
    )
    p.shape(
        [(middle + 0.015, belt), (middle + 0.015, top + 0.03), (boot - 0.11, top + 0.03), (boot - 0.04, belt)], glass
    )
    p.oval(0.1, front + 0.06, 0.03, 0.028, (255, 235, 150))
    p.box(0.91, belt + 0.06, 0.945, belt + 0.1, (200, 40, 40))
    wheels(p, low + 0.02, (r.uniform(0.22, 0.28), r.uniform(0.72, 0.8)), r.uniform(0.075, 0.1))


def truck(p: Pen) -> None:
    r = p.rng
    low, top = 0.66, r.uniform(0.2, 0.34)
    cab, high = r.uniform(0.28, 0.38), r.uniform(0.34, 0.46)
    p.box(cab + 0.02, top, 0.95, low, p.second, r.uniform(0, 0.04))
    if r.random() < 0.4:
        p.box(cab + 0.1, top + 0.08, 0.87, top + 0.16, p.third)
    p.shape([(0.05, low), (0.05, 0.5), (0.08 + r.uniform(0, 0.08), high), (cab, high), (cab, low)], p.main)
    p.shape([(0.085, 0.51), (0.14, high + 0.03), (cab - 0.05, high + 0.03), (cab - 0.05, 0.51)], (170, 218, 240))
    p.oval(0.07, 0.58, 0.025, 0.025, (255, 235, 150))
    wheels(p, low + 0.01, (0.2, *r.choice([(0.78,), (0.68, 0.84), (0.5, 0.72, 0.86)])), r.uniform(0.065, 0.085))


def bus(p: Pen) -> None:
    r = p.rng
    low, top, slant = 0.68, r.uniform(0.26, 0.36), r.uniform(0.0, 0.16)
    p.shape([(0.05, low), (0.05, 0.55), (0.06 + slant, top), (0.93, top), (0.95, low)], p.main)
    p.box(0.05, r.uniform(0.56, 0.6), 0.95, low - 0.02, p.second, 0)
    p.shape(
        [(0.075, 0.53), (0.09 + slant * 0.9, top + 0.05), (0.2 + slant / 2, top + 0.05), (0.2 + slant / 2, 0.53)],
        (170, 218, 240),
    )
    n = r.randint(3, 5)
    for k in range(n):
        x = 0.25 + slant / 2 + k * (0.66 - slant / 2) / n
        p.box(x, top + 0.05, x + (0.66 - slant / 2) / n - 0.03, 0.5, (170, 218, 240), 0.015)
    p.oval(0.075, 0.62, 0.025, 0.025, (255, 235, 150))
    if r.random() < 0.7:
        wheels(p, low + 0.01, (0.23, 0.77), 0.07)
    else:  # on rails
        p.box(0.1, low, 0.92, low + 0.04, p.dark, 0)


def boat(p: Pen) -> None:
    r = p.rng
    deck, keel, bow = r.uniform(0.56, 0.62), r.uniform(0.72, 0.78), r.uniform(0.03, 0.12)
    p.shape(
        [
            (bow, deck - r.uniform(0.01, 0.07)),
            (0.3, deck),
            (0.93, deck),
            (0.86 + r.uniform(0, 0.08), keel),
            (bow + r.uniform(0.12, 0.22), keel),
        ],
        p.main,
    )
    p.shape([(bow + 0.1, keel - 0.04), (0.87, keel - 0.04), (0.86, keel), (bow + 0.14, keel)], p.third)
    kind = r.random()
    if kind < 0.4:  # sails: the smaller one before the mast
        mast = r.uniform(0.42, 0.55)
        p.box(mast - 0.012, 0.1, mast + 0.012, deck, p.dark, 0)
        p.shape(
            [(mast + 0.025, 0.12), (mast + r.uniform(0.25, 0.36), deck - 0.05), (mast + 0.025, deck - 0.05)], p.pale
        )
        if r.random() < 0.7:
            p.shape(
                [(mast - 0.025, r.uniform(0.16, 0.3)), (bow + 0.08, deck - 0.06), (mast - 0.025, deck - 0.06)], p.second
            )
    else:
        levels = r.randint(1, 3)
        left = r.uniform(0.3, 0.45)
        for k in range(levels):
            y = deck - 0.1 * (k + 1)
            p.shape(
                [
                    (left + 0.05 * k, y + 0.1),
                    (left + 0.05 * k + 0.04, y),
                    (0.86 - 0.05 * k, y),
                    (0.86 - 0.05 * k, y + 0.1),
                ],
                (240, 240, 240) if k % 2 == 0 else p.second,
            )
            for w in range(4):
                p.box(
                    left + 0.1 + 0.05 * k + w * 0.09,
                    y + 0.03,
                    left + 0.15 + 0.05 * k + w * 0.09,
                    y + 0.07,
                    (120, 180, 215),
                    0.01,
                )
        if r.random() < 0.5:
            x = r.uniform(0.6, 0.72)
            p.box(x, deck - 0.1 * levels - 0.14, x + 0.09, deck - 0.1 * levels, p.third, 0)
    if r.random() < 0.3:
        p.box(0.0, keel - 0.03, 1.0, keel + 0.1, (80, 160, 225), 0)


def rocket(p: Pen) -> None:
    """Upright first; `turned` then lays it over to the right."""
    r = p.rng
    wide, top, low = r.uniform(0.09, 0.15), r.uniform(0.1, 0.18), r.uniform(0.66, 0.74)
    for sign in (-1, 1):
        p.shape(
            [
                (0.5 + sign * wide * 0.8, low - r.uniform(0.14, 0.24)),
                (0.5 + sign * (wide + r.uniform(0.07, 0.14)), low + 0.05),
                (0.5 + sign * wide * 0.7, low),
            ],
            p.second,
        )
    flame = r.uniform(0.06, 0.2)
    p.shape([(0.5 - 0.6 * wide, low), (0.5, low + flame), (0.5 + 0.6 * wide, low)], (255, 165, 45))
    body = [
        (
            0.5 + sign * wide * math.sin(min(1, t * 2.2) * math.pi / 2) * (1 - 0.25 * max(0, t - 0.6)),
            top + (low - top) * t,
        )
        for sign, ts in ((1, range(21)), (-1, range(20, -1, -1)))
        for t in (k / 20 for k in ts)
    ]
    p.shape(body, p.pale if r.random() < 0.6 else p.main)
    nose = [q for q in body if q[1] < top + 0.26 * (low - top)]
    p.shape(nose, p.second)
    p.oval(0.5, top + 0.42 * (low - top), 0.45 * wide, 0.45 * wide, p.dark)
    p.oval(0.5, top + 0.42 * (low - top), 0.33 * wide, 0.33 * wide, (150, 215, 245))
    p.turn(r.uniform(35, 55))


def airplane(p: Pen) -> None:
    r = p.rng
    wide = r.uniform(0.04, 0.07)
    sweep, span = r.uniform(0.0, 0.2), r.uniform(0.3, 0.42)
    for sign in (-1, 1):
        p.shape(
            [(0.5, 0.4), (0.5 + sign * span, 0.45 + sweep), (0.5 + sign * span, 0.5 + sweep), (0.5, 0.56)], p.second
        )
        p.shape(
            [
                (0.5, 0.76),
                (0.5 + sign * span * 0.45, 0.82 + sweep / 3),
                (0.5 + sign * span * 0.45, 0.86 + sweep / 3),
                (0.5, 0.84),
            ],
            p.second,
        )
    p.stroke([(0.5, 0.12), (0.5, 0.88)], 2 * wide, p.main, 0.6)
    p.oval(0.5, 0.16, 0.6 * wide, 0.05, (140, 205, 240))
    p.turn(r.uniform(35, 55))
