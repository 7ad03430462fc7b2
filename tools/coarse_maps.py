"""Score maps of a foreground model on training images, for refinement to be trained on.

The model works at the size of each image, times --scale: one half gives coarser maps.  An
image with several objects gets none.  What is done already stays.

Example:
    python tools/coarse_maps.py data/pairs --weights models/generic/ResNetF_iter_3000.caffemodel \\
        --scale 0.5 --output results/coarse/0.5
"""

from pathlib import Path

from segspn import cli, files
from segspn.errors import script


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("sources", nargs="+", type=cli.path,
                        help="folders in DAVIS layout or of pairs, or lists in one")
    parser.add_argument("--weights", type=Path, required=True, help=".caffemodel of ResNetF")
    parser.add_argument("--output", type=cli.path, required=True, help="folder for the maps")
    parser.add_argument("--scale", type=cli.real(0.1, 4), default=1.0,
                        help="of the net's input to the image (1)")
    parser.add_argument("--gpu", type=cli.gpu, metavar="ID", help="device number (the CPU)")
    return parser.parse_args(argv)


@script
def main():
    args = parse_arguments()
    from segspn.training import coarse_maps

    made = coarse_maps.write([files.from_scripts(source) for source in args.sources],
                             args.weights, args.output, args.scale, args.gpu)
    print(f"made {made} score maps in {args.output}")


if __name__ == "__main__":
    main()
