"""What the command lines of the scripts share."""

import argparse
import dataclasses
import shlex
from pathlib import Path

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.method import craf

DEFAULT_DATA = files.ROOT / "data/DAVIS"


class Parser(argparse.ArgumentParser):
    """A parser that ends on bad arguments as scripts end on all bad input: with one line."""

    def error(self, message):
        raise UserError(f"{message}; see --help")


def parser(documentation):
    """A parser whose help is the script's docstring, its example as it stands."""
    return Parser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_data(arguments):
    arguments.add_argument("--data", type=Path, default=DEFAULT_DATA,
                           help="data set in DAVIS layout (data/DAVIS)")


def add_run(arguments):
    """The options of all scripts that run a net over the frames of a video."""
    add_data(arguments)
    arguments.add_argument("--gpu", type=int, help="GPU number (the CPU)")
    arguments.add_argument("--force", action="store_true",
                           help="do frames again that are done already")


def add_inference(arguments):
    """The options of the two inference scripts."""
    add_run(arguments)
    size = arguments.add_mutually_exclusive_group()
    size.add_argument("--scale", type=float, default=1.0, help="working size, times 480x854 (1)")
    size.add_argument("--size", help="working size, HEIGHTxWIDTH, as the net was trained at")


def add_thresholds(arguments):
    """An option for each of craf.Thresholds."""
    group = arguments.add_argument_group("thresholds of the filter and of the labels")
    for setting in dataclasses.fields(craf.Thresholds):
        name = f"--{setting.name.replace('_', '-')}"
        group.add_argument(name, type=setting.type, default=setting.default, metavar="X",
                           help=f"{setting.metadata['meaning']} ({setting.default})")


def thresholds(args):
    """The craf.Thresholds of parsed arguments.  Raises UserError."""
    return craf.Thresholds(**{setting.name: getattr(args, setting.name)
                                 for setting in dataclasses.fields(craf.Thresholds)})


def data_options(data):
    """How a command line names a data set: not at all where it is the default."""
    path = files.from_scripts(data)
    return [] if path == files.from_scripts(DEFAULT_DATA) else ["--data", path]


def inference_options(data, size=None, scale=1.0):
    """How a command line names a data set and a working size, "HEIGHTxWIDTH" or a scale."""
    if size and size != f"{davis.HEIGHT}x{davis.WIDTH}":
        return [*data_options(data), "--size", size]
    return [*data_options(data), *(["--scale", f"{scale:g}"] if scale != 1 else [])]


def command(*words):
    """A command line of python_scripts/ to show: "python solve.py …", quoted."""
    return shlex.join(["python", *map(str, words)])
