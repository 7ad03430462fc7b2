"""What each stage of the pipeline adds: labels with one stage more each time, evaluated as DAVIS.

Coarse score maps, inside the foreground mask, refined by spatial propagation, with the
filter of CRAF, with its recovery of lost objects: each is a run of the pipeline, in
results/runs/quality-<stage>.  They share trainings and score maps.  Leaves the table in
results/quality/table.md.  What was stopped goes on where it was.

Without --data, on two short synthetic videos with exact labels, of a seed that no training
has had, in data/quality.

Example:
    python tools/quality.py
    python tools/quality.py --data data/DAVIS --split val --videos dog bear
"""

import csv

import numpy as np
from tabulate import tabulate

from ResNetF import nets
from segspn import cli, files
from segspn.data import davis
from segspn.errors import UserError, script
from segspn.runs import command_lines, settings

OUTPUT = files.RESULTS / "quality"
AGAIN = "the same command"
DATA, SPLIT = files.ROOT / "data/quality", "quality"  # synthetic
SIZE = (240, 427)
ITERATIONS = nets.RESNET50_THIN.solver["max_iter"]
SCENES = ("--size", cli.size_text(SIZE), "--objects", "2", "--frames", "20", "--seed", "3",
          "--names", SPLIT, "--split", SPLIT)
# Each stage's run, its name, and its rules of CRAF.
STAGES = (
    ("coarse", "coarse score maps", "--coarse --no-foreground --no-filter"),
    ("foreground", "+ foreground mask", "--coarse --no-filter"),
    ("refined", "+ spatial propagation", "--no-filter"),
    ("filtered", "+ CRAF's filter", "--no-recovery"),
    ("recovered", "+ CRAF's recovery", ""))
FOOT = ("Means over all objects.  With spatial propagation, and after it, the foreground mask is "
        "the dilated one of refine_spn.py.")
SYNTHETIC = ("No training had the seed of these videos, but the shipped refinement net was "
             "trained on other videos of the same generator.")


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    cli.add_data(parser, default=None, help="data set in DAVIS layout (synthetic videos)")
    cli.add_split(parser, help="list in ImageSets/2017, with --data")
    cli.add_videos(parser, default=[], help="only these")
    parser.add_argument("--count", type=cli.whole(1, 100), default=2,
                        help="how many synthetic videos (2)")
    parser.add_argument("--iterations", type=cli.whole(), help="of each training")
    parser.add_argument("--size", type=cli.size, metavar="HEIGHTxWIDTH", help="to work at")
    parser.add_argument("--backbone", choices=list(nets.BACKBONES), help="net to train")
    args = parser.parse_args(argv)
    if bool(args.data) != bool(args.split):
        raise UserError("--data and --split go together; see --help")
    if not args.data:
        args.iterations, args.size = args.iterations or ITERATIONS, args.size or SIZE
        args.backbone = args.backbone or nets.RESNET50_THIN.name
    return args


def scenes(args):
    """The command line that makes the synthetic videos."""
    return ["../tools/synthetic.py", "--data", files.from_scripts(DATA), *SCENES,
            "--count", str(args.count)]


def pipeline(args, stage, rules):
    """The command line of a stage's run."""
    given = {"--videos": args.videos, "--backbone": [args.backbone] if args.backbone else [],
             "--size": [cli.size_text(args.size)] if args.size else [],
             "--iterations": [str(args.iterations)] if args.iterations else []}
    return ["../tools/run.py", "--data", files.from_scripts(args.data or DATA),
            "--split", args.split or SPLIT, "--name", f"quality-{stage}", "--craf", rules,
            *(word for option, values in given.items() if values for word in (option, *values))]


def check_truth(args):
    """Raises UserError where there will be nothing to evaluate."""
    data, split = davis.Davis(args.data or DATA), args.split or SPLIT
    videos, _ = settings.chosen_videos(data, split, args.videos)
    if not settings.evaluated(data, videos):
        raise UserError(f"no video of {split} in {data.root} has an annotation of every frame")


def figures(stage, split):
    """[J, F, J&F] of a stage's run, per cent.  Raises UserError where they are no numbers."""
    path = settings.RUNS / f"quality-{stage}" / "evaluation" / f"global_results-{split}.csv"
    with files.existing_file(path, "evaluation").open(newline="") as file:
        row = next(csv.DictReader(file), {})
    found = [100 * float(row.get(f"{which}-Mean", "nan")) for which in ("J", "F", "J&F")]
    if not np.isfinite(found).all():
        raise UserError(f"the figures in {path} are not numbers")
    return found


def table(args):
    """The stages and their figures as a Markdown table."""
    rows = [[what, *figures(stage, args.split or SPLIT)] for stage, what, _ in STAGES]
    foot = FOOT if args.data else f"{FOOT}  {SYNTHETIC}"
    return f"{tabulate(rows, ('stage', 'J', 'F', 'J&F'), 'pipe', floatfmt='.1f')}\n\n{foot}\n"


@script
def main():
    args = parse_arguments()
    if not args.data:
        command_lines.run("synthetic videos", scenes(args), AGAIN)
    check_truth(args)
    for stage, what, rules in STAGES:
        command_lines.run(what, pipeline(args, stage, rules), AGAIN)
    text = table(args)
    files.write_text(OUTPUT / "table.md", text)
    print(f"\n{text}\nwrote {OUTPUT / 'table.md'}")


if __name__ == "__main__":
    main()
