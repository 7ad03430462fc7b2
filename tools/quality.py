"""What each stage of the pipeline adds, and how good the last is by video: J and F, as DAVIS.

Coarse score maps, inside the foreground mask, refined by spatial propagation, with the
filter of CRAF, with its recovery of lost objects: each is a run of the pipeline, up to its
evaluation, in results/runs/quality-<stage>.  They share trainings and score maps.  Leaves
tables in results/quality: table.md and clips.csv.  What was stopped goes on where it was.

Without --data, on two short synthetic videos with exact labels, of a seed that no training
has had, in data/quality.  Options after -- are those of tools/run.py: choices to compare.

With --name, a choice has trainings, maps and tables of its own, in results/quality/<name>, so
that several stay side by side.  It works on links to the frames; with --every 3, to each third
of them, which are a video of their own: its objects move three times as far from frame to frame.
What was made by code that has changed since is not made again; give another name.

Example:
    python tools/quality.py
    python tools/quality.py --data data/DAVIS --split val --videos dog bear
    python tools/quality.py --data data/DAVIS --split val --name long --every 3 -- --iterations 400
"""

import csv
import io
import os

from tabulate import tabulate

from ResNetF import nets
from segspn import cli, files, surroundings
from segspn.data import davis, thinned
from segspn.errors import UserError, count, script
from segspn.runs import command_lines, figures, settings

OUTPUT = files.RESULTS / "quality"
AGAIN = "the same command"
DATA, SPLIT = files.ROOT / "data/quality", "quality"  # synthetic
SIZE = (240, 427)
ITERATIONS = nets.RESNET50_THIN.solver["max_iter"]
SCENES = ("--size", cli.size_text(SIZE), "--objects", "2", "--frames", "20", "--seed", "3",
          "--names", SPLIT, "--split", SPLIT)
CHOICES = ("--size", cli.size_text(SIZE), "--iterations", str(ITERATIONS),
           "--backbone", nets.RESNET50_THIN.name)  # with the synthetic videos
# Each stage's run, its name, and its rules of CRAF.
STAGES = (
    ("coarse", "coarse score maps", "--coarse --no-foreground --no-filter"),
    ("foreground", "+ foreground mask", "--coarse --no-filter"),
    ("refined", "+ spatial propagation", "--no-filter"),
    ("filtered", "+ CRAF's filter", "--no-recovery"),
    ("recovered", "+ CRAF's recovery", ""))
LOST = f"J < {figures.LOST:g}"
FOOT = (f"J and F: per cent, means over all objects.  {LOST}: per cent of all frames, times "
        "objects.  With spatial propagation, and after it, the foreground mask is the dilated one "
        "of refine_spn.py.")
SYNTHETIC = ("No training had the seed of these videos, but the shipped refinement net was "
             "trained on other videos of the same generator.")


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    cli.add_data(parser, default=None, help="data set in DAVIS layout (synthetic videos)")
    cli.add_split(parser, help="list in ImageSets/2017, with --data")
    cli.add_videos(parser, default=[], help="only these")
    parser.add_argument("--count", type=cli.whole(1, 100), default=2,
                        help="how many synthetic videos (2)")
    parser.add_argument("--name", type=cli.name("choice"),
                        help="of a choice with trainings and tables of its own")
    parser.add_argument("--every", type=cli.whole(), default=1, metavar="N",
                        help="of the frames, only each N-th (1); named every-N without --name")
    parser.add_argument("options", nargs="*", metavar="-- OPTION",
                        help="of tools/run.py: --iterations, --weights, …")
    args = parser.parse_args(argv)
    if bool(args.data) != bool(args.split):
        raise UserError("--data and --split go together; see --help")
    if args.every > 1 and not args.name:
        args.name = f"every-{args.every}"
    return args


def prefix(args):
    """With what the names of a choice's videos begin."""
    return f"{args.name}-" if args.name else ""


def folder(args):
    """Where the tables are."""
    return OUTPUT / args.name if args.name else OUTPUT


def data_of(args):
    """Folder of the data set that the stages run on."""
    return folder(args) / "data" if args.name else args.data or DATA


def run_name(args, stage):
    return f"quality-{prefix(args)}{stage}"


def scenes(args):
    """The command line that makes the synthetic videos."""
    return ["../tools/synthetic.py", "--data", files.from_scripts(DATA), *SCENES,
            "--count", str(args.count)]


def pipeline(args, stage, rules):
    """The command line of a stage's run.  Rules that are given for all stages come last."""
    given = [word.removeprefix("--craf=") for word in args.options if word.startswith("--craf=")]
    others = [word for word in args.options if not word.startswith("--craf=")]
    videos = args.videos if not args.name else []  # the links are to no others
    return ["../tools/run.py", *(() if args.data else CHOICES), *others,
            "--data", files.from_scripts(data_of(args)), "--split", args.split or SPLIT,
            *(["--videos", *videos] if videos else []), "--name", run_name(args, stage),
            "--until", "evaluate", "--craf", " ".join(filter(None, [rules, *given]))]


def prepare(args):
    """Links the frames of a choice.  Raises UserError where there will be nothing to evaluate."""
    data, split = davis.Davis(args.data or DATA), args.split or SPLIT
    videos, _ = settings.chosen_videos(data, split, args.videos)
    if args.name:
        thinned.link(data, split, videos, args.every, data_of(args), prefix(args))
        data = davis.Davis(data_of(args))
        videos = [prefix(args) + video for video in videos]
    if not settings.evaluated(data, videos):
        raise UserError(f"no video of {split} in {data.root} has an annotation of every frame, "
                        "of three at least")


def rows_of(args):
    """{stage: {video: (objects as figures.values() has them, seconds)}}.  Raises UserError."""
    found = {}
    for stage, *_ in STAGES:
        run = settings.Run.read(settings.RUNS / run_name(args, stage))
        found[stage] = {video: (objects, figures.seconds(run, video))
                        for video, objects in figures.values(run).items()}
    return found


def line(videos):
    """[J, F, J&F, share of lost, seconds a video] of all of these together."""
    objects = [one for several, _ in videos for one in several]
    return [*figures.summary(objects), sum(seconds for _, seconds in videos) / len(videos)]


def tables(args, rows):
    """Two Markdown tables: by stage; by video, of the last stage."""
    stages = [[what, *line(list(rows[stage].values()))] for stage, what, _ in STAGES]
    last = rows[STAGES[-1][0]]
    clips = [[video.removeprefix(prefix(args)), *line([one])] for video, one in last.items()]
    clips.append(["all", *line(list(last.values()))])
    form = {"tablefmt": "pipe", "floatfmt": ("", *[".1f"] * 4, ".0f"), "disable_numparse": [0]}
    columns = ("J", "F", "J&F", LOST, "s a video")
    return (f"{tabulate(stages, ('stage', *columns), **form)}\n\n"
            f"{tabulate(clips, (STAGES[-1][1], *columns), **form)}\n")


def foot(args):
    """Sentences under the tables."""
    run = settings.Run.read(settings.RUNS / run_name(args, STAGES[-1][0]))
    states = [state for video in run.evaluated for state in figures.states(run, video)]
    threads = " or ".join(count(n, "thread") for n in sorted({one["threads"] for one in states}))
    took = (f"Seconds: of a video's jobs, from prototxts to labels, one after the other, without "
            f"evaluation and pictures; {threads} each, other jobs beside them; "
            f"{surroundings.processor()}, {count(len(os.sched_getaffinity(0)), 'core')}.")
    frames = f"Of {args.every} frames, one." if args.every > 1 else ""
    what = f"{run.backbone}, {run.iterations} iterations, at {run.size}; {run.weights}."
    return "  ".join(filter(None, [what, FOOT, frames, took, "" if args.data else SYNTHETIC]))


def clip_table(args, rows):
    """All stages and videos as CSV."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("stage", "video", "J", "F", "lost", "seconds"))
    for stage, videos in rows.items():
        for video, one in videos.items():
            j, f, _, lost, seconds = line([one])
            table.writerow((stage, video.removeprefix(prefix(args)),
                            *(f"{value:.2f}" for value in (j, f, lost)), f"{seconds:.1f}"))
    return text.getvalue()


@script
def main():
    args = parse_arguments()
    if not args.data:
        command_lines.run("synthetic videos", scenes(args), AGAIN)
    prepare(args)
    for stage, what, rules in STAGES:
        command_lines.run(what, pipeline(args, stage, rules), AGAIN)
    if "--dry-run" in args.options:
        return
    rows = rows_of(args)
    text = f"{tables(args, rows)}\n{foot(args)}\n"
    files.write_text(folder(args) / "table.md", text)
    files.write_text(folder(args) / "clips.csv", clip_table(args, rows))
    print(f"\n{text}\nwrote {folder(args) / 'table.md'} and clips.csv")


if __name__ == "__main__":
    main()
