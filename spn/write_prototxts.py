"""Writes the refinement nets, and the solver that trains one on images with masks.

Sources are folders in DAVIS layout (every frame that has an annotation is taken),
or image lists in one, as data/DAVIS/ImageSets/2017/train.txt.  With --video the
training is one that fine-tunes the generic weights on a video's first frame.

Example:
    python spn/nets.py data/DAVIS data/synthetic --exclude dog bear tennis
    python spn/nets.py data/DAVIS/ImageSets/2017/train.txt --net refine_vgg
    python spn/nets.py data/DAVIS --video lions --iterations 200 --base-lr 1e-4
"""

from pathlib import Path

from ResNetF.nets import solver
from ResNetF.write_prototxts import add_solver, solver_changes, write
from segspn import cli, files
from segspn.data import davis
from segspn.errors import UserError, script
from segspn.files import from_scripts
from segspn.training import refinement_crops
from spn import nets

FOLDER = files.ROOT / "spn"
HEADER = "# Written by spn/nets.py, which is the place to change it.\n"
CROP = (128, 128)
GENERIC = "../spn/{}.caffemodel"  # trained weights, that fine-tuning starts from


def deploy_path(net):
    return FOLDER / net.name / "deploy.prototxt"


def write_training(net, parameters, changes):
    """The train prototxt of a net and its solver, in a folder that is not tracked.

    Those beside the deploy prototxt made the shipped weights.  Returns the
    solver's path.
    """
    video = parameters["video"]
    folder = FOLDER / net.name / (video or "training")
    prefix = f"../models/{video}/{video}_spn" if video else f"../models/spn/{net.name}"
    write(folder / "train.prototxt", nets.train(net, **parameters), HEADER)
    write(folder / "solver.prototxt", solver(
        net, from_scripts(folder / "train.prototxt"), prefix, **changes), HEADER)
    return folder / "solver.prototxt"


def parameters_of(args, net):
    """The param_str of the data layer, checked against what is on disk."""
    generic = files.PYTHON_SCRIPTS / GENERIC.format(net.name)
    if args.video and not generic.is_file():
        raise UserError(f"--video fine-tunes {generic}, which does not exist; train {net.name} "
                        "first, and put its weights there")
    parameters = {
        "sources": tuple(from_scripts(Path(source).expanduser()) for source in args.sources),
        "exclude": tuple(args.exclude),
        "coarse": tuple(from_scripts(path.expanduser()) for path in args.coarse),
        "video": davis.checked_sequence(args.video) if args.video else "",
        "size": CROP, "batch": net.batch if args.batch is None else args.batch, "seed": 0}
    refinement_crops.RefinementCrops(repr(parameters))
    return parameters


def parse_arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("sources", nargs="*", help="images with masks to train on; none: "
                        "only the deploy nets are written")
    parser.add_argument("--net", choices=list(nets.NETS), default=nets.REFINE_SMALL.name,
                        help="net to train (refine_small)")
    parser.add_argument("--exclude", nargs="+", default=[], help="sequences to leave out")
    parser.add_argument("--video", help="fine-tune on the first frame of this sequence alone")
    parser.add_argument("--coarse", nargs="+", default=[], type=Path,
                        help="folders of real score maps, <class>/<frame>_<k>.png, to learn from")
    parser.add_argument("--batch", type=int, help="crops an iteration")
    add_solver(parser)
    return parser.parse_args()


@script
def main():
    args = parse_arguments()
    for net in nets.NETS.values():
        write(deploy_path(net), nets.deploy(net), HEADER)
    print("wrote the deploy nets to spn/refine_*/")
    if args.sources:
        net = nets.NETS[args.net]
        path = write_training(net, parameters_of(args, net), solver_changes(args, net))
        print("next, in python_scripts/:",
              cli.command("solve.py", GENERIC.format(net.name) if args.video else net.weights,
                          from_scripts(path)))


if __name__ == "__main__":
    main()
