"""Writes the nets and solvers of ResNetF for a data set.

Example:
    python ResNetF/nets.py test-challenge          # the 30 videos of DAVIS 2017 test-challenge
    python ResNetF/nets.py ~/my-videos --size 240x427 --iterations 200

The objects of another data set in DAVIS layout are counted in the annotations
of its first frames.
"""

import re
from pathlib import Path

from google.protobuf import text_format

from ResNetF import nets
from segspn import cli, files
from segspn.data import davis
from segspn.errors import UserError, script
from segspn.files import from_scripts

FOLDER = files.ROOT / "ResNetF"
HEADER = "# Written by ResNetF/nets.py, which is the place to change it.\n"
DAVIS_2017 = from_scripts(cli.DEFAULT_DATA)
TRAIN_LISTS = ("ImageSets/2017/train.txt", "ImageSets/2017/val.txt")


def write(path, message, header=HEADER):
    files.write_text(path, header + text_format.MessageToString(message))


def deploy_path(backbone, folder):
    """The deploy prototxt of a backbone in testnet_fgbg or testnet_per_obj."""
    suffix = "" if backbone is nets.RESNET101 else f"_{backbone.name}"
    return FOLDER / folder / f"deploy{suffix}.prototxt"


def write_deploys():
    for backbone in nets.BACKBONES.values():
        write(deploy_path(backbone, "testnet_fgbg"), nets.deploy(backbone, prob=False))
        write(deploy_path(backbone, "testnet_per_obj"), nets.deploy(backbone, prob=True))


def write_training(net_path, solver_path, prefix, backbone, layer, changes, **parameters):
    """A train prototxt and its solver."""
    write(net_path, nets.train(backbone, layer, augmentation=nets.AUGMENTATION, seed=0,
                               **parameters))
    write(solver_path, nets.solver(backbone, from_scripts(net_path), prefix, **changes))


def write_generic(backbone, data, size, lists=TRAIN_LISTS, changes=()):
    folder = FOLDER / "generic"
    write_training(folder / "train.prototxt", folder / "solver.prototxt",
                   "../models/generic/ResNetF", backbone, "GenericForeground", dict(changes),
                   data=data, lists=lists, size=size)


def write_sequence(backbone, data, size, sequence, objects, changes=()):
    """The foreground training of a video, and one training an object."""
    prefix = f"../models/{sequence}/{sequence}"
    folder = FOLDER / "testnet_fgbg" / sequence
    write_training(folder / "train.prototxt", folder / "solver.prototxt", f"{prefix}_fgbg",
                   backbone, "FirstFrameForeground", dict(changes),
                   data=data, sequence=sequence, size=size)
    folder = FOLDER / "testnet_per_obj" / sequence
    for k in objects:
        write_training(folder / f"train_{k}.prototxt", folder / f"solver_{k}.prototxt",
                       f"{prefix}_obj_{k}", backbone, "FirstFrameObject", dict(changes),
                       data=data, sequence=sequence, object=k, size=size)


def write_test_challenge(changes=()):
    """Everything that the 2017 release's command lines need."""
    write_deploys()
    write_generic(nets.RESNET101, DAVIS_2017, nets.WORKING_SIZE, changes=changes)
    for sequence, count in davis.TEST_CHALLENGE.items():
        write_sequence(nets.RESNET101, DAVIS_2017, nets.WORKING_SIZE, sequence,
                       range(1, count + 1), changes)


def parse_size(text, backbone):
    """(height, width) from "480x854".  Raises UserError where the net has no such size."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match:
        raise UserError(f"--size must be HEIGHTxWIDTH, as 480x854, not {text!r}")
    size = int(match[1]), int(match[2])
    if not nets.size_is_valid(backbone, *size):
        valid = "x".join(map(str, nets.valid_size(backbone, *size)))
        raise UserError(f"--size {text}: {backbone.name} is not defined at this size; "
                        f"the next is {valid}")
    return size


def default_backbone():
    """ResNet-101 where ResNetF's weights are at hand, else the thin one."""
    given = (files.PYTHON_SCRIPTS / nets.RESNET101.weights).is_file()
    return nets.RESNET101 if given else nets.RESNET50_THIN


def add_solver(arguments):
    """The options that solver_changes reads."""
    arguments.add_argument("--iterations", type=int, help="max_iter of the solver")
    arguments.add_argument("--snapshot", type=int,
                           help="iterations from snapshot to snapshot (the net's, or --iterations "
                           "where that is less)")
    arguments.add_argument("--base-lr", type=float, help="base_lr of the solver")


def solver_changes(args, kind):
    """The fields of the solvers that the command line sets.

    kind: what is trained, as in nets.solver.  Raises UserError.
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


def write_data_set(args):
    """The trainings of the sequences of a data set, and the generic one where it has lists."""
    if args.generic_only and not args.lists:
        raise UserError("--generic-only: name the image lists with --lists")
    backbone = nets.BACKBONES[args.backbone] if args.backbone else default_backbone()
    data = davis.Davis(Path(args.data).expanduser())
    size = parse_size(args.size, backbone)
    changes = solver_changes(args, backbone)
    for name in args.lists or ():
        data.listed(name)
    if not args.generic_only:
        write_sequences(backbone, data, size, args.sequences or data.sequences(), changes)
    if args.lists:
        write_generic(backbone, from_scripts(data.root), size, lists=tuple(args.lists),
                      changes=changes)
        print(f"wrote the generic training ({backbone.name}): ../ResNetF/generic/solver.prototxt")


def write_sequences(backbone, data, size, sequences, changes):
    """The trainings of these sequences of a davis.Davis."""
    if not sequences:
        raise UserError(f"{data.images} has no sequence (no folder of frames)")
    for sequence in sequences:
        data.frames(sequence)
        write_sequence(backbone, from_scripts(data.root), size, sequence,
                       data.first_objects(sequence), changes)
    print(f"wrote the trainings of {', '.join(sequences)} ({backbone.name})")
    print(f"next, in python_scripts/: python solve.py {backbone.weights} "
          f"../ResNetF/testnet_fgbg/{sequences[0]}/solver.prototxt")


@script
def main():
    parser = cli.parser(__doc__)
    parser.add_argument("data", help="a folder in DAVIS layout, or the word test-challenge")
    parser.add_argument("--sequences", nargs="+", help="only these")
    parser.add_argument("--backbone", choices=list(nets.BACKBONES),
                        help="default: resnet101 where ResNetF/PN_ResNetF.caffemodel is")
    parser.add_argument("--size", default="480x854", help="HEIGHTxWIDTH to work at (480x854)")
    add_solver(parser)
    parser.add_argument("--lists", nargs="+",
                        help="image lists of the generic training, relative to the data")
    parser.add_argument("--generic-only", action="store_true",
                        help="the generic training alone")
    args = parser.parse_args()
    if args.data == "test-challenge":
        write_test_challenge(solver_changes(args, nets.RESNET101))
        print("wrote the nets and solvers of DAVIS 2017 test-challenge to ResNetF/")
    else:
        write_data_set(args)


if __name__ == "__main__":
    main()
