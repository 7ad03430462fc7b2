"""Figures with thin parts and concave borders: animals, hands, trees, bicycles, and more.

Each function here adds the parts of one random figure to a parts.Kit.
"""

import numpy as np

from segspn.synthetic.parts import HOLE, Kit


def animal(kit):
    """A body on two pairs of legs, with a neck, a head, ears or horns, and a tail."""
    n, coat, shank = kit.number, kit.paint(0), kit.paint()
    long, deep, thin = n(0.45, 0.65), n(0.2, 0.32), n(0.05, 0.1)
    leg = n(0.45, 0.75)
    for side, lag in ((0, 0), (1, np.pi)):
        paint = (255, max(50, shank[1] - 25), shank[2]) if side == 0 else shank
        if side == 1:
            kit.blob((0, 0), (long, deep), coat)
        for x, knee in ((-long * 0.75, 0.5), (long * 0.7, -0.4)):
            kit.limb((x + 0.07 * side, deep * 0.3), np.pi / 2 - knee / 2, leg,
                     (2.2 * thin, thin, thin, 1.3 * thin), paint,
                     knee=knee, swing=n(0.15, 0.4), lag=lag + x)
    kit.limb((-long * 0.9, -deep * 0.3), np.pi + n(-0.8, 0.6), n(0.4, 0.8), (thin, thin * 0.5),
             coat, bend=n(-1.5, 1.5), swing=0.3, wave=n(0.2, 0.8))
    neck = kit.limb((long * 0.7, -deep * 0.3), -n(0.3, 1.2), n(0.25, 0.6), (deep, deep * 0.6),
                    coat, swing=0.12)
    for angle in (-n(1.2, 1.8), -n(0.8, 1.4)):
        kit.limb((0, 0), angle, n(0.12, 0.35), (thin * n(0.8, 2), 0.02), parent=neck,
                 swing=0.2, bend=n(-1, 1))
    kit.blob((0.08, 0.02), (n(0.15, 0.24), n(0.09, 0.14)), parent=neck, angle=n(-0.2, 0.6))


def person(kit):
    """A walker: legs, arms, a torso in other clothes, a head."""
    n, shirt, trousers, skin = kit.number, kit.paint(0), kit.paint(1), kit.paint(0.5)
    thin = n(0.07, 0.12)
    for lag in (0, np.pi):
        thigh = kit.limb((0, 0.1), np.pi / 2, n(0.7, 0.85), (2 * thin, 1.3 * thin, thin),
                         trousers, knee=0.35, swing=n(0.3, 0.6), lag=lag)
        kit.limb((0, 0), -np.pi / 2, 0.14, (thin, thin * 0.8), parent=thigh)
        if lag == 0:
            kit.limb((0, -0.5), n(1, 2), 0.62, (thin, thin * 0.6), skin, knee=-0.6, swing=0.7,
                     lag=np.pi)
            kit.limb((0, 0.15), -np.pi / 2 + n(-0.1, 0.1), 0.65, (0.25, 0.32, 0.3), shirt)
    arm = kit.limb((0.03, -0.48), n(0.6, 2.4), n(0.55, 0.7), (thin, thin * 0.6), skin,
                   knee=-0.6, swing=0.7)
    if kit.rng.random() < 0.5:  # holds a stick
        kit.limb((0, 0), n(-1, 1), n(0.5, 1), (0.03, 0.03), parent=arm)
    kit.blob((n(-0.03, 0.05), -0.68), (n(0.11, 0.14), n(0.14, 0.18)), skin)


def hand(kit):
    """A palm with fingers and a wrist."""
    n, skin = kit.number, kit.paint(0)
    count, width = kit.rng.integers(3, 7), n(0.1, 0.16)
    kit.limb((0, 0.1), np.pi / 2 + n(-0.3, 0.3), n(0.5, 0.9), (0.5, 0.36), skin)
    kit.blob((0, 0), (0.38, 0.36), skin)
    for k, angle in enumerate(np.linspace(-2.6, -0.5, count) + n(-0.2, 0.2)):
        root = (0.3 * np.cos(angle), 0.28 * np.sin(angle))
        kit.limb(root, angle, n(0.4, 0.75), (width, width * 0.9, width * 0.6), skin,
                 bend=n(-0.4, 0.4), knee=n(-0.4, 0.4), swing=0.15, lag=k * 0.7)


def star(kit):
    """A body with spikes, of one curve or of limbs."""
    n, count, paint = kit.number, int(kit.rng.integers(4, 12)), kit.paint(0)
    if kit.rng.random() < 0.4:
        kit.blob((0, 0), (0.62, 0.62), paint, waves=((n(0.45, 0.7), count, n(0, 6)),),
                 spikes=n(1, 3), wobble=0.15)
        return
    core, width = n(0.2, 0.4), n(0.08, 0.25)
    for k in range(count):
        kit.limb((0, 0), 2 * np.pi * k / count + n(-0.2, 0.2), n(0.7, 1.1), (width, width, 0.02),
                 paint, wave=n(0, 0.7), swing=0.1, bend=n(-0.5, 0.5), lag=k)
    kit.blob((0, 0), (core, core))


def ring(kit):
    """A ring with a hole, perhaps with spokes, and with handles or spikes."""
    n, paint = kit.number, kit.paint(0)
    for _ in range(kit.rng.integers(0, 6)):
        kit.limb((0, 0), n(0, 6.3), n(0.9, 1.2), (n(0.05, 0.14), 0.04), bend=n(-0.6, 0.6), wave=0.3)
    outer, stretch = n(0.6, 0.8), n(0.6, 1)
    kit.blob((0, 0), (outer, outer * stretch), paint, rough=0.04)
    inner = outer * n(0.5, 0.85)
    kit.blob((0, 0), (inner, inner * stretch * n(0.8, 1)), HOLE, rough=0.05)
    for k in range(kit.rng.integers(0, 5)):
        kit.limb((0, 0), k * 2.1 + n(0, 1), outer * 0.75, (0.05, 0.05), swing=0.3)


def branching(kit):
    """A stem that forks again and again: a tree, an antler, a coral."""
    n, paint = kit.number, kit.paint(0)
    width, tips = n(0.1, 0.2), []
    stem = kit.limb((0, 0.9), -np.pi / 2 + n(-0.2, 0.2), n(0.7, 1), (width, width * 0.7), paint,
                    bend=n(-0.5, 0.5))
    level = [stem]
    for depth in (1, 2):
        tips = []
        for parent in level:
            for _ in range(kit.rng.integers(2, 4)):
                tips.append(kit.limb((0, 0), n(-1, 1), n(0.35, 0.65) / depth ** 0.5,
                                     (width * 0.6 ** depth, width * 0.35 ** depth), paint,
                                     bend=n(-0.7, 0.7), swing=0.08, lag=n(0, 6), parent=parent,
                                     at=n(0.45, 1)))
        level = tips
    if kit.rng.random() < 0.5:
        leaf = kit.paint(1)
        for tip in level:
            kit.blob((0, 0), (n(0.06, 0.2), n(0.06, 0.14)), leaf, parent=tip, angle=n(0, 3))


def bird(kit):
    """A body between two flapping, feathered wings, with a tail, a beak, and thin legs."""
    n, feather = kit.number, kit.paint()
    for x in (-0.03, 0.06):
        kit.limb((x, 0.12), np.pi / 2 + n(0, 0.4), n(0.25, 0.5), (0.03, 0.025), knee=0.7, swing=0.2)
    kit.limb((-0.3, 0), np.pi - n(0, 0.4), n(0.25, 0.55), (0.1, n(0.15, 0.3)), feather, swing=0.1)
    for angle, lag in ((-n(1.3, 2), 0), (-n(0.9, 1.6), 0.5)):
        wing = kit.limb((0, -0.05), angle, n(0.7, 1), (0.3, 0.22, 0.1, 0.03), feather,
                        swing=0.6, bend=-0.5, lag=lag)
        for at in np.linspace(0.3, 1, kit.rng.integers(4, 8)):
            kit.limb((0, 0), -n(0.5, 0.9), n(0.2, 0.35), (0.08, 0.03), feather, parent=wing, at=at,
                     bend=-0.3)
        if lag == 0:
            kit.blob((0, 0), (n(0.35, 0.45), n(0.15, 0.22)), kit.paint(0))
            kit.limb((0.4, -0.12), n(-0.2, 0.2), n(0.15, 0.3), (0.07, 0.02))
            kit.blob((0.38, -0.12), (0.14, 0.12))


def insect(kit):
    """A body in segments on six or eight jointed legs, with feelers."""
    n, paint, thin = kit.number, kit.paint(), kit.number(0.03, 0.07)
    count = int(kit.rng.integers(3, 5))
    for side in (-1, 1):
        for k in range(count):
            kit.limb((0.15 * (k - count / 2), 0), side * (0.5 + 0.6 * k) + n(-0.1, 0.1), n(0.6, 1),
                     (thin, thin * 0.6), paint, knee=side * n(0.5, 1.2), swing=0.2, lag=k * 2)
        kit.limb((0.4, 0), side * n(0.2, 0.6), n(0.3, 0.6), (0.03, 0.02), bend=side, swing=0.2)
    kit.blob((-0.35, 0), (n(0.3, 0.45), n(0.18, 0.28)), kit.paint(0))
    kit.blob((0.05, 0), (0.22, 0.17))
    kit.blob((0.33, 0), (0.15, 0.14))


def fish(kit):
    """A body with fins and a forked tail, which waves."""
    n, fin = kit.number, kit.paint()
    spine = kit.limb((0.6, 0), np.pi, n(1.1, 1.4), (0.15, n(0.4, 0.7), 0.35, 0.1), kit.paint(0),
                     wave=0.35)
    for side in (-1, 1):
        kit.limb((0, 0), side * n(0.4, 0.8), n(0.3, 0.5), (0.1, 0.16, 0.02), fin, parent=spine,
                 bend=-side * 0.4, swing=0.2)
        for at in np.linspace(0.3, 0.75, kit.rng.integers(1, 6)):
            kit.limb((0, 0), side * n(0.8, 1.3), n(0.25, 0.5), (0.1, 0.02), fin, parent=spine,
                     at=at, swing=0.15, lag=5 * at)


def machine(kit):
    """Two spoked wheels, a frame of bars, a handle: a bicycle."""
    n, bars, tyre = kit.number, kit.paint(0), kit.paint(1)
    radius, thick = n(0.33, 0.42), n(0.04, 0.08)
    for x in (-0.55, 0.55):
        kit.blob((x, 0.3), (radius, radius), tyre, waves=())
        kit.blob((x, 0.3), (radius - thick, radius - thick), HOLE, waves=())
    for x in (-0.55, 0.55):
        for k in range(kit.rng.integers(3, 7)):
            kit.limb((x, 0.3), k * 1.4, radius, (0.025, 0.025), tyre, swing=1.5)
    ends = ((-0.55, 0.3), (-0.2, -0.25), (0.4, -0.2), (0, 0.3), (0.55, 0.3), (0.35, -0.4))
    for a, b in ((0, 1), (1, 2), (2, 3), (1, 3), (0, 3), (4, 5)):
        way = np.subtract(ends[b], ends[a])
        kit.limb(ends[a], np.arctan2(way[1], way[0]), np.hypot(*way), (thick, thick), bars)
    kit.limb((0.35, -0.4), n(-1, 0.6), 0.2, (0.04, 0.04), bend=n(-1, 1))
    kit.blob((-0.22, -0.33), (0.16, 0.05))


def amoeba(kit):
    """A blob of deep bays, perhaps with threads."""
    n = kit.number
    waves = tuple((n(0.05, 0.3), k, n(0, 6.3)) for k in (2, 3, 5, 7))
    for k in range(kit.rng.integers(0, 6)):
        kit.limb((0, 0), n(0, 6.3), n(0.8, 1.2), (0.12, 0.03), wave=0.9, swing=0.2, lag=k)
    kit.blob((0, 0), (n(0.5, 0.75), n(0.45, 0.7)), kit.paint(0), waves=waves, wobble=0.5)


FAMILIES = (animal, animal, animal, person, person, hand, star, ring, branching, bird, insect, fish,
            machine, amoeba)


def figure(rng):
    """The parts of a random figure, as a list."""
    kit = Kit(rng)
    FAMILIES[rng.integers(len(FAMILIES))](kit)
    return kit.parts
