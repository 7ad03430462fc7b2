"""Caffe Python layers: the training sets, and the weighting of the loss.

Every data layer has the tops data (1 x 3 x H x W, BGR minus mean), label and
weight (1 x 1 x H x W each), and a `param_str` that is a Python literal:

    {'data': '../data/DAVIS', 'sequence': 'lions', 'object': 2, 'size': (480, 854),
     'augmentation': (3000, 0.05, 5, 0.1, 0.1, 1), 'seed': 0}

A relative 'data' counts from python_scripts/, as in the 2017 release.
"""

import ast
import time

import caffe
import numpy as np

from segspn import augment, davis, files, prototxt
from segspn.errors import UserError
from segspn.prefetch import Prefetcher


def parse_parameters(text, expected):
    """The dict that a param_str spells.  Raises UserError where it is not as expected.

    `expected` maps each key to its type, or to a (type, default) pair.
    """
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise UserError(f"param_str must be a Python dict literal, not {text!r}")
    unknown = sorted(set(values) - set(expected), key=str)
    if unknown:
        raise UserError(f"param_str has unknown keys {unknown}; known: {sorted(expected)}")
    for key, kind in expected.items():
        kind, *default = kind if isinstance(kind, tuple) else (kind,)
        if key not in values and not default:
            raise UserError(f"param_str has no {key!r}: {text!r}")
        value = values.setdefault(key, *default)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"param_str: {key!r} must be {kind.__name__}, not {value!r}")
    return values


class _Samples(caffe.Layer):
    """What the data layers share; a subclass says what a source sample is."""

    expected = {"data": str, "size": tuple, "augmentation": tuple, "seed": (int, 0)}

    def setup(self, bottom, top):
        if bottom or len(top) != 3:
            raise UserError(f"{type(self).__name__} has no bottom and the tops data, label, weight")
        self.parameters = parse_parameters(self.param_str, {**_Samples.expected, **self.expected})
        self.size = self.parameters["size"]
        if len(self.size) != 2 or not all(isinstance(n, int) and n > 0 for n in self.size):
            raise UserError(f"param_str: 'size' must be (height, width), not {self.size!r}")
        self.augmentation = augment.Augmentation.parse(self.parameters["augmentation"])
        self.data = davis.Davis(files.PYTHON_SCRIPTS / self.parameters["data"])
        self.open()
        self.seconds = 0.0  # spent in forward(): waiting for a sample, and copying it
        self.start(self.parameters["seed"], 0)
        shapes = [(3, *self.size), self.size, self.size]
        for blob, shape in zip(top, shapes):
            blob.reshape(1, *(shape if len(shape) == 3 else (1, *shape)))
        self._prefetcher = Prefetcher(self.sample, shapes)

    def open(self):
        """Reads what does not change from sample to sample."""

    def source(self, seed, iteration):
        """(image, foreground, void) of an iteration at self.size, before augmentation."""
        raise NotImplementedError

    def start(self, seed, iteration):
        """The next forward gives the sample of this iteration."""
        if seed < 0:
            raise UserError(f"seed must not be negative: {seed}")
        self.seed, self.iteration = seed, iteration

    def sample(self, seed, iteration):
        """data, label and weight of an iteration: float32 arrays, no batch axis."""
        image, foreground, void = self.source(seed, iteration)
        matrix = self.augmentation.draw(augment.generator(seed, iteration), *self.size)
        image, (foreground, void) = augment.warp(image, [foreground, void], matrix)
        return (augment.net_input(image), foreground.astype(np.float32),
                augment.class_balance(foreground, void))

    def at_size(self, frame, *masks):
        """A frame and boolean masks at the working size."""
        shrunk = [davis.resized(mask.astype(np.uint8) * 255, self.size) > 127 for mask in masks]
        return davis.resized(frame, self.size), *shrunk

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        begin = time.perf_counter()
        for blob, array in zip(top, self._prefetcher.get(self.seed, self.iteration)):
            blob.data[...] = array
        self.iteration += 1
        self.seconds += time.perf_counter() - begin

    def backward(self, top, propagate_down, bottom):
        pass


class _FirstFrame(_Samples):
    """A sequence's first frame; it is decoded once."""

    def open(self):
        frame, annotation = self.data.first_frame(self.parameters["sequence"])
        self._source = self.at_size(
            frame, self.foreground(annotation), annotation == davis.VOID)

    def source(self, seed, iteration):
        return self._source


    def options(self):
        """What the inference scripts must be told to use the same data and size."""
        root, height = self.parameters["data"], self.size[0]
        return ((f" --data {root}" if root != "../data/DAVIS" else "")
                + (f" --scale {height / davis.HEIGHT:g}" if height != davis.HEIGHT else ""))


class FirstFrameObject(_FirstFrame):
    """The first frame with one object as foreground."""

    expected = {"sequence": str, "object": int}

    def foreground(self, annotation):
        wanted = self.parameters["object"]
        mask = annotation == wanted
        if wanted not in davis.objects_of(annotation) or not mask.any():
            ids = [int(i) for i in np.unique(annotation) if i not in (0, davis.VOID)]
            raise UserError(f"object {wanted} is not in the first annotation of "
                            f"{self.parameters['sequence']}; it has {ids or 'no object'}")
        return mask

    def next_command(self, model):
        sequence, iteration = self.parameters["sequence"], model.stem.split("_")[-1]
        return (f"python infer_test_perobj.py {iteration} {sequence} {self.parameters['object']}"
                + self.options())


class FirstFrameForeground(_FirstFrame):
    """The first frame with all objects as foreground."""

    expected = {"sequence": str}

    def foreground(self, annotation):
        self.data.first_objects(self.parameters["sequence"])
        return (annotation > 0) & (annotation != davis.VOID)

    def next_command(self, model):
        return (f"python infer_test_fgbg.py {prototxt.from_scripts(model)} ../results/ResNetF_fgbg "
                f"{self.parameters['sequence']}{self.options()}")


class GenericForeground(_Samples):
    """All frames of DAVIS lists, all objects as foreground, in a new random order each epoch."""

    expected = {"lists": tuple}

    def open(self):
        self.pairs = [pair for name in self.parameters["lists"] for pair in self.data.listed(name)]
        if not self.pairs:
            raise UserError("param_str: 'lists' must name at least one list")

    def source(self, seed, iteration):
        epoch, index = divmod(iteration, len(self.pairs))
        # Three words, so that no epoch shares its numbers with an iteration's augmentation.
        order = np.random.default_rng([seed, epoch, 1]).permutation(len(self.pairs))
        frame, annotation = self.data.pair(*self.pairs[order[index]])
        foreground = (annotation > 0) & (annotation != davis.VOID)
        return self.at_size(frame, foreground, annotation == davis.VOID)

    def next_command(self, model):
        return (f"python solve.py {prototxt.from_scripts(model)} "
                "../ResNetF/testnet_per_obj/<class>/solver_<object>.prototxt")


class LossWeighting(caffe.Layer):
    """Identity forward; backward multiplies the gradient by a weight a pixel.

    Bottoms: scores, N x C x H x W, and weight, N x 1 x H x W.  Top: the scores.
    """

    def setup(self, bottom, top):
        if len(bottom) != 2 or len(top) != 1:
            raise UserError("LossWeighting has the bottoms scores and weight, and one top")

    def reshape(self, bottom, top):
        scores, weight = (tuple(blob.shape) for blob in bottom)
        if weight != (scores[0], 1, *scores[2:]):
            raise UserError(f"LossWeighting: weight is {weight}, the scores are {scores}")
        top[0].reshape(*scores)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            np.multiply(top[0].diff, bottom[1].data, out=bottom[0].diff)
