"""Caffe Python layers: the training sets, and the weighting of the loss.

A data layer has three tops.  Those of ResNetF are data (1 x 3 x H x W), label
and weight (1 x 1 x H x W each); that of the refinement nets are data (N x 3 x H
x W), coarse and label (N x 1 x H x W each).  samples and refinement_crops, of segspn.training, say
what they are and what `param_str` holds.
"""

import os
import time

import caffe
import numpy as np

from segspn.errors import UserError
from segspn.training import refinement_crops, samples
from segspn.training.prefetch import Prefetcher


def processes():
    """How many prepare samples: one, as long as the cores are few and Caffe needs them."""
    return max(1, min(8, (len(os.sched_getaffinity(0)) - 4) // 2))


class _SampleLayer(caffe.Layer):
    """A data layer: samples of `kind`, each process one ahead."""

    kind = None

    def setup(self, bottom, top):
        if len(bottom) or len(top) != 3:
            raise UserError(f"{type(self).__name__} has no bottom and three tops, not "
                            f"{len(bottom)} and {len(top)}")
        self.samples = self.kind(self.param_str)
        # pycaffe's lists of tops and bottoms can be indexed, but not iterated over.
        for i, shape in enumerate(self.samples.shapes):
            top[i].reshape(*shape)
        self._prefetchers = [
            Prefetcher(self.kind.__name__, self.param_str, self.samples.shapes)
            for _ in range(processes())]
        self.seconds = 0.0  # spent in forward(): waiting for a sample, and copying it
        self.start(self.samples.parameters["seed"], 0)

    def start(self, seed, iteration):
        """The next forward gives the sample of this iteration."""
        if seed < 0:
            raise UserError(f"seed must not be negative: {seed}")
        self.seed, self.iteration = seed, iteration
        self._is_started = False

    def _of(self, iteration):
        """The process that prepares the sample of an iteration."""
        return self._prefetchers[iteration % len(self._prefetchers)]

    def close(self):
        """Ends the processes that prepare samples: pycaffe never frees a layer."""
        for prefetcher in self._prefetchers:
            prefetcher.close()

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        begin = time.perf_counter()
        number = len(self._prefetchers)
        if not self._is_started:
            self._is_started = True
            for ahead in range(1, number):
                self._of(self.iteration + ahead).request(self.seed, self.iteration + ahead)
        prefetcher = self._of(self.iteration)
        for i, array in enumerate(prefetcher.get(self.seed, self.iteration)):
            top[i].data[...] = array
        prefetcher.request(self.seed, self.iteration + number)
        self.iteration += 1
        self.seconds += time.perf_counter() - begin

    def backward(self, top, propagate_down, bottom):
        pass


class FirstFrameObject(_SampleLayer):
    """The first frame of a sequence with one object as foreground."""

    kind = samples.FirstFrameObject


class FirstFrameForeground(_SampleLayer):
    """The first frame of a sequence with all objects as foreground."""

    kind = samples.FirstFrameForeground


class GenericForeground(_SampleLayer):
    """All frames of image lists with all objects as foreground."""

    kind = samples.GenericForeground


class RefinementCrops(_SampleLayer):
    """Crops around objects' borders, with coarse maps, for the refinement nets."""

    kind = refinement_crops.RefinementCrops


class LossWeighting(caffe.Layer):
    """Identity forward; backward multiplies the gradient by a weight a pixel.

    Bottoms: scores, N x C x H x W, and weight, N x 1 x H x W.  Top: the scores.
    Raises UserError for scores that are not finite, before Caffe's backward
    pass: its max pooling writes out of bounds where all its inputs are NaN.
    """

    def setup(self, bottom, top):
        if len(bottom) != 2 or len(top) != 1:
            raise UserError("LossWeighting has the bottoms scores and weight, and one top")

    def reshape(self, bottom, top):
        scores, weight = tuple(bottom[0].shape), tuple(bottom[1].shape)
        if weight != (scores[0], 1, *scores[2:]):
            raise UserError(f"LossWeighting: weight is {weight}, the scores are {scores}")
        top[0].reshape(*scores)

    def forward(self, bottom, top):
        if not np.isfinite(bottom[0].data).all():
            raise UserError("the training diverged: scores are not finite; lower base_lr in the "
                            "solver and train anew with --restart")
        top[0].data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            np.multiply(top[0].diff, bottom[1].data, out=bottom[0].diff)
