"""Writes a report of a segmentation: one page (HTML) that works without a network.

A player of the frames with their layers (foreground, score maps, labels, ground
truth, errors), J and F over time, the loss of the trainings, figures and timings.
Each folder has a folder a video, as the scripts write them; what is not given,
or not there, the page does not offer.  Without ground truth of more than the
first frame there are no J and F; they are those of evaluate.py (without --void).
Where other frames than the first were learned from (--annotated), they are marked,
and left out of the figures.

--timings is JSON {step: seconds} or a Markdown table (results/demo/summary.md),
--commands a text with a command a line, or JSON {what: command}.

Example:
    python tools/report.py --data data/demo --videos bunny \\
        --labels results/demo/refined --scores results/ResNetF_perobj_200 \\
        --refined results/SPN_200 --foreground results/ResNetF_fgbg --models models \\
        --timings results/demo/summary.md --output results/demo/report
"""

from pathlib import Path

from segspn import cli
from segspn.data import davis
from segspn.errors import script
from segspn.report import document, notes

FOLDERS = {"scores": "<video>/<frame>_<k>.png, score maps of ResNetF",
           "refined": "<video>/<frame>_<k>.png, refined score maps",
           "foreground": "<video>/<frame>.png, foreground masks",
           "models": "<video>/*_log.csv, logs of the trainings",
           "annotations": "<video>/<frame>.png, ground truth (the data set's)"}


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    cli.add_data(parser)
    cli.add_videos(parser, required=True, help="their names")
    parser.add_argument("--labels", type=cli.folder, required=True,
                        help="folder of <video>/<frame>.png, object ids")
    for name, text in FOLDERS.items():
        parser.add_argument(f"--{name}", type=cli.folder, help=f"folder of {text}")
    cli.add_annotated(parser, help="annotated frames that were learned from: first, all, or their "
                      "names, 00000,00030 (first)")
    parser.add_argument("--objects", nargs="+", type=cli.whole(1, 254), default=[], metavar="ID",
                        help="whose maps and trainings are shown (all that there are)")
    parser.add_argument("--timings", type=Path, help="file of the steps' seconds")
    parser.add_argument("--commands", type=Path, help="file of the command lines")
    parser.add_argument("--title", default="Segmentation report", help="title of the page")
    parser.add_argument("--output", type=Path, required=True, help="folder for report.html")
    return parser.parse_args(argv)


@script
def main():
    args = parse_arguments()
    sources = document.Sources(davis.Davis(args.data), args.labels,
                               **{name: getattr(args, name) for name in FOLDERS},
                               annotated=args.annotated, objects=tuple(args.objects))
    timings = notes.timings(args.timings) if args.timings else []
    commands = notes.commands(args.commands) if args.commands else []
    page = args.output / "report.html"
    sizes = document.write(page, args.title, sources, list(dict.fromkeys(args.videos)),
                           timings, commands, note=lambda text: print(f"note: {text}"))
    shares = ", ".join(f"{kind} {size / 1e6:.1f}" for kind, size in sizes.items())
    print(f"pictures, MB: {shares}; the page, with them in base64: "
          f"{page.stat().st_size / 1e6:.1f} MB")
    print(f"open {page.resolve()} in a browser")


if __name__ == "__main__":
    main()
