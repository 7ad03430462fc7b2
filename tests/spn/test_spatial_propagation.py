"""The propagation layers against a float64 reference, written from the formulas."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segspn.caffenet import prototxt
from segspn.errors import UserError
from tests.support.propagation import (
    DIRECTIONS,
    KINDS,
    every_scan,
    gate_names,
    inputs,
    inside,
    layer,
    layer_net,
    net_of,
    propagation,
    reference,
    run,
    scale_of,
    turned,
    turned_back,
    values,
)

SIZES = ((1, 1), (1, 9), (7, 1), (5, 17), (13, 16), (18, 15), (33, 37))
TOLERANCE = 1e-5  # of the largest magnitude of a blob; measured: below 4e-7


def error(actual, expected):
    """The largest difference, as a part of the largest magnitude."""
    return np.abs(actual - expected).max() / (np.abs(expected).max() or 1)


def assert_close(actual, expected):
    for name, ours, theirs in zip(("h", "dx", "dgates"), actual, expected):
        assert ours.shape == theirs.shape and np.isfinite(ours).all()
        assert error(ours, theirs) < TOLERANCE, (name, error(ours, theirs))


@every_scan
@pytest.mark.parametrize("gate_num", [1, 2])
def test_gradients_of_the_reference_are_its_differences(direction, kind, gate_num):
    x, gates, top = (a.astype(np.float64) for a in values((2, 2, 4, 5), gate_num))
    _, dx, dgates = reference(x, gates, top, direction, kind)
    rng = np.random.default_rng(1)
    step = 1e-6
    for _ in range(3):
        vx, vg = rng.normal(size=x.shape), rng.normal(size=gates.shape)
        loss = [(reference(x + s * vx, gates + s * vg, top, direction, kind)[0] * top).sum()
                for s in (step, -step)]
        difference, derivative = (loss[0] - loss[1]) / (2 * step), (dx * vx).sum() + (
            dgates * vg).sum()
        assert abs(difference - derivative) < 1e-7 * (np.abs(dx * vx).sum()
                                                      + np.abs(dgates * vg).sum())


@every_scan
def test_layer_is_the_reference(direction, kind):
    for size, blobs in zip(SIZES, itertools.cycle([(3, 1), (1, 3)])):
        for gate_num, blobs_of_gates in zip((1, 2), blobs):
            shape = (2, 3, *size)
            x, gates, top = values(shape, gate_num, scale_of(kind))
            net = layer_net(shape, direction, kind, gate_num, blobs_of_gates)
            assert_close(run(net, x, gates, top), reference(x, gates, top, direction, kind))


@every_scan
def test_large_planes(direction, kind):
    shape = (1, 3, 240, 427)
    x, gates, top = values(shape, scale=scale_of(kind))
    net = layer_net(shape, direction, kind)
    assert_close(run(net, x, gates, top), reference(x, gates, top, direction, kind))


@pytest.mark.parametrize("gate, offset", [(0, -1), (1, 0), (2, 1)])
@pytest.mark.parametrize("direction, before", [
    ("LEFT_TO_RIGHT", (0, -1)), ("RIGHT_TO_LEFT", (0, 1)), ("TOP_TO_BOTTOM", (-1, 0)),
    ("BOTTOM_TO_TOP", (1, 0))])
def test_where_a_gate_points(direction, before, gate, offset):
    x, gates, top = values((1, 1, 3, 3))
    gates[...] = 0
    gates[gate, ..., 1, 1] = 1
    h, _, _ = run(layer_net(x.shape, direction, "NONE"), x, gates, top)
    across = (offset, 0) if before[0] == 0 else (0, offset)
    expected = x.copy()
    expected[..., 1, 1] = x[..., 1 + before[0] + across[0], 1 + before[1] + across[1]]
    np.testing.assert_array_equal(h, expected)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gates_to_the_outside_count_as_zero(direction):
    shape = (2, 2, 6, 7)
    x, gates, top = values(shape, scale=0.3)
    border = turned_back(inside(turned(np.ones_like(gates), direction)), direction) == 0
    other = np.where(border, 5, gates)
    net = layer_net(shape, direction, "NONE")
    results = run(net, x, gates, top), run(net, x, other, top)
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)
    assert not results[0][2][border].any()
    # But in a normalization they count: the other two gates become smaller.
    for kind in ("ABS_SUM", "CONVEX"):
        net = layer_net(shape, direction, kind)
        h = [run(net, x, g, top)[0] for g in (gates, other)]
        assert error(*h) > 1e-3
        assert_close(run(net, x, other, top), reference(x, other, top, direction, kind))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gates_of_zero(direction):
    shape = (1, 2, 6, 7)
    x, gates, top = values(shape)
    gates[...] = 0
    for kind in KINDS:
        result = run(layer_net(shape, direction, kind), x, gates, top)
        assert_close(result, reference(x, gates, top, direction, kind))
        if kind != "CONVEX":
            np.testing.assert_array_equal(result[0], x)
            np.testing.assert_array_equal(result[1], top)
        assert kind != "ABS_SUM" or not result[2].any()


@every_scan
def test_extreme_gates(direction, kind):
    shape = (1, 3, 5, 5)  # not normalized, h grows by up to 3e4 a step
    x, gates, top = values(shape)
    gates = np.random.default_rng(3).choice(np.float32([1e4, -1e4, 1e-30, -1e-30, 0]), gates.shape)
    result = run(layer_net(shape, direction, kind), x, gates, top)
    expected = reference(x, gates, top, direction, kind)
    assert_close(result, expected)
    if kind == "ABS_SUM":  # gradients of tiny gates are huge: compared in their own measure
        total = np.abs(gates.astype(np.float64)).sum(0)
        assert error(result[2] * total, expected[2] * total) < TOLERANCE


@every_scan
def test_gradients_of_the_layer_are_its_differences(direction, kind):
    shape = (2, 2, 6, 8)
    x, gates, top = values(shape, scale=scale_of(kind))
    gates += np.sign(gates) * np.float32(0.3 if kind == "ABS_SUM" else 0)
    net = layer_net(shape, direction, kind)
    _, dx, dgates = run(net, x, gates, top)
    for gradient, vx, vg in ((dx, dx, 0 * dgates), (dgates, 0 * dx, dgates)):
        scale = 3e-3 / np.abs(gradient).max()
        loss = [(run(net, x + s * scale * vx, gates + s * scale * vg, top)[0].astype(np.float64)
                 * top).sum() for s in (1, -1)]
        derivative = (gradient.astype(np.float64) ** 2).sum()
        assert abs((loss[0] - loss[1]) / (2 * scale) / derivative - 1) < 2e-3


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_published_form(direction):
    """The layers of the NIPS 2017 release: gates by the sum of their absolute values, then a scan.
    """
    shape, names = (2, 3, 9, 11), gate_names(3)
    horizontal, reverse = direction in DIRECTIONS[:2], direction in DIRECTIONS[1::2]
    text = inputs(x=shape, **dict.fromkeys(names, shape))
    text += "".join(layer("AbsVal", [name], f"{name}_abs") for name in names)
    text += layer("Eltwise", [f"{name}_abs" for name in names], "sum",
                  "eltwise_param { operation: SUM }")
    text += layer("Divide", ["sum"], "inverse", "divide_param { alpha: 1 }")
    text += "".join(layer("Eltwise", [name, "inverse"], f"{name}_norm",
                          "eltwise_param { operation: PROD }") for name in names)
    text += layer("GateRecurrent2dnoind", ["x", *(f"{name}_norm" for name in names)], "h",
                  f"gaterecurrent2dnoind_param {{ horizontal: {str(horizontal).lower()} "
                  f"reverse: {str(reverse).lower()} }}")
    arrays = values(shape)
    published = run(net_of(text), *arrays)
    assert_close(run(layer_net(shape, direction, "ABS_SUM", blobs=3), *arrays), published)
    assert_close(published, reference(*arrays, direction, "ABS_SUM"))


@pytest.mark.parametrize("alpha", [1, 0.5, 7])
def test_divide(alpha):
    net = net_of(inputs(x=(1, 1, 2, 3))
                 + layer("Divide", ["x"], "y", f"divide_param {{ alpha: {alpha} }}"))
    x = np.float32([[1, -2, 0], [-0., 1e-3, 3e4]])
    dy = np.float32([[1, 2, 3], [-1, 0.5, 1]])
    net.blobs["x"].data[0, 0] = x
    net.forward()
    y = 1 / np.where(x == 0, np.float32(0.0001), x)
    np.testing.assert_array_equal(net.blobs["y"].data[0, 0], y)
    assert y[0, 2] == y[1, 0] == 10000
    net.blobs["y"].diff[0, 0] = dy
    net.backward()
    np.testing.assert_allclose(net.blobs["x"].diff[0, 0], -dy * y * y, rtol=1e-6)


@pytest.mark.parametrize("kind", ["ABS_SUM", "CONVEX"])
def test_long_scans_stay_bounded(kind):
    x, gates, top = values((1, 4, 16, 1000))
    choices = np.float32([1e4, -1e4, 1e-30, 0, 3, -3])
    gates = np.random.default_rng(1).choice(choices, gates.shape)
    net = layer_net(x.shape, "LEFT_TO_RIGHT", kind)
    h, dx, _ = run(net, x, gates, top)
    assert np.isfinite(dx).all() and np.abs(h).max() <= 10 * np.abs(x).max()
    if kind == "ABS_SUM":
        # Gates of any sign: a step adds 2 |x| at most.  Of one sign: h is a mean of x.
        steps = np.arange(1000)
        assert (np.abs(h) <= (1 + 2.001 * steps) * np.abs(x).max()).all()
        h, _, _ = run(net, x, np.abs(gates), top)
    slack = 1e-5 * np.abs(x).max()
    assert x.min() - slack <= h.min() and h.max() <= x.max() + slack


def digest():
    """A hash of the results of all scans, of a size that several threads share."""
    result = hashlib.sha256()
    for direction, kind in itertools.product(DIRECTIONS, KINDS):
        for gate_num, blobs in ((2, 1), (1, 3)):
            net = layer_net((2, 3, 33, 50), direction, kind, gate_num, blobs)
            for array in run(net, *values((2, 3, 33, 50), gate_num, scale_of(kind))):
                result.update(array.tobytes())
    return result.hexdigest()


def test_results_do_not_depend_on_the_number_of_threads():
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    code = "from tests.spn import test_spatial_propagation as tests; print(tests.digest())"
    seen = {subprocess.run([sys.executable, "-c", code], env={**environment, **threads}, text=True,
                           cwd=Path(__file__).parents[2], check=True, capture_output=True).stdout
            for threads in ({}, {"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "5"})}
    assert len(seen) == 1


X = (2, 3, 5, 7)
SCAN = ("LEFT_TO_RIGHT", "ABS_SUM")
BAD_NETS = {
    "channels": (inputs(x=X, g=(2, 8, 5, 7)), ["x", "g"], "must have 9 channels"),
    "channels_of_three": (inputs(x=X, g=(2, 9, 5, 7)), ["x", "g", "g", "g"],
                          "must have 3 channels"),
    "height": (inputs(x=X, g=(2, 9, 6, 7)), ["x", "g"], "its height and width"),
    "width": (inputs(x=X, g=X, w=(2, 3, 5, 8)), ["x", "g", "g", "w"], "gates (bottom 3)"),
    "num": (inputs(x=X, g=(3, 9, 5, 7)), ["x", "g"], "its N or 1"),
    "different_nums": (inputs(x=X, g=X, w=(1, 3, 5, 7)), ["x", "g", "w", "g"], "its N or 1"),
    "one_bottom": (inputs(x=X), ["x"], "at least 2"),
    "three_bottoms": (inputs(x=X, g=(2, 9, 5, 7)), ["x", "g", "g"], "not 3 bottoms"),
    "five_bottoms": (inputs(x=X, g=X), ["x", "g", "g", "g", "g"], "at most 4"),
    "axes": (inputs(x=(3, 5, 7), g=(9, 5, 7)), ["x", "g"], "x must be N x C x H x W"),
    "empty": (inputs(x=(2, 3, 0, 7), g=(2, 9, 0, 7)), ["x", "g"], "x is empty"),
}


@pytest.mark.parametrize("name", BAD_NETS)
def test_bad_nets_are_refused(name):
    text, bottoms, words = BAD_NETS[name]
    refused(text + propagation(bottoms, *SCAN), words)


@pytest.mark.parametrize("text, words", [
    (propagation(["x", "g"], *SCAN).replace('top: "h"', 'top: "x"'), "does not work in place"),
    (propagation(["x", "g"], *SCAN).replace('top: "h"', 'top: "g"'), "multiple sources"),
    (propagation(["x", "g"], *SCAN).replace('top: "h"', 'top: "h" top: "k"'), "1 top"),
    (layer("GateRecurrent2dnoind", ["x", "g"], "h"), "4 bottom"),
    (layer("GateRecurrent2dnoind", ["x", "x", "x", "g"], "h"), "must have 3 channels"),
    (layer("Divide", ["x", "g"], "h"), "1 bottom")])
def test_bad_layers_are_refused(text, words):
    refused(inputs(x=X, g=(2, 9, 5, 7)) + text, words)


def refused(text, words):
    with pytest.raises(UserError) as caught:
        net_of(text)
    assert words in str(caught.value) and len(str(caught.value).splitlines()) == 1, caught.value


@pytest.mark.parametrize("old, new", [("LEFT_TO_RIGHT", "LEFTWARDS"), ("ABS_SUM", "SOFTMAX"),
                                      ("direction", "directions")])
def test_unknown_parameters_are_refused(old, new, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(inputs(x=X, g=(2, 9, 5, 7)) + propagation(["x", "g"], *SCAN))
    assert prototxt.read_net(path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=f"does not parse.*{new}") as caught:
        prototxt.read_net(path)
    assert len(str(caught.value).splitlines()) == 1
