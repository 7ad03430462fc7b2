"""Foreground masks of every frame of a video, by its fine-tuned net.

Writes RESULT_DIR/<VIDEO>/<frame>.png: 255 in the foreground, 0 elsewhere.

Example:
    python infer_test_fgbg.py ../models/lions/lions_fgbg_iter_3000.caffemodel \\
        ../results/ResNetF_fgbg lions
"""

import shlex
from pathlib import Path

from segspn import cli, done, files
from segspn.data import davis, owner
from segspn.errors import script


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("weights", type=Path, help=".caffemodel of the foreground net")
    parser.add_argument("result_dir", type=Path, help="folder for the masks")
    parser.add_argument("video", type=cli.video, help="its name")
    cli.add_inference(parser)
    return parser.parse_args(argv)


@script
def main():
    args = parse_arguments()
    data = davis.Davis(args.data)
    frames = data.frames(args.video)
    owner.check(data, args.video)
    weights = files.existing_file(args.weights, "weights")
    folder = args.result_dir / args.video

    from segspn.method import score_maps

    count = score_maps.over_frames(
        frames, {folder / done.NAME: lambda path: [folder / f"{path.stem}.png"]}, weights,
        "testnet_fgbg", score_maps.write_mask, args)
    print(f"{folder}: {count} frames done, {len(frames) - count} were there")
    options = cli.inference_options(args.data, args.size, args.scale)
    print("next, with a net of each object:", "python infer_test_perobj.py <iterations>",
          args.video, "<object>", shlex.join(options))


if __name__ == "__main__":
    main()
