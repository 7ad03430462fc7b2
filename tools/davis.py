"""Gets DAVIS 2017 at 480p, and checks a data set in its layout.

`get` downloads the archives of the benchmark, or takes those that were downloaded by
hand, and unpacks them into one data set.  Stopped or killed, it goes on where it was.
No sha256 of these archives is published that we know of: a zip of the expected folders,
the CRC of every file and the check below are what is looked at; the sha256 that was seen
is printed and kept in archives.json, and an archive with another one is refused later.

`check` looks at the lists, at the header and the end of every frame, and at every annotation.

Example:
    python tools/davis.py get
    python tools/davis.py get --splits trainval --archives ~/Downloads
    python tools/davis.py check --split train val
"""

import argparse
import dataclasses
import json
import re
import shlex
from pathlib import Path

from tabulate import tabulate

from segspn import cli, files
from segspn.data import davis_check, davis_get, download
from segspn.errors import UserError, count, script


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    get = commands.add_parser("get", help="download and unpack it")
    check = commands.add_parser("check", help="look whether it is whole")
    for command in (get, check):
        cli.add_data(command, help="folder of the data set (data/DAVIS)")
    get.add_argument("--splits", nargs="+", choices=davis_get.LISTS, metavar="SPLIT",
                     default=list(davis_get.LISTS), help="of trainval, test-dev, "
                     "test-challenge (all)")
    source = get.add_mutually_exclusive_group()
    source.add_argument("--from", dest="base", metavar="URL", default=davis_get.BASE,
                        help=f"address of the folder of the archives ({davis_get.BASE})")
    source.add_argument("--archives", type=cli.path, metavar="FOLDER",
                        help="folder of archives that you downloaded; no network is used")
    get.add_argument("--keep", action="store_true", help="keep downloaded archives, in "
                     "<data>/.download")
    get.add_argument("--sha256", nargs="+", type=sha256, default=[], metavar="NAME=HEX",
                     help="sha256 that the archive of a split must have")
    get.add_argument("--accept-changed", action="store_true",
                     help="take an archive whose sha256 is another than last time")
    cli.add_split(check, nargs="+", help="lists in ImageSets/2017 (all that there are)")
    check.add_argument("--full", action="store_true", help="decode every frame (a "
                       "JPEG has no checksum: a change that can be decoded is not found)")
    check.add_argument("--json", type=Path, metavar="FILE", help="write what was found to it")
    return parser.parse_args(argv)


def sha256(text):
    """(split, hex) of "NAME=HEX", NAME a split or the file name of its archive."""
    names = {davis_get.archive_name(split): split for split in davis_get.LISTS}
    name, _, digest = text.partition("=")
    split = names.get(name, name)
    if split not in davis_get.LISTS or not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise argparse.ArgumentTypeError(f"{text} must be NAME=HEX, NAME one of "
                                         f"{', '.join(davis_get.LISTS)}, HEX 64 hexadecimal digits")
    return split, digest.lower()


def command(name, root, *words):
    """A command line of this script for the same data set, quoted."""
    where = [] if root == cli.DEFAULT_DATA else ["--data", str(root)]
    return shlex.join(["python", "tools/davis.py", name, *where, *words])


def get(args):
    order = davis_get.Order(args.data, tuple(args.splits), args.base, args.archives, args.keep,
                            dict(args.sha256), args.accept_changed)
    try:
        faults = davis_get.get(order)
    except download.Unreachable as error:
        words = command("get", args.data, "--archives", "FOLDER", "--splits", *args.splits)
        raise UserError(f"{error} and run: {words}") from error
    if faults:
        raise UserError(f"{'; '.join(faults)}; see them with: {command('check', args.data)}")


def check(args):
    files.check_link(args.data)
    if not args.data.is_dir():
        raise UserError(f"{args.data} is not a folder; make it with: "
                        f"{command('get', args.data)}")
    report = davis_check.check(args.data, args.split, args.full)
    if report.sequences:
        header, rows = report.table()
        print(tabulate(rows, header, "pipe", disable_numparse=True,
                       colalign=("left", *["right"] * (len(header) - 1))), end="\n\n")
    for note in report.notes:
        print(f"note: {note}")
    for fault in report.faults:
        print(f"fault: {fault}")
    print(report.summary())
    if args.json:
        files.write_text(args.json, json.dumps({"root": str(args.data), **dataclasses.asdict(
            report)}, indent=1) + "\n")
        print(f"wrote {args.json}")
    if report.faults:
        faults = count(len(report.faults), "fault")
        raise UserError(f"{args.data} is not whole, see the {faults} above; "
                        f"{command('get', args.data)} brings what DAVIS 2017 has")


@script
def main():
    args = parse_arguments()
    {"get": get, "check": check}[args.command](args)
    print("next:", "make davis SPLIT=val DRY=1" if args.data == cli.DEFAULT_DATA else
          shlex.join(["python", "tools/run.py", "--data", str(args.data), "--split", "val",
                      "--dry-run"]))


if __name__ == "__main__":
    main()
