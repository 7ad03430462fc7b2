"""What the command lines of the scripts share: their parser, types of arguments, options.

A type is a function from the text of an argument to its value, which argparse calls; what it
refuses becomes one line that names the argument.
"""

import argparse
import os
import re
import shlex
import sys
from argparse import ArgumentTypeError
from contextlib import suppress
from pathlib import Path

from ResNetF import WORKING_SIZE
from segspn import files
from segspn.data import annotations, davis
from segspn.errors import UserError

DEFAULT_DATA = files.ROOT / "data/DAVIS"
MOST = 2**31 - 1  # an int32 of the prototxts
# Options that have another name now: the first of these that the script has.
RENAMED = {
    "--class": ("--video",), "--sequence": ("--video",), "--name": ("--video",),
    "--sequences": ("--count", "--videos"), "--davis": ("--data",), "--root": ("--data",),
    "--list": ("--split",), "--splits": ("--split",), "--iter": ("--iterations",)}


class Parser(argparse.ArgumentParser):
    """A parser that ends on bad arguments as scripts end on all bad input: with one line."""

    def __init__(self, **keywords):
        super().__init__(allow_abbrev=False, **keywords)

    def parse_known_args(self, args=None, namespace=None):
        words = list(sys.argv[1:] if args is None else args)
        for number, word in enumerate(words):
            if word == "--craf":  # whose value is options, which argparse takes for its own
                words[number:] = ["=".join(words[number:number + 2]), *words[number + 2:]]
        known = self._option_string_actions
        for word in (word.partition("=")[0] for word in words):
            new = next((name for name in RENAMED.get(word, ()) if name in known), None)
            if new and word not in known:
                self.error(f"{word} is now {new}")
        return super().parse_known_args(words, namespace)

    def error(self, message):
        message = message.removeprefix("argument ").replace(": must be", " must be", 1)
        raise UserError(f"{message}; see --help")


def parser(documentation):
    """A parser whose help is the script's docstring, its example as it stands."""
    return Parser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)


# ----------------------------------------------------------------------- types

def number(kind, least, most, what):
    """The type of numbers from `least` to `most`; what: "a number", …"""
    def checked(text):
        with suppress(ValueError):
            if least <= kind(text) <= most:
                return kind(text)
        raise ArgumentTypeError(f"must be {what} from {least} to {most}, not {text!r}")
    return checked


def whole(least=1, most=MOST):
    """The type of whole numbers from `least` to `most`."""
    return number(int, least, most, "a whole number")


def real(least, most):
    """The type of numbers from `least` to `most`."""
    return number(float, least, most, "a number")


seed = gpu = whole(0)


def rate(text):
    """A learning rate."""
    with suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    raise ArgumentTypeError(f"must be between 0 and 1, not {text!r}")


def size(text):
    """(height, width) of "480x854", px."""
    match = re.fullmatch("([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if not match:
        raise ArgumentTypeError(f"must be HEIGHTxWIDTH, as 480x854, not {text!r}")
    return int(match[1]), int(match[2])


def name(what):
    """The type of names that files can have; what: of which they are."""
    def checked(text):
        try:
            return davis.checked_sequence(text, what)
        except UserError as error:
            raise ArgumentTypeError(str(error)) from error
    return checked


video, split = name("video"), name("split")


def path(text):
    """A Path; ~ is the home folder."""
    return Path(os.path.expanduser(text))  # which leaves a ~ that stands for nobody as it is


def folder(text):
    """The Path of a folder that is there."""
    files.check_link(path(text))
    if not path(text).is_dir():
        raise ArgumentTypeError(f"{text} is not a folder")
    return path(text)


# --------------------------------------------------------------------- options

def add_data(arguments, **keywords):
    """keywords: of add_argument, where they are others."""
    arguments.add_argument("--data", **{
        "type": path, "metavar": "FOLDER", "default": DEFAULT_DATA,
        "help": "data set in DAVIS layout (data/DAVIS)", **keywords})


def add_videos(arguments, **keywords):
    arguments.add_argument("--videos", nargs="+", type=video, metavar="VIDEO", **keywords)


def add_split(arguments, **keywords):
    arguments.add_argument("--split", type=split, metavar="NAME", **keywords)


def annotated(text):
    """"first", "all", or the names of frames: ["00000", "00030"] of "00000,00030"."""
    if text in (annotations.FIRST, annotations.ALL):
        return text
    names = text.split(",")
    if not all(re.fullmatch("[^/,]{1,100}", name) and not name.startswith(".") for name in names):
        raise ArgumentTypeError(f"must be first, all, or frames as 00000,00030, not {text!r}")
    return list(dict.fromkeys(names))


def add_annotated(arguments, **keywords):
    """Which annotations of a video are used."""
    arguments.add_argument("--annotated", **{
        "type": annotated, "metavar": "FRAMES", "default": annotations.FIRST,
        "help": "annotated frames to take: first, all, or their names: 00000,00030 (first)",
        **keywords})


def add_run(arguments):
    """The options of all scripts that run a net over the frames of a video."""
    add_data(arguments)
    arguments.add_argument("--gpu", type=gpu, metavar="ID", help="device number (the CPU)")
    arguments.add_argument("--force", action="store_true",
                           help="do frames again that are done already")


def add_inference(arguments):
    """The options of the two inference scripts."""
    add_run(arguments)
    arguments.add_argument("--flip", action="store_true",
                           help="average with what the net says of the mirrored frame")
    group = arguments.add_mutually_exclusive_group()
    group.add_argument("--scale", type=real(0.1, 4), default=1.0,
                       help="working size, times 480x854 (1)")
    group.add_argument("--size", type=size, metavar="HEIGHTxWIDTH",
                       help="working size, as the net was trained at")


def add_recipe(arguments):
    arguments.add_argument("--recipe", type=name("recipe"), metavar="NAME",
                           help="how to train: best takes longer (the backbone's own)")


def add_generic(arguments):
    """The images of the generic training."""
    arguments.add_argument("--lists", nargs="+", metavar="LIST",
                           help="of its images, relative to the data (those of DAVIS train and "
                           "val; of a folder of pairs train.txt, or all)")
    arguments.add_argument("--validation", nargs="+", metavar="LIST",
                           help="of images that are held out (of pairs val.txt; every twentieth "
                           "pair or video)")


def add_solver(arguments):
    """The options that solver_changes reads."""
    arguments.add_argument("--iterations", type=whole(), help="max_iter of the solver")
    arguments.add_argument("--snapshot", type=whole(),
                           help="iterations from snapshot to snapshot (the net's, or --iterations "
                           "where that is less)")
    arguments.add_argument("--base-lr", type=rate, help="base_lr of the solver")


def solver_changes(args, kind):
    """The fields of a solver that the command line sets.

    kind: what is trained, as in ResNetF.nets.solver.
    """
    changes = {}
    if args.iterations is not None:
        changes = {"max_iter": args.iterations,
                   "snapshot": min(args.iterations, kind.solver["snapshot"])}
    if args.snapshot is not None:
        changes["snapshot"] = args.snapshot
    if args.base_lr is not None:
        changes["base_lr"] = args.base_lr
    return changes


# --------------------------------------------------------------- command lines

def size_text(height_and_width):
    """A size as the type `size` reads it."""
    return "{}x{}".format(*height_and_width)


def data_options(data):
    """How a command line names a data set: not at all where it is the default."""
    path = files.from_scripts(data)
    return [] if path == files.from_scripts(DEFAULT_DATA) else ["--data", path]


def annotated_options(choice):
    """How a command line names annotated frames: not at all where it is the first one."""
    if choice == annotations.FIRST:
        return []
    return ["--annotated", choice if choice == annotations.ALL else ",".join(choice)]


def inference_options(data, size=None, scale=1.0):
    """How a command line names a data set and a working size, (height, width) or a scale."""
    if size and tuple(size) != WORKING_SIZE:
        return [*data_options(data), "--size", size_text(size)]
    return [*data_options(data), *(["--scale", f"{scale:g}"] if scale != 1 else [])]


def command(*words):
    """A command line of python_scripts/ to show: "python solve.py …", quoted."""
    return shlex.join(["python", *map(str, words)])
