"""Writes the trainings of ResNetF for a data set: train nets and their solvers.

Example:
    python ResNetF/write_prototxts.py --split test-challenge
    python ResNetF/write_prototxts.py --data data/videos --size 240x427 --iterations 200

The objects are counted in the annotations of the first frames, or of those that --annotated
names; what has several annotated frames has a second training, of them all.  Those of the 30
videos of DAVIS 2017 test-challenge are known: with --split test-challenge alone, or with options
of the solver, nothing need be there.  The deploy nets are tracked; they are written with --deploy
alone, after a change of nets.py.
"""

import argparse
import shlex

from ResNetF import nets
from segspn import cli
from segspn.caffenet import deploy, prototxt
from segspn.data import pairs
from segspn.errors import UserError, script
from segspn.files import from_scripts
from segspn.runs import settings
from segspn.training import prototxts


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("position", nargs="?", type=moved, help=argparse.SUPPRESS)
    cli.add_data(parser, default=None)
    cli.add_split(parser, help="list in ImageSets/2017 (all videos)")
    cli.add_videos(parser, help="only these")
    parser.add_argument("--backbone", choices=list(nets.BACKBONES),
                        help="default: resnet101 where ResNetF/PN_ResNetF.caffemodel is")
    parser.add_argument("--size", type=cli.size, metavar="HEIGHTxWIDTH",
                        help="to work at (480x854)")
    cli.add_annotated(parser)
    cli.add_solver(parser)
    cli.add_recipe(parser)
    cli.add_generic(parser)
    parser.add_argument("--generic-only", action="store_true",
                        help="the generic training alone")
    parser.add_argument("--deploy", action="store_true", help="the tracked deploy nets")
    args = parser.parse_args(argv)
    if not (args.data or args.split or args.videos or args.deploy):
        raise UserError("name a data set with --data, or --split test-challenge; see --help")
    return args


def moved(text):
    """What is said of a data set, or the word test-challenge, without its option."""
    option = "--split" if text == "test-challenge" else "--data"
    raise argparse.ArgumentTypeError(f"give {shlex.quote(text)} with {option}")


def is_known(args):
    """Whether the published numbers of objects are enough."""
    return args.split == "test-challenge" and not (
        args.data or args.videos or args.backbone or args.size or args.lists or args.recipe)


def write_data_set(args):
    """The trainings of the videos of a data set, and the generic one where it has lists."""
    backbone = nets.BACKBONES[args.backbone] if args.backbone else deploy.default_backbone()
    data = pairs.data_set(args.data or cli.DEFAULT_DATA)
    size = deploy.checked_size(args.size or nets.WORKING_SIZE, backbone)
    is_generic = args.generic_only or args.lists
    lists = pairs.generic_lists(data, args.lists, args.validation)
    if is_generic:
        pairs.images_of(data, sum(lists, ()))  # looked at before anything is written
    if not args.generic_only:
        backbone = deploy.with_recipe(backbone, args.recipe)
        changes = cli.solver_changes(args, backbone)
        sequences = (settings.chosen_videos(data, args.split, args.videos or [])[0]
                     if args.split or args.videos else data.sequences())
        solver = prototxts.write_sequences(backbone, data, size, sequences, changes,
                                           args.annotated)
        print(f"wrote the trainings of {', '.join(sequences)} ({backbone.name})")
        print("next, in python_scripts/:",
              cli.command("solve.py", backbone.weights, from_scripts(solver)))
    if is_generic:
        write_generic(args, backbone, data, size, *lists)


def write_generic(args, backbone, data, size, lists, validation):
    """The generic training of a data set."""
    backbone = deploy.generic_recipe(backbone)
    solver = prototxts.write_generic(backbone, from_scripts(data.root), size, lists,
                                     cli.solver_changes(args, backbone), validation)
    print(f"wrote the generic training ({backbone.name}): {from_scripts(solver)}")
    print("next, in python_scripts/:",
          cli.command("solve.py", backbone.pretrained, from_scripts(solver)))


@script
def main():
    args = parse_arguments()
    if args.deploy:
        for path, net in deploy.resnetf_nets().items():
            prototxt.write(path, net)
        print("wrote the deploy nets to ResNetF/testnet_*/")
    if is_known(args):
        prototxts.write_test_challenge(from_scripts(cli.DEFAULT_DATA),
                                       cli.solver_changes(args, nets.RESNET101))
        print("wrote the trainings of DAVIS 2017 test-challenge to ResNetF/")
    elif args.data or args.split or args.videos:
        write_data_set(args)


if __name__ == "__main__":
    main()
