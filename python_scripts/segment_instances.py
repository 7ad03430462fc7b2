"""Labels of every frame of a video from its objects' score maps and its foreground.

Of each score map the connected regions are kept that overlap with the object in
the frame before.  A pixel gets the object with the greatest score left, if that
is 100 of 255 or more and the pixel lies in the foreground.  An object that is
lost by that is looked for where it was.  Frame 0 is the annotation; where others are,
too (--annotated), an object is followed from the nearer of its annotations.  Writes
indexed PNGs with the DAVIS palette.

Of a video of the pipeline, results/labels/<VIDEO>/<frame>.png.  Refined score maps
(refine_spn.py) and their foreground masks are taken where they are, unless
--coarse is given:
    python segment_instances.py --video lions --iterations 3000

Of any folder of score maps <frame>_<k>.png, k the object's id in the annotation:
    python segment_instances.py --scores maps --foreground masks \\
        --annotation 00000.png --output labels
"""

from pathlib import Path

from segspn import cli, files
from segspn.data import annotations, davis, davis_check, owner
from segspn.errors import UserError, script
from segspn.method import craf_options, label_video


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("--video", type=cli.video, help="its name")
    parser.add_argument("--iterations", type=cli.whole(), help="of the per-object models")
    parser.add_argument("--scores", type=Path, help="folder of <frame>_<k>.png, instead of --video")
    parser.add_argument("--annotation", type=Path, help="PNG of the first frame, with --scores")
    parser.add_argument("--output", type=Path,
                        help="folder for <video>/<frame>.png (results/labels); with --scores, for "
                             "<frame>.png")
    parser.add_argument("--force", action="store_true", help="do all frames again")
    cli.add_data(parser)
    cli.add_annotated(parser)
    craf_options.add(parser).add_argument(
        "--foreground", type=Path,
        help="folder of <video>/<frame>.png (results/SPN_<ITERATIONS> with refined score maps, "
             "else results/ResNetF_fgbg); with --scores, of <frame>.png")
    return checked(parser.parse_args(argv))


def checked(args):
    """`args`, if they are of one form.  Raises UserError."""
    if args.scores is None:
        if args.video is None or args.iterations is None or args.annotation:
            raise UserError("give --video and --iterations, or --scores and --annotation; "
                            "see --help")
    elif args.video is not None or args.iterations is not None or args.coarse or (
            args.annotated != annotations.FIRST):
        raise UserError("--scores does not go with --video, --iterations, --coarse and "
                        "--annotated; see --help")
    elif not (args.annotation and args.output and (args.foreground or args.no_foreground)):
        raise UserError("--scores needs --annotation, --output, and --foreground or "
                        "--no-foreground; see --help")
    return args


def score_maps(args, frames, said):
    """The folders of the score maps and foreground masks to take, and who makes them: a dict."""
    coarse = files.RESULTS / f"ResNetF_perobj_{args.iterations}" / args.video
    refined = files.RESULTS / f"SPN_{args.iterations}" / args.video
    given = args.foreground and args.foreground / args.video
    if args.coarse or not refined.is_dir():
        return {"scores": coarse,
                "foreground": given or files.RESULTS / "ResNetF_fgbg" / args.video}
    needed = frames[1:] if said.frames == (frames[0].stem,) else frames
    label_video.check_refined(refined, needed, said.objects,
                              masks=not (given or args.no_foreground))
    taken = {"scores": refined, "maker": "refine_spn.py", "foreground": given or refined}
    return taken if given else {**taken, "foreground_maker": "refine_spn.py"}


def of_pipeline(args):
    """(folder of the images, what to label) of a video of the pipeline."""
    data = davis.Davis(args.data)
    frames = data.frames(args.video)
    said = annotations.Annotations.read(data, args.video, args.annotated)
    davis_check.check_sequences(data, [args.video], {args.video: said.frames})
    owner.check(data, args.video)
    return files.from_scripts(frames[0].parent), {
        "frames": [path.stem for path in frames],
        **score_maps(args, frames, said),
        "annotations": {stem: data.annotation(args.video, stem) for stem in said.frames},
        "complete": said.complete & set(said.frames),
        "output": (args.output or files.RESULTS / "labels") / args.video}


def of_folders(args):
    """The same of any folder of score maps."""
    frames = label_video.frames_of(args.scores, args.annotation)
    return "<images>", {
        "frames": frames, "scores": args.scores, "foreground": args.foreground,
        "annotations": {frames[0]: args.annotation}, "output": args.output}


@script
def main():
    args = parse_arguments()
    thresholds = craf_options.thresholds(args)
    images, video = of_folders(args) if args.scores else of_pipeline(args)
    if args.no_foreground:
        video["foreground"] = None
    task = label_video.Segmentation(
        **video, thresholds=thresholds, backward=args.backward, filtering=not args.no_filter,
        recovery=not (args.no_filter or args.no_recovery))
    done = task.run(args.force)
    print(f"{task.output}: {done} frames done, {len(task.frames) - done} were there")
    name = args.video or task.output.resolve().name
    print("next:", cli.command(
        "../tools/overlay.py", "--frames", images, "--labels", files.from_scripts(task.output),
        "--output", f"../results/overlay/{name}"))


if __name__ == "__main__":
    main()
