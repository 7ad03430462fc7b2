"""Writes a training of a refinement net, on images with masks: train net and solver.

Sources are folders in DAVIS layout (every frame that has an annotation is taken),
or image lists in one, as data/DAVIS/ImageSets/2017/train.txt.  With --video the
training is one that fine-tunes the generic weights on a video's first frame.
The deploy nets are tracked; they are written with --deploy alone, after a change of nets.py.

Example:
    python spn/write_prototxts.py data/DAVIS data/synthetic --exclude dog bear tennis
    python spn/write_prototxts.py data/DAVIS/ImageSets/2017/train.txt --net refine_vgg
    python spn/write_prototxts.py data/DAVIS --video lions --iterations 200 --base-lr 1e-4
"""

from pathlib import Path

from segspn import cli
from segspn.caffenet import deploy, prototxt
from segspn.errors import UserError, script
from segspn.files import from_scripts
from segspn.training import prototxts
from spn import nets


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("sources", nargs="*", help="images with masks to train on")
    parser.add_argument("--net", choices=list(nets.NETS), default=nets.REFINE_SMALL.name,
                        help="net to train (refine_small)")
    parser.add_argument("--exclude", nargs="+", default=[], type=cli.video, metavar="VIDEO",
                        help="videos to leave out")
    parser.add_argument("--video", type=cli.video,
                        help="fine-tune on the first frame of this one alone")
    parser.add_argument("--coarse", nargs="+", default=[], type=Path,
                        help="folders of real score maps, <video>/<frame>_<k>.png, to learn from")
    parser.add_argument("--batch", type=cli.whole(), help="crops an iteration")
    cli.add_solver(parser)
    parser.add_argument("--deploy", action="store_true", help="the tracked deploy nets")
    args = parser.parse_args(argv)
    if not (args.sources or args.deploy):
        raise UserError("name sources to train on; see --help")
    return args


@script
def main():
    args = parse_arguments()
    if args.deploy:
        for path, net in deploy.refinement_nets().items():
            prototxt.write(path, net)
        print("wrote the deploy nets to spn/refine_*/")
    if args.sources:
        net = nets.NETS[args.net]
        parameters = prototxts.refinement_parameters(
            net, args.sources, args.exclude, args.coarse, args.video, args.batch)
        weights, solver = prototxts.write_refinement(net, parameters,
                                                     cli.solver_changes(args, net))
        print("next, in python_scripts/:", cli.command("solve.py", weights, from_scripts(solver)))


if __name__ == "__main__":
    main()
