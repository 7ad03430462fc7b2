"""J, F and their statistics against slow literal references, and on cases made by hand."""

import math

import numpy as np
import pytest
from scipy import ndimage

from segspn.errors import UserError
from segspn.evaluation.metrics import boundary_f, jaccard, statistics

SIZES = [(1, 1), (1, 2), (2, 1), (1, 13), (17, 1), (2, 2), (3, 4), (9, 7), (16, 23)]


# ----------------------------------------------------------------- references

def literal_boundary(mask):
    """The rule a pixel at a time."""
    rows, boundary = mask.tolist(), []
    last_y, last_x = len(rows) - 1, len(rows[0]) - 1
    for y, row in enumerate(rows):
        for x, inside in enumerate(row):
            if y < last_y and x < last_x:
                neighbours = row[x + 1], rows[y + 1][x], rows[y + 1][x + 1]
            elif x < last_x:
                neighbours = row[x + 1],
            elif y < last_y:
                neighbours = rows[y + 1][x],
            else:
                neighbours = ()
            if (not inside) in neighbours:
                boundary.append((y, x))
    return boundary


def literal_f(annotation, result, void=None, tolerance=0.008):
    if void is not None:
        annotation, result = np.where(void, False, annotation), np.where(void, False, result)
    height, width = annotation.shape
    radius = tolerance if tolerance >= 1 else math.ceil(tolerance * math.hypot(height, width))
    truth, found = literal_boundary(annotation), literal_boundary(result)
    if not truth and not found:
        precision, recall = 1, 1
    elif not truth:
        precision, recall = 0, 1
    elif not found:
        precision, recall = 1, 0
    else:
        y, x = np.array(truth).T[:, :, None] - np.array(found).T[:, None]
        near = y * y + x * x <= radius * radius  # all distances, truth x found
        precision, recall = near.any(0).mean(), near.any(1).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


def literal_j(annotation, result, void=None):
    void = np.zeros(annotation.shape, bool) if void is None else void
    both = either = 0
    for a, r, v in zip(annotation.flat, result.flat, void.flat):
        if not v:
            both += bool(a and r)
            either += bool(a or r)
    return both / either if either else 1


def agrees(annotation, result, void=None, tolerance=0.008):
    j, f = jaccard(annotation, result, void), boundary_f(annotation, result, void, tolerance)
    assert type(j) is float and type(f) is float
    assert j == pytest.approx(literal_j(annotation, result, void), rel=0, abs=1e-12)
    assert f == pytest.approx(literal_f(annotation, result, void, tolerance), rel=0, abs=1e-12)


def some_masks(rng, size):
    """Empty, full, one pixel, each border, and random ones of all densities and grains."""
    one, borders = np.zeros(size, bool), np.zeros((4, *size), bool)
    one[rng.integers(size[0]), rng.integers(size[1])] = True
    borders[0, 0], borders[1, -1], borders[2, :, 0], borders[3, :, -1] = (True,) * 4
    corner = np.zeros(size, bool)
    corner[-1, -1] = True
    grained = [ndimage.gaussian_filter(rng.standard_normal(size), 2) > level
               for level in (-0.1, 0, 0.1)]
    noise = [rng.random(size) < share for share in (0.05, 0.5, 0.95)]
    return [np.zeros(size, bool), np.ones(size, bool), one, ~one, *borders, corner,
            *grained, *noise]


def rough_object(seed, size, centre, radius):
    """A disc with a border that is rough by about 3 pixels."""
    y, x = np.ogrid[:size[0], :size[1]]
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(size), 2)
    return np.hypot(y - centre[0], x - centre[1]) < radius + 20 * noise


# -------------------------------------------------------------------- J and F

@pytest.mark.parametrize("size", SIZES)
def test_every_pair_of_masks_is_as_the_references_say(size):
    rng = np.random.default_rng(size)
    masks = some_masks(rng, size)
    for annotation in masks:
        for result in masks:
            agrees(annotation, result, tolerance=rng.choice([0.008, 0.15]))


@pytest.mark.parametrize("size", SIZES)
def test_void_pixels(size):
    rng = np.random.default_rng(size)
    for void in some_masks(rng, size):
        for _ in range(8):
            annotation, result = rng.choice(some_masks(rng, size), 2)
            agrees(annotation, result, void, tolerance=rng.choice([0.008, 0.1]))


@pytest.mark.parametrize("tolerance", [0, 0.05, 0.3, 0.999, 1, 1.5, 2, 2.5, 3, 5, 12.2, 1000, 1e9])
def test_tolerances(tolerance):
    rng = np.random.default_rng(1)
    for _ in range(15):
        size = tuple(rng.integers(1, 30, 2))
        for share in (0.01, 0.03, 0.3):
            annotation, result = rng.random((2, *size)) < share
            agrees(annotation, result, tolerance=tolerance)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (40, 70)])
@pytest.mark.parametrize("centre", [(60, 100), (5, 110), (110, 213), (119, 0)])
def test_larger_masks(centre, shift):
    size = (120, 214)
    moved = centre[0] + shift[0], centre[1] - shift[1]
    annotation, result = rough_object(0, size, centre, 30), rough_object(1, size, moved, 26)
    void = rough_object(2, size, (centre[0], centre[1] + 30), 12)
    assert annotation.any()
    agrees(annotation, result)
    agrees(annotation, result, void)


def test_full_davis_size():
    """A radius of 8 (7.84 rounded up), objects of a tenth of the image."""
    size = (480, 854)
    annotation, result = (rough_object(k, size, (240 + 6 * k, 400 + 5 * k), 115) for k in (0, 1))
    assert 0.09 < annotation.mean() < 0.12
    assert 0.1 < boundary_f(annotation, result) < 0.99
    assert boundary_f(annotation, result) == pytest.approx(
        literal_f(annotation, result), rel=0, abs=1e-12)
    assert boundary_f(annotation, result) == boundary_f(annotation, result, tolerance=8)


def test_j_by_hand():
    annotation = np.array([[1, 1, 0, 0]], bool)
    result = np.array([[0, 1, 1, 0]], bool)
    empty = np.zeros((1, 4), bool)
    assert jaccard(annotation, result) == 1 / 3
    assert jaccard(annotation, result, np.array([[1, 0, 0, 0]], bool)) == 1 / 2
    assert jaccard(annotation, result, np.array([[0, 1, 0, 0]], bool)) == 0
    assert jaccard(annotation, result, ~empty) == jaccard(empty, empty) == 1
    assert jaccard(annotation, empty) == jaccard(empty, annotation) == 0


@pytest.mark.parametrize("dx, dy", [(3, 4), (5, 0), (0, 5), (4, 4), (1, 5)])
def test_distance_is_euclidean_and_its_end_counts(dx, dy):
    """The boundaries of two pixels apart by (dx, dy) match at exactly that distance."""
    annotation, result = np.zeros((2, 20, 20), bool)
    annotation[-1, 0] = True  # its boundary: (18, 0) and (19, 0), without a left neighbour
    result[-1 - dy, dx] = True
    distance = math.sqrt(dx * dx + dy * dy)
    for radius in (distance * (1 - 1e-9), distance * (1 + 1e-9), 5, 6):
        agrees(annotation, result, tolerance=radius)
    y, x = np.zeros((2, 30, 30), bool)
    y[10:20, :10], x[10:20, :5] = True, True  # upright edges 5 apart
    assert boundary_f(y, x, tolerance=5) == 1
    assert boundary_f(y, x, tolerance=4.99) < 1


def test_f_of_empty_and_full():
    empty, full, one = np.zeros((3, 9, 9), bool)
    full[:] = one[4, 4] = True
    for first, second, f in ((empty, empty, 1), (full, full, 1), (empty, full, 1),
                             (one, empty, 0), (empty, one, 0), (one, full, 0), (one, one, 1)):
        assert boundary_f(first, second) == f
    assert boundary_f(one, empty, void=one) == 1
    assert boundary_f(one, one, void=one) == 1


def test_masks_are_left_as_they_are_in_whatever_order():
    rng = np.random.default_rng(0)
    masks = rng.random((3, 14, 22)) < 0.4
    copy = masks.copy()
    agrees(*masks, tolerance=2)
    np.testing.assert_array_equal(masks, copy)
    masks.setflags(write=False)
    for view in (masks[:, ::-1, ::-1], masks.transpose(0, 2, 1), masks[:, 1::2, ::3]):
        agrees(*view, tolerance=2)


@pytest.mark.parametrize("measure", [jaccard, boundary_f])
def test_what_does_not_match_is_refused(measure):
    mask = np.zeros((4, 6), bool)
    with pytest.raises(UserError, match="result is 3x4, its annotation 6x4; .* of one size"):
        measure(mask, mask[:, :3])
    with pytest.raises(UserError, match="void mask is 6x1, its annotation 6x4"):
        measure(mask, mask, mask[:1])
    for bad in (mask.astype(np.uint8), mask[0], mask[:0], mask[None], 1.0):
        with pytest.raises(ValueError, match="annotation must be a bool array, H x W"):
            measure(bad, mask)
        with pytest.raises(ValueError, match="result must be a bool array, H x W"):
            measure(mask, bad)
        with pytest.raises(ValueError, match="void mask must be a bool array, H x W"):
            measure(mask, mask, bad)


@pytest.mark.parametrize("tolerance", [-1, -1e-9, math.inf, math.nan])
def test_bad_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match="must be 0 or more, and finite"):
        boundary_f(np.zeros((4, 6), bool), np.zeros((4, 6), bool), tolerance=tolerance)


# ----------------------------------------------------------------- statistics

@pytest.mark.parametrize("values, decay", [
    ([0.7], 0),
    ([0.9, 0.2], 0.7),
    ([0.9, 0.7, 0.2], 0.8 - 0.2),                          # 1 1.5 2 2.5 3 -> 1 2 2 3 3: 1-2, 3-3
    ([0.9, 0.7, 0.4, 0.2], 0.8 - 0.3),                     # 1 1.75 2.5 3.25 4: 1-2, 3-4
    ([0.9, 0.7, 0.6, 0.4, 0.2], 0.8 - 0.3),                # 1 2 3 4 5: 1-2, 4-5
    ([0.9, 0.7, 0.5, 0.5, 0.4, 0.2], 0.8 - 0.3),           # 1 2.25 3.5 4.75 6: 1-2, 5-6
    ([0.9, 0.8, 0.7, 0, 0, 0.4, 0.2], 0.8 - 0.3),          # 1 2.5 4 5.5 7: 1-3, 6-7
    ([0.9, 0.8, 0.7, 0, 0, 0, 0.4, 0.3, 0.2], 0.8 - 0.3),  # 1 3 5 7 9: 1-3, 7-9
])
def test_decay_by_hand(values, decay):
    found = statistics(values)
    assert found.decay == pytest.approx(decay, abs=1e-12)
    assert found.mean == pytest.approx(sum(values) / len(values), abs=1e-12)


@pytest.mark.parametrize("n", [255, 256, 257, 258, 300, 1000, 1023])
def test_decay_of_long_sequences(n):
    """Values are their indices: the mean of a stretch is the middle of its ends."""
    quarter = (n - 1) / 4
    second, fourth = math.floor(quarter + 0.5), math.floor(3 * quarter + 0.5)
    expected = second / 2 - (fourth + n - 1) / 2
    assert statistics(np.arange(n)).decay == pytest.approx(expected, abs=1e-9)


def test_recall_is_above_a_half_not_at_it():
    assert statistics([0.5, 0.5000001, 1, 0]).recall == 0.5
    assert statistics([0.5]) == (0.5, 0, 0) and statistics((1,)) == (1, 1, 0)
    assert [type(value) for value in statistics([1, 0])] == [float] * 3


def test_statistics_of_nothing_and_of_nan():
    for values in ([], 0.5, [[0.5]]):
        with pytest.raises(ValueError, match="need a list of values"):
            statistics(values)
    assert math.isnan(statistics([0.5, math.nan]).mean)
