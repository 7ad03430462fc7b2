"""The rules of CRAF as options: of segment_instances.py, and of a run, which hands them on."""

import dataclasses
import shlex
from argparse import ArgumentTypeError

from segspn import cli
from segspn.errors import UserError
from segspn.method import craf

COARSE = "--coarse"
SWITCHES = {COARSE: "take ResNetF's score maps even where refined ones are",
            "--no-foreground": "without foreground masks: all may be foreground",
            "--no-filter": "take score maps as they are, and look for no lost object",
            "--no-recovery": "look for no lost object",
            "--backward": "label objects before their first annotation, too"}


def _attribute(option):
    return option.removeprefix("--").replace("-", "_")


def _option(field):
    return f"--{field.name.replace('_', '-')}"


def add(parser):
    """Adds them; returns the group of --no-foreground, for what does not go with that."""
    group = parser.add_argument_group("rules of the labels (CRAF)")
    foreground = group.add_mutually_exclusive_group()
    for option, meaning in SWITCHES.items():
        (foreground if option == "--no-foreground" else group).add_argument(
            option, action="store_true", help=meaning)
    for field in dataclasses.fields(craf.Thresholds):
        group.add_argument(_option(field), type=field.type, default=field.default, metavar="X",
                           help=f"{field.metadata['meaning']} ({field.default})")
    return foreground


def thresholds(args):
    """The craf.Thresholds that the options give.  Raises UserError."""
    return craf.Thresholds(**{field.name: getattr(args, field.name)
                              for field in dataclasses.fields(craf.Thresholds)})


def words(text):
    """The type of these options in one text: a tuple of those that change something, in order."""
    parser = cli.Parser(add_help=False)
    add(parser)
    try:
        args = parser.parse_args(shlex.split(text))
        chosen = thresholds(args)
    except (UserError, ValueError) as error:  # ValueError: shlex's, of quotation marks
        raise ArgumentTypeError(str(error).removesuffix("; see --help")) from error
    return (*(option for option in SWITCHES if getattr(args, _attribute(option))),
            *(word for field in dataclasses.fields(chosen)
              if (value := getattr(chosen, field.name)) != field.default
              for word in (_option(field), str(value))))
