"""The rules of filter, arbitration and recovery as they are written, a pixel at a time.

Slow, and with nothing of the library in it.  Maps are lists of rows of integers,
thresholds fractions.  What was decided is counted in `seen`.
"""

from collections import Counter
from fractions import Fraction

PUBLISHED = {
    "region_score": 30, "region_overlap": Fraction(1, 100), "region_share": Fraction(1, 5),
    "label_score": 100, "lost_pixels": 100, "lost_share": Fraction(3, 10),
    "recovery_overlap": Fraction(1, 5)}


def pixels_where(plane, condition):
    """Set of the (row, column) where a condition holds."""
    return {(y, x) for y, row in enumerate(plane) for x, value in enumerate(row)
            if condition(value)}


def regions(pixels):
    """The 8-connected regions of a set of pixels, in the column-major order of their first."""
    left, found = set(pixels), []
    for start in sorted(pixels, key=lambda pixel: (pixel[1], pixel[0])):
        if start not in left:
            continue
        region, waiting = set(), [start]
        left.discard(start)
        while waiting:
            y, x = waiting.pop()
            region.add((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in left:
                    left.discard(near)
                    waiting.append(near)
        found.append(region)
    return found


def iou(region, target):
    return Fraction(len(region & target), len(region | target)) if region | target else Fraction(0)


def filtered(score_map, target, limits, seen):
    """Rule A: the map of an object that was at `target`, a set of pixels."""
    result = [list(row) for row in score_map]
    found = regions(pixels_where(score_map, lambda s: s > limits["region_score"]))
    overlaps, kept = [iou(region, target) for region in found], []
    while True:
        best = max(overlaps, default=Fraction(0))
        if best <= limits["region_overlap"]:
            seen["nothing" if not found else "gone after kept" if kept else "gone"] += 1
            return [[0] * len(row) for row in score_map]
        seen["tie"] += overlaps.count(best) > 1
        j = overlaps.index(best)  # the first among equals
        if Fraction(len(found[j]), max(map(len, found))) > limits["region_share"]:
            for other, region in enumerate(found):
                if other != j and other not in kept:
                    for y, x in region:
                        result[y][x] = 0
            seen["complete after kept" if kept else "complete"] += 1
            return result
        kept.append(j)
        for y, x in found[j]:
            result[y][x] = 255
        overlaps[j] = Fraction(0)


def arbitrated(score_maps, objects, foreground, limits, seen):
    """Rule B: the labels of filtered maps."""
    labels = [[0] * len(row) for row in foreground]
    for y, row in enumerate(foreground):
        for x, inside in enumerate(row):
            best, winner = -1, 0
            for score_map, o in zip(score_maps, objects):
                seen["equal scores"] += score_map[y][x] == best
                if score_map[y][x] > best:  # not >=: the lowest among equals
                    best, winner = score_map[y][x], o
            labels[y][x] = winner if best >= limits["label_score"] and inside else 0
    return labels


def recover(labels, score_maps, objects, before, limits, seen):
    """Rule C, on `labels` themselves."""
    for o in objects:
        was = pixels_where(before, lambda label, o=o: label == o)
        has = pixels_where(labels, lambda label, o=o: label == o)
        if len(was) < limits["lost_pixels"]:
            continue
        if len(has) >= limits["lost_share"] * len(was):
            continue
        seen["lost"] += 1
        for k, score_map in zip(objects, score_maps):
            taken = pixels_where(labels, lambda label: label > 0)
            free = pixels_where(score_map, lambda score: score > 0) - taken
            for region in regions(free):
                if iou(region, was) > limits["recovery_overlap"]:
                    seen["recovered from its own map" if k == o else "from another map"] += 1
                    for y, x in region:
                        labels[y][x] = o


def label_frame(score_maps, objects, before, foreground, limits=None, *, filtering=True,
                recovery=True, seen=None):
    """All rules.  Arrays or lists of rows in, a list of rows out."""
    limits, seen = {**PUBLISHED, **(limits or {})}, Counter() if seen is None else seen
    score_maps = [[[int(s) for s in row] for row in score_map] for score_map in score_maps]
    before = [[int(label) for label in row] for row in before]
    maps = score_maps
    if filtering:
        maps = [filtered(score_map, pixels_where(before, lambda label, o=o: label == o), limits,
                         seen) for score_map, o in zip(score_maps, objects)]
    labels = arbitrated(maps, objects, foreground, limits, seen)
    if recovery:
        recover(labels, score_maps, objects, before, limits, seen)
        labels = [[label if inside else 0 for label, inside in zip(*rows)]
                  for rows in zip(labels, foreground)]
    return labels
