"""Which regions of a score map are kept, and which lost objects are found."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from segspn.method import craf
from segspn.method.craf import label_frame
from tests.support import literal_regions as literal

SIZE = (14, 20)


def drawn(*boxes, size=SIZE):
    """uint8, H x W: 0, and a value in each (rows, columns, value), drawn in their order."""
    plane = np.zeros(size, np.uint8)
    for rows, columns, value in boxes:
        plane[slice(*rows), slice(*columns)] = value
    return plane


def filtered(score_map, before, **changes):
    result = craf.filtered(score_map, before > 0, craf.Thresholds(**changes))
    assert result.dtype == np.uint8
    expected = literal.filtered(
        score_map.tolist(), literal.pixels_where(before, lambda label: label > 0),
        {**literal.PUBLISHED, **{name: Fraction(str(v)) for name, v in changes.items()}},
        Counter())
    np.testing.assert_array_equal(result, expected)
    return result


# ------------------------------------------------------------------- the filter

def test_the_region_that_is_the_object_s_stays_and_others_go():
    before = drawn(((2, 8), (2, 8), 1))
    score_map = drawn(((0, 14), (0, 20), 30), ((2, 8), (3, 9), 200), ((2, 9), (12, 20), 250))
    expected = drawn(((0, 14), (0, 20), 30), ((2, 8), (3, 9), 200), ((2, 9), (12, 20), 0))
    np.testing.assert_array_equal(filtered(score_map, before), expected)  # 30 is in no region


def test_regions_are_where_the_score_is_above_30():
    before = drawn(((0, 6), (0, 6), 1))
    bridge = drawn(((0, 6), (0, 6), 200), ((2, 3), (6, 10), 30), ((0, 6), (10, 16), 200))
    assert not filtered(bridge, before)[:, 10:].any()
    bridge[bridge == 30] = 31
    np.testing.assert_array_equal(filtered(bridge, before), bridge)


def test_regions_hang_together_at_corners():
    before = drawn(((0, 4), (0, 4), 1))
    for column in (3, 4):  # the second is at a corner of the first, or a pixel away
        score_map = drawn(((0, 4), (0, 4), 150), ((4, 8), (column + 1, column + 5), 150))
        kept = np.count_nonzero(filtered(score_map, before))
        assert kept == (32 if column == 3 else 16)


def test_small_regions_are_kept_at_255_until_a_large_one():
    before = drawn(((0, 3), (0, 3), 1), ((5, 10), (6, 10), 1))
    score_map = drawn(((0, 3), (0, 3), 60), ((6, 14), (7, 14), 120), ((0, 2), (18, 20), 200))
    expected = drawn(((0, 3), (0, 3), 255), ((6, 14), (7, 14), 120))
    np.testing.assert_array_equal(filtered(score_map, before), expected)
    # A fifth of the largest is still small; a little more is not.
    score_map = drawn(((0, 2), (0, 2), 60), ((4, 8), (0, 5), 120))
    before = drawn(((0, 2), (0, 2), 1), ((4, 5), (0, 1), 1))
    expected = drawn(((0, 2), (0, 2), 255), ((4, 8), (0, 5), 120))
    np.testing.assert_array_equal(filtered(score_map, before, region_overlap=0), expected)
    score_map[7, 4] = 0
    assert np.unique(filtered(score_map, before)).tolist() == [0, 60]


def test_small_regions_alone_are_not_the_object():
    """A kept region goes as well, if what is left has nothing to do with the object."""
    before = drawn(((0, 3), (0, 3), 1))
    score_map = drawn(((0, 14), (0, 20), 20), ((0, 3), (0, 3), 250), ((5, 14), (5, 20), 250))
    assert not filtered(score_map, before).any()
    assert filtered(score_map[:, :9], before[:, :9]).any()  # beside a smaller one it is large


def test_an_overlap_of_a_hundredth_is_none():
    before = drawn(((0, 10), (0, 10), 1))
    pixel = drawn(((4, 5), (4, 5), 250))
    assert not filtered(pixel, before).any()  # 1 of 100
    before[9, 9] = 0
    np.testing.assert_array_equal(filtered(pixel, before), pixel)  # 1 of 99


@pytest.mark.parametrize("boxes", [
    [((6, 9), (2, 5)), ((0, 3), (8, 11))],  # the left one, though it is the lower one
    [((1, 4), (2, 5)), ((8, 11), (2, 5))],  # both at the same column
    [((8, 11), (0, 3)), ((1, 4), (1, 4))]])
def test_equals_are_taken_in_column_major_order(boxes):
    before = drawn(*((*box, 1) for box in boxes))
    score_map = drawn(*((*box, 100 + n) for n, box in enumerate(boxes)))
    assert np.unique(filtered(score_map, before)).tolist() == [0, 100]


def test_the_first_pixel_by_columns_may_not_be_the_topmost():
    """Both start in column 0; the one that starts below reaches the top row elsewhere."""
    lower = drawn(((6, 7), (0, 6), 200), ((0, 6), (6, 7), 200))
    upper = drawn(((2, 5), (0, 4), 100))
    assert np.count_nonzero(lower) == np.count_nonzero(upper)
    np.testing.assert_array_equal(filtered(lower + upper, lower + upper), upper)


def test_maps_without_regions_and_objects_that_were_nowhere():
    before = drawn(((0, 5), (0, 5), 1))
    for score_map in (drawn(), drawn(((0, 14), (0, 20), 30))):
        assert not filtered(score_map, before).any()
    full = drawn(((0, 14), (0, 20), 255))
    assert not filtered(full, drawn()).any()
    np.testing.assert_array_equal(filtered(full, full), full)


def test_without_a_large_region_all_goes():
    full = drawn(((0, 14), (0, 20), 255))
    assert not filtered(full, full, region_share=1).any()


# ----------------------------------------------------------------- the recovery

def recovered(labels, score_maps, before, objects=None, **changes):
    objects = objects or list(range(1, len(score_maps) + 1))
    result = craf.recovered(labels, np.array(score_maps), objects, before,
                            craf.Thresholds(**changes))
    expected = labels.tolist()
    literal.recover(expected, [s.tolist() for s in score_maps], objects, before.tolist(), {
        **literal.PUBLISHED, **{name: Fraction(str(v)) for name, v in changes.items()}}, Counter())
    np.testing.assert_array_equal(result, expected)
    return result


BOX = (2, 12), (4, 14)  # of 100 pixels


def test_a_lost_object_is_found_in_faint_scores():
    before, faint = drawn((*BOX, 1)), drawn(((1, 11), (5, 15), 1), ((0, 3), (18, 20), 90))
    expected = drawn(((1, 11), (5, 15), 1))
    np.testing.assert_array_equal(recovered(drawn(), [faint], before), expected)
    before[2, 4] = 0  # it had 99 pixels: too small to be missed
    assert not recovered(drawn(), [faint], before).any()
    assert recovered(drawn(), [faint], before, lost_pixels=99).any()


def test_an_object_that_has_three_tenths_is_not_lost():
    before, faint = drawn((*BOX, 1)), drawn((*BOX, 50))
    labels = drawn(((2, 5), (4, 14), 1))
    np.testing.assert_array_equal(recovered(labels, [faint], before), labels)
    labels[4, 4] = 0
    np.testing.assert_array_equal(recovered(labels, [faint], before), before)


def test_a_region_must_overlap_by_more_than_a_fifth():
    before = drawn((*BOX, 1))
    part = drawn(((2, 4), (4, 14), 50))  # 20 of 100
    assert not recovered(drawn(), [part], before).any()
    part[4, 4] = 1  # 21 of 100
    assert np.count_nonzero(recovered(drawn(), [part], before)) == 21


def test_a_lost_object_is_found_in_the_map_of_another():
    before, other = drawn((*BOX, 2)), drawn(((3, 13), (4, 14), 40))
    found = recovered(drawn(), [other, drawn()], before)
    np.testing.assert_array_equal(found, 2 * (other > 0))


def test_recovery_leaves_labels_alone():
    before, faint = drawn((*BOX, 1)), drawn((*BOX, 50))
    labels = drawn(((2, 12), (9, 14), 2))
    found = recovered(labels, [faint, drawn()], before)
    np.testing.assert_array_equal(found, drawn(((2, 12), (4, 9), 1), ((2, 12), (9, 14), 2)))
    labels = drawn(((2, 12), (6, 7), 2), ((2, 12), (8, 9), 2), ((2, 12), (10, 11), 2))
    np.testing.assert_array_equal(recovered(labels, [drawn(), faint], before), np.where(
        drawn(((2, 12), (11, 14), 1)) > 0, 1, labels))  # of what it is cut into, one is enough


def test_labels_that_are_found_count_at_once():
    """Object 1 takes from its map and from 2's; then 2 finds only what is left."""
    size = (20, 40)
    before = drawn(((0, 10), (0, 20), 1), ((10, 20), (0, 20), 2), size=size)
    first = drawn(((0, 10), (0, 18), 10), size=size)
    second = drawn(((0, 14), (0, 20), 10), ((16, 20), (0, 20), 20), size=size)
    found = recovered(drawn(size=size), [first, second], before)
    # What 1 leaves of the second map hangs together, and is more 1's than 2's.
    expected = drawn(((0, 10), (0, 18), 1), ((16, 20), (0, 20), 2), size=size)
    expected[(second > 0) & (expected == 0)] = 2
    np.testing.assert_array_equal(found, expected)


# --------------------------------------------------------------- a whole frame

def frame(score_maps, objects, before, foreground=None, **changes):
    foreground = np.ones(before.shape, bool) if foreground is None else foreground
    result = label_frame(np.array(score_maps), objects, before, foreground, **changes)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(
        result, literal.label_frame(score_maps, objects, before, foreground, **changes))
    return result


def test_ids_may_have_gaps():
    before = drawn((*BOX, 3), ((0, 3), (17, 20), 7))
    maps = [drawn((*BOX, 120)), drawn(((0, 3), (17, 20), 130), ((5, 6), (6, 7), 250))]
    np.testing.assert_array_equal(frame(maps, [3, 7], before), before)
    # Object 7's map has 3: recovery finds it there.
    np.testing.assert_array_equal(
        frame([drawn(), drawn((*BOX, 120))], [3, 7], drawn((*BOX, 3))), drawn((*BOX, 3)))


def test_void_is_no_object_s():
    before = drawn((*BOX, 1), ((2, 12), (12, 14), 255))  # 80 pixels of 1, 20 void
    score_map = drawn(((2, 12), (12, 20), 200))
    assert not frame([score_map], [1], before).any()
    assert not frame([score_map], [1], drawn((*BOX, 255))).any()


def test_what_is_outside_the_foreground_is_0_but_counts_in_regions():
    before = drawn((*BOX, 1))
    inside = drawn(((0, 14), (4, 9), 1)) > 0
    faint = drawn((*BOX, 50), ((2, 12), (9, 14), 10))
    np.testing.assert_array_equal(frame([faint], [1], before, inside), before * inside)
    assert not frame([faint], [1], before, drawn() > 0).any()


def test_filter_and_recovery_can_be_left_out():
    before = drawn((*BOX, 1))
    maps = [drawn(((0, 14), (19, 20), 200), (*BOX, 20))]
    assert np.count_nonzero(frame(maps, [1], before)) == 100
    assert not frame(maps, [1], before, recovery=False).any()
    assert np.count_nonzero(frame(maps, [1], before, filtering=False, recovery=False)) == 14
    assert np.count_nonzero(frame(maps, [1], before, filtering=False)) == 114


def test_inputs_are_left_as_they_are():
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 200, (2, *SIZE), np.uint8), drawn((*BOX, 1)), rng.random(SIZE) < 0.5
    copies = [value.copy() for value in inputs]
    label_frame(inputs[0], [1, 2], *inputs[1:], craf.Thresholds(lost_pixels=0, region_overlap=0))
    for value, copy in zip(inputs, copies):
        np.testing.assert_array_equal(value, copy)


# ------------------------------------------------- against the rules as written

LIMITS = [
    {}, {"lost_pixels": 6}, {"lost_pixels": 0, "lost_share": "1", "recovery_overlap": "0"},
    {"region_overlap": "0.1", "region_share": "0.4", "lost_pixels": 1, "lost_share": "0.75"},
    {"region_score": 99, "label_score": 20, "region_overlap": "0", "region_share": "0.05"},
    {"region_score": 0, "label_score": 0, "region_share": "0.5", "lost_pixels": 3},
    {"region_share": "0.3333333333333333", "recovery_overlap": "0.1428571428571428",
     "lost_pixels": 2}]


def random_plane(rng, size, values):
    """Rectangles, noise, or both, of few values, so that there are ties."""
    plane = np.zeros(size, np.uint8)
    for _ in range(rng.integers(0, 7)):
        y, x = rng.integers(0, size[0]), rng.integers(0, size[1])
        height, width = rng.integers(1, 8, 2)
        plane[y:y + height, x:x + width] = rng.choice(values)
    if rng.integers(2):
        noisy = rng.random(size) < rng.choice([0.05, 0.2, 0.5])
        plane[noisy] = rng.choice(values, np.count_nonzero(noisy))
    return plane


def test_random_maps_are_labelled_by_the_rules_as_written():
    rng, seen = np.random.default_rng(0), Counter()
    scores = np.array([0, 0, 1, 30, 31, 99, 100, 101, 255], np.uint8)
    for index in range(1400):
        limits = LIMITS[index % len(LIMITS)]
        objects = [[1], [1, 2], [1, 3], [1, 2, 3], [2, 5, 254]][rng.integers(5)]
        size = tuple(rng.integers(1, 17, 2)) if index % 3 else (15, 17)
        maps = np.array([random_plane(rng, size, scores) for _ in objects])
        before = random_plane(rng, size, np.array([0, *objects, *objects, 255], np.uint8))
        if rng.integers(2):  # as the maps of the frame before could have had it
            before = np.where(maps.max(0) > 30, np.array(objects)[maps.argmax(0)], before)
        inside = rng.random(size) < rng.choice([0.7, 1])
        result = label_frame(maps, objects, before.astype(np.uint8), inside, craf.Thresholds(
            **{name: float(v) if isinstance(v, str) else v for name, v in limits.items()}))
        expected = literal.label_frame(maps, objects, before, inside, {
            name: Fraction(v) for name, v in limits.items()}, seen=seen)
        np.testing.assert_array_equal(result, expected, err_msg=f"{index}: {limits}")
    for what in ("nothing", "gone", "gone after kept", "complete", "complete after kept", "tie",
                 "equal scores", "lost", "recovered from its own map", "from another map"):
        assert seen[what] > 30, (what, seen)
