"""Convolutions by oneDNN, with what follows them, against Caffe's own layers one by one."""

import os
import subprocess
import sys

import caffe
import numpy as np
import pytest
from caffe import layers as L

from ResNetF import nets
from segspn import files
from segspn.caffenet import prototxt

SIZE = (37, 50)
CAFFE = caffe.params.Convolution.CAFFE


def residual_net(bias=True):
    """The beginning of the thin ResNet, with a head and a loss, on inputs that the test sets."""
    def namer(block):
        def names(part):
            return f"{block}_{part}" if part.endswith(("relu", "sum")) else tuple(
                f"{kind}_{block}_{part}" for kind in ("conv", "bn", "scale"))
        return names

    n = caffe.NetSpec()
    for name, channels in {"data": 3, "label": 1}.items():
        n[name] = L.Input(input_param={"shape": {"dim": [2, channels, *SIZE]}})
    top = nets.stem(n, ("conv_1", "bn_1", "scale_1"), "relu_1", bias)
    for block, (width, stride) in {"a": (4, 1), "b": (4, 1), "c": (8, 2), "d": (8, 1)}.items():
        top = nets.bottleneck(n, top, width, stride, block in "ac", namer(block), bias)
    n.feat = nets.classifier(top, 5, 10)
    n.score08 = nets.classifier(n.feat, 2, 10)
    n.upscore = nets.upsample(n.score08, 2, 8, dense=False)
    n.score = L.Crop(n.upscore, n.data, axis=2, offset=2)
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_param={"normalize": True})
    return n.to_proto()


def by_caffe(net):
    """The same net, each of its layers by Caffe's own code."""
    other = type(net)()
    other.CopyFrom(net)
    for layer in other.layer:
        if layer.type == "Convolution":
            layer.convolution_param.engine = CAFFE
    return other


def fill(net, seed=0):
    """Random parameters; statistics far from 0 and 1, as those of a trained net."""
    rng = np.random.default_rng(seed)
    for name, blobs in net.params.items():
        if name.startswith("bn"):
            values = rng.normal(0, 20, blobs[0].shape), rng.uniform(50, 400, blobs[1].shape), 2.5
        elif name.startswith("scale"):
            values = rng.normal(1, 0.5, blobs[0].shape), rng.normal(0, 0.5, blobs[1].shape)
        elif name.startswith("up"):
            continue
        else:
            values = [rng.normal(0, 0.1 * (k + 1), blob.shape) for k, blob in enumerate(blobs)]
        for blob, value in zip(blobs, values):
            blob.data[...] = value


def feed(net, seed):
    rng = np.random.default_rng(seed)
    net.blobs["data"].data[...] = rng.normal(0, 60, net.blobs["data"].shape)
    if "label" in net.blobs:
        net.blobs["label"].data[...] = rng.random(net.blobs["label"].shape) < 0.3


def agree(ours, theirs, within=1e-5):
    """Whether two arrays differ by at most `within` of the greatest value."""
    return np.abs(ours - theirs).max() <= within * max(np.abs(theirs).max(), 1e-30)


def both(net, phase=caffe.TRAIN, **keywords):
    made = [prototxt.build(caffe.Net, form, phase) for form in (net, by_caffe(net))]
    for one in made:
        fill(one, **keywords)
        feed(one, 1)
    return made


# Blobs that are operands of a sum alone, and are not computed any more.
OPERANDS = ("conv_a_branch2c", "conv_b_branch2c", "conv_c_branch2c", "conv_d_branch2c")


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
@pytest.mark.parametrize("bias", [True, False])
def test_scores_are_those_of_the_layers_one_by_one(phase, bias):
    ours, theirs = both(residual_net(bias), phase)
    for seed in (1, 2):
        for net in (ours, theirs):
            feed(net, seed)
            net.forward()
        for name in theirs.blobs:
            if name not in OPERANDS:
                assert agree(ours.blobs[name].data, theirs.blobs[name].data), name


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_the_layers_one_by_one(bias):
    ours, theirs = both(residual_net(bias))
    for net in (ours, theirs):
        for _ in range(2):  # gradients add up until they are cleared
            net.forward()
            net.backward()
    for name, blobs in theirs.params.items():
        for k, blob in enumerate(blobs):
            assert agree(ours.params[name][k].diff, blob.diff, 2e-5), (name, k)


def test_trajectories_are_the_same(tmp_path):
    solvers = []
    net = residual_net()
    for form in (net, by_caffe(net)):
        solver = nets.solver(nets.RESNET50_THIN, "", str(tmp_path), max_iter=20, base_lr=1e-3,
                             snapshot=0)
        solver.ClearField("train_net")
        solver.train_net_param.CopyFrom(form)
        solvers.append(prototxt.build(caffe.get_solver, solver))
        fill(solvers[-1].net)
    start = {name: blobs[0].data.copy() for name, blobs in solvers[0].net.params.items()}
    for step in range(20):
        for solver in solvers:
            feed(solver.net, step)
            solver.step(1)
    ours, theirs = (solver.net for solver in solvers)
    for name, blobs in theirs.params.items():
        for k, blob in enumerate(blobs):
            assert agree(ours.params[name][k].data, blob.data), (name, k)
        if name.startswith(("conv", "scale")):
            assert not agree(start[name], blobs[0].data)  # the step was no small one


def test_changed_weights_count_at_once():
    ours, theirs = both(residual_net(), caffe.TEST)
    for seed in (3, 4):
        for net in (ours, theirs):
            fill(net, seed)
            net.forward()
        assert agree(ours.blobs["score08"].data, theirs.blobs["score08"].data)
    for name, k in (("bn_b_branch2a", 0), ("scale_b_branch2b", 1), ("conv_c_branch2b", 0)):
        before = ours.blobs["score08"].data.copy()
        for net in (ours, theirs):
            net.params[name][k].data[...] *= 3
            net.forward()
        assert not agree(before, theirs.blobs["score08"].data)
        assert agree(ours.blobs["score08"].data, theirs.blobs["score08"].data), name


@pytest.mark.parametrize("at_once", [True, False])
def test_another_size(at_once):
    """Also where it is the forward pass that reshapes one layer after the other."""
    ours, theirs = both(residual_net(), caffe.TEST)
    for size in ((64, 40), (32, 32), SIZE, (96, 104)):
        for net in (ours, theirs):
            for name in ("data", "label"):
                net.blobs[name].reshape(1, net.blobs[name].shape[1], *size)
            if at_once:
                net.reshape()
            feed(net, 5)
            net.forward()
        assert agree(ours.blobs["score08"].data, theirs.blobs["score08"].data), size


@pytest.mark.parametrize("options", [
    {"kernel_size": 3, "pad": 1}, {"kernel_size": 3, "stride": 2}, {"kernel_size": 1, "stride": 2},
    {"kernel_size": 1, "pad": 1}, {"kernel_h": 3, "kernel_w": 5, "pad_h": 1, "pad_w": 0},
    {"kernel_size": 3, "dilation": 2, "pad": 2}, {"kernel_size": 2, "stride": [2, 3]},
    {"kernel_size": 3, "group": 2}, {"kernel_size": 3, "bias_term": False},
    {"kernel_size": 7, "stride": 2, "pad": 3}], ids=str)
def test_all_kinds_of_convolutions(options):
    n = caffe.NetSpec()
    n.data = L.Input(input_param={"shape": {"dim": [2, 6, 14, 17]}})
    n.out = L.Convolution(n.data, num_output=8, **options)
    net = n.to_proto()
    net.force_backward = True
    ours, theirs = both(net)
    for one in (ours, theirs):
        one.forward()
        rng = np.random.default_rng(0)
        one.blobs["out"].diff[...] = rng.normal(0, 1, one.blobs["out"].shape)
        one.backward()
    assert agree(ours.blobs["out"].data, theirs.blobs["out"].data)
    assert agree(ours.blobs["data"].diff, theirs.blobs["data"].diff)
    for mine, blob in zip(ours.params["out"], theirs.params["out"]):
        assert agree(mine.diff, blob.diff)


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
@pytest.mark.parametrize("options", [
    {"kernel_size": 3, "stride": 2}, {"kernel_size": 2, "stride": 2, "pad": 1},
    {"kernel_h": 2, "kernel_w": 3, "stride_h": 1, "stride_w": 3, "pad_h": 0, "pad_w": 1},
    {"global_pooling": True}], ids=str)
def test_maxima_are_caffes(phase, options):
    n = caffe.NetSpec()
    n.data = L.Input(input_param={"shape": {"dim": [2, 3, 13, 18]}})
    n.out = L.Pooling(n.data, pool=caffe.params.Pooling.MAX, **options)
    n.theirs = L.Pooling(n.data, pool=caffe.params.Pooling.MAX, name="theirs",
                         engine=caffe.params.Pooling.CAFFE, **options)
    net = n.to_proto()
    net.force_backward = True
    net = prototxt.build(caffe.Net, net, phase)
    feed(net, 0)
    net.forward()
    assert np.array_equal(net.blobs["out"].data, net.blobs["theirs"].data)
    diffs = []
    for name in ("out", "theirs"):
        for other in ("out", "theirs"):
            net.blobs[other].diff[...] = other == name
        net.backward()
        diffs.append(net.blobs["data"].diff.copy())
    assert np.array_equal(*diffs) and diffs[0].any()


FORK = """
import os
from tests.ResNetF import test_convolutions as t
net, _ = t.both(t.residual_net())
net.forward()
if (child := os.fork()) == 0:
    net.forward()
    net.backward()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
net.backward()
print("done")
"""


def test_a_forked_process_computes():
    """OpenMP's threads are not there any more."""
    result = subprocess.run([sys.executable, "-c", FORK], timeout=60, capture_output=True,
                            text=True, cwd=files.ROOT, env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert result.stdout == "done\n", result.stderr


SIGNALS = """
import signal
import time
from tests.ResNetF import test_convolutions as t
net, _ = t.both(t.residual_net())
came = []
signal.signal(signal.SIGALRM, lambda number, frame: came.append(number))
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
end = time.monotonic() + 3
while time.monotonic() < end or len(came) < 100:
    net.forward()
    net.backward()
signal.setitimer(signal.ITIMER_REAL, 0)
print("done")
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_signals_do_no_harm(threads):
    """oneDNN's kernels use the stack pointer for memory that a signal's frame would overwrite."""
    result = subprocess.run([sys.executable, "-c", SIGNALS], timeout=100, capture_output=True,
                            text=True, cwd=files.ROOT,
                            env={**os.environ, "OMP_NUM_THREADS": threads})
    assert result.stdout == "done\n", result.stderr[-300:]
