"""Predicts hours and disk of a run over a whole data set, on machines of several kinds.

Needs no data set: where --data does not have the list, the frames of DAVIS 2017 are taken
as published, on average, and so are objects but for test-challenge.  Costs of the CPU
were measured (tools/measure_costs.py measures those of this machine); those of a GPU are
a prediction, marked *, unless --gpu-iteration and --gpu-frame say what yours takes.

Example:
    python tools/plan.py --split test-challenge
    python tools/plan.py --split val --backbone resnet50_thin --machines 4 --gpus 2
"""

import dataclasses
from dataclasses import dataclass

from ResNetF import nets
from run import DAVIS_ITERATIONS, SNAPSHOT
from segspn import cli, files
from segspn.caffenet import deploy
from segspn.data import davis
from segspn.errors import UserError, script
from segspn.runs import costs, planning, settings, steps
from segspn.runs.gpu_costs import Gpu
from segspn.runs.workflow import MEMORY_SHARE

# Of DAVIS 2017 (Pont-Tuset et al., arXiv 1704.00675, table 1): sequences, frames of all; and
# objects a sequence, to the whole number, for the lists whose objects are not in segspn.data.davis.
PUBLISHED = {"val": (30, 2023, 2), "test-dev": (30, 2037, 3), "test-challenge": (30, 2180, None)}


@dataclass(frozen=True)
class Machines:
    """So many alike, each with so many GPUs and jobs at a time of so many threads."""

    count: int
    gpus: int
    jobs: int
    threads: int

    def __str__(self):
        what = planning.number(self.gpus, "GPU") if self.gpus else "CPU"
        return f"{planning.number(self.count, 'machine')}, {what}"


def parse_arguments():
    parser = cli.parser(__doc__)
    cli.add_data(parser)
    parser.add_argument("--split", default="test-challenge",
                        help="list in ImageSets/2017 (test-challenge)")
    parser.add_argument("--backbone", choices=list(nets.BACKBONES), default=nets.RESNET101.name,
                        help="(resnet101)")
    parser.add_argument("--iterations", type=int, help="of each training (3000; the thin net's "
                                                       "200)")
    parser.add_argument("--snapshot", type=int, default=SNAPSHOT,
                        help=f"iterations from snapshot to snapshot ({SNAPSHOT})")
    parser.add_argument("--size", help="HEIGHTxWIDTH to work at (as tools/run.py has it)")
    parser.add_argument("--machines", type=int, help="how many; with it, --gpus or --jobs, the "
                                                     "table has these alone")
    parser.add_argument("--gpus", type=int, help="of each machine (0)")
    parser.add_argument("--jobs", type=int, help="of each machine, at a time (as tools/run.py "
                                                 "chooses)")
    parser.add_argument("--threads", type=int, help="of a job (cores / jobs)")
    parser.add_argument("--gpu-iteration", type=float, metavar="SECONDS",
                        help="of a training iteration at 480x854 on your GPU")
    parser.add_argument("--gpu-frame", type=float, metavar="SECONDS",
                        help="of the net's forward pass at 480x854 on your GPU")
    parser.add_argument("--markdown", action="store_true",
                        help="the table of machines alone, without that of steps")
    args = parser.parse_args()
    for name in ("iterations", "snapshot", "machines", "jobs", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
    if args.gpus is not None and args.gpus < 0:
        raise UserError(f"--gpus must be at least 0, not {args.gpus}")
    for name in ("gpu_iteration", "gpu_frame"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1e6:
            raise UserError(f"--{name.replace('_', '-')} must be seconds, not {value:g}")
    return args


def published(split):
    """(objects, videos, sentence) of a list of DAVIS 2017, as published: {sequence: [ids]} and
    {sequence: costs.Video}.  Raises UserError for another list."""
    if split not in PUBLISHED:
        raise UserError(f"list {split} is not of DAVIS 2017 ({', '.join(PUBLISHED)}); give a data "
                        "set that has it with --data")
    sequences, frames, objects = PUBLISHED[split]
    counts = davis.TEST_CHALLENGE if objects is None else {
        f"{split}-{index:02d}": objects for index in range(sequences)}
    whose = "as in segspn.data.davis" if objects is None else f"about {objects} a video"
    return ({name: list(range(1, count + 1)) for name, count in counts.items()},
            {name: costs.Video(frames / sequences) for name in counts},
            f"{sequences} videos, {sum(counts.values())} objects ({whose}), {frames} frames of "
            f"480x854: the data are not here, and frames are the mean of what is published "
            "(arXiv 1704.00675).")


def on_disk(data, split):
    """The same of a data set, and the sequences with ground truth: as its files are."""
    names, _ = settings.chosen_videos(data, split, [])
    objects = settings.objects_of(data, names)
    videos = {name: costs.video_on_disk(str(data.root), name) for name in names}
    return (objects, videos, f"{len(names)} videos, {sum(map(len, objects.values()))} objects, "
                             f"{sum(v.frames for v in videos.values())} frames, as in {data.root}.")


def run_of(args):
    """(runs.Run, {sequence: costs.Video}, sentence about them) of the arguments."""
    backbone = nets.BACKBONES[args.backbone]
    root = args.data.expanduser()
    own = files.from_scripts(root) != files.from_scripts(cli.DEFAULT_DATA)
    size, evaluated = "x".join(map(str, nets.WORKING_SIZE)), ()
    if own or (root / f"ImageSets/2017/{args.split}.txt").is_file():
        data = davis.Davis(root)
        objects, videos, about = on_disk(data, args.split)
        evaluated = settings.evaluated(data, objects)
        size = settings.default_size(backbone, data, [next(iter(objects))], not own)
    else:
        objects, videos, about = published(args.split)
        evaluated = tuple(objects) if args.split == "val" else ()
    size = args.size or size
    deploy.parse_size(size, backbone)
    iterations = args.iterations or (
        DAVIS_ITERATIONS if backbone is nets.RESNET101 else backbone.solver["max_iter"])
    return settings.Run(
        name=args.split, data=files.from_scripts(root), split=args.split, videos=objects,
        whole=True, evaluated=evaluated, backbone=backbone.name, weights=backbone.weights,
        refinement="../spn/refine_small.caffemodel", iterations=iterations,
        snapshot=min(args.snapshot, iterations), size=size), videos, about


def machines(args, run, known):
    """The configurations of the table.  A GPU's machine has cores enough for its jobs."""
    about, most_threads = known.table["machine"], max(known.table["seconds"])

    def of(count, gpus):
        fits = int(MEMORY_SHARE * about["memory_mb"] / known.memory_mb(run, "train_object"))
        jobs = args.jobs or gpus or max(1, min(about["cores"] // (args.threads or 1), fits))
        threads = most_threads if gpus else max(1, about["cores"] // jobs)
        return Machines(count, gpus, jobs, args.threads or threads)

    if any(value is not None for value in (args.machines, args.gpus, args.jobs)):
        return [of(args.machines or 1, args.gpus or 0)]
    return [of(count, gpus) for count, gpus in ((1, 0), (8, 0), (1, 1), (1, 2), (4, 1), (1, 8))]


def planned(run, known, group):
    """(the run on these machines, its Plan)."""
    run = dataclasses.replace(run, threads=group.threads, gpus=tuple(range(group.gpus)))
    return run, planning.plan(run, steps.jobs(run), known, group.count * group.jobs,
                              group.count * group.gpus)


def row(run, known, group, expected):
    """A line of the table of machines; * marks predictions."""
    star = "*" if known.is_predicted(run, "train_object") else ""
    return [str(group), f"{group.count * group.jobs} × {group.threads}",
            planning.time_text(expected.work_seconds) + star,
            planning.time_text(expected.path_seconds) + star,
            planning.time_text(expected.wall_seconds) + star,
            f"{expected.peak_gb:.0f} GB", f"{expected.final_gb:.0f} GB"]


HEAD = ["machines", "jobs × threads", "all jobs", "critical path", "wall", "disk at most",
        "in the end"]


@script
def main():
    args = parse_arguments()
    run, videos, about = run_of(args)
    known = costs.Costs.of_here().assuming(
        Gpu(iteration=args.gpu_iteration, frame=args.gpu_frame), videos)
    plans = [(*planned(run, known, group), group) for group in machines(args, run, known)]
    if not args.markdown:
        first, expected, group = plans[0]
        print(f"{group}:\n\n"
              + planning.markdown(planning.step_rows(first, steps.jobs(first), known, expected)),
              end="\n\n")
    print(planning.markdown([HEAD, *(row(of, known, group, plan) for of, plan, group in plans)]))
    caveats = dict.fromkeys(text for of, *_ in plans for text in known.caveats(of))
    print(f"\n{args.split}, {run.backbone}, {run.iterations} iterations a training at {run.size}: "
          f"{len(steps.jobs(run))} jobs, {about} CPU seconds: {known.source()}.")
    for text in caveats:
        print(f"* {text}")
    if any(of.gpus for of, *_ in plans):
        print(f"* A training is expected to need {known.memory_mb(run, 'train_object')} MB of a "
              "GPU's memory, as it needs of a CPU's.")


if __name__ == "__main__":
    main()
