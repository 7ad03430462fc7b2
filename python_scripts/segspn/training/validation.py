"""How well a net that is being trained finds the foreground of images that are held out."""

import caffe
import numpy as np

from ResNetF import nets
from segspn.caffenet import deploy, prototxt
from segspn.caffenet.net_input import net_input
from segspn.data import davis
from segspn.evaluation import metrics

NAME = "validation_J"  # of its column in the log


class Validation:
    """J of the foreground, the mean over images; the net works near their own size.

    read      pair -> (image, foreground, void): uint8 H x W x 3, bool H x W each
    pairs     what is held out
    backbone  of the net
    """

    def __init__(self, read, pairs, backbone):
        self._read, self._pairs = read, pairs
        self._backbone = backbone
        self._net = None

    def __call__(self, trained):
        """The mean J, 0 to 1, with the weights of a caffe.Net that is being trained."""
        if self._net is None:
            self._net = prototxt.build(caffe.Net, nets.deploy(self._backbone, prob=False),
                                       caffe.TEST)
        self._net.share_with(trained)
        return float(np.mean([self._jaccard(*self._read(pair)) for pair in self._pairs]))

    def _jaccard(self, image, foreground, void):
        size = deploy.near_size(image.shape[:2])
        self._net.blobs["data"].reshape(1, 3, *size)
        self._net.reshape()
        self._net.blobs["data"].data[0] = net_input(davis.resized(image, size))
        background, found = self._net.forward()["score_ori"][0]
        result = davis.resized(found - background, image.shape[:2]) > 0
        return metrics.jaccard(foreground, result, void)
