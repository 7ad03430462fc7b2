"""Draws a segmentation over its frames: a video and a contact sheet.

Every frame, <stem>.jpg or .png, needs a label <stem>.png: an indexed or grey PNG of
object ids, as segment_instances.py writes them.  With --beside, the contact sheet
shows other labels of the same frames on the left of each.

Example:
    python tools/overlay.py --frames data/demo/JPEGImages/480p/bunny \\
        --labels results/labels/bunny --output results/demo
"""

from pathlib import Path

from tqdm import tqdm

from segspn import cli, files
from segspn.data import davis, planes
from segspn.errors import UserError, script
from segspn.report import overlay

SHEET_WIDTH = 1600  # px


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("--frames", required=True, type=Path, help="folder of frames (.jpg, .png)")
    parser.add_argument("--labels", required=True, type=Path, help="folder of .png labels")
    parser.add_argument("--output", required=True, type=Path,
                        help="folder for overlay.mp4 and contact_sheet.png")
    parser.add_argument("--beside", type=Path,
                        help="folder of other labels (.png), for the contact sheet")
    parser.add_argument("--fps", type=cli.real(0.1, 1000), default=12, help="frames a second (12)")
    parser.add_argument("--tiles", type=cli.whole(), default=12, help="frames on the sheet (12)")
    parser.add_argument("--columns", type=cli.whole(), default=4, help="columns of the sheet (4)")
    args = parser.parse_args(argv)
    if args.beside and args.columns % 2:
        raise UserError(f"--columns must be even with --beside, not {args.columns}")
    return args


@script
def main():
    args = parse_arguments()
    pairs = overlay.paired(args.frames, args.labels)
    others = overlay.paired(args.frames, args.beside) if args.beside else None
    first = planes.size_of(pairs[0][0])
    for path in (path for pair in pairs + (others or []) for path in pair):
        planes.check_size(path, first)
    chosen = overlay.spread(len(pairs), args.tiles)
    tiles = []

    def tinted():
        with tqdm(pairs, desc="overlay", unit="frame") as bar:
            for number, pair in enumerate(bar):
                image = overlay.tint(*davis.Davis.pair(*pair))
                if number in chosen:
                    if others:
                        tiles.append(overlay.tint(*davis.Davis.pair(*others[number])))
                    tiles.append(image)
                yield image

    video = args.output / "overlay.mp4"
    overlay.write_video(video, tinted(), args.fps)
    print(f"wrote {video}")
    sheet = args.output / "contact_sheet.png"
    captions = [caption for number in chosen for caption in (
        [f"{pairs[number][0].stem} {args.beside.parent.name}",
         f"{pairs[number][0].stem} {args.labels.parent.name}"] if others
        else [pairs[number][0].stem])]
    files.write_image(sheet, overlay.contact_sheet(tiles, args.columns, SHEET_WIDTH, captions))
    print(f"wrote {sheet}")


if __name__ == "__main__":
    main()
