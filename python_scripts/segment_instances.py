"""Labels of every frame of a video from its objects' score maps and its foreground.

A pixel gets the object with the greatest score, if that is 100 of 255 or more
and the pixel lies in the foreground.  Frame 0 is the annotation.  Refined score
maps (refine_spn.py) and their foreground masks are taken where they are, unless
--coarse is given.  Writes results/labels/<CLASS>/<frame>.png, indexed PNGs with
the DAVIS palette.

Example:
    python segment_instances.py --class lions --iter 3000
"""

from pathlib import Path

from segspn import cli, davis, files, segmentation
from segspn.errors import script


def parse_arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--class", dest="sequence", required=True, help="name of the video")
    parser.add_argument("--iter", type=int, required=True, help="of the per-object models")
    parser.add_argument("--coarse", action="store_true",
                        help="take ResNetF's score maps even where refined ones are")
    parser.add_argument("--foreground", type=Path,
                        help="folder of <class>/<frame>.png (results/SPN_<ITER> with refined score "
                             "maps, else results/ResNetF_fgbg)")
    parser.add_argument("--output", type=Path, default=files.RESULTS / "labels",
                        help="folder for <class>/<frame>.png (results/labels)")
    parser.add_argument("--force", action="store_true", help="do all frames again")
    cli.add_data(parser)
    return parser.parse_args()


def score_maps(args):
    """The folders of the score maps and of the foreground masks to take."""
    coarse = files.RESULTS / f"ResNetF_perobj_{args.iter}" / args.sequence
    refined = files.RESULTS / f"SPN_{args.iter}" / args.sequence
    is_refined = refined.is_dir() and not args.coarse
    if is_refined:
        segmentation.check_refined(refined, coarse)
    foreground = (args.foreground / args.sequence if args.foreground
                  else refined if is_refined else files.RESULTS / "ResNetF_fgbg" / args.sequence)
    return (refined if is_refined else coarse), foreground


@script
def main():
    args = parse_arguments()
    data = davis.Davis(args.data)
    frames = data.frames(args.sequence)
    data.first_frame(args.sequence)  # checked to be there, and of one size
    output = args.output / args.sequence
    scores, foreground = score_maps(args)
    task = segmentation.Segmentation(
        frames=[path.stem for path in frames], scores=scores, foreground=foreground,
        annotation=data.annotations / args.sequence / "00000.png", output=output)
    done = task.run(args.force)
    print(f"{output}: {done} frames done, {len(frames) - done} were there")
    print("next:", cli.command(
        "../tools/overlay.py", "--frames", files.from_scripts(frames[0].parent), "--labels",
        files.from_scripts(output), "--output", f"../results/overlay/{args.sequence}"))


if __name__ == "__main__":
    main()
