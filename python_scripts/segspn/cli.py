"""What the command lines of the scripts share."""

import argparse
import dataclasses
import shlex
from pathlib import Path

from ResNetF import WORKING_SIZE
from segspn import files
from segspn.errors import UserError

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


def add_fields(arguments, title, kind):
    """An option for each field of a dataclass, whose metadata has its "meaning"."""
    group = arguments.add_argument_group(title)
    for field in dataclasses.fields(kind):
        group.add_argument(f"--{field.name.replace('_', '-')}", type=field.type,
                           default=field.default, metavar="X",
                           help=f"{field.metadata['meaning']} ({field.default})")


def from_fields(args, kind):
    """The dataclass that the options of add_fields make."""
    return kind(**{field.name: getattr(args, field.name) for field in dataclasses.fields(kind)})


def add_solver(arguments):
    """The options that solver_changes reads."""
    arguments.add_argument("--iterations", type=int, help="max_iter of the solver")
    arguments.add_argument("--snapshot", type=int,
                           help="iterations from snapshot to snapshot (the net's, or --iterations "
                           "where that is less)")
    arguments.add_argument("--base-lr", type=float, help="base_lr of the solver")


def solver_changes(args, kind):
    """The fields of a solver that the command line sets.

    kind: what is trained, as in ResNetF.nets.solver.  Raises UserError.
    """
    for name in ("iterations", "snapshot"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
        if value is not None and value >= 2**31:  # an int32 of the prototxt
            raise UserError(f"--{name} must be below {2**31}, not {value}")
    changes = {}
    if args.iterations is not None:
        changes = {"max_iter": args.iterations,
                   "snapshot": min(args.iterations, kind.solver["snapshot"])}
    if args.snapshot is not None:
        changes["snapshot"] = args.snapshot
    if args.base_lr is not None:
        if not 0 < args.base_lr < 1:
            raise UserError(f"--base-lr must be between 0 and 1, not {args.base_lr:g}")
        changes["base_lr"] = args.base_lr
    return changes


def data_options(data):
    """How a command line names a data set: not at all where it is the default."""
    path = files.from_scripts(data)
    return [] if path == files.from_scripts(DEFAULT_DATA) else ["--data", path]


def inference_options(data, size=None, scale=1.0):
    """How a command line names a data set and a working size, "HEIGHTxWIDTH" or a scale."""
    if size and size != f"{WORKING_SIZE[0]}x{WORKING_SIZE[1]}":
        return [*data_options(data), "--size", size]
    return [*data_options(data), *(["--scale", f"{scale:g}"] if scale != 1 else [])]


def command(*words):
    """A command line of python_scripts/ to show: "python solve.py …", quoted."""
    return shlex.join(["python", *map(str, words)])
