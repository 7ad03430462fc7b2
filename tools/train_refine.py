"""Trains a refinement net anew, on the data sets at hand and on synthetic videos.

Makes data/synthetic (120 sequences of 3 frames); with --generic, that model's score maps of the
images in which all foreground is one object, at two sizes, for half of the crops; writes the
training to spn/<net>/training/, and runs solve.py.  A run that was stopped goes on where it was.
The weights go to models/spn/; nothing else is changed.

Example:
    python tools/train_refine.py --exclude dog bear tennis
    python tools/train_refine.py --sources data/DAVIS/ImageSets/2017/train.txt data/pairs \\
        --generic models/generic/ResNetF_iter_3000.caffemodel
"""

from pathlib import Path

from segspn import cli, files
from segspn.errors import UserError, script
from segspn.runs import command_lines
from segspn.training import refinement_crops
from spn import nets

SCALES = "1", "0.5"  # of the real coarse maps: maps at half the size are coarser
COARSE = files.RESULTS / "coarse"
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
    parser.add_argument("--net", choices=list(nets.NETS), default=nets.REFINE_SMALL.name,
                        help="net to train (refine_small)")
    parser.add_argument("--sources", nargs="+", type=Path,
                        help="folders in DAVIS layout or of pairs, or lists in one (data/DAVIS)")
    parser.add_argument("--exclude", nargs="+", default=[], type=cli.video, metavar="VIDEO",
                        help="videos to leave out")
    parser.add_argument("--generic", type=Path, metavar="WEIGHTS",
                        help="foreground model that gives real coarse maps")
    parser.add_argument("--weights", type=Path,
                        help="that the training begins with, as those that come with the project "
                        "(the net's own)")
    parser.add_argument("--iterations", type=cli.whole(), help="of the training (the net's)")
    parser.add_argument("--base-lr", type=cli.rate, help="of the training (the net's)")
    parser.add_argument("--gpu", type=cli.gpu, metavar="ID", help="device number (the CPU)")
    parser.add_argument("--restart", action="store_true",
                        help="delete the snapshots of an earlier training")
    return parser.parse_args(argv)


def check_weights(args):
    """Raises UserError where weights that a step begins with are not there."""
    start = args.weights or files.PYTHON_SCRIPTS / nets.NETS[args.net].weights
    if args.weights:
        files.existing_file(start, "weights")
    elif not start.is_file():
        raise UserError(f"weights {start.resolve()} do not exist: make weights"
                        + (" VGG=1" if args.net == nets.REFINE_VGG.name else ""))
    if args.generic:
        files.existing_file(args.generic, "weights")


def commands(args):
    """[(what, command line)] of the steps, as seen from python_scripts/."""
    net, sources = nets.NETS[args.net], given_sources(args)
    synthetic = files.from_scripts(SYNTHETIC)
    gpu = [] if args.gpu is None else ["--gpu", str(args.gpu)]
    coarse = ([files.from_scripts(COARSE / scale) for scale in SCALES]
              if args.generic and sources else [])
    maps = [(f"coarse maps, scale {scale}", [
        "../tools/coarse_maps.py", *sources, "--scale", scale, "--output", folder,
        "--weights", files.from_scripts(args.generic), *gpu])
        for scale, folder in zip(SCALES, coarse)]
    return [
        ("synthetic videos", ["../tools/synthetic.py", "--data", synthetic, *SYNTHETIC_OPTIONS]),
        *maps,
        ("prototxts", ["../spn/write_prototxts.py", *sources, synthetic, "--net", net.name,
                       "--iterations", str(args.iterations or net.solver["max_iter"]),
                       *(["--base-lr", f"{args.base_lr:g}"] if args.base_lr else []),
                       *(["--exclude", *args.exclude] if args.exclude else []),
                       *(["--coarse", *coarse] if coarse else [])]),
        ("training", ["solve.py", files.from_scripts(args.weights) if args.weights
                      else net.weights, f"../spn/{net.name}/training/solver.prototxt",
                      "--restart" if args.restart else "--resume", *gpu])]


@script
def main():
    args = parse_arguments()
    check_weights(args)
    for what, command in commands(args):
        command_lines.run(what, command, "the same command")


if __name__ == "__main__":
    main()
