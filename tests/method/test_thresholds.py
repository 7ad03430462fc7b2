"""Thresholds of the region filter: the published ones, bad ones, and how ratios are compared."""

from dataclasses import astuple

import numpy as np
import pytest

from segspn.errors import UserError
from segspn.method import craf


def test_the_published_thresholds():
    assert astuple(craf.Thresholds()) == (30, 0.01, 0.2, 100, 100, 0.3, 0.2, 0)


@pytest.mark.parametrize("name, value, words", [
    ("region_score", 256, "region-score must be a whole number from 0 to 255, not 256"),
    ("label_score", -1, "label-score must be a whole number from 0 to 255, not -1"),
    ("label_score", 99.5, "label-score must be a whole number"),
    ("region_overlap", float("nan"), "region-overlap must be a number from 0 to 1, not nan"),
    ("region_share", 1.01, "region-share must be a number from 0 to 1, not 1.01"),
    ("lost_pixels", -5, "lost-pixels must be a whole number from 0"),
    ("lost_share", -0.1, "lost-share must be a number from 0 to 1"),
    ("recovery_overlap", float("inf"), "recovery-overlap must be a number from 0 to 1")])
def test_bad_thresholds(name, value, words):
    with pytest.raises(UserError, match=words):
        craf.Thresholds(**{name: value})


def test_ratios_are_compared_exactly():
    for parts, wholes, threshold, sign in [
            (1, 100, 0.01, 0), (3, 10, 0.3, 0), (3 * 10**8, 10**9, 0.3, 0),
            (3 * 10**8 + 1, 10**9, 0.3, 1), (1, 3, 0.3333333333333333, 1),
            (10**9 // 3, 10**9, 0.3333333333333333, -1), (0, 5, 0, 0), (5, 5, 1, 0),
            (1, 2**31 - 1, 1e-300, 1)]:
        assert np.sign(craf._excess(parts, wholes, threshold)) == sign
        assert np.sign(craf._excess(np.array([parts]), np.array([wholes]), threshold)) == [sign]
