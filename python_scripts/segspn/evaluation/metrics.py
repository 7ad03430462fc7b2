"""Region similarity J, boundary accuracy F and their statistics, of DAVIS 2017.

J and F are those of Perazzi et al., "A Benchmark Dataset and Evaluation
Methodology for Video Object Segmentation" (CVPR 2016), in the conventions of
the evaluation of DAVIS 2017: a mask an object, and a value a frame.  All
functions are pure; masks are bool, H x W, as are void pixels, which count for
nothing.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from segspn.errors import UserError

TOLERANCE = 0.008  # of the image's diagonal
RECALL_AT = 0.5  # a value above it counts as found


class Statistics(NamedTuple):
    """Of a sequence's values: mean, fraction above 0.5, and first minus last quarter."""

    mean: float
    recall: float
    decay: float


def jaccard(annotation, result, void=None):
    """J, in 0..1: intersection over union of two masks; 1.0 where both are empty.

    Void pixels are left out.  Raises UserError where sizes differ, ValueError
    for what is not a mask.
    """
    annotation, result = _masks(annotation, result, void)
    union = np.count_nonzero(annotation | result)
    return float(np.count_nonzero(annotation & result) / union) if union else 1.0


def boundary_f(annotation, result, void=None, tolerance=TOLERANCE):
    """F, in 0..1: the harmonic mean of the precision and recall of a mask's boundary.

    A boundary pixel is matched if the other mask has one within a Euclidean
    distance of `tolerance` times the diagonal, rounded up to whole pixels, or of
    `tolerance` pixels where that is 1 or more.  Void pixels are background in both
    masks.  Two empty boundaries have F 1.0, one alone has 0.0.  Raises UserError
    where sizes differ, ValueError for what is not a mask and for a bad tolerance.
    """
    annotation, result = _masks(annotation, result, void)
    limit = _squared_radius(tolerance, annotation.shape)
    annotation, result = _cropped(annotation, result)
    reach = min(math.isqrt(limit), max(annotation.shape))
    truth, found = (_boundary(mask, reach + 1) for mask in (annotation, result))
    of_truth, of_found = np.count_nonzero(truth), np.count_nonzero(found)
    if not of_truth or not of_found:
        return float(of_truth == of_found)
    precision = _matched(found, truth, limit, reach) / of_found
    recall = _matched(truth, found, limit, reach) / of_truth
    both = precision + recall
    return float(2 * precision * recall / both) if both else 0.0


def statistics(values):
    """Statistics of the values of a sequence's frames (n numbers, in order).

    Decay is the mean of the first quarter minus that of the last.  Quarters
    share their end frames, so with 1 value it is 0, with 2 it is the first minus
    the second, with 3 the mean of the first two minus the third.  NaN is not
    passed over but makes mean and decay NaN.  Raises ValueError for no values.
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"statistics need a list of values, not an array of {values.shape}")
    # The 1e-10 makes halves round up where round() would take the even number.
    ends = np.round(np.linspace(1, values.size, 5) + 1e-10).astype(int) - 1
    first, last = values[ends[0]:ends[1] + 1], values[ends[3]:ends[4] + 1]
    return Statistics(float(values.mean()), float((values > RECALL_AT).mean()),
                      float(first.mean() - last.mean()))


def _masks(annotation, result, void):
    """The two masks, checked, with void pixels at False."""
    annotation, result = _mask(annotation, "annotation"), _mask(result, "result")
    _check_size(result, "result", annotation)
    if void is None:
        return annotation, result
    void = _mask(void, "void mask")
    _check_size(void, "void mask", annotation)
    return annotation & ~void, result & ~void


def _mask(mask, what):
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.ndim != 2 or not mask.size:
        raise ValueError(f"{what} must be a bool array, H x W and not empty, "
                         f"not {mask.dtype} of {mask.shape}")
    return mask


def _check_size(mask, what, annotation):
    if mask.shape != annotation.shape:
        raise UserError(f"{what} is {mask.shape[1]}x{mask.shape[0]}, its annotation "
                        f"{annotation.shape[1]}x{annotation.shape[0]}; they must be of one size")


def _squared_radius(tolerance, shape):
    """The greatest dx² + dy² (int, pixels²) at which boundary pixels match."""
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance {tolerance} must be 0 or more, and finite")
    height, width = shape
    diagonal = math.sqrt(height * height + width * width)
    radius = tolerance if tolerance >= 1 else math.ceil(tolerance * diagonal)
    return math.floor(radius * radius)


def _cropped(first, second):
    """Both masks where either is True, and a pixel around it: all boundaries are inside.

    The rules for the last row and column hold in the crop: where it ends before
    the image, its last row and column are empty, and so would be the next.
    """
    x, y, width, height = cv2.boundingRect((first | second).view(np.uint8))
    inside = slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)
    return first[inside], second[inside]


def _boundary(mask, margin):
    """Boundary pixels of a mask: those unlike the one right, below, or right below.

    In the last row only the right one counts, in the last column only the one
    below.  bool, H x W and `margin` pixels of False on each side.
    """
    height, width = mask.shape
    padded = np.zeros((height + 2 * margin, width + 2 * margin), bool)
    boundary = padded[margin:margin + height, margin:margin + width]
    boundary[:, :-1] = mask[:, :-1] != mask[:, 1:]
    boundary[:-1] |= mask[:-1] != mask[1:]
    boundary[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return padded


def _matched(pixels, others, limit, reach):
    """How many of `pixels` have one of `others` at dx² + dy² <= limit.

    Both are bool, H x W, with a margin of reach + 1 of False; no distance that
    can occur between two of them is greater in x or y than `reach`.  A disc is a
    stretch in each of its rows, and a running sum over all rows in one tells
    from two numbers whether a stretch holds any; what is matched in the rows
    nearest to it is not looked for in others.
    """
    sums = np.cumsum(others.ravel(), dtype=np.int32)
    left = np.flatnonzero(pixels)
    total = len(left)
    for dy in sorted(range(-reach, reach + 1), key=abs):
        half = min(math.isqrt(limit - dy * dy), reach)
        middle = dy * pixels.shape[1]
        empty = sums.take(left + (middle + half)) == sums.take(left + (middle - half - 1))
        left = left[empty]
    return total - len(left)
