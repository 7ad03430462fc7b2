"""Simulated coarse maps: they follow the mask, with the faults that real ones have."""

import cv2
import numpy as np
import pytest

from segspn.evaluation import metrics
from segspn.training import simulated_scores

SIZE = (96, 128)


def ellipse(size=SIZE):
    mask = np.zeros(size, np.uint8)
    cv2.ellipse(mask, (size[1] // 2, size[0] // 2), (size[1] // 4, size[0] // 3), 20, 0, 360, 1, -1)
    return mask > 0


def simulated(seed, mask, others=None):
    return simulated_scores.simulate(np.random.default_rng(seed), mask, others)


@pytest.mark.parametrize("size", [(32, 32), (32, 96), (75, 41), (192, 192)])
@pytest.mark.parametrize("kind", ["ellipse", "empty", "full", "with others"])
def test_simulated_map_is_a_probability_and_the_same_for_the_same_seed(size, kind):
    mask = {"empty": np.zeros(size, bool), "full": np.ones(size, bool)}.get(kind, ellipse(size))
    others = ~mask if kind == "with others" else None
    before = mask.copy()
    for seed in range(8):
        probability = simulated(seed, mask, others)
        assert probability.shape == size and probability.dtype == np.float32
        assert np.isfinite(probability).all()
        assert probability.min() >= 0 and probability.max() <= 1
        np.testing.assert_array_equal(probability, simulated(seed, mask, others))
        assert (probability != simulated(seed + 100, mask, others)).any()
    np.testing.assert_array_equal(mask, before)


def test_simulated_map_follows_the_mask_but_is_not_it():
    mask = ellipse()
    results = [simulated(seed, mask) > 0.5 for seed in range(60)]
    similarities = [metrics.jaccard(mask, result) for result in results]
    everything = metrics.jaccard(mask, np.ones(SIZE, bool))
    elsewhere = metrics.jaccard(mask, np.roll(mask, SIZE[1] // 4, 1))
    assert max(everything, elsewhere) < 0.5 < 0.75 < np.mean(similarities) < 0.95
    assert max(similarities) < 1 and np.std(similarities) > 0.02
    # What is deep inside or far outside is known to most maps.
    depth = (cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
             - cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5))
    share = np.mean(results, axis=0)
    assert share[depth > 20].min() > 0.8 and share[depth < -20].max() < 0.2


def test_simulated_map_of_nothing_and_of_everything():
    for value in (0, 1):
        means = [simulated(seed, np.full(SIZE, value, bool)).mean() for seed in range(40)]
        assert abs(np.mean(means) - value) < 0.15


def test_simulated_map_leaks_into_others():
    mask, others = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    mask[20:70, 10:50] = True
    others[20:70, 80:120] = True
    away = others.copy()
    away[:30] = away[60:] = away[:, :90] = away[:, 110:] = False
    alone, beside = ([simulated(seed, mask, given)[away].mean() for seed in range(40)]
                     for given in (None, others))
    assert np.mean(beside) > np.mean(alone) + 0.02
