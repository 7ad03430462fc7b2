"""Writes what a run has segmented for other programs, into results/runs/<RUN>/export/<VIDEO>.

cutout-png   the objects alone on a clear ground: PNGs with alpha, a folder
cutout-webm  as much as a video, WebM (VP9 with alpha), for browsers
cutout-mov   as much, ProRes 4444, for editing
masks        a video an object, white where it is, lossless (FFV1, grey)
coco         COCO JSON: masks as RLE, boxes, areas, names

A cut-out shows all objects together, or those of --objects; with --each there is one an object.

Example:
    python tools/export.py holiday holiday --as cutout-webm --fps 25
"""

from segspn import cli
from segspn.errors import UserError, count, script
from segspn.report import export


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("run", metavar="RUN", type=cli.name("run"),
                        help="name of a run, a folder in results/runs")
    parser.add_argument("video", metavar="VIDEO", type=cli.video, help="one of its videos")
    parser.add_argument("--as", dest="kind", required=True, choices=export.FORMATS,
                        help="format, as above")
    parser.add_argument("--objects", nargs="+", type=cli.whole(1, 254), default=[], metavar="ID",
                        help="only these (all)")
    parser.add_argument("--each", action="store_true", help="a cut-out an object")
    parser.add_argument("--fps", type=cli.real(0.1, 1000), default=12,
                        help="frames a second, of videos (12)")
    parser.add_argument("--output", type=cli.path, metavar="FOLDER",
                        help="where to write (results/runs/<RUN>/export/<VIDEO>)")
    args = parser.parse_args(argv)
    if args.each and not args.kind.startswith("cutout"):
        raise UserError("--each goes with cut-outs; masks are a video an object anyway, and COCO "
                        "has objects apart")
    return args


@script
def main():
    args = parse_arguments()
    run = export.of_name(args.run)
    clip = export.Clip.of_run(run, args.video, args.objects)
    folder = args.output or run.folder / "export" / args.video
    paths = export.write(clip, args.kind, folder, args.each, args.fps)
    if note := export.note(clip, args.kind):
        print(f"note: {note}")
    for path in paths:
        print(f"wrote {path}: {count(len(clip.pairs), 'frame')}")


if __name__ == "__main__":
    main()
