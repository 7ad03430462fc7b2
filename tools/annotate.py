"""Opens a local page on which the masks of a video's objects are drawn, frame by frame.

The video is one of the data set (--video), or a clip that is imported first (--clip: a video
file, or a folder of images; its name is the file's, or --video's).  Any frame may be drawn on,
and corrected after a run.  What is drawn is saved at once, as
Annotations/480p/<video>/<frame>.png.  Only this machine's browser, with the key in the address
that is printed, reaches the page; Ctrl-C ends it.

Example:
    python tools/annotate.py --video parade
    python tools/annotate.py --clip ~/holiday.mp4 --frame 00042
"""

from segspn import cli
from segspn.annotate import session
from segspn.data import davis, importing
from segspn.errors import UserError, script


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("--video", type=cli.video, metavar="NAME", help="of the data set")
    parser.add_argument("--clip", type=cli.path, metavar="FILE",
                        help="video, or folder of images, to import first where that is not done")
    cli.add_data(parser, default=importing.VIDEOS, help="data set (data/videos)")
    parser.add_argument("--frame", metavar="NAME", help="to open at, as 00042 (the first)")
    parser.add_argument("--port", type=cli.whole(1, 65535),
                        help=f"of the page ({session.PORT}, or another one where it is taken)")
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    args = parser.parse_args(argv)
    if not (args.video or args.clip):
        raise UserError("which video?  Give --video NAME (VIDEO=name), or --clip FILE (CLIP=file)")
    return args


@script
def main():
    args = parse_arguments()
    video = args.video or importing.name_of(args.clip)
    if args.clip:
        made = importing.import_once(importing.Order(args.clip, None, video, args.data))
        print(f"imported {args.clip} as {video}: {len(made.numbers)} frames" if made
              else f"{video} is imported already: {args.data / davis.IMAGES / video}")
        for note in made.notes if made else ():
            print(f"note: {note}")
    session.serve(davis.Davis(args.data), video, args.frame, args.port, not args.no_browser,
                  lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
