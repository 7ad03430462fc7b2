"""An object that is all but gone is looked for in its largest region, where that is asked for."""

import numpy as np
import pytest

from segspn.method import craf

SIZE = (20, 30)


@pytest.fixture
def scores():
    """Two regions of object 1, of 24 and 60 pixels; none of object 2."""
    maps = np.zeros((2, *SIZE), np.uint8)
    maps[0, 2:6, 2:8], maps[0, 10:16, 15:25] = 200, 180
    return maps


def labels(scores, before, share, annotated):
    return craf.label_frame(scores, [1, 2], before, np.ones(SIZE, bool),
                            craf.Thresholds(restart_share=share), annotated=annotated)


def test_a_lost_object_begins_anew_in_its_largest_region(scores):
    gone = np.zeros(SIZE, np.uint8)
    assert not labels(scores, gone, 0, (100, 100)).any()  # as published
    found = labels(scores, gone, 0.2, (100, 100))
    assert (found[10:16, 15:25] == 1).all() and np.count_nonzero(found) == 60


@pytest.mark.parametrize("pixels, restarts", [(19, True), (20, False), (24, False)])
def test_the_share_is_of_the_annotation(scores, pixels, restarts):
    before = np.zeros(SIZE, np.uint8)
    before[2:6, 2:8] = np.where(np.arange(24).reshape(4, 6) < pixels, 1, 0)
    found = labels(scores, before, 0.2, (100, 100))
    assert (found[12, 20] == 1) == restarts and (found[3, 4] == 1) != restarts
    assert np.count_nonzero(found) == (60 if restarts else 24)


def test_without_sizes_the_rules_are_the_published(scores):
    gone = np.zeros(SIZE, np.uint8)
    assert not labels(scores, gone, 0.9, ()).any()
