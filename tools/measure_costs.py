"""Measures what jobs of this machine cost: seconds, memory and disk, for plans of whole runs.

The real scripts run on short synthetic videos, each step with one thread a job and all
cores busy, and with all cores for one job.  Constants are fitted to that, and go to
results/costs.json, where tools/run.py and tools/plan.py find them.  It takes some ten
minutes; nothing else should compute meanwhile: jobs are done again while others had more
than a tenth of the CPU time, and what others had is told in the end.

Example:
    python tools/measure_costs.py
"""

import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from tqdm import tqdm

import benchmark
import cost_runs
from cost_runs import FEW, FULL, HALF, MANY, OBJECTS, SHAPES, SMALL
from ResNetF import nets
from run import machine_memory
from segspn import cli, files
from segspn.errors import UserError, script
from segspn.runs import costs, steps

RESNET101, THIN = nets.RESNET101.name, nets.RESNET50_THIN.name
# (iterations, from snapshot to snapshot); the thin net's are enough for maps with objects in them.
TRAININGS = {THIN: (24, 8), RESNET101: (5, 2)}
TRAINING_MB = 7000
LOAD = 0.7  # load average above which something else computes
# Steps that are of one thread whatever they are given: they are measured with one.
SINGLE = ("overlay", "report", "overview", "submission")
# What the seconds, the memory and the files of a job of each kind grow with.
SECONDS = {
    "train": ("start", "snapshot"), "infer": ("start", "frame", "net_frame"),
    "prototxts": ("start", "training"), "refine": ("start", "frame", "object"),
    "label": ("start", "frame", "object"), "overlay": ("start", "frame"),
    "report": ("start", "frame", "object"), "evaluate": ("start", "object"),
    "overview": ("start", "video"), "submission": ("start", "frame")}
MEMORY = {
    "train": ("start", "net"), "infer": ("start", "net"), "prototxts": ("start",),
    "refine": ("start", "pixel", "pixel_object"), "label": ("start", "pixel", "pixel_object"),
    "overlay": ("start", "pixel", "frame"), "report": ("start", "frame", "object"),
    "evaluate": ("start", "thread", "object"), "overview": ("start", "video"),
    "submission": ("start", "frame")}
DISK = {
    "infer_foreground": ("frame",), "infer_object": ("frame",), "prototxts": ("training",),
    "refine": ("frame", "object"), "label": ("frame",), "overlay": ("start", "frame"),
    "report": ("start", "frame", "object"), "evaluate": ("start", "object"),
    "overview": ("video",), "submission": ("frame",)}


def fitted(rows, names, values, known=None):
    """{name: constant} of least squares, none below 0, and those that are known.

    rows: dicts of amounts; values: what each row costs.
    """
    known = known or {}
    rest = [value - costs.total(known, row) for row, value in zip(rows, values)]
    matrix = np.array([[row[name] for name in names] for row in rows], float)
    constants, _ = nnls(matrix, np.array(rest, float))
    return {**known, **dict(zip(names, constants.tolist()))}


def iteration_constants(rows):
    """Constants of an iteration, by the logs of trainings at two sizes."""
    rows = [row for row in rows if row.iteration is not None]
    single = [{"iteration": 1, "net_iteration": row.amounts["net"]} for row in rows]
    return fitted(single, ("iteration", "net_iteration"), [row.iteration for row in rows])


def seconds_of(rows, frame=None):
    """Constants of one kind's seconds, by its rows; frame: that of inference, where known."""
    what = rows[0].kind.split()[0]
    known = iteration_constants(rows) if what == "train" else (
        {"frame": frame} if frame is not None else {})
    names = [name for name in SECONDS[what] if name not in known]
    return fitted([row.amounts for row in rows], names, [row.seconds for row in rows], known)


def tables(rows):
    """{"seconds", "memory_mb", "disk_mb"} as in costs.json, by all rows that were measured."""
    groups = defaultdict(list)
    for row in rows:
        groups[row.kind].append(row)
    seconds = {}
    for threads in sorted({row.threads for row in rows}):
        of_threads = {name: [row for row in group if row.threads == threads]
                      for name, group in groups.items()}
        # To read and write images takes the same for both nets; beside the small one it shows.
        thin = seconds_of(of_threads[f"infer {THIN}"])
        seconds[threads] = {
            name: seconds_of(group, thin["frame"] if "infer" in name else None) if group
            else seconds[min(seconds)][name] for name, group in of_threads.items()}
    memory = {name: fitted([row.amounts for row in group], MEMORY[name.split()[0]],
                           [row.peak_mb for row in group]) for name, group in groups.items()}
    disk = {name: {"model": max(row.products_mb for row in group)}
            for name, group in groups.items() if name.startswith("train ")}
    for step, names in DISK.items():
        group = [row for row in rows if row.step == step]
        disk[step] = fitted([row.amounts for row in group], names,
                            [row.products_mb for row in group])
    return {"seconds": seconds, "memory_mb": memory, "disk_mb": disk}


def jobs_of_net(backbone, data, threads):
    """(run, step, whose) of the trainings and the inference of a net, in order; a call between
    two gives the trained model to the videos that were not trained on."""
    iterations, snapshot = TRAININGS[backbone]

    def run(shape, count=iterations, size=None):
        return cost_runs.run_of(data, shape, backbone, count, min(snapshot, count),
                                size or shape.size, threads)

    many = MANY.sequence
    yield run(MANY, 1), "prototxts", (many,)
    yield run(MANY, 1), "train_foreground", (many,)
    yield run(MANY), "prototxts", (many,)
    yield run(MANY), "train_object", (many, 1)
    yield run(SMALL), "prototxts", (SMALL.sequence,)
    yield run(SMALL), "train_object", (SMALL.sequence, 1)
    others = [(shape.sequence, k) for shape in SHAPES for k in (None, *range(1, shape.objects + 1))]
    yield lambda bench: bench.share_model(run(MANY), many, 1, others)
    yield run(MANY, size=HALF), "infer_object", (many, 1)
    for shape in SHAPES if backbone == THIN else (FEW, MANY):
        yield run(shape), "infer_object", (shape.sequence, 1)
        if backbone == THIN:
            for k in range(2, shape.objects + 1):
                yield run(shape), "infer_object", (shape.sequence, k)
            yield run(shape), "infer_foreground", (shape.sequence,)


def jobs_of_steps(data, threads):
    """(run, step, whose) of the steps that follow, on what the thin net left."""
    for shape in SHAPES:
        run = cost_runs.run_of(data, shape, THIN, *TRAININGS[THIN], shape.size, threads)
        if shape is OBJECTS:
            yield run, "prototxts", (shape.sequence,)
        for step in ("refine", "label", "overlay", "report", "evaluate", "overview", "submission"):
            if threads == 1 or step not in SINGLE:
                of_video = steps.STEPS[step].per == "sequence"
                yield run, step, (shape.sequence,) if of_video else ()


def jobs(data, threads):
    """All that is measured with this many threads."""
    return [*jobs_of_net(THIN, data, threads), *jobs_of_steps(data, threads),
            *jobs_of_net(RESNET101, data, threads)]


def measure(folder, tries):
    """All rows, and {"start", "job"} of the workflow; in a folder for what runs write."""
    data, resnet101 = folder / "data", folder / "resnet101.caffemodel"
    for shape in SHAPES:
        shape.write(data)
    cost_runs.write_resnet101(resnet101)
    cores = len(os.sched_getaffinity(0))
    plan = [(threads, jobs(data, threads)) for threads in sorted({1, cores})]
    rows = []
    with tqdm(total=sum(len(part) for _, part in plan), unit="job", dynamic_ncols=True) as bar:
        for threads, part in plan:
            count = cost_runs.beside_each_other(threads, TRAINING_MB)
            bench = cost_runs.Bench(folder / f"threads{threads}", count, resnet101)
            for job in part:
                if callable(job):
                    job(bench)
                else:
                    bar.set_description(f"{job[1]} {job[0].backbone}, {count} x {threads} threads")
                    rows.append(bench.measure(*job, tries=tries))
                bar.update()
    return rows, cost_runs.measure_workflow(folder, cores)


def report(table):
    """What was measured, in words: an iteration and a frame of each net."""
    lines = []
    for threads, kinds in table["seconds"].items():
        for backbone in nets.BACKBONES:
            train, infer = kinds[f"train {backbone}"], kinds[f"infer {backbone}"]
            lines.append(f"{backbone}, {threads} threads a job, {'x'.join(map(str, FULL))}: "
                         f"{train['iteration'] + train['net_iteration']:.3g} s an iteration, "
                         f"{infer['frame'] + infer['net_frame']:.3g} s a frame")
    return "\n".join(lines)


@script
def main():
    parser = cli.parser(__doc__)
    parser.add_argument("--output", type=Path, default=costs.MEASURED,
                        help="file of the constants (results/costs.json)")
    parser.add_argument("--tries", type=int, default=3,
                        help="how often to measure a job at most, while others compute (3)")
    args = parser.parse_args()
    if args.tries < 1:
        raise UserError(f"--tries must be at least 1, not {args.tries}")
    if not (files.MODELS / f"{THIN}.caffemodel").is_file():
        raise UserError(f"weights {files.MODELS / THIN}.caffemodel do not exist; run make weights")
    about = benchmark.machine()
    print(f"load average before: {about['load_before']:.2f}"
          + (f"; above {LOAD}, something else computes" if about["load_before"] > LOAD else ""),
          flush=True)
    with tempfile.TemporaryDirectory(prefix="segspn-costs-") as folder:
        rows, workflow = measure(Path(folder), args.tries)
    others = [row.others for row in rows]
    about |= {"memory_mb": round(machine_memory()), "others_mean": round(float(np.mean(others)), 3),
              "others_most": round(max(others), 3)}
    table = {"machine": about, "workflow": workflow, **tables(rows)}
    files.write_text(args.output, json.dumps(table, indent=1) + "\n")
    print(f"{report(table)}\nother processes had {100 * about['others_mean']:.0f} % of the CPU "
          f"time, {100 * about['others_most']:.0f} % where most\nwrote {args.output}\n"
          "next: python tools/plan.py --split test-challenge")


if __name__ == "__main__":
    main()
