"""Arbitration between score maps: a pixel's label from its scores."""

from collections import Counter

import numpy as np
import pytest

from segspn.method.craf import arbitrate
from tests.support import literal_regions

SIZE = (12, 17)


def literal(score_maps, objects, foreground):
    """The rule a pixel at a time."""
    return literal_regions.arbitrated(score_maps.astype(int).tolist(), objects, foreground,
                                      literal_regions.PUBLISHED, Counter())


@pytest.mark.parametrize("objects", [[1], [1, 2], [1, 2, 3], [2, 3, 5, 7, 100, 253, 254]])
@pytest.mark.parametrize("values", [(0, 256), (97, 104), (99, 101), (0, 2)])
def test_arbitration_is_the_literal_rule(objects, values):
    """With few values there are ties at most pixels; around 100 the threshold matters."""
    rng = np.random.default_rng([len(objects), *values])
    for _ in range(20):
        score_maps = rng.integers(*values, (len(objects), *SIZE), np.uint8)
        foreground = rng.random(SIZE) < 0.8
        labels = arbitrate(score_maps, objects, foreground)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, literal(score_maps, objects, foreground))


def test_ties_thresholds_and_foreground():
    scores = np.array([[[99, 100, 100, 255, 0, 120]], [[99, 99, 100, 255, 0, 130]],
                       [[98, 0, 100, 255, 255, 130]]], np.uint8)
    inside = np.ones((1, 6), bool)
    assert arbitrate(scores, [1, 2, 3], inside).tolist() == [[0, 1, 1, 1, 3, 2]]
    assert arbitrate(scores, [1, 4, 6], inside).tolist() == [[0, 1, 1, 1, 6, 4]]
    assert arbitrate(scores, [1, 2, 3], inside, threshold=101).tolist() == [[0, 0, 0, 1, 3, 2]]
    inside[0, [2, 5]] = False
    assert arbitrate(scores, [1, 2, 3], inside).tolist() == [[0, 1, 0, 1, 3, 0]]
    assert not arbitrate(scores, [1, 2, 3], np.zeros((1, 6), bool)).any()
