"""The whole pipeline over videos: from prototxts to labels, evaluation, reports and submission.

Runs the jobs of every video of a list in ImageSets/2017 (--split), or of --videos, on
this machine or on a Slurm cluster, and leaves everything in results/runs/<name>.  What
is done and up to date is not done again; a job that fails does not stop those that do
not need it.  However a run ended, the same command goes on.

On this machine, --jobs jobs run at a time and share the cores; with --gpus, each
training or inference has one of these devices to itself.

Example:
    python tools/run.py --split val --dry-run
    python tools/run.py --split test-challenge --gpus 0 1
    python tools/run.py --split test-challenge --cluster slurm --cluster-options slurm_partition=gpu
    python tools/run.py --data data/videos --videos parade
"""

import os
import re
from pathlib import Path

import psutil

from ResNetF import nets
from segspn import cli, files
from segspn.caffenet import deploy, device, weights
from segspn.data import davis
from segspn.data.sequences import count
from segspn.errors import UserError, script
from segspn.method import refine
from segspn.runs import plan, settings, workflow
from spn import nets as refinement

DAVIS_ITERATIONS = 3000  # of ResNet-101, a video or object, as in the release
SNAPSHOT = 500  # iterations that a killed training loses at most
CLUSTER_JOBS, CLUSTER_THREADS = 100, 4


def parse_arguments():
    parser = cli.parser(__doc__)
    cli.add_data(parser)
    what = parser.add_argument_group("what")
    what.add_argument("--split", help="list in ImageSets/2017: val, test-dev, test-challenge, …")
    what.add_argument("--videos", nargs="+", default=[], help="only these")
    what.add_argument("--name", help="of the run's folder in results/runs (that of the split, with "
                                     "-part where not all of it is run; or of the only video)")
    what.add_argument("--iterations", type=int,
                      help="of each training (3000; the thin net's 200)")
    what.add_argument("--backbone", choices=list(nets.BACKBONES),
                      help="default: resnet101 where ResNetF/PN_ResNetF.caffemodel is")
    what.add_argument("--weights", help="that trainings begin with (those of the backbone), or the "
                                        "word generic: train them first, on --lists")
    what.add_argument("--refinement", type=Path, default=refine.SHIPPED,
                      help="weights of the refinement net (spn/refine_small.caffemodel)")
    what.add_argument("--size", help="HEIGHTxWIDTH to work at (480x854; for the thin net on videos "
                                     "of your own, a quarter of its area, in their shape)")
    what.add_argument("--base-lr", type=float, help="base_lr of the trainings")
    what.add_argument("--snapshot", type=int, default=SNAPSHOT,
                      help=f"iterations from snapshot to snapshot ({SNAPSHOT})")
    what.add_argument("--generic-only", action="store_true",
                      help="train the generic foreground model alone")
    what.add_argument("--generic-iterations", type=int, help="of the generic training (30000)")
    what.add_argument("--lists", nargs="+", default=list(davis.TRAIN_LISTS),
                      help=f"image lists of the generic training ({' '.join(davis.TRAIN_LISTS)})")
    how = parser.add_argument_group("how")
    how.add_argument("--dry-run", action="store_true", help="show the plan and its hours")
    how.add_argument("--jobs", type=int, help="jobs at a time (as many as cores and memory allow)")
    how.add_argument("--threads", type=int, help="of a job (cores / jobs)")
    how.add_argument("--gpus", nargs="+", type=int, default=[], help="device numbers (the CPU)")
    how.add_argument("--cluster", choices=["slurm"], help="run the jobs there (this machine)")
    how.add_argument("--cluster-options", nargs="+", default=[], metavar="NAME=VALUE",
                     help="of every job: slurm_partition=…, slurm_account=…")
    how.add_argument("--look-every", type=int, default=20, metavar="SECONDS",
                     help="between looks at the cluster's queue, at least (20)")
    how.add_argument("--restart", action="store_true",
                     help="train anew what was trained with other settings")
    how.add_argument("--keep-snapshots", action="store_true",
                     help="keep all snapshots of finished trainings")
    return parser.parse_args()


def check_numbers(args):
    """Raises UserError for numbers out of range, and options that do not go together."""
    for name in ("iterations", "snapshot", "generic_iterations", "jobs", "threads", "look_every"):
        value = getattr(args, name)
        if value is not None and not 1 <= value < 2**31:  # an int32 of the prototxts
            raise UserError(f"--{name.replace('_', '-')} must be from 1 to {2**31 - 1}, "
                            f"not {value}")
    if args.base_lr is not None and not 0 < args.base_lr < 1:
        raise UserError(f"--base-lr must be between 0 and 1, not {args.base_lr:g}")
    if len(set(args.gpus)) != len(args.gpus) or min(args.gpus, default=0) < 0:
        raise UserError(f"--gpus must be different numbers from 0, not {args.gpus}")
    for option in args.cluster_options:
        if not re.fullmatch(r"[a-z_]+=[A-Za-z0-9_.,:@/-]+", option):
            raise UserError(f"--cluster-options are NAME=VALUE, not {option!r}")
    if args.cluster_options and not args.cluster:
        raise UserError("--cluster-options go with --cluster")
    if args.generic_only and args.weights == settings.GENERIC:
        raise UserError("--generic-only: --weights are those that it begins with, no generic ones")


def weights_file(path, backbone):
    """Weights as seen from python_scripts/, checked to be there.  Raises UserError."""
    path = Path(path) if path else files.PYTHON_SCRIPTS / backbone.weights
    if not path.is_file():
        raise UserError(f"weights {path} do not exist; make weights fetches those of the thin net "
                        "(BACKBONE=resnet50_thin) and says where the others come from")
    found = nets.backbone_of(weights.read_caffemodel(path))
    if found is not backbone:
        raise UserError(f"weights {path} are those of {found.name if found else 'another net'}, "
                        f"not of {backbone.name}; give the --backbone that they are of")
    return files.from_scripts(path)


def refinement_file(path):
    """Weights of a refinement net, as seen from python_scripts/.  Raises UserError."""
    if refinement.net_of(weights.read_caffemodel(path)) is None:
        raise UserError(f"weights {path} are of no refinement net; train one with "
                        "make train-refine, or leave --refinement out")
    return files.from_scripts(path)


def run_of(args):
    """The runs.Run that the arguments ask for.  Raises UserError."""
    check_numbers(args)
    backbone = nets.BACKBONES[args.backbone] if args.backbone else deploy.default_backbone()
    data = davis.Davis(args.data.expanduser())
    names, whole = ([], False) if args.generic_only else settings.chosen_videos(
        data, args.split or None, [name for name in args.videos if name])
    iterations = args.iterations or (
        DAVIS_ITERATIONS if backbone is nets.RESNET101 else backbone.solver["max_iter"])
    own = files.from_scripts(data.root) != files.from_scripts(cli.DEFAULT_DATA)
    size = args.size or settings.default_size(backbone, data, names, not own)
    deploy.parse_size(size, backbone)
    generic = None
    if args.generic_only or args.weights == settings.GENERIC:
        for name in args.lists:
            data.listed(name)
        begin = None if args.weights == settings.GENERIC else args.weights
        generic = {"lists": args.lists, "weights": generic_start(begin, backbone),
                   "iterations": args.generic_iterations or backbone.solver["max_iter"]}
    return settings.Run(
        name=run_name(args, names, whole), data=files.from_scripts(data.root),
        split=args.split or None,
        videos=settings.objects_of(data, names), whole=whole,
        evaluated=settings.evaluated(data, names), backbone=backbone.name,
        weights=settings.GENERIC if generic else weights_file(args.weights, backbone),
        refinement=refinement_file(args.refinement),
        iterations=iterations, snapshot=args.snapshot, size=size,
        base_lr=args.base_lr, generic=generic, gpus=tuple(args.gpus), cluster=args.cluster,
        restart=args.restart, keep=args.keep_snapshots)


def generic_start(path, backbone):
    """ImageNet's weights of a backbone, which the generic training begins with."""
    if path is None and backbone is nets.RESNET101:
        path = files.MODELS / "resnet101.caffemodel"
    return weights_file(path, backbone)


def run_name(args, names, whole):
    """The folder's name.  Raises UserError where there is none to take."""
    if args.name:
        return davis.checked_sequence(args.name, "run")
    if args.generic_only:
        return settings.GENERIC
    if args.split:
        return davis.checked_sequence(args.split, "split") + ("" if whole else "-part")
    if len(names) == 1:
        return names[0]
    raise UserError("several videos without a list: give the run a --name")


def machine_memory():
    """MB of memory."""
    return psutil.virtual_memory().total / 1e6


def shares(args, run):
    """(jobs at a time, threads of each): jobs x threads is never more than the cores."""
    if args.cluster:
        return args.jobs or CLUSTER_JOBS, args.threads or CLUSTER_THREADS
    cores = len(os.sched_getaffinity(0))
    jobs = args.jobs or max(1, min(len(args.gpus) or cores, cores // (args.threads or 1), int(
        workflow.MEMORY_SHARE * machine_memory() / plan.memory_mb(run, "train_object"))))
    if jobs * (args.threads or 1) > cores:
        raise UserError(f"{jobs} jobs of {args.threads or 1} threads are more than the {cores} "
                        "cores; give fewer --jobs or --threads")
    return jobs, args.threads or cores // jobs


def notes(run, jobs):
    """What to know of a run before it begins, a line each."""
    lines = [f"{run.name}: {run.backbone}, {run.iterations} iterations a training, at {run.size}; "
             f"{count(len(run.videos), 'video')}, "
             f"{count(sum(map(len, run.videos.values())), 'object')}"]
    partly = [name for name in run.videos if name not in run.evaluated]
    if run.evaluated and partly:
        lines.append(f"note: without an annotation of every frame, not evaluated: "
                     f"{', '.join(partly)}")
    if run.generic:
        seen = {frame.parent.name for name in run.generic["lists"]
                for frame, _ in run.data_set.listed(name)}
        if known := [name for name in run.evaluated if name in seen]:
            lines.append("note: the generic model is trained on videos that are evaluated "
                         f"({', '.join(known)}): figures of them are not of unseen videos")
    if not run.cluster and jobs < len(run.gpus):
        lines.append(f"note: {jobs} jobs at a time, for cores or memory: "
                     f"{len(run.gpus) - jobs} of the GPUs are idle; --jobs sets it")
    return lines


@script
def main():
    args = parse_arguments()
    run = run_of(args)
    jobs, threads = shares(args, run)
    run = run.with_threads(threads)
    task = workflow.Workflow(run, jobs, args.cluster_options, machine_memory(), args.look_every)
    with task.alone():
        print("\n".join(notes(run, jobs)), flush=True)
        if args.dry_run:
            print(task.plan())
        else:
            if run.gpus and not run.cluster:
                device.check(max(run.gpus))
            task.perform()
            print("\n".join(task.results()))


if __name__ == "__main__":
    main()
