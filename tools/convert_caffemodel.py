"""Converts ResNetF weights from the published layout to the projected one.

The function of the net stays the same; the file of ResNet-101 shrinks from
1045 MB to 172 MB.

Example:
    python tools/convert_caffemodel.py PN_ResNetF.caffemodel PN_ResNetF_projected.caffemodel
"""

from segspn import cli, files
from segspn.caffenet import published_head, weights
from segspn.errors import UserError, script


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("input", help=".caffemodel in the published layout")
    parser.add_argument("output", help=".caffemodel to write")
    return parser.parse_args(argv)


@script
def main():
    args = parse_arguments()
    blobs = weights.read_caffemodel(args.input)
    if not published_head.is_published(blobs):
        raise UserError(f"weights {args.input} is not in the published layout: "
                        "it has no feat08 over the joined stages")
    weights.write_caffemodel(args.output, weights.to_projected(args.input, blobs))
    command = cli.command("solve.py", files.from_scripts(args.output))
    print(f"wrote {args.output}\nnext: {command} <solver>")


if __name__ == "__main__":
    main()
