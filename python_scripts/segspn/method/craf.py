"""CRAF, the connected region-aware filter: from the objects' score maps to the labels of a frame.

Section 3 of Cheng et al., arXiv 1709.04609: of each score map the regions are kept that
are the object's (filtered), the objects' maps are arbitrated to labels (arbitrate), and
objects that are lost by that are looked for where they were (recovered); label_frame is
all of it.  Regions are 8-connected.  A region is compared with the object's labels in the
frame before by its IoU.  Thresholds count as the decimals that they are written as, and
comparisons are those of whole numbers.
"""

from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np

from segspn.errors import UserError

SATURATED = 255
MOST_PIXELS = 2 ** 31 - 1  # of a frame: as many as labels of OpenCV's regions, int32


def _setting(default, most, meaning):
    return field(default=default, metadata={"most": most, "meaning": meaning})


@dataclass(frozen=True)
class Thresholds:
    """What decides over regions and labels; the defaults are the published ones.

    Each has its meaning in its field's metadata.  Raises UserError for one that is
    out of its range, from 0 to "most".
    """

    region_score: int = _setting(
        30, 255, "an object's regions are where its score is greater, of 255")
    region_overlap: float = _setting(
        0.01, 1, "IoU with the object in the frame before that a region must exceed to be kept")
    region_share: float = _setting(
        0.2, 1, "the first kept region of a greater share of the object's largest is the last")
    label_score: int = _setting(
        100, 255, "score that a pixel's best object must reach, of 255")
    lost_pixels: int = _setting(
        100, MOST_PIXELS, "an object that had fewer pixels in the frame before is not recovered")
    lost_share: float = _setting(
        0.3, 1, "an object with less than this share of its pixels in the frame before is lost")
    recovery_overlap: float = _setting(
        0.2, 1, "IoU with the lost object in the frame before that a region must exceed")
    restart_share: float = _setting(
        0, 1, "an object with less than this share of its annotation's pixels in the frame before "
        "is looked for in its largest region (the published rules: never)")

    def __post_init__(self):
        for setting in fields(self):
            value, most = getattr(self, setting.name), setting.metadata["most"]
            kinds = (int, np.integer) if setting.type is int else (int, float, np.number)
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value <= most:
                kind = "a whole number" if setting.type is int else "a number"
                raise UserError(f"{setting.name.replace('_', '-')} must be {kind} "
                                f"from 0 to {most}, not {value}")
            object.__setattr__(self, setting.name, setting.type(value))


class Regions(NamedTuple):
    """The n regions of a mask.

    ids      int32, H x W: 1..n, 0 outside of all
    areas    int64, n: pixels
    lefts    int32, n: the first column
    """

    ids: np.ndarray
    areas: np.ndarray
    lefts: np.ndarray


def regions_of(mask):
    """The Regions of a mask, bool, H x W."""
    _, ids, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return Regions(ids, stats[1:, cv2.CC_STAT_AREA].astype(np.int64),
                   stats[1:, cv2.CC_STAT_LEFT])


def overlaps(regions, target):
    """(intersections, unions) of n regions with a mask (bool, H x W): pixels, int64, n each."""
    common = np.bincount(regions.ids[target], minlength=len(regions.areas) + 1)[1:]
    return common, regions.areas + np.count_nonzero(target) - common


def _excess(parts, wholes, threshold):
    """Positive where parts / wholes > threshold, 0 where they are equal, else negative.

    parts, wholes: integers below 2^31, or arrays of them.  Exact: 0.3 is 3/10 here.
    """
    numerator, denominator = Fraction(str(threshold)).as_integer_ratio()
    # Python's integers where int64 could overflow: thresholds of ten decimals and more.
    kind = np.int64 if denominator < 2 ** 31 else object
    return (np.asarray(parts).astype(kind) * denominator
            - np.asarray(wholes).astype(kind) * numerator)


def filtered(score_map, before, thresholds):
    """An object's score map (uint8, H x W) with those of its regions alone that are its own.

    before: bool, H x W, the object in the frame before.  The region with the
    greatest IoU is kept, its scores saturated, and the search goes on with the
    others, until a region is not small beside the object's largest: that one is
    kept with its scores as they are, and all other regions become 0.  The whole map
    becomes 0 if there is no such region, or none at all.
    """
    regions = regions_of(score_map > thresholds.region_score)
    kept = _kept(regions, before, thresholds)
    if not len(kept):
        return np.zeros_like(score_map)
    result = score_map.copy()
    result[_among(regions, kept, negated=True)] = 0
    if len(kept) > 1:
        result[_among(regions, kept[:-1])] = SATURATED
    return result


def restarted(score_map, before, annotated, thresholds):
    """Where to look for an object: `before`, or its largest region where it is all but gone.

    score_map, before: as of filtered(); annotated: pixels of its annotation.  Not of the paper,
    in which an object without labels has none ever after.
    """
    if _excess(np.count_nonzero(before), annotated, thresholds.restart_share) >= 0:
        return before
    regions = regions_of(score_map > thresholds.region_score)
    return regions.ids == 1 + regions.areas.argmax() if len(regions.areas) else before


def _among(regions, chosen, negated=False):
    """bool, H x W: the pixels of the regions with these ids; negated, of all other regions."""
    table = np.full(len(regions.areas) + 1, negated)
    table[chosen] = not negated
    table[0] = False
    return table[regions.ids]


def _kept(regions, before, thresholds):
    """Ids of the regions that are kept, in the order in which they are found; [] for none."""
    common, unions = overlaps(regions, before)
    found = np.flatnonzero(_excess(common, unions, thresholds.region_overlap) > 0)
    if not len(found):
        return found
    # float64 tells any two IoUs of frames below 2^26 px apart: they differ by more than 2^-52.
    ratios = common[found] / unions[found]
    lefts = regions.lefts[found]
    tops = [(regions.ids[:, left] == j + 1).argmax() for j, left in zip(found, lefts)]
    found = found[np.lexsort((tops, lefts, -ratios))]
    is_large = _excess(regions.areas[found], regions.areas.max(), thresholds.region_share) > 0
    return found[:is_large.argmax() + 1] + 1 if is_large.any() else found[:0]


def recovered(labels, score_maps, objects, before, thresholds):
    """Labels (uint8, H x W) to which lost objects are added where they are likely to be.

    score_maps  uint8, n x H x W, unfiltered
    objects     their ids, in ascending order
    before      uint8, H x W: labels of the frame before

    An object that lost most of its pixels since gets all regions, in the score map
    of any object, of pixels that have a score and no label yet, if they overlap
    enough with where it was.
    """
    labels, free = labels.copy(), {}  # free: regions of each score map, until a label changes
    for k in objects:
        was = before == k
        had, has = np.count_nonzero(was), np.count_nonzero(labels == k)
        if had < thresholds.lost_pixels or _excess(has, had, thresholds.lost_share) >= 0:
            continue
        for index, score_map in enumerate(score_maps):
            mask = (score_map > 0) & (labels == 0)
            # A bound: no region shares more pixels with it than all do, and no union is smaller.
            if _excess(np.count_nonzero(mask & was), had, thresholds.recovery_overlap) <= 0:
                continue
            if index not in free:
                free[index] = regions_of(mask)
            found = 1 + np.flatnonzero(
                _excess(*overlaps(free[index], was), thresholds.recovery_overlap) > 0)
            if len(found):
                labels[_among(free[index], found)] = k
                free.clear()
    return labels


def arbitrate(score_maps, objects, foreground, threshold=Thresholds.label_score):
    """Labels, uint8 H x W, of score maps (uint8, n x H x W) inside a foreground (bool, H x W).

    objects: the n ids that the maps are of, in ascending order, from 1 to 254.
    A pixel gets the object with the greatest score, the lowest id among equals; 0
    where that score is below the threshold, and 0 outside the foreground.
    """
    score_maps = np.asarray(score_maps)
    labels = np.array(objects, np.uint8)[score_maps.argmax(0)]
    labels[score_maps.max(0) < threshold] = 0
    labels[~foreground] = 0
    return labels


def label_frame(score_maps, objects, before, foreground, thresholds=None, *,
                filtering=True, recovery=True, annotated=()):
    """Labels of a frame, uint8, H x W: filter, arbitration, and recovery of lost objects.

    score_maps  uint8, n x H x W
    objects     their ids, in ascending order, from 1 to 254; there may be gaps
    before      uint8, H x W: labels of the frame before; void, 255, is no object's
    foreground  bool, H x W
    thresholds  Thresholds, the published ones by default
    filtering   without it, score maps stay as they are
    recovery    without it, what is lost is lost
    annotated   pixels of the objects in their annotation, for restart_share; () for no restart
    """
    thresholds = thresholds or Thresholds()
    maps = np.asarray(score_maps)
    if filtering:
        was = [before == k for k in objects]
        if len(annotated):
            was = [restarted(*each, thresholds) for each in zip(maps, was, annotated)]
        maps = np.stack([filtered(*each, thresholds) for each in zip(maps, was)])
    labels = arbitrate(maps, objects, foreground, thresholds.label_score)
    if recovery:
        labels = recovered(labels, score_maps, objects, before, thresholds)
        labels[~foreground] = 0
    return labels
