"""check_gpu.py: what it compares, by comparing the CPU with itself; and where there is no GPU."""

import dataclasses

import numpy as np
import pytest

from segspn.caffenet import device
from segspn.errors import UserError
from tools.setup import check_gpu

CASES = {case.name: case for case in (*check_gpu.layer_cases(), *check_gpu.net_cases())}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"SIZES": ((1, 1), (5, 7)), "NET_SIZE": (64, 96),
                        "CROPS": (2, 32, 64)}.items():
        monkeypatch.setattr(check_gpu, name, value)


def altered(case, by):
    """The case, whose last result is another each time that it is run."""
    runs = iter(range(2))

    def run(gpu, repeat):
        arrays, times = case.run(gpu, repeat)
        arrays[-1].flat[0] += next(runs) * by * np.abs(arrays[-1]).max()
        return arrays, times
    return dataclasses.replace(case, run=run)


@pytest.mark.parametrize("name", CASES)
def test_the_cpu_is_the_cpu(name):
    row = check_gpu.compare(CASES[name], None, None, 1)
    assert (row.error, row.equal, row.failed) == (0, True, False)
    assert len(row.cpu) == len(row.gpu) > 0 and min(*row.cpu, *row.gpu) > 0


def test_all_gradients_are_compared():
    arrays, _ = CASES["TOP_TO_BOTTOM CONVEX"].run(None, 1)
    assert [array.shape for array in arrays[-3:]] == [(2, 3, 5, 7), (2, 3, 5, 7), (2, 9, 5, 7)]
    assert all(array.any() for array in arrays[-3:])
    arrays, _ = CASES["thin ResNetF, a training step"].run(None, 1)
    assert len(arrays) > 100 and all(np.isfinite(array).all() for array in arrays)


@pytest.mark.parametrize("by, failed", [(2e-5, True), (5e-6, False), (np.nan, True)])
def test_a_difference_is_found(by, failed):
    row = check_gpu.compare(altered(CASES["Divide"], by), None, None, 1)
    assert row.failed == failed and not row.equal
    assert ("FAILED" in check_gpu.table([row])) == failed


def test_without_a_gpu_it_says_so(run, monkeypatch):
    if device.gpu_count():
        pytest.skip("there is a GPU")
    result = run("tools.setup.check_gpu")
    assert result.returncode == 1 and result.stderr.startswith("error: --gpu")
    assert result.stderr.count("\n") == 1
    monkeypatch.setattr(device, "build_info", lambda: {"mode": "CUDA"})
    with pytest.raises(UserError, match="sees 0 GPUs"):
        device.check(0)
