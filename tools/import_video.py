"""Brings a video of yours, and a mask of its objects where it is drawn already, into DAVIS layout.

CLIP is a video (mp4, mov, avi, webm, gif, …) or a folder of images (jpg, png), which are
taken in natural order.  The mask is a PNG of the first frame that is taken (frame A
of --range A:B, else frame 0): indexed or grey with the objects' ids (0 is
background, 255 a rim that counts for nothing; grey with 0 and 255 alone has one object),
or with one colour an object, black or transparent where there is background.
It may be of the frame's size, or of another one of its aspect.

Example:
    python tools/import_video.py ~/holiday.mp4 --mask ~/first_frame.png --video holiday \\
        --fps 12 --range 50:170
"""

import argparse
import os
import re
from pathlib import Path

from segspn import cli, files
from segspn.data import davis, first_mask, importing
from segspn.errors import UserError, script
from segspn.report import overlay


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("clip", type=Path, help="video, or folder of images")
    parser.add_argument("--mask", type=Path, metavar="FIRST.png",
                        help="the objects in the first frame that is taken (drawn later, with "
                        "make annotate)")
    parser.add_argument("--video", type=cli.video, required=True, metavar="NAME",
                        help="its name from now on: letters, digits, '-', '_', '.'")
    parser.add_argument("--fps", type=float, help="frames a second to keep (all)")
    parser.add_argument("--size", type=cli.size, metavar="HEIGHTxWIDTH",
                        help="px (height 480 by the aspect, or the video's own where that is less)")
    parser.add_argument("--range", type=frame_range, default=(0, None), metavar="A:B",
                        help="frames of the clip, from 0, both included (:, which is all)")
    parser.add_argument("--background", metavar="VALUE", help="id, or colour as '#ffffff', of "
                        "the mask's background (0, black)")
    parser.add_argument("--void", metavar="VALUE", help="id or colour of what counts for nothing, "
                        f"or {first_mask.NOTHING} (255, as a rim of objects)")
    cli.add_data(parser, default=importing.VIDEOS,
                 help="data set that it is added to (data/videos)")
    parser.add_argument("--force", action="store_true",
                        help="replace a video of this name, with all its annotations")
    args = parser.parse_args(argv)
    if not args.mask and (args.background or args.void):
        raise UserError("--background and --void are of a --mask; see --help")
    return args


def frame_range(text):
    """(first, last) of "A:B"; last None for the end."""
    frames = re.fullmatch("([0-9]{0,9}):([0-9]{0,9})", text)
    if not frames:
        raise argparse.ArgumentTypeError(f"must be A:B, frame numbers from 0, not {text!r}")
    return int(frames[1] or 0), int(frames[2]) if frames[2] else None


def shown(path):
    """A path inside the project as seen from there, where make runs; others as they are."""
    path = Path(os.path.abspath(path))
    return path.relative_to(files.ROOT) if path.is_relative_to(files.ROOT) else path


@script
def main():
    args = parse_arguments()
    order = importing.Order(args.clip, args.mask, args.video, args.data, args.fps, args.size,
                            *args.range, args.force, args.background, args.void)
    preview = files.RESULTS / f"import/{order.name}.png"
    files.check_writable(preview.parent)
    made = importing.import_clip(order)
    (height, width), (full_height, full_width) = made.size, made.source
    fps = f", {made.fps:.4g} a second" if made.fps else ""
    print(f"made {shown(order.frames)}: {len(made.numbers)} frames of {width}x{height} px{fps}, "
          f"of the clip's frames {made.numbers[0]} to {made.numbers[-1]}, "
          f"{full_width}x{full_height} px")
    if order.mask:
        print(f"mask of frame {made.numbers[0]}:")
    colours = {k: f" (colour {first_mask.hexadecimal(rgb)})" for rgb, k in made.colours}
    for k, px in made.areas.items():
        print(f"  object {k}{colours.get(k, '')}: {px} px")
    for note in made.notes:
        print(f"note: {note}")
    if order.mask:
        files.write_image(preview, overlay.tint(*davis.Davis(order.data).first_frame(order.name)))
        print(f"preview: {shown(preview)}")
    print("next:", importing.make_command("segment" if order.mask else "annotate", order.data,
                                          order.name))


if __name__ == "__main__":
    main()
