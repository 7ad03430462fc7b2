"""Nets whose blobs share memory compute what they compute without."""

import caffe
import numpy as np
import pytest
from caffe import layers as L

from segspn.caffenet import prototxt
from tests.ResNetF.test_convolutions import SIZE, by_caffe, feed, fill, residual_net


def with_accuracy(net):
    """The net with a layer that gives its bottom no gradient, behind a Split, and a Python one."""
    n = caffe.NetSpec()
    for name, channels in {"score": 2, "label": 1, "weight": 1}.items():
        n[name] = L.Input(input_param={"shape": {"dim": [2, channels, *SIZE]}})
    n.weighted = L.Python(n.score, n.weight, module="segspn.layers", layer="LossWeighting",
                          name="weighting")
    n.accuracy = L.Accuracy(n.weighted, n.label)
    n.loss = L.SoftmaxWithLoss(n.weighted, n.label)
    more = n.to_proto()
    del net.layer[-1]  # the loss
    net.layer.extend(layer for layer in more.layer if layer.name not in ("score", "label"))
    return net


def memory(net, what):
    """How many pieces of memory the data, or the diffs, of a net's blobs are."""
    return len({getattr(blob, what).__array_interface__["data"][0]
                for blob in net.blobs.values()})


def made(net, phase):
    """The net with memory of each blob's own, and with memory that they share."""
    nets = [prototxt.build(caffe.Net, form, phase)
            for form in (net, prototxt.sharing_memory(net))]
    for one in nets:
        fill(one)
        one.blobs["weight"].data[...] = np.linspace(0, 1, one.blobs["weight"].count).reshape(
            one.blobs["weight"].shape)
    return nets


@pytest.mark.parametrize("form", [lambda net: net, by_caffe], ids=["oneDNN", "Caffe"])
def test_training_is_the_same_to_the_bit(form):
    own, sharing = made(form(with_accuracy(residual_net())), caffe.TRAIN)
    for seed in range(3):
        for net in (own, sharing):
            feed(net, seed)
            net.forward()
            net.clear_param_diffs()
            net.backward()
        for name, blobs in own.params.items():
            for mine, other in zip(blobs, sharing.params[name]):
                assert np.array_equal(mine.diff, other.diff), name
        for name, blob in own.blobs.items():
            assert np.array_equal(blob.data, sharing.blobs[name].data), name
        for name in ("score", "weighted"):  # beside a Python layer, or a loss
            assert np.array_equal(own.blobs[name].diff, sharing.blobs[name].diff)
            assert own.blobs[name].diff.any()
    assert memory(sharing, "diff") <= memory(own, "diff") // 2
    assert memory(sharing, "data") == memory(own, "data")


@pytest.mark.parametrize("form", [lambda net: net, by_caffe], ids=["oneDNN", "Caffe"])
def test_inference_is_the_same_to_the_bit(form):
    own, sharing = made(form(with_accuracy(residual_net())), caffe.TEST)
    sizes = [SIZE, (64, 75), (32, 40), SIZE]
    for seed, size in enumerate(sizes):
        for net in (own, sharing):
            for name in ("data", "label", "weight"):
                net.blobs[name].reshape(2, net.blobs[name].shape[1], *size)
            net.reshape()
            feed(net, seed)
            net.forward()
        for name in ("data", "label", "score", "weighted", "accuracy", "loss"):
            assert np.array_equal(own.blobs[name].data, sharing.blobs[name].data), (name, size)
    assert memory(sharing, "data") <= memory(own, "data") // 2
