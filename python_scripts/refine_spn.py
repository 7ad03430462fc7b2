"""Refines the score maps of a video's objects by its images, with spatial propagation.

Reads results/ResNetF_perobj_<ITERATIONS>/<VIDEO>/<frame>_<k>.png and the foreground
masks, and writes results/SPN_<ITERATIONS>/<VIDEO>/<frame>_<k>.png, and <frame>.png, the
foreground mask dilated by a thirtieth of the height (16 px of 480): what lies
outside of that is 0.  segment_instances.py takes them where they are.

Example:
    python refine_spn.py 3000 lions
"""

from pathlib import Path

from segspn import cli, files
from segspn.data import annotations, davis, owner
from segspn.errors import script


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("iterations", type=cli.whole(), help="of the per-object models")
    parser.add_argument("video", type=cli.video, help="its name")
    parser.add_argument("--weights", type=Path,
                        help="of a refinement net (spn/refine_small.caffemodel)")
    parser.add_argument("--foreground", type=Path, default=files.RESULTS / "ResNetF_fgbg",
                        help="folder of <video>/<frame>.png (results/ResNetF_fgbg)")
    parser.add_argument("--no-foreground", action="store_true",
                        help="without foreground masks: all may be foreground")
    cli.add_annotated(parser, help="annotated frames whose objects there are: first, all, or their "
                      "names: 00000,00030 (first)")
    cli.add_run(parser)
    return parser.parse_args(argv)


@script
def main():
    args = parse_arguments()
    data = davis.Davis(args.data)
    frames = data.frames(args.video)
    objects = annotations.Annotations.read(data, args.video, args.annotated).objects
    owner.check(data, args.video)

    from segspn.method import refine

    output = files.RESULTS / f"SPN_{args.iterations}" / args.video
    task = refine.Refinement(
        frames=frames, objects=objects, output=output,
        scores=files.RESULTS / f"ResNetF_perobj_{args.iterations}" / args.video,
        foreground=None if args.no_foreground else args.foreground / args.video,
        weights=files.existing_file(args.weights or refine.SHIPPED, "weights"))
    done = task.run(args.gpu, args.force)
    print(f"{output}: {done} frames done, {len(frames) - done} were there")
    print("next:", cli.command("segment_instances.py", "--video", args.video, "--iterations",
                               args.iterations, *cli.annotated_options(args.annotated),
                               *cli.data_options(args.data)))


if __name__ == "__main__":
    main()
