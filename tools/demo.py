"""The whole pipeline on a real video: fetch, fine-tune, infer, refine, label, show.

Fine-tunes the thin backbone on the first frame of a clip of Big Buck Bunny, for
its foreground and for each of two objects, and segments the other frames.
Every step is a command line that a user would type; it is printed.  A demo that
was stopped goes on where it was.  results/demo/times.json has the seconds of each
step, of the last time that it had something to do.

Example:
    python tools/demo.py
"""

import json
import os

import steps
from fetch_demo import DEMO, SEQUENCE
from segspn import cli, davis, files
from segspn.errors import script

OUTPUT = files.RESULTS / "demo"
SIZE = (240, 427)
ITERATIONS = 200


def pipeline(objects):
    """(what, command line) of every step after the data is there; from python_scripts/."""
    data = files.from_scripts(DEMO)
    frames = f"{data}/JPEGImages/480p/{SEQUENCE}"
    output = files.from_scripts(OUTPUT)
    segment = ["segment_instances.py", "--class", SEQUENCE, "--iter", str(ITERATIONS),
               "--data", data]
    return [
        *steps.refined_maps(DEMO, SEQUENCE, objects, SIZE, ITERATIONS),
        ("labels", [*segment, "--output", f"{output}/refined"]),
        ("labels of the coarse maps", [*segment, "--output", f"{output}/coarse", "--coarse"]),
        ("overlay", ["../tools/overlay.py", "--frames", frames,
                     "--labels", f"{output}/refined/{SEQUENCE}",
                     "--beside", f"{output}/coarse/{SEQUENCE}", "--output", output]),
    ]


def report():
    """The command line of the report, which shows what all others left."""
    output = files.from_scripts(OUTPUT)
    return ["../tools/report.py", "--data", files.from_scripts(DEMO), "--sequences", SEQUENCE,
            "--labels", f"{output}/refined", "--scores", f"../results/ResNetF_perobj_{ITERATIONS}",
            "--refined", f"../results/SPN_{ITERATIONS}", "--foreground", "../results/ResNetF_fgbg",
            "--models", "../models", "--title", "Demo: Big Buck Bunny",
            "--timings", f"{output}/summary.md", "--commands", f"{output}/commands.txt",
            "--output", f"{output}/report"]


def product(what):
    """A file that a step writes last, or a folder that it writes files into."""
    kind, _, k = what.partition(" object ")
    models = files.MODELS / SEQUENCE
    return {
        "data": DEMO / "made_from.txt",
        "prototxts": files.ROOT / f"ResNetF/testnet_fgbg/{SEQUENCE}/solver.prototxt",
        "train foreground": models / f"{SEQUENCE}_fgbg_iter_{ITERATIONS}.caffemodel",
        "train": models / f"{SEQUENCE}_obj_{k}_iter_{ITERATIONS}.caffemodel",
        "infer foreground": files.RESULTS / "ResNetF_fgbg" / SEQUENCE,
        "infer": files.RESULTS / f"ResNetF_perobj_{ITERATIONS}" / SEQUENCE,
        "refine": files.RESULTS / f"SPN_{ITERATIONS}" / SEQUENCE,
        "labels": OUTPUT / "refined" / SEQUENCE,
        "labels of the coarse maps": OUTPUT / "coarse" / SEQUENCE,
        "overlay": OUTPUT / "overlay.mp4",
        "report": OUTPUT / "report/report.html"}[kind]


def written(path):
    """When a file was written, or a file in a folder; None where it is not there."""
    return path.stat().st_mtime_ns if path.exists() else None


def noted_times():
    """{step: seconds} that earlier runs left; {} where there are none to read."""
    try:
        times = json.loads((OUTPUT / "times.json").read_text())
        return {what: float(seconds) for what, seconds in times.items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return {}


def run(what, command):
    """Runs a step.  Notes its seconds, unless it only found that all was done."""
    before = written(product(what))
    seconds = steps.run(what, command, "make demo")
    if written(product(what)) != before:
        times = {**noted_times(), what: seconds}
        files.write_text(OUTPUT / "times.json", json.dumps(times, indent=1) + "\n")


def summary(times):
    """The times [(step, seconds)] as a Markdown table."""
    rows = [f"| {what} | {seconds:.1f} |" for what, seconds in times]
    total = sum(seconds for _, seconds in times)
    return "\n".join([f"# Demo, {SIZE[1]}x{SIZE[0]}, {ITERATIONS} iterations a net, "
                      f"{os.cpu_count()} cores", "", "| step | seconds |", "|---|---|", *rows,
                      f"| total | {total:.1f} |", "",
                      "Of the last time that a step had something to do; of one that was stopped "
                      "and run again, the rest.", ""])


def write_summary(names):
    """Writes summary.md of the steps of these names, as far as they have times; its text."""
    times = noted_times()
    text = summary([(what, times[what]) for what in names if what in times])
    files.write_text(OUTPUT / "summary.md", text)
    return text


@script
def main():
    cli.parser(__doc__).parse_args()
    run("data", ["../tools/fetch_demo.py"])
    commands = pipeline(davis.Davis(DEMO).first_objects(SEQUENCE))
    for what, command in commands:
        run(what, command)
    files.write_text(OUTPUT / "commands.txt", "".join(
        f"# {what}\n{cli.command(*command)}\n" for what, command in commands))
    names = ["data", *(what for what, _ in commands)]
    write_summary(names)  # for the report, which cannot tell its own time
    run("report", report())
    print(f"\n{write_summary([*names, 'report'])}")
    print(f"look at {OUTPUT / 'report/report.html'}, {OUTPUT / 'overlay.mp4'} and "
          f"{OUTPUT / 'contact_sheet.png'}")
    print("next: segment a video of your own (README, Your own data)")


if __name__ == "__main__":
    main()
