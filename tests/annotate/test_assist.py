"""GrabCut and the refinement net on frames whose truth is known."""

import cv2
import numpy as np
import pytest

from segspn.annotate import assist
from segspn.annotate.assist import INSIDE, NOTHING, OTHER, OWN
from segspn.errors import UserError
from segspn.synthetic import scenes
from tests.support.annotating import SIZE, ground_and_truth


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def boxed(mask, margin):
    """Hints: a box around a mask."""
    hints = np.zeros(mask.shape, np.uint8)
    rows, columns = np.nonzero(mask)
    hints[max(0, rows.min() - margin):rows.max() + margin + 1,
          max(0, columns.min() - margin):columns.max() + margin + 1] = INSIDE
    return hints


def outlined(mask, margin):
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * margin + 1,) * 2)) * np.uint8(INSIDE)


@pytest.mark.parametrize("k", [1, 2])
def test_a_box_or_an_outline_becomes_the_object(k):
    frame, ids = ground_and_truth(0)
    truth = ids == k
    assert overlap(assist.cut(frame, boxed(truth, 6), is_box=True), truth) > 0.97
    assert overlap(assist.cut(frame, outlined(truth, 6)), truth) > 0.97
    again = assist.cut(frame, boxed(truth, 6), is_box=True)
    np.testing.assert_array_equal(again, assist.cut(frame, boxed(truth, 6), is_box=True))


def test_a_synthetic_object_is_found():
    frame, ids = scenes.frame(6, 0, 3, size=(240, 427))
    for k in [k for k in (1, 2) if (ids == k).sum() > 10000]:
        assert overlap(assist.cut(frame, outlined(ids == k, 6)), ids == k) > 0.9


def test_what_is_outside_or_of_others_stays_out():
    frame, ids = ground_and_truth(0)
    hints = np.full(SIZE, INSIDE, np.uint8)
    hints[:8] = hints[-8:] = hints[:, :8] = NOTHING
    hints[ids == 2] = OTHER
    hints[50:60, 45:55] = OWN
    found = assist.cut(frame, hints)
    assert not found[(hints == NOTHING) | (hints == OTHER)].any()
    assert found[hints == OWN].all() and overlap(found, ids == 1) > 0.9


def test_large_frames_are_cut_at_a_bounded_size():
    frame, ids = ground_and_truth(0)
    large = [cv2.resize(plane, None, fx=9, fy=9, interpolation=how) for plane, how in (
        (frame, cv2.INTER_LINEAR), (ids, cv2.INTER_NEAREST))]
    found = assist.cut(large[0], boxed(large[1] == 1, 50), is_box=True)
    assert found.shape == large[1].shape and overlap(found, large[1] == 1) > 0.95


@pytest.mark.parametrize("hints, words", [
    (np.zeros(SIZE, np.uint8), "no free pixel"),
    (np.full(SIZE, INSIDE, np.uint8), "nothing is around"),
    (np.pad(np.full((2, 2), INSIDE, np.uint8), ((50, 68), (100, 58))), "nothing stands out")])
def test_outlines_that_tell_nothing(hints, words):
    flat = np.full((*SIZE, 3), 90, np.uint8)
    with pytest.raises(UserError, match=words):
        assist.cut(flat, hints)


@pytest.fixture(scope="module")
def snap():
    snapper = assist.Snapper()
    yield snapper
    snapper.close()


def rough(mask):
    """A polygon of few corners about a mask."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL,
                                   cv2.CHAIN_APPROX_NONE)
    drawn = np.zeros(mask.shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(drawn, [cv2.approxPolyDP(outline, 0.02 * cv2.arcLength(outline, True), True)],
                     1)
    return drawn > 0


@pytest.mark.parametrize("seed", [0, 2])
def test_snap_makes_a_rough_mask_sharp(snap, seed):
    frame, ids = scenes.frame(seed, 0, 3, size=(240, 427))
    for k in (1, 2):
        hints = np.where((ids > 0) & (ids != k), OTHER, NOTHING).astype(np.uint8)
        hints[rough(ids == k)] = OWN
        before, found = hints == OWN, snap(frame, hints)
        assert overlap(found, ids == k) > max(0.85, overlap(before, ids == k))
        assert not found[hints == OTHER].any()


def test_snap_stays_near_what_is_drawn(snap):
    frame, ids = ground_and_truth(0)
    hints = np.where(ids == 1, OWN, NOTHING).astype(np.uint8)
    found = snap(frame, hints)
    assert overlap(found, ids == 1) > 0.9 and not found[:, 100:].any()
    with pytest.raises(UserError, match="draw it roughly first"):
        snap(frame, np.zeros(SIZE, np.uint8))


def test_a_net_that_dies_is_told_and_comes_back(snap, monkeypatch):
    frame, ids = ground_and_truth(0)
    hints = np.where(ids == 1, OWN, NOTHING).astype(np.uint8)
    snap(frame, hints)
    [process] = snap._pool._processes.values()
    process.kill()
    process.join()
    with pytest.raises(UserError, match="ended without a word"):
        snap(frame, hints)
    assert overlap(snap(frame, hints), ids == 1) > 0.9
