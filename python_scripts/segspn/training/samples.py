"""Training samples: where they come from, and how param_str describes them.

A source gives data (3 x H x W, BGR minus mean), label and weight (H x W each),
all float32, as a function of (seed, iteration).  Its parameters are a Python
literal, as in the 2017 release:

    {'data': '../data/DAVIS', 'sequence': 'lions', 'object': 2, 'size': (480, 854),
     'augmentation': (3000, 0.05, 5, 0.1, 0.1, 1), 'seed': 0}

With 'crops', as {'size': (256, 448), 'scale': (0.8, 1.25)} (training.crops), a sample is crops
of the frame instead of all of it, which is at 'size' then, or for generic training as it is.

A relative 'data' counts from python_scripts/.  Nothing here needs Caffe: it runs
in the process that prepares samples, too.
"""

import ast

import numpy as np

from ResNetF import LONGEST_SIDE
from segspn import done, files
from segspn.caffenet.net_input import net_input
from segspn.data import annotations, davis, pairs
from segspn.errors import UserError
from segspn.training import augment
from segspn.training.crops import Crops


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
        common = {"data": str, "size": tuple, "augmentation": (tuple, ()),
                  "crops": (dict, {}), "seed": (int, 0)}
        self.parameters = parse_parameters(text, {**common, **self.expected})
        self.size = checked_size(self.parameters["size"])
        if not 0 <= self.parameters["seed"] < 2**31:
            raise UserError("param_str: 'seed' must be from 0 to 2147483647, "
                            f"not {self.parameters['seed']}")
        crops, augmentation = (self.parameters[key] for key in ("crops", "augmentation"))
        if not crops and not augmentation:
            raise UserError(f"param_str has no 'augmentation', and no 'crops': {text!r}")
        self.crops = Crops.parse(crops) if crops else None
        self.augmentation = None if crops else augment.Augmentation.parse(augmentation)
        self.data = pairs.data_set(files.PYTHON_SCRIPTS / self.parameters["data"])
        self.open()

    @property
    def shapes(self):
        """Of data, label and weight."""
        batch, size = (self.crops.batch, self.crops.size) if self.crops else (1, self.size)
        return [(batch, 3, *size), *[(batch, 1, *size)] * 2]

    def open(self):
        """Reads what does not change from sample to sample."""

    def source(self, seed, index):
        """(image, foreground, void) of a sample or crop at self.size, before augmentation."""
        raise NotImplementedError

    def sample(self, seed, iteration):
        """data, label and weight of an iteration."""
        if self.crops:
            rng, batch = augment.generator(seed, iteration), self.crops.batch
            crops = [self._crop(rng, *self.source(seed, iteration * batch + i))
                     for i in range(batch)]
            return [np.stack(arrays) for arrays in zip(*crops)]
        image, foreground, void = self.source(seed, iteration)
        matrix = self.augmentation.draw(augment.generator(seed, iteration), *self.size)
        image, (foreground, void) = augment.warp(image, [foreground, void], matrix)
        return (net_input(image), foreground.astype(np.float32),
                self.balance(iteration, foreground, void))

    def balance(self, index, foreground, void):
        """The loss's weights of a whole frame, a sample's: float32 H x W."""
        return augment.class_balance(foreground, void)

    def _crop(self, rng, *source):
        """data, label and weight of a crop: 3 x H x W, and 1 x H x W each."""
        image, foreground, void = self.crops.cut(rng, *source)
        return (net_input(image), foreground[None].astype(np.float32),
                self.crops.weight(foreground, void)[None])

    def at_size(self, frame, *masks):
        """A frame and boolean masks at the working size."""
        shrunk = [davis.resized(mask.astype(np.uint8) * 255, self.size) > 127 for mask in masks]
        return davis.resized(frame, self.size), *shrunk

    def fingerprint(self):
        """Bytes that differ where the samples of two runs would."""
        raise NotImplementedError


class _FirstFrame(Samples):
    """A sequence's first frame, or other annotated frames of it, evenly; each is decoded once.

    frames  their names; () for the first frame
    """

    expected = {"sequence": str, "frames": (tuple, ())}
    places = (*Samples.places, "frames")  # what they hold is in the fingerprint

    def open(self):
        check_names(self.parameters, "frames")
        sequence, frames = self.parameters["sequence"], self.parameters["frames"]
        self.said = annotations.Annotations.read(self.data, sequence, frames or annotations.FIRST)
        paths = {path.stem: path for path in self.data.frames(sequence)}
        self._sources = [
            self.at_size(files.read_image(paths[stem]), *self.foreground(stem, ids))
            for stem, ids in self.said.ids.items()]
        self._shares = [augment.share_of(*masks) for _, *masks in self._sources]

    def foreground(self, stem, ids):
        """(foreground, void), bool H x W each, of an annotated frame; ids: what is drawn in it."""
        raise NotImplementedError

    def source(self, seed, index):
        return self._sources[index % len(self._sources)]

    def balance(self, index, foreground, void):
        """Where a frame says of one class alone, as in the first one: by itself it weighs 0."""
        is_of_one = self._shares[index % len(self._shares)] in (0, 1)
        return augment.class_balance(foreground, void, self._shares[0] if is_of_one else None)

    def fingerprint(self):
        return b"".join(array.tobytes() for source in self._sources for array in source)


class FirstFrameObject(_FirstFrame):
    """One object as foreground, in frames that say where it is."""

    expected = {**_FirstFrame.expected, "object": int}

    def foreground(self, stem, ids):
        wanted, objects = self.parameters["object"], davis.objects_of(ids)
        if wanted not in objects and stem not in self.said.complete:
            which = f"annotation {stem}" if self.parameters["frames"] else "the first annotation"
            raise UserError(f"object {wanted} is not in {which} of "
                            f"{self.parameters['sequence']}; it has {objects or 'no object'}")
        return ids == wanted, ids == davis.VOID


class FirstFrameForeground(_FirstFrame):
    """All objects as foreground; what may be one that is not drawn is void."""

    def foreground(self, stem, ids):
        void = ids == davis.VOID
        is_known = self.said.is_ground_known(stem)
        return (ids > 0) & ~void, void if is_known else void | (ids == 0)


class GenericForeground(Samples):
    """Frames of DAVIS lists, or pairs of images and masks, in a new random order each epoch.

    All objects are foreground.

    lists       of the data set; () for all of a folder of pairs
    validation  lists that are not trained on
    hold_out    without these, every n-th video, or pair, is not trained on; 0 for none
    """

    expected = {"lists": tuple, "validation": (tuple, ()), "hold_out": (int, 0)}

    def open(self):
        check_names(self.parameters, "lists", "validation")
        lists = pairs.images_of(self.data, self.parameters["lists"])
        validation = pairs.listed(self.data, self.parameters["validation"])
        if not self.parameters["validation"] and self.parameters["hold_out"]:
            groups = list(dict.fromkeys(map(self._group, lists)))
            held = set(groups[::self.parameters["hold_out"]])
            validation = [pair for pair in lists if self._group(pair) in held]
        self.validation, held = validation, set(validation)
        self.pairs = [pair for pair in lists if pair not in held]
        if not self.pairs:
            raise UserError("param_str: nothing is left to train on, all is held out")

    def _group(self, pair):
        """What images have in common that are held out together: their video."""
        return pair[0] if isinstance(self.data, pairs.Pairs) else pair[0].parent

    def source(self, seed, index):
        epoch, index = divmod(index, len(self.pairs))
        # Three words, so that no epoch shares its numbers with an iteration's augmentation.
        order = np.random.default_rng([seed, epoch, 1]).permutation(len(self.pairs))
        image, foreground, void = self.foreground(self.pairs[order[index]])
        return (image, foreground, void) if self.crops else self.at_size(image, foreground, void)

    def foreground(self, pair):
        """(image, foreground, void) of a pair of paths."""
        frame, annotation = self.data.pair(*pair)
        void = annotation == davis.VOID
        return frame, (annotation > 0) & ~void, void

    def fingerprint(self):
        return done.digest_of(path for pair in self.pairs for path in pair)
