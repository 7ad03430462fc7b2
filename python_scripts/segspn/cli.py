"""What the command lines of the scripts share."""

import argparse
from pathlib import Path

from segspn import files

DEFAULT_DATA = files.ROOT / "data/DAVIS"


def parser(documentation):
    """A parser whose help is the script's docstring, its example as it stands."""
    return argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_data(arguments):
    arguments.add_argument("--data", type=Path, default=DEFAULT_DATA,
                           help="data set in DAVIS layout (data/DAVIS)")


def add_inference(arguments):
    """The options of the two inference scripts."""
    add_data(arguments)
    arguments.add_argument("--gpu", type=int, help="GPU number (the CPU)")
    arguments.add_argument("--scale", type=float, default=1.0,
                           help="working size, times 480x854 (1)")
    arguments.add_argument("--force", action="store_true",
                           help="do frames again that are done already")


def data_option(data):
    """How a next command names the data set: not at all where it is the default."""
    return "" if Path(data) == DEFAULT_DATA else f" --data {data}"
