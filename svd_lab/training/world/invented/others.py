"""Plants, leaves and balloons of random shapes; each function draws one on a page."""

import math

from svd_lab.training.world.invented.pen import Pen


def plant(p: Pen) -> None:
    r = p.rng
    green = p.colour(r.uniform(0.22, 0.42))
    if r.random() < 0.5:  # a tree
        p.stroke(
            [(0.5, 0.9), (0.5 + r.uniform(-0.04, 0.04), 0.5)],
            r.uniform(0.06, 0.12),
            p.colour(r.uniform(0.04, 0.1)),
            0.7,
        )
        if r.random() < 0.4:
            for k in range(3):
                w = 0.14 + 0.08 * k
                p.shape([(0.5, 0.08 + 0.16 * k), (0.5 - w, 0.38 + 0.17 * k), (0.5 + w, 0.38 + 0.17 * k)], green)
        else:
            for _ in range(r.randint(3, 7)):
                size = r.uniform(0.12, 0.2)
                p.oval(0.5 + r.uniform(-0.17, 0.17), 0.36 + r.uniform(-0.14, 0.12), size, size, green)
        return
    p.stroke([(0.5, 0.92), (0.5 + r.uniform(-0.08, 0.08), 0.6), (0.5, 0.34)], r.uniform(0.02, 0.05), green)
    for sign in (-1, 1):
        p.oval(0.5 + sign * 0.12, r.uniform(0.62, 0.76), 0.12, 0.04, green, -sign * r.uniform(0.3, 0.8))
    n, size = r.randint(4, 9), r.uniform(0.07, 0.11)
    for k in range(n):
        a = k * math.tau / n
        p.oval(0.5 + 0.12 * math.cos(a), 0.3 + 0.12 * math.sin(a), size * 1.2, size * 0.8, p.main, a)
    p.oval(0.5, 0.3, 0.07, 0.07, p.third)


def balloon(p: Pen) -> None:
    r = p.rng
    rx, ry = r.uniform(0.2, 0.28), r.uniform(0.24, 0.32)
    p.stroke([(0.5, 0.36 + ry), (0.5 + r.uniform(-0.06, 0.06), 0.8), (0.5, 0.95)], 0.012, p.dark)
    p.shape([(0.47, 0.38 + ry), (0.5, 0.34 + ry), (0.53, 0.38 + ry)], p.main)
    p.oval(0.5, 0.36, rx, ry, p.main)
    p.marks(0.5, 0.36, 0.8 * rx, 0.8 * ry)
    p.oval(0.5 - 0.4 * rx, 0.36 - 0.4 * ry, 0.05, 0.08, p.pale, 0.5)


def leaf(p: Pen) -> None:
    r = p.rng
    wide, colour = r.uniform(0.12, 0.26), p.colour(r.choice([r.uniform(0, 0.14), r.uniform(0.2, 0.4)]))
    points = [
        (0.5 + sign * wide * math.sin(t * math.pi) ** r.uniform(0.7, 1.2), 0.12 + 0.66 * t)
        for sign, ts in ((1, range(21)), (-1, range(20, -1, -1)))
        for t in (k / 20 for k in ts)
    ]
    p.shape(points, colour)
    p.stroke([(0.5, 0.2), (0.5, 0.92)], 0.018, p.dark)
    for k in range(4):
        for sign in (-1, 1):
            y = 0.3 + 0.11 * k
            p.stroke([(0.5, y + 0.07), (0.5 + sign * wide * 0.6, y)], 0.01, p.dark)
    p.turn(r.uniform(-60, 60))
