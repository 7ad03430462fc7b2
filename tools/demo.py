"""The whole pipeline on a real video: fetch, fine-tune, infer, refine, label, show.

Fine-tunes the thin backbone on the first frame of a clip of Big Buck Bunny, for
its foreground and for each of two objects, and segments the other frames.
Every step is a command line that a user would type; it is printed.  A demo that
was stopped goes on where it was.

Example:
    python tools/demo.py
"""

import os
import time

import steps
from fetch_demo import DEMO, SEQUENCE
from ResNetF import nets
from segspn import cli, davis, files
from segspn.errors import script

OUTPUT = files.RESULTS / "demo"
SIZE = (240, 427)
ITERATIONS = 200
PRETRAINED = nets.RESNET50_THIN.weights


def pipeline(objects):
    """(what, command line) of every step after the data is there; from python_scripts/."""
    data, size = files.from_scripts(DEMO), "x".join(map(str, SIZE))
    options = cli.inference_options(DEMO, size)
    fgbg = f"../models/{SEQUENCE}/{SEQUENCE}_fgbg_iter_{ITERATIONS}.caffemodel"
    per_obj = f"../ResNetF/testnet_per_obj/{SEQUENCE}"
    frames = f"{data}/JPEGImages/480p/{SEQUENCE}"
    output = files.from_scripts(OUTPUT)
    segment = ["segment_instances.py", "--class", SEQUENCE, "--iter", str(ITERATIONS),
               "--data", data]
    return [
        ("prototxts", ["../ResNetF/nets.py", data, "--backbone", "resnet50_thin",
                       "--size", size, "--iterations", str(ITERATIONS)]),
        ("train foreground", ["solve.py", PRETRAINED,
                              f"../ResNetF/testnet_fgbg/{SEQUENCE}/solver.prototxt", "--resume"]),
        *((f"train object {k}", ["solve.py", PRETRAINED, f"{per_obj}/solver_{k}.prototxt",
                                 "--resume"]) for k in objects),
        ("infer foreground", ["infer_test_fgbg.py", fgbg, "../results/ResNetF_fgbg", SEQUENCE,
                              *options]),
        *((f"infer object {k}", ["infer_test_perobj.py", str(ITERATIONS), SEQUENCE, str(k),
                                 *options]) for k in objects),
        ("refine", ["refine_spn.py", str(ITERATIONS), SEQUENCE, "--data", data]),
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


def summary(times):
    """The times as a Markdown table."""
    rows = [f"| {what} | {seconds:.1f} |" for what, seconds in times]
    total = sum(seconds for _, seconds in times)
    return "\n".join([f"# Demo, {SIZE[1]}x{SIZE[0]}, {ITERATIONS} iterations a net, "
                      f"{os.cpu_count()} cores", "", "| step | seconds |", "|---|---|", *rows,
                      f"| total | {total:.1f} |", ""])


def trained_since(started):
    """Whether all nets of the demo were trained after a time (seconds of time.time())."""
    models = list((files.MODELS / SEQUENCE).glob(f"*_iter_{ITERATIONS}.caffemodel"))
    return bool(models) and all(model.stat().st_mtime > started for model in models)


@script
def main():
    cli.parser(__doc__).parse_args()
    started = time.time()
    times = [("data", steps.run("data", ["../tools/fetch_demo.py"], "make demo"))]
    objects = davis.Davis(DEMO).first_objects(SEQUENCE)
    commands = pipeline(objects)
    times += [(what, steps.run(what, command, "make demo")) for what, command in commands]
    text = summary(times)
    if trained_since(started) or not (OUTPUT / "summary.md").is_file():
        # Else the times are those of looking at what was done.
        files.write_text(OUTPUT / "summary.md", text)
    files.write_text(OUTPUT / "commands.txt", "".join(
        f"# {what}\n{cli.command(*command)}\n" for what, command in commands))
    steps.run("report", report(), "make demo")
    print(f"\n{text}")
    print(f"look at {OUTPUT / 'report/report.html'}, {OUTPUT / 'overlay.mp4'} and "
          f"{OUTPUT / 'contact_sheet.png'}")
    print("next: segment a video of your own (README, Your own data)")


if __name__ == "__main__":
    main()
