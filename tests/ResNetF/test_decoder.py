"""The thin net's head against a plain NumPy version of it."""

import caffe
import numpy as np

from ResNetF import nets
from segspn import files
from segspn.caffenet import prototxt, published_head, weights

SIZE = (72, 100)
# Tops of the stages at strides 4, 8, 16 and 32.
STAGES = {4: "eltwise_stage0_block2", 8: "eltwise_stage1_block3", 16: "eltwise_stage2_block5",
          32: "eltwise_stage3_block2"}
OFFSETS = {16: 1, 8: 2, 4: 1}


def convolve(x, kernel, bias):
    """C x H x W by O x C x k x k, with zeros around, and ReLU left to the caller."""
    reach = kernel.shape[2] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], (1, 2))
    return np.einsum("chwij,ocij->ohw", windows, kernel) + bias[:, None, None]


def upsample(x, factor):
    """Bilinear: each value spread by a tent of twice the factor, and the tents added up."""
    rise = (np.arange(factor) + 0.5) / factor
    tent = np.outer(*[np.concatenate([rise, rise[::-1]])] * 2)
    channels, height, width = x.shape
    result = np.zeros((channels, factor * (height + 1), factor * (width + 1)))
    for row in range(height):
        for column in range(width):
            result[:, factor * row:factor * (row + 2), factor * column:factor * (column + 2)] += (
                x[:, row, column, None, None] * tent)
    return result


def crop(x, offset, shape):
    return x[:, offset:offset + shape[0], offset:offset + shape[1]]


def decode(stages, params):
    """Scores, 2 x H x W, of the features of the stages."""
    top = None
    for stride in (32, 16, 8, 4):
        part = convolve(stages[stride], *params[f"project{stride}"])
        if top is not None:
            part = part + crop(upsample(top, 2), OFFSETS[stride], part.shape[1:])
        top = np.maximum(convolve(part, *params[f"decode{stride}"]), 0)
    return crop(upsample(convolve(top, *params["score04"]), 4), 2, SIZE)


def test_scores_are_those_of_plain_numpy():
    net = prototxt.build(caffe.Net, nets.deploy(nets.RESNET50_THIN, False, size=SIZE), caffe.TEST)
    weights.load(net, files.PYTHON_SCRIPTS / nets.RESNET50_THIN.weights)  # the model that ships
    published_head.set_bilinear(net)
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(0, 60, (1, 3, *SIZE))
    net.forward()
    params = {name: [blob.data.astype(np.float64) for blob in blobs]
              for name, blobs in net.params.items()}
    stages = {stride: net.blobs[name].data[0].astype(np.float64)
              for stride, name in STAGES.items()}
    expected = decode(stages, params)
    found = net.blobs["score_ori"].data[0]
    assert found.shape == expected.shape and np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
