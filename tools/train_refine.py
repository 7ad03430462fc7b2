"""Trains the small refinement net anew, on the data sets at hand and on synthetic videos.

Makes data/synthetic (120 sequences of 3 frames), writes the training to
spn/refine_small/training/, and runs solve.py; a run that was stopped goes on where it was.
The weights go to models/spn/; nothing else is changed.

Example:
    python tools/train_refine.py --exclude dog bear tennis
    python tools/train_refine.py --sources data/DAVIS/ImageSets/2017/train.txt
"""

from pathlib import Path

from segspn import cli, files
from segspn.errors import UserError, script
from segspn.runs import command_lines
from segspn.training import refinement_crops
from spn import nets

SYNTHETIC = files.ROOT / "data/synthetic"
SYNTHETIC_OPTIONS = ("--size", "480x854", "--objects", "2", "--count", "120",
                     "--frames", "3", "--seed", "1")


def given_sources(args):
    """What the user has: --sources, or data/DAVIS where it has annotated frames."""
    if args.sources:
        return [files.from_scripts(source) for source in args.sources]
    try:
        refinement_crops.annotated_frames(files.from_scripts(cli.DEFAULT_DATA))
    except UserError as error:
        print(f"synthetic videos alone: {error}")
        return []
    return [files.from_scripts(cli.DEFAULT_DATA)]


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("--sources", nargs="+", type=Path,
                        help="folders in DAVIS layout, or image lists in one (data/DAVIS)")
    parser.add_argument("--exclude", nargs="+", default=[], type=cli.video, metavar="VIDEO",
                        help="videos to leave out")
    parser.add_argument("--iterations", type=cli.whole(),
                        default=nets.REFINE_SMALL.solver["max_iter"],
                        help="of the training (%(default)s)")
    parser.add_argument("--restart", action="store_true",
                        help="delete the snapshots of an earlier training")
    return parser.parse_args(argv)


@script
def main():
    args = parse_arguments()
    sources = given_sources(args)
    synthetic = files.from_scripts(SYNTHETIC)
    for what, command in (
            ("synthetic videos", ["../tools/synthetic.py", "--data", synthetic,
                                  *SYNTHETIC_OPTIONS]),
            ("prototxts", ["../spn/write_prototxts.py", *sources, synthetic,
                           "--iterations", str(args.iterations),
                           *(["--exclude", *args.exclude] if args.exclude else [])]),
            ("training", ["solve.py", nets.REFINE_SMALL.weights,
                          "../spn/refine_small/training/solver.prototxt",
                          "--restart" if args.restart else "--resume"])):
        command_lines.run(what, command, "the same command")


if __name__ == "__main__":
    main()
