"""Evaluates label images by the rules of DAVIS 2017, semi-supervised.

Results are <results>/<sequence>/<frame>.png, indexed PNGs of object ids, as
segment_instances.py writes them.  Prints J, F and their statistics, and writes
global_results-<split>.csv, per-sequence_results-<split>.csv and
per-frame_results-<split>.csv.  The first and the last frame of a sequence do not
count, nor do those that were learned from (--annotated).  Whatever is missing or does
not match is an error.

Example:
    python tools/evaluate.py --results results/labels --data data/DAVIS --split val
"""

from pathlib import Path

from tabulate import tabulate

from segspn import cli
from segspn.data import davis
from segspn.errors import script
from segspn.evaluation import davis2017


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True,
                        help="folder of <sequence>/<frame>.png")
    cli.add_data(parser)
    cli.add_split(parser, required=True,
                  help="list in ImageSets/2017, and part of the names of the tables")
    cli.add_videos(parser, help="only these, whatever the list has")
    cli.add_annotated(parser, help="annotated frames that were learned from: first, all, or their "
                      "names, 00000,00030 (first)")
    parser.add_argument("--output", type=Path, help="folder for the tables (that of the results)")
    parser.add_argument("--void", action="store_true",
                        help="leave out pixels that are 255 in the annotation; "
                        "the official evaluation has them as background")
    parser.add_argument("--processes", type=cli.whole(), help="how many to use (all cores)")
    return parser.parse_args(argv)


def table(header, rows):
    """A Markdown table: a column of names, if it has one, comes first."""
    return tabulate(rows, header, "pipe", floatfmt=".3f",
                    disable_numparse=[n for n, head in enumerate(header) if head == "Sequence"])


@script
def main():
    args = parse_arguments()
    videos = args.videos or davis.listed_sequences(args.data, args.split)
    evaluations = davis2017.evaluate(args.results, args.data, videos, args.void, args.processes,
                                     args.annotated)
    overall = davis2017.summary(evaluations)
    print(table(davis2017.COLUMNS, [overall.values()]), end="\n\n")
    print(table(("Sequence", "J-Mean", "F-Mean"), davis2017.object_rows(evaluations)), end="\n\n")
    for path in davis2017.write_tables(args.output or args.results, args.split, evaluations):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
