"""Training samples: where they come from, and how param_str describes them.

A source gives data (3 x H x W, BGR minus mean), label and weight (H x W each),
all float32, as a function of (seed, iteration).  Its parameters are a Python
literal, as in the 2017 release:

    {'data': '../data/DAVIS', 'sequence': 'lions', 'object': 2, 'size': (480, 854),
     'augmentation': (3000, 0.05, 5, 0.1, 0.1, 1), 'seed': 0}

A relative 'data' counts from python_scripts/.  Nothing here needs Caffe: it runs
in the process that prepares samples, too.
"""

import ast

import numpy as np

from ResNetF import LONGEST_SIDE
from segspn import done, files
from segspn.caffenet.net_input import net_input
from segspn.data import davis
from segspn.errors import UserError
from segspn.training import augment


def parse_parameters(text, expected):
    """The dict that a param_str spells.  Raises UserError where it is not as expected.

    `expected` maps each key to its type, or to a (type, default) pair.
    """
    try:
        values = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
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
        words = value if kind is tuple else (value,)
        if any(isinstance(word, str) and not word.isprintable() for word in words):
            raise UserError(f"param_str: {key!r} must be printable, not {value!r}")
    return values


def checked_size(size, multiple=1):
    """The tuple (height, width) of a param_str, px.  Raises UserError where it is no size."""
    if len(size) != 2 or not all(type(n) is int and 0 < n <= LONGEST_SIDE and n % multiple == 0
                                 for n in size):
        raise UserError(f"param_str: 'size' must be (height, width), {multiple} to {LONGEST_SIDE}"
                        + f", multiples of {multiple}" * (multiple > 1) + f", not {size!r}")
    return size


def check_names(parameters, *keys):
    """Raises UserError where one of these tuples has something else than text."""
    for key in keys:
        if not all(isinstance(name, str) for name in parameters[key]):
            raise UserError(f"param_str: {key!r} must be names, not {parameters[key]!r}")


class Samples:
    """What the sources share; a subclass says what a sample is before augmentation.

    Raises UserError for parameters that are not as expected, and for data that
    is missing or does not fit.
    """

    expected = {}
    places = ("data", "lists")

    def __init__(self, text):
        common = {"data": str, "size": tuple, "augmentation": tuple, "seed": (int, 0)}
        self.parameters = parse_parameters(text, {**common, **self.expected})
        self.size = checked_size(self.parameters["size"])
        if not 0 <= self.parameters["seed"] < 2**31:
            raise UserError("param_str: 'seed' must be from 0 to 2147483647, "
                            f"not {self.parameters['seed']}")
        self.augmentation = augment.Augmentation.parse(self.parameters["augmentation"])
        self.data = davis.Davis(files.PYTHON_SCRIPTS / self.parameters["data"])
        self.open()

    @property
    def shapes(self):
        """Of data, label and weight."""
        return [(1, 3, *self.size), *[(1, 1, *self.size)] * 2]

    def open(self):
        """Reads what does not change from sample to sample."""

    def source(self, seed, iteration):
        """(image, foreground, void) of an iteration at self.size, before augmentation."""
        raise NotImplementedError

    def sample(self, seed, iteration):
        """data, label and weight of an iteration."""
        image, foreground, void = self.source(seed, iteration)
        matrix = self.augmentation.draw(augment.generator(seed, iteration), *self.size)
        image, (foreground, void) = augment.warp(image, [foreground, void], matrix)
        return (net_input(image), foreground.astype(np.float32),
                augment.class_balance(foreground, void))

    def at_size(self, frame, *masks):
        """A frame and boolean masks at the working size."""
        shrunk = [davis.resized(mask.astype(np.uint8) * 255, self.size) > 127 for mask in masks]
        return davis.resized(frame, self.size), *shrunk

    def fingerprint(self):
        """Bytes that differ where the samples of two runs would."""
        raise NotImplementedError


class _FirstFrame(Samples):
    """A sequence's first frame; it is decoded once."""

    def open(self):
        frame, annotation = self.data.first_frame(self.parameters["sequence"])
        self._source = self.at_size(
            frame, self.foreground(annotation), annotation == davis.VOID)

    def source(self, seed, iteration):
        return self._source

    def fingerprint(self):
        return b"".join(array.tobytes() for array in self._source)


class FirstFrameObject(_FirstFrame):
    """The first frame with one object as foreground."""

    expected = {"sequence": str, "object": int}

    def foreground(self, annotation):
        wanted = self.parameters["object"]
        objects = davis.objects_of(annotation)
        if wanted not in objects:
            raise UserError(f"object {wanted} is not in the first annotation of "
                            f"{self.parameters['sequence']}; it has {objects or 'no object'}")
        return annotation == wanted


class FirstFrameForeground(_FirstFrame):
    """The first frame with all objects as foreground."""

    expected = {"sequence": str}

    def foreground(self, annotation):
        self.data.first_objects(self.parameters["sequence"])
        return (annotation > 0) & (annotation != davis.VOID)


class GenericForeground(Samples):
    """All frames of DAVIS lists, all objects as foreground, in a new random order each epoch."""

    expected = {"lists": tuple}

    def open(self):
        check_names(self.parameters, "lists")
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

    def fingerprint(self):
        return done.digest_of(path for pair in self.pairs for path in pair)
