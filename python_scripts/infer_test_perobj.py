"""Score maps of one object in every frame of a video, by its fine-tuned net.

Writes results/ResNetF_perobj_<ITERATIONS>/<VIDEO>/<frame>_<OBJECT>.png (probability
times 255) and .jpg (argmax times 255).  The net is
models/<VIDEO>/<VIDEO>_obj_<OBJECT>_iter_<ITERATIONS>.caffemodel unless --weights is given.

Example:
    python infer_test_perobj.py 3000 lions 2
"""

from pathlib import Path

from segspn import cli, files
from segspn.data import annotations, davis, owner
from segspn.errors import script


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("iterations", type=cli.whole(), help="of the model's training")
    parser.add_argument("video", type=cli.video, help="its name")
    parser.add_argument("object", type=int, help="object id, from 1")
    parser.add_argument("--weights", type=Path, help="another model")
    cli.add_inference(parser)
    return parser.parse_args(argv)


@script
def main():
    args = parse_arguments()
    data = davis.Davis(args.data)
    frames = data.frames(args.video)
    annotations.check_object(data, args.video, args.object)
    owner.check(data, args.video)
    name = f"{args.video}_obj_{args.object}_iter_{args.iterations}.caffemodel"
    weights = files.existing_file(args.weights or files.MODELS / args.video / name, "weights")
    folder = files.RESULTS / f"ResNetF_perobj_{args.iterations}" / args.video

    from segspn.method import score_maps

    count = score_maps.over_frames(
        frames,
        lambda path: [folder / f"{path.stem}_{args.object}.{ending}" for ending in ("png", "jpg")],
        folder / f".made_from_{args.object}.jsonl", weights, "testnet_per_obj",
        score_maps.write_score_map, args)
    print(f"{folder}: {count} frames done, {len(frames) - count} were there")
    print("next, with all objects:", cli.command("refine_spn.py", args.iterations, args.video,
                                                 *cli.data_options(args.data)))


if __name__ == "__main__":
    main()
