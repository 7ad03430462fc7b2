"""VGG-16 of Keras's layout: what is converted computes what Keras's convolutions do."""

import caffe
import numpy as np
import pytest

from segspn.caffenet import prototxt, weights
from spn import nets
from tools.setup import pypi, vgg

SHAPES = {"block1/layers/conv2d": (3, 64), "block1/layers/conv2d_1": (64, 64),
          "block2/layers/conv2d": (64, 128), "block2/layers/conv2d_1": (128, 128)}


@pytest.fixture
def keras():
    """What Keras's file holds, path by path; the kernels of the first two stages are random."""
    file, rng = {}, np.random.default_rng(0)
    for stage, count in enumerate(vgg.STAGES, 1):
        for index in range(count):
            layer = f"block{stage}/layers/conv2d" + (f"_{index}" if index else "")
            shape = (3, 3, *SHAPES.get(layer, (1, 1)))
            file[f"{layer}/vars/0"] = rng.normal(0, 0.1, shape).astype(np.float32)
            file[f"{layer}/vars/1"] = rng.normal(0, 0.5, shape[-1:]).astype(np.float32)
    return file


def convolved(image, kernel, bias):
    """A convolution as Keras has it, padding="same": H x W x in, 3 x 3 x in x out."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    height, width = image.shape[:2]
    return bias + sum(padded[y:y + height, x:x + width] @ kernel[y, x]
                      for y in range(3) for x in range(3))


def test_converted_layers_compute_what_keras_does(keras, tmp_path):
    rng = np.random.default_rng(1)
    image = rng.normal(0, 50, (32, 64, 3)).astype(np.float32)
    expected = image
    for layer in list(SHAPES)[:2]:
        expected = np.maximum(convolved(expected, keras[f"{layer}/vars/0"],
                                        keras[f"{layer}/vars/1"]), 0)
    path = tmp_path / "vgg.caffemodel"
    blobs = vgg.converted(keras)
    assert list(blobs) == [f"conv{stage}_{index}" for stage, count in enumerate((2, 2, 3, 3, 3), 1)
                           for index in range(1, count + 1)]
    first = {name: blobs[name] for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2")}
    weights.write_caffemodel(path, first)
    net = prototxt.build(caffe.Net, nets.deploy(nets.REFINE_VGG, 1, (32, 64)), caffe.TEST)
    assert weights.load(net, path).taken == list(first)
    net.blobs["data"].data[0] = image.transpose(2, 0, 1)
    net.forward(end="conv1_2_relu")
    found = net.blobs["conv1_2"].data[0].transpose(1, 2, 0)
    assert expected.std() > 10
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_nothing_is_fetched_where_it_is(tmp_path, monkeypatch):
    path = tmp_path / "vgg.caffemodel"
    path.write_bytes(b"here")
    monkeypatch.setattr(vgg, "SHA256", pypi.sha256_of(path))
    monkeypatch.setattr(pypi, "fetch_member", None)
    assert vgg.fetch(path) is False
