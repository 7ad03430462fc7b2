"""What ResNetF would cost on a GPU: a prediction by its arithmetic, never measured."""

import functools
import math
from dataclasses import dataclass

import caffe

from ResNetF import nets
from segspn.caffenet import prototxt

PASSES = {"train": 3, "infer": 1}  # a training goes forward, and backward to data and to weights


@functools.cache
def multiply_adds(backbone, size):
    """Multiply-adds of one forward pass of ResNetF: those of its convolutions, exactly.

    backbone: name in nets.BACKBONES; size: (height, width).  Norms, sums and ReLUs are
    not counted: they wait for memory, and the sustained rate of Gpu allows for them.
    """
    message = nets.deploy(nets.BACKBONES[backbone], True, size=size)
    net = prototxt.build(caffe.Net, message, caffe.TEST)
    count = 0
    for index, layer in enumerate(net.layers):
        if layer.type in ("Convolution", "Deconvolution"):
            # A weight is used once a pixel: of a convolution's top, of a deconvolution's bottom.
            ids = net._top_ids(index) if layer.type == "Convolution" else net._bottom_ids(index)
            height, width = net._blobs[ids[0]].shape[2:]
            count += height * width * layer.blobs[0].count
    return count


@dataclass(frozen=True)
class Gpu:
    """The assumption behind the prediction.

    flops       sustained in Caffe without cuDNN (im2col and GEMM, a batch of one), all layers
                included: a fifth of the 32-bit peak of a card of 15 TFLOP/s (class of a V100)
    iteration   seconds of a training iteration at 480 x 854, where they are known
    frame       seconds of a forward pass at 480 x 854, where they are known
    """

    flops: float = 3e12
    iteration: float | None = None
    frame: float | None = None

    def seconds(self, what, backbone, size):
        """Seconds of an iteration (what: "train") or a frame ("infer") at (height, width)."""
        known = {"train": self.iteration, "infer": self.frame}[what]
        if known is not None:
            return known * math.prod(size) / math.prod(nets.WORKING_SIZE)
        return 2 * PASSES[what] * multiply_adds(backbone, size) / self.flops

    def __str__(self):
        given = [f"{known:g} s {what}" for known, what in (
            (self.iteration, "an iteration"), (self.frame, "a frame")) if known is not None]
        assumed = [] if len(given) == 2 else [
            f"the net's multiply-adds at an assumed {self.flops / 1e12:g} TFLOP/s sustained "
            "(Caffe without cuDNN on a card of 15 TFLOP/s, 32 bits)"]
        return "; ".join([*(["as given, at {}x{}: ".format(*nets.WORKING_SIZE) + ", ".join(given)]
                            if given else []), *assumed])
