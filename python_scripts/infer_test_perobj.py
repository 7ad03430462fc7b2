"""Score maps of one object in every frame of a video, by its fine-tuned net.

Writes results/ResNetF_perobj_<ITERATIONS>/<VIDEO>/<frame>_<OBJECT>.png (probability
times 255) and .jpg (argmax times 255).  The net is
models/<VIDEO>/<VIDEO>_obj_<OBJECT>_iter_<ITERATIONS>.caffemodel unless --weights is given.
The net of a video's only object is that of its foreground: with --masks it leaves the masks of
infer_test_fgbg.py as well, without another pass.

Example:
    python infer_test_perobj.py 3000 lions 2
"""

from pathlib import Path

from segspn import cli, done, files
from segspn.data import annotations, davis, owner
from segspn.errors import script


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("iterations", type=cli.whole(), help="of the model's training")
    parser.add_argument("video", type=cli.video, help="its name")
    parser.add_argument("object", type=int, help="object id, from 1")
    parser.add_argument("--weights", type=Path, help="another model")
    parser.add_argument("--masks", type=Path, metavar="DIR",
                        help="write <VIDEO>/<frame>.png below it, too: masks of the foreground")
    cli.add_inference(parser)
    return parser.parse_args(argv)


@script
def main():
    args = parse_arguments()
    data = davis.Davis(args.data)
    frames = data.frames(args.video)
    annotations.check_object(data, args.video, args.object, alone=args.masks is not None)
    owner.check(data, args.video)
    usual = files.object_model(args.video, args.object, args.iterations)
    weights = files.existing_file(args.weights or usual, "weights")
    folder = files.RESULTS / f"ResNetF_perobj_{args.iterations}" / args.video

    from segspn.method import score_maps

    process = score_maps.write_score_map
    outputs = {folder / f".made_from_{args.object}.jsonl": lambda path: [
        folder / f"{path.stem}_{args.object}.{ending}" for ending in ("png", "jpg")]}
    if args.masks:
        masks, process = args.masks / args.video, score_maps.write_score_map_and_mask
        outputs[masks / done.NAME] = lambda path: [masks / f"{path.stem}.png"]
    count = score_maps.over_frames(frames, outputs, weights, "testnet_per_obj", process, args)
    print(f"{folder}: {count} frames done, {len(frames) - count} were there")
    print("next, with all objects:", cli.command("refine_spn.py", args.iterations, args.video,
                                                 *cli.data_options(args.data)))


if __name__ == "__main__":
    main()
