"""Animals of random shapes, all facing left; each function draws one on a page."""

import math

from svd_lab.training.world.invented.pen import SIDE, Pen


def quadruped(p: Pen) -> None:
    r = p.rng
    x, y, rx, ry = 0.56, 0.5, r.uniform(0.2, 0.3), r.uniform(0.1, 0.19)
    leg, wide = r.uniform(0.1, 0.32), r.uniform(0.035, 0.08)
    stride = r.uniform(0, 0.1)
    for side, colour in ((0.03, p.second if r.random() < 0.3 else tuple(int(c * 0.75) for c in p.main)), (0.0, p.main)):
        for at, sign in ((-0.72, -1), (0.72, 1)):
            foot = x + at * rx + side + sign * stride * (1 if side else -0.6)
            p.stroke(
                [(x + at * rx + side, y + 0.3 * ry), (foot, y + ry * 0.6 + leg)], wide, colour, r.uniform(0.5, 0.9)
            )
    tail = r.random()
    root = (x + 0.92 * rx, y - 0.3 * ry)
    if tail < 0.5:
        end = (root[0] + r.uniform(0.06, 0.16), root[1] + r.uniform(-0.2, 0.22))
        p.stroke(
            [root, ((root[0] + end[0]) / 2 + 0.03, root[1] + r.uniform(-0.05, 0.05)), end],
            r.uniform(0.02, 0.07),
            p.main,
            r.uniform(0.4, 1.8),
        )
    elif tail < 0.75:
        p.oval(root[0] + 0.02, root[1], 0.04, 0.04, p.pale)
    p.oval(x, y, rx, ry, p.main, r.uniform(-0.12, 0.12))
    p.marks(x, y, rx, ry)
    lift, reach = r.uniform(0.02, 0.34) * r.random() ** 0.5, r.uniform(0.02, 0.12)
    neck = (x - 0.75 * rx, y - 0.3 * ry)
    hx, hy, size = neck[0] - reach, neck[1] - lift, r.uniform(0.07, 0.13)
    p.stroke([neck, (hx, hy)], r.uniform(0.09, 0.16), p.main, r.uniform(0.6, 0.9))
    ears = r.random()
    for dx in (0.05, 0.015):
        tip = (hx + dx + r.uniform(-0.01, 0.05), hy - size - r.uniform(0.03, 0.14))
        if ears < 0.4:
            p.shape([(hx + dx - 0.03, hy - 0.6 * size), tip, (hx + dx + 0.035, hy - 0.5 * size)], p.main)
        elif ears < 0.65:
            p.oval(hx + dx, hy - size, 0.035, 0.035, p.second)
        elif ears < 0.85:  # horns
            p.stroke([(hx + dx, hy - 0.7 * size), (tip[0] - 0.08 * r.random(), tip[1])], 0.03, p.pale, 0.3)
    p.oval(hx, hy, size, size * r.uniform(0.7, 1), p.main)
    long = r.uniform(0.3, 1.4) * size
    p.stroke(
        [(hx - 0.3 * size, hy + 0.2 * size), (hx - 0.4 * size - long, hy + r.uniform(0.2, 0.6) * size)],
        size,
        p.pale if r.random() < 0.4 else p.main,
        0.7,
    )
    p.oval(hx - 0.55 * size - long, hy + 0.3 * size, 0.018, 0.015, p.dark)
    p.eye(hx - 0.25 * size, hy - 0.2 * size, r.uniform(0.012, 0.024))
    if r.random() < 0.2:  # a mane
        for k in range(6):
            p.oval(
                hx + 0.4 * size + k / 6 * (neck[0] - hx), hy - 0.5 * size + k / 6 * (neck[1] - hy), 0.035, 0.045, p.dark
            )


def hopper(p: Pen) -> None:
    r = p.rng
    x, y = 0.56, 0.58
    p.oval(x + 0.06, y, r.uniform(0.18, 0.22), r.uniform(0.16, 0.2), p.main)
    p.oval(x + 0.12, y + 0.06, 0.13, 0.11, tuple(int(c * 0.88) for c in p.main))
    p.stroke([(x + 0.14, y + 0.17), (x - 0.06, y + 0.2)], 0.07, p.main, 0.9)
    p.stroke([(x - 0.1, y + 0.02), (x - 0.13, y + 0.2)], 0.06, p.main, 0.8)
    if r.random() < 0.6:
        p.oval(x + 0.27, y + 0.02, 0.05, 0.05, p.pale)
    else:
        p.stroke([(x + 0.22, y + 0.1), (x + 0.36, y + 0.2)], 0.07, p.main, 0.3)
    hx, hy, size = x - r.uniform(0.12, 0.18), y - r.uniform(0.14, 0.3), r.uniform(0.09, 0.13)
    p.stroke([(x - 0.04, y - 0.05), (hx, hy)], 0.16, p.main, 0.8)
    back = r.uniform(-0.02, 0.14)
    for dx in (0.0, 0.05):
        p.stroke([(hx + dx, hy - 0.5 * size), (hx + dx + back, hy - size - r.uniform(0.12, 0.22))], 0.05, p.main, 0.7)
    p.oval(hx, hy, size, 0.85 * size, p.main)
    p.stroke([(hx - 0.3 * size, hy + 0.2 * size), (hx - size, hy + 0.3 * size)], 0.9 * size, p.main, 0.6)
    p.oval(hx - 1.1 * size, hy + 0.25 * size, 0.018, 0.015, p.dark)
    p.eye(hx - 0.2 * size, hy - 0.15 * size, 0.02)


def bird(p: Pen) -> None:
    r = p.rng
    x, y, rx, ry, tilt = 0.52, 0.52, r.uniform(0.17, 0.25), r.uniform(0.1, 0.16), r.uniform(-0.1, 0.5)
    flying = r.random() < 0.5
    end = (x + rx * 1.7, y + tilt * rx * 1.3)
    p.shape(
        [
            (x + 0.5 * rx, y - 0.5 * ry),
            (end[0], end[1] - 0.05),
            (end[0] + 0.02, end[1] + 0.06),
            (x + 0.4 * rx, y + 0.6 * ry),
        ],
        p.second,
    )
    if flying:
        up = r.uniform(0.22, 0.34)
        p.shape(
            [(x - 0.2 * rx, y), (x + 0.25, y - up * 0.9), (x + 0.34, y - up * 0.5), (x + 0.6 * rx, y)],
            tuple(int(c * 0.75) for c in p.main),
        )
    elif r.random() < 0.8:
        for dx in (-0.02, 0.06):
            p.stroke(
                [(x + dx, y + 0.7 * ry), (x + dx, y + ry + r.uniform(0.06, 0.14)), (x + dx - 0.05, y + ry + 0.14)],
                0.022,
                p.third,
            )
    p.oval(x, y, rx, ry, p.main, tilt)
    p.marks(x, y, rx * 0.8, ry * 0.8)
    hx, hy, size = x - rx * 0.85, y - ry * r.uniform(0.5, 1.3) - 0.02, r.uniform(0.075, 0.11)
    p.stroke([(x - 0.4 * rx, y - 0.1 * ry), (hx, hy)], 1.6 * size, p.main, 1.0)
    p.oval(hx, hy, size, size, p.main)
    beak = r.uniform(0.06, 0.15)
    p.shape(
        [
            (hx - 0.8 * size, hy - 0.35 * size),
            (hx - size - beak, hy + r.uniform(0, 0.5) * size),
            (hx - 0.8 * size, hy + 0.5 * size),
        ],
        p.third,
    )
    p.eye(hx - 0.3 * size, hy - 0.2 * size, 0.018)
    if flying:
        p.shape(
            [(x - 0.5 * rx, y), (x + 0.02, y - r.uniform(0.24, 0.38)), (x + 0.2, y - 0.22), (x + 0.5 * rx, y)], p.second
        )
    else:
        p.oval(x + 0.25 * rx, y + 0.05, 0.65 * rx, 0.55 * ry, p.second, tilt + 0.2)


def fish(p: Pen) -> None:
    r = p.rng
    x, y, rx, ry = 0.46, 0.5, r.uniform(0.22, 0.3), r.uniform(0.09, 0.24)
    fork, high = r.uniform(0, 0.08), r.uniform(0.09, 0.2)
    p.shape(
        [(x + 0.8 * rx, y), (x + rx + 0.15, y - high), (x + rx + 0.15 - fork, y), (x + rx + 0.15, y + high)], p.second
    )
    at = r.uniform(-0.4, 0.3) * rx
    p.shape(
        [(x + at, y - 0.7 * ry), (x + at + 0.16, y - ry - r.uniform(0.02, 0.13)), (x + at + 0.2, y - 0.4 * ry)],
        p.second,
    )
    if r.random() < 0.7:
        p.shape(
            [(x + at, y + 0.7 * ry), (x + at + 0.12, y + ry + r.uniform(0.02, 0.1)), (x + at + 0.15, y + 0.4 * ry)],
            p.second,
        )
    points = []
    for k in range(40):  # pointed at the tail
        a = k * math.tau / 40
        points.append((x + rx * math.cos(a), y + ry * math.sin(a) * (1 - 0.35 * max(0, math.cos(a)))))
    p.shape(points, p.main)
    p.marks(x, y, 0.85 * rx, 0.8 * ry)
    p.oval(x - 0.05 * rx, y + 0.2 * ry, 0.07, 0.03, p.second, 0.4)
    if r.random() < 0.5:
        p.draw.arc(
            [(x - 0.6 * rx) * SIDE, (y - 0.6 * ry) * SIDE, (x - 0.3 * rx) * SIDE, (y + 0.6 * ry) * SIDE],
            -80,
            80,
            p.dark,
            4,
        )
    p.eye(x - 0.65 * rx, y - 0.2 * ry, r.uniform(0.015, 0.03))
    p.stroke([(x - 0.95 * rx, y + 0.25 * ry), (x - 0.75 * rx, y + 0.32 * ry)], 0.012, p.dark)


def whale(p: Pen) -> None:
    r = p.rng
    x, y, size = 0.38, 0.56, r.uniform(0.15, 0.21)
    tip = (x + r.uniform(0.36, 0.46), y - r.uniform(-0.02, 0.24))
    p.stroke([(x, y), (x + 0.2, y + r.uniform(-0.02, 0.06)), tip], 2 * size, p.main, r.uniform(0.12, 0.25))
    spread = r.uniform(0.07, 0.12)
    for sign in (-1, 1):
        p.oval(tip[0] + 0.03, tip[1] + sign * spread * 0.6 - 0.03, 0.035, spread, p.main, sign * -0.7)
    p.oval(x + 0.02, y + 0.45 * size, 0.95 * size, 0.5 * size, p.pale)
    p.oval(x + 0.1, y + 0.85 * size, 0.1, 0.035, tuple(int(c * 0.8) for c in p.main), 0.6)
    if r.random() < 0.4:
        p.shape([(x + 0.1, y - 0.8 * size), (x + 0.24, y - size - 0.08), (x + 0.25, y - 0.5 * size)], p.main)
    if r.random() < 0.4:
        p.stroke([(x - 0.12, y + 0.1), (x - size - r.uniform(0.02, 0.1), y + 0.12)], 0.09, p.main, 0.5)
    p.eye(x - 0.45 * size, y - 0.05 * size, 0.018)
