"""What corrections add: J and F of a video with one annotated frame, with two, with three, …

After each run of the pipeline the frame with the lowest J is annotated, by the ground truth, and
the same run goes on with that: what depends on it is done anew, and no more.  With --apart 10
it is at least 10 frames from each that is annotated, as a person would choose it.  The figures
are of the frames that are annotated in no row, so that all rows are of the same frames.  The run
is results/runs/corrections-<video>; leaves results/corrections/<video>.md.  Options after -- are
those of tools/run.py.

Example:
    python tools/corrections.py --data data/DAVIS --video breakdance
    python tools/corrections.py --data data/DAVIS --video bmx-trees --count 5 --apart 10
"""

import os

import numpy as np
from tabulate import tabulate

from segspn import cli, files, surroundings
from segspn.data import davis
from segspn.errors import UserError, count, script
from segspn.runs import command_lines, figures, plan, settings

OUTPUT = files.RESULTS / "corrections"
HEADER = ("annotated", "J", "F", "J&F", f"J < {figures.LOST:g}", "took")


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    cli.add_data(parser)
    parser.add_argument("--video", type=cli.video, required=True,
                        help="its name; all of its frames have annotations")
    parser.add_argument("--count", type=cli.whole(1, 50), default=3,
                        help="annotated frames in the end (3)")
    parser.add_argument("--apart", type=cli.whole(), default=1, metavar="FRAMES",
                        help="between annotated frames, at least (1)")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="of tools/run.py")
    return parser.parse_args(argv)


def annotate(args, frames):
    """Runs the pipeline with these annotated frames: (seconds, {object: {frame: (J, F)}})."""
    name = f"corrections-{args.video}"
    seconds = command_lines.run(f"{args.video} with {count(len(frames), 'annotated frame')}", [
        "../tools/run.py", "--data", files.from_scripts(args.data), "--videos", args.video,
        "--annotated", ",".join(sorted(frames)), "--name", name, "--until", "evaluate",
        *args.options], "the same command")
    return seconds, figures.by_frame(settings.Run.read(settings.RUNS / name))[args.video]


def worst(objects, order, annotated, apart=1):
    """The frame with the lowest mean J of {object: {frame: (J, F)}}.

    order: all frames; apart: how far in it from those that are annotated, at least.  Raises
    UserError where there is none.
    """
    known = [order.index(frame) for frame in annotated]
    far = [frame for frame in next(iter(objects.values()))
           if all(abs(order.index(frame) - at) >= apart for at in known)]
    if not far:
        raise UserError(f"no frame is {apart} frames from all that are annotated; give --apart or "
                        "--count less")
    return min(far, key=lambda frame: np.mean([frames[frame][0] for frames in objects.values()]))


def row(objects, left_out):
    """[J, F, J&F, share of lost] of all frames but these."""
    return figures.summary([
        np.array([pair for frame, pair in frames.items() if frame not in left_out]).T
        for frames in objects.values()])


def table(rounds):
    """The Markdown table of [(annotated frames, seconds, {object: {frame: (J, F)}})]."""
    annotated = rounds[-1][0]
    rows = [[", ".join(frames), *row(objects, annotated), plan.duration(seconds)]
            for frames, seconds, objects in rounds]
    return tabulate(rows, HEADER, "pipe", floatfmt=".1f", disable_numparse=[0, 5])


def foot(args):
    """A sentence under the table."""
    run = settings.Run.read(settings.RUNS / f"corrections-{args.video}")
    cores = count(len(os.sched_getaffinity(0)), "core")
    return (f"{run.backbone}, {run.iterations} iterations, at {run.size}.  J and F: per cent, of "
            "the frames that are annotated in no row.  Took: from the annotation to the labels, "
            f"with their evaluation; {surroundings.processor()}, {cores}.")


@script
def main():
    args = parse_arguments()
    data = davis.Davis(args.data)
    if not settings.evaluated(data, [args.video]):
        raise UserError(f"{args.video} in {data.root} has no annotation of every frame, of three "
                        "at least")
    order = [path.stem for path in data.frames(args.video)]
    frames, rounds = order[:1], []
    while True:
        rounds.append((list(frames), *annotate(args, frames)))
        if len(frames) == args.count:
            break
        frames.append(worst(rounds[-1][2], order, frames, args.apart))
    text = f"{table(rounds)}\n\n{foot(args)}\n"
    files.write_text(OUTPUT / f"{args.video}.md", text)
    print(f"\n{text}\nwrote {OUTPUT / args.video}.md")


if __name__ == "__main__":
    main()
