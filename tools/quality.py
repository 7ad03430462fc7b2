"""What each stage of the pipeline adds, measured on synthetic videos with exact labels.

Makes two short videos, of a seed that no training has had, fine-tunes the thin net on
their first frames, and evaluates labels as DAVIS does, with one stage more each
time: coarse score maps, inside the foreground mask, refined by spatial propagation,
with the region filter, with the recovery of lost objects.  Leaves the table in
results/quality/table.md.  What was stopped goes on where it was.

Example:
    python tools/quality.py
"""

import numpy as np
from tabulate import tabulate

from ResNetF import nets
from segspn import cli, files
from segspn.errors import UserError, script
from segspn.evaluation import davis2017
from segspn.runs import command_lines
from segspn.synthetic import data_set

DATA = files.ROOT / "data/quality"
OUTPUT = files.RESULTS / "quality"
SIZE = (240, 427)
ITERATIONS = nets.RESNET50_THIN.solver["max_iter"]
NAMES = "quality"
SCENES = ("--size", "x".join(map(str, SIZE)), "--objects", "2", "--frames", "20", "--seed", "3",
          "--names", NAMES, "--list", NAMES)
# Each stage's folder, its name, and what segment_instances.py is told.
STAGES = (
    ("coarse", "coarse score maps", ["--coarse", "--no-foreground", "--no-filter"]),
    ("foreground", "+ foreground mask", ["--coarse", "--no-filter"]),
    ("refined", "+ spatial propagation", ["--no-filter"]),
    ("filtered", "+ region filter", ["--no-recovery"]),
    ("recovered", "+ recovery", []))
FOOT = ("Means over all objects. No training had the seed of these videos, but the shipped "
        "refinement net was trained on other videos of the same generator. With spatial "
        "propagation, and after it, the foreground mask is the dilated one of refine_spn.py.")


def pipeline(sequences):
    """The command line of all steps on these sequences."""
    return ["../tools/run.py", "--data", files.from_scripts(DATA), "--split", NAMES,
            "--videos", *sequences, "--backbone", nets.RESNET50_THIN.name,
            "--size", "x".join(map(str, SIZE)), "--iterations", str(ITERATIONS)]


def labelling(sequence):
    """(what, command line) of the labels of every stage."""
    return [(name, ["segment_instances.py", "--class", sequence, "--iter", str(ITERATIONS),
                    "--data", files.from_scripts(DATA),
                    "--output", files.from_scripts(OUTPUT / folder), *options])
            for folder, name, options in STAGES]


def table(sequences):
    """The ablation as a Markdown table, in per cent."""
    rows = []
    for folder, name, _ in STAGES:
        figures = davis2017.summary(davis2017.evaluate(OUTPUT / folder, DATA, sequences))
        cells = [100 * figures[f"{which}-Mean"] for which in ("J", "F", "J&F")]
        if not np.isfinite(cells).all():
            raise UserError(f"the figures of {name} are not numbers: {cells}")
        rows.append([name, *cells])
    return f"{tabulate(rows, ('stage', 'J', 'F', 'J&F'), 'pipe', floatfmt='.1f')}\n\n{FOOT}\n"


@script
def main():
    parser = cli.parser(__doc__)
    parser.add_argument("--sequences", type=int, default=2, help="how many videos (2)")
    args = parser.parse_args()
    if not 1 <= args.sequences <= 100:
        raise UserError(f"--sequences must be from 1 to 100, not {args.sequences}")
    command_lines.run("synthetic videos", [
        "../tools/synthetic.py", files.from_scripts(DATA), *SCENES,
        "--sequences", str(args.sequences)], "make quality")
    # Those asked for: an earlier run may have made more.
    name = data_set.Recipe(names=NAMES).sequence
    sequences = [name(index) for index in range(args.sequences)]
    command_lines.run("pipeline", pipeline(sequences), "make quality")
    for sequence in sequences:
        for what, command in labelling(sequence):
            command_lines.run(f"{sequence}: {what}", command, "make quality")
    text = table(sequences)
    files.write_text(OUTPUT / "table.md", text)
    print(f"\n{text}\nwrote {OUTPUT / 'table.md'}")


if __name__ == "__main__":
    main()
