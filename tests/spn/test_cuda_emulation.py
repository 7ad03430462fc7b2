"""The CUDA kernels on threads of this host, against the layer on the CPU: equal to the bit."""

import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.propagation import (
    DIRECTIONS,
    KINDS,
    every_scan,
    layer_net,
    run,
    scale_of,
    values,
)

FOLDER = Path(__file__).parent / "emulation"
FLAGS = ["-std=c++14", "-pthread", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
ENOUGH, NONE = 48 * 1024, 0  # bytes of shared memory
SIZES = ((1, 1), (1, 9), (7, 1), (3, 5), (10, 6))


class Scan(ctypes.Structure):
    """spn::Scan."""

    _fields_ = [*((name, ctypes.c_int) for name in ("num", "channels", "height", "width",
                                                    "gate_num")),
                ("gate_stride", ctypes.c_size_t), ("horizontal", ctypes.c_bool),
                ("reverse", ctypes.c_bool), ("normalization", ctypes.c_int)]


class Limits(ctypes.Structure):
    """spn::Limits."""

    _fields_ = [("threads", ctypes.c_int), ("shared", ctypes.c_size_t),
                ("blocks_without_shared", ctypes.c_int)]


def compiled(source, output, *flags):
    command = ["g++", *FLAGS, *flags, FOLDER / source, "-o", output]
    subprocess.run(command, check=True, timeout=120)
    return output


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    path = tmp_path_factory.mktemp("emulation") / "emulation.so"
    library = ctypes.CDLL(compiled("emulation.cpp", path, "-O2", "-shared", "-fPIC"))
    library.forward.restype = library.backward.restype = ctypes.c_long
    return library


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def pointers(gates, blobs):
    """Those of the three gates: in one blob, where a gate follows the other, or in three.

    gates: (M, 3, C, H, W), or (3, M, C, H, W).
    """
    views = gates if blobs == 3 else gates.swapaxes(0, 1)
    return (ctypes.c_void_p * 3)(*(view.ctypes.data for view in views))


def run_kernels(kernels, arrays, direction, kind, blobs, limits):
    """h and the gradients, as `run` gives them; and how many elements each pass worked with."""
    x, gates, top = arrays
    own = np.ascontiguousarray(gates if blobs == 3 else gates.swapaxes(0, 1))
    h, dx, dgates = (np.full_like(array, np.nan) for array in (x, x, own))
    stride = x[0].size * (3 // blobs)
    scan = Scan(*x.shape, gates.shape[1], stride, direction in DIRECTIONS[:2],
                direction in DIRECTIONS[1::2], KINDS.index(kind))
    where = [ctypes.byref(scan), ctypes.byref(limits), pointer(x), pointers(own, blobs), pointer(h)]
    lines = (kernels.forward(*where),
             kernels.backward(*where, pointer(top), pointer(dx), pointers(dgates, blobs)))
    return (h, dx, dgates if blobs == 3 else dgates.swapaxes(0, 1)), lines


def assert_same(kernels, shape, direction, kind, limits, gate_num, blobs):
    """Whether kernels and layer agree; returns how many elements each pass worked with."""
    arrays = values(shape, gate_num, scale_of(kind), seed=sum(shape))
    result, lines = run_kernels(kernels, arrays, direction, kind, blobs, limits)
    assert min(lines) >= 0, "a kernel wrote beyond its memory"
    for ours, theirs in zip(result, run(layer_net(shape, direction, kind, gate_num, blobs),
                                        *arrays)):
        np.testing.assert_array_equal(ours, theirs)
    return lines


@every_scan
@pytest.mark.parametrize("shared", [ENOUGH, NONE])
def test_kernels_are_the_layer(kernels, direction, kind, shared):
    """Lines shorter and longer than a block, in shared memory or not; gates shared or not."""
    for i, size in enumerate(SIZES):
        limits = Limits(4 - i % 2, shared, 3)
        lines = assert_same(kernels, (3, 2, *size), direction, kind, limits, 3 if i % 2 else 1,
                            3 if i % 3 else 1)
        assert all(lines) == (shared == NONE)


@pytest.mark.parametrize("direction", DIRECTIONS[::2])
def test_global_memory_for_backward_only(kernels, direction):
    """A line that fits into shared memory twice, but not six times."""
    limits = Limits(4, 8 * 4 * 3, 2)
    lines = assert_same(kernels, (3, 3, 7, 7), direction, "CONVEX", limits, 3, 1)
    assert lines == (0, 2 * 6 * 7)


def test_blocks_of_whole_warps(kernels):
    limits = Limits(1024, ENOUGH, 512)
    for shape in ((1, 1, 3, 4), (1, 1, 33, 3)):
        assert_same(kernels, shape, "LEFT_TO_RIGHT", "ABS_SUM", limits, 1, 1)


def test_extreme_gates(kernels):
    shape = (1, 2, 5, 6)
    x, gates, top = values(shape)
    gates = np.random.default_rng(3).choice(np.float32([1e4, -1e4, 1e-30, 0]), gates.shape)
    for kind in KINDS[:2]:
        result, _ = run_kernels(kernels, (x, gates, top), DIRECTIONS[0], kind, 1,
                                Limits(4, ENOUGH, 1))
        for ours, theirs in zip(result, run(layer_net(shape, DIRECTIONS[0], kind), x, gates, top)):
            np.testing.assert_array_equal(ours, theirs)


def thread_sanitizer(folder):
    """The start of a command line with which a program can be watched.

    With some kernels memory is laid out in a way that the sanitizer cannot have,
    unless it is told not to do that.  Fails where not even this helps.
    """
    source, program = folder / "empty.cpp", folder / "empty"
    source.write_text("int main() {}\n")
    subprocess.run(["g++", "-fsanitize=thread", source, "-o", program], check=True, timeout=120)
    if not subprocess.run([program], capture_output=True, timeout=60).returncode:
        return []
    subprocess.run(["setarch", "-R", program], check=True, timeout=60)
    return ["setarch", "-R"]


@pytest.mark.parametrize("barrier", [True, False])
def test_barriers_keep_the_threads_apart(barrier, tmp_path):
    """A thread sanitizer finds no race; without __syncthreads() it finds one."""
    start = thread_sanitizer(tmp_path)
    program = compiled("races.cpp", tmp_path / "races", "-O1", "-g", "-fsanitize=thread",
                       *([] if barrier else ["-DWITHOUT_BARRIER"]))
    result = subprocess.run([*start, program], timeout=100, capture_output=True, text=True,
                            env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"})
    assert (result.returncode == 0) == barrier, result.stderr
    assert ("data race" in result.stderr) != barrier
