"""Packs the labels of a whole list as the DAVIS challenge takes them: submission.zip.

Every frame of every sequence of the list must be there, as an indexed PNG of the
annotation's size, without ids that the first annotation lacks.

Example:
    python tools/submission.py --labels results/runs/test-dev/labels --split test-dev \\
        --output submission.zip
"""

from pathlib import Path

from segspn import cli
from segspn.data import davis
from segspn.errors import UserError, script
from segspn.report import submission


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    cli.add_data(parser)
    parser.add_argument("--labels", type=Path, required=True,
                        help="folder of <video>/<frame>.png")
    cli.add_split(parser, required=True, help="list in ImageSets/2017")
    parser.add_argument("--output", type=Path, required=True, help="the zip to write")
    args = parser.parse_args(argv)
    if args.output.suffix != ".zip":
        raise UserError(f"--output {args.output} does not end in .zip")
    return args


@script
def main():
    args = parse_arguments()
    data = davis.Davis(args.data)
    sequences = davis.listed_sequences(data.root, args.split)
    if not sequences:
        raise UserError(f"list {args.split} of {data.root} names no sequence")
    count = submission.write(args.output, args.labels, data, sequences)
    print(f"wrote {args.output}: {count} frames of {len(sequences)} sequences")


if __name__ == "__main__":
    main()
