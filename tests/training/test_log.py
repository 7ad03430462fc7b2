"""The running means of a training's log."""

import numpy as np
import pytest

from segspn.training.log import TrainingLog, running_means


@pytest.mark.parametrize("window", [1, 3, 20, 50])
def test_means_are_over_the_last_values_that_are_defined(window, tmp_path):
    values = np.random.default_rng(0).normal(5, 1, (20, 2))
    values[[0, 1, 7], 1] = np.nan  # an accuracy of no pixel
    expected = [np.ma.masked_invalid(values[max(0, n + 1 - window):n + 1]).mean(0).filled(0)
                for n in range(20)]
    np.testing.assert_allclose(running_means(values, window), expected)
    np.testing.assert_allclose(running_means(values[:, 1], window), np.array(expected)[:, 1])
    log = TrainingLog(tmp_path / "log.csv", ["loss", "accuracy"], window)
    for n, row in enumerate(values):
        log.add(n + 1, 0.5, row)
        np.testing.assert_allclose([*log.averages().values()], expected[n])
    assert [*log.averages()] == ["loss", "accuracy"]
