"""The whole pipeline over videos: from prototxts to labels, evaluation, reports and submission.

Runs the jobs of every video of a list in ImageSets/2017 (--split), or of --videos, on
this machine or on a Slurm cluster, and leaves everything in results/runs/<name>.  What
is done and up to date is not done again; a job that fails does not stop those that do
not need it.  However a run ended, the same command goes on.

Of each video the first frame is learned from; with --annotated all, every frame that has an
annotation, which is how results are corrected.

On this machine, --jobs jobs run at a time and share the cores; with --gpus, each
training or inference has one of these devices to itself.

Example:
    python tools/run.py --split val --dry-run
    python tools/run.py --split test-challenge --gpus 0 1
    python tools/run.py --split test-challenge --cluster slurm --cluster-options slurm_partition=gpu
    python tools/run.py --data data/videos --videos parade --craf "--region-overlap 0.02 --coarse"
"""

import argparse
import re
from pathlib import Path

from ResNetF import nets
from segspn import cli
from segspn.caffenet import device
from segspn.errors import script
from segspn.method import craf_options, refine
from segspn.runs import choices, steps, workflow

SNAPSHOT = 500  # iterations that a killed training loses at most


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    add_what(parser)
    add_how(parser.add_argument_group("how"))
    return parser.parse_args(argv)


def add_what(parser):
    cli.add_data(parser)
    what = parser.add_argument_group("what")
    cli.add_split(what, help="list in ImageSets/2017: val, test-dev, test-challenge, …")
    cli.add_videos(what, default=[], help="only these")
    cli.add_annotated(what)
    what.add_argument("--name", type=cli.name("run"),
                      help="of the run's folder in results/runs (that of the split, with "
                           "-part where not all of it is run; or of the only video)")
    what.add_argument("--iterations", type=cli.whole(),
                      help="of each training (3000; the thin net's 150)")
    what.add_argument("--backbone", choices=list(nets.BACKBONES),
                      help="default: resnet101 where ResNetF/PN_ResNetF.caffemodel is")
    what.add_argument("--weights", help="that trainings begin with (those of the backbone), or the "
                                        "word generic: train them first, on --lists")
    what.add_argument("--refinement", type=Path, default=refine.SHIPPED,
                      help="weights of the refinement net (spn/refine_small.caffemodel)")
    what.add_argument("--size", type=cli.size, metavar="HEIGHTxWIDTH",
                      help="to work at (480x854; for videos of your own its area, in their shape)")
    what.add_argument("--craf", type=craf_options.words, default=(), metavar="OPTIONS",
                      help="rules of the labels, in one text: those that segment_instances.py has "
                      "(for the thin net --restart-share 0.2)")
    what.add_argument("--until", choices=list(steps.STEPS), metavar="STEP",
                      help="only this step and what comes before it, named as in the run's logs/: "
                      "evaluate leaves out pictures and reports")
    add_trainings(what)


def add_trainings(what):
    cli.add_recipe(what)
    what.add_argument("--seed", type=cli.seed, help="of the trainings (0)")
    what.add_argument("--base-lr", type=cli.rate, help="base_lr of the trainings")
    what.add_argument("--snapshot", type=cli.whole(), default=SNAPSHOT,
                      help=f"iterations from snapshot to snapshot ({SNAPSHOT})")
    what.add_argument("--train-both", action="store_true",
                      help="train a net of the foreground also for a video with one object, whose "
                      "net is equal, and taken for it")
    what.add_argument("--generic-only", action="store_true",
                      help="train the generic foreground model alone")
    what.add_argument("--generic-iterations", type=cli.whole(),
                      help="of the generic training (30000; the thin net's 2400)")
    cli.add_generic(what)


def add_how(how):
    how.add_argument("--dry-run", action="store_true", help="show the plan and its hours")
    how.add_argument("--jobs", type=cli.whole(),
                     help="jobs at a time (as many as cores and memory allow)")
    how.add_argument("--threads", type=cli.whole(), help="of a job (cores / jobs)")
    how.add_argument("--gpus", nargs="+", type=cli.gpu, default=[], metavar="ID",
                     help="device numbers (the CPU)")
    how.add_argument("--cluster", choices=["slurm"], help="run the jobs there (this machine)")
    how.add_argument("--cluster-options", nargs="+", type=cluster_option, default=[],
                     metavar="NAME=VALUE", help="of every job: slurm_partition=…, slurm_account=…")
    how.add_argument("--look-every", type=cli.whole(), default=20, metavar="SECONDS",
                     help="between looks at the cluster's queue, at least (20)")
    how.add_argument("--restart", action="store_true",
                     help="train anew what was trained with other settings")
    how.add_argument("--keep-snapshots", action="store_true",
                     help="keep all snapshots of finished trainings")


def cluster_option(text):
    if not re.fullmatch(r"[a-z_]+=[A-Za-z0-9_.,:@/-]+", text):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, not {text!r}")
    return text


@script
def main():
    args = parse_arguments()
    run = choices.run_of(args)
    jobs, threads = choices.shares(args, run)
    run = run.with_threads(threads)
    task = workflow.Workflow(run, jobs, args.cluster_options, choices.machine_memory(),
                             args.look_every)
    with task.alone():
        print("\n".join(choices.notes(run, jobs)), flush=True)
        if args.dry_run:
            print(task.plan())
        else:
            if run.gpus and not run.cluster:
                device.check(max(run.gpus))
            task.perform()
            print("\n".join(task.results()))


if __name__ == "__main__":
    main()
