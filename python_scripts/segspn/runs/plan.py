"""What a run takes: jobs, hours and disk for a dry run; memory and time limits of jobs.

Hours are from a training iteration and a frame that are timed on this machine, at that
moment (segspn.runs.timing).  No Caffe here: Snakemake reads this, on a cluster in every job.
"""

import dataclasses
import functools
import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass

from tabulate import tabulate

from ResNetF import WORKING_SIZE
from segspn import cli, files, signals, surroundings
from segspn.errors import UserError, count
from segspn.runs import steps
from segspn.training import corrections

PIXELS = math.prod(WORKING_SIZE)
START = 3  # s of a job beside its work: Snakemake, Python, nets
GPU = 5  # times that a GPU is faster than Needs.seconds, at least
GUIDANCE = 2  # objects that take as much as what a frame has once, whatever its objects
PICTURE = 0.5  # bytes a pixel and object, of all that a frame leaves
HEAD_MB = 2  # of a model, which the weights that it begins with may lack
TIMED = {"train": "training iteration", "infer": "frame", "refine": "refined frame"}


@dataclass(frozen=True)
class Needs:
    """What a job takes, at 480 x 854 of the net's input, or of the frame.

    mb, size_mb, object_mb  MB: whatever the size; times the pixels; times these and objects
    seconds                 of one of amount(), on one slow core
    """

    mb: int = 400
    size_mb: int = 400
    object_mb: int = 0
    seconds: float = 0.005


NEEDS = {
    "train resnet101": Needs(900, 1300, seconds=5),
    "train_generic resnet50_thin": Needs(2000, 0, seconds=5),  # of crops, whatever the size
    "train resnet50_thin": Needs(500, 600, seconds=1.2),
    "infer resnet101": Needs(700, 300, seconds=1.8),
    "infer resnet50_thin": Needs(300, 250, seconds=0.5),
    "refine": Needs(350, 2000, object_mb=120, seconds=0.25),
    "report": Needs(seconds=0.05)}
# MB where convolutions are Caffe's own, with buffers; on a GPU, nothing else is known.
OWN_CONVOLUTIONS = {
    "train resnet101": (2100, 6000), "train_generic resnet50_thin": (4500, 0),
    "train resnet50_thin": (700, 2300), "infer resnet101": (500, 3700),
    "infer resnet50_thin": (300, 1400)}


def duration(seconds):
    """Seconds in words: "42 s", "3 min 5 s", "2 h 10 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def needs(run, step):
    what = step.partition("_")[0]
    name = next((name for name in (f"{step} {run.backbone}", f"{what} {run.backbone}", what)
                 if name in NEEDS), None)
    found = NEEDS.get(name, Needs())
    if name in OWN_CONVOLUTIONS and (run.gpus or not surroundings.has_onednn()):
        mb, size_mb = OWN_CONVOLUTIONS[name]
        return dataclasses.replace(found, mb=mb, size_mb=size_mb)
    return found


def uses_net(step):
    return step.startswith(("train_", "infer_"))


def net_size(run):
    """Pixels of the net's input, in units of 480 x 854."""
    return math.prod(cli.size(run.size)) / PIXELS


@functools.cache
def frames_of(data, sequence):
    """(how many, pixels of one in units of 480 x 854)."""
    frames = data.frames(sequence)
    return len(frames), math.prod(files.read_image(frames[0]).shape[:2]) / PIXELS


def frame_amount(run, sequence):
    """Pixels of a frame, times what it has once and its objects."""
    return frames_of(run.data_set, sequence)[1] * (GUIDANCE + len(run.videos[sequence]))


def iterations(run, step):
    if step.endswith(corrections.SUFFIX):
        return corrections.iterations(run.iterations)
    return run.generic["iterations"] if step == "train_generic" else run.iterations


def amount(run, step, whose):
    """Iterations or frames, times pixels, and for what is done to all objects times these."""
    if step.startswith("train_"):
        return iterations(run, step) * net_size(run)
    videos = whose[:1] or (run.evaluated if step == "evaluate" else run.videos)
    return sum(frames_of(run.data_set, name)[0]
               * (net_size(run) * (1 + run.flip) if uses_net(step) else frame_amount(run, name))
               for name in videos)


# ------------------------------------------------------------------ limits

def memory_mb(run, step):
    """MB to ask for, of the largest job of a step."""
    needed, objects = needs(run, step), max(map(len, run.videos.values()), default=0)
    size = net_size(run) if uses_net(step) else max(
        (frames_of(run.data_set, name)[1] for name in run.videos), default=0)
    processes = run.threads if step == "evaluate" else 1
    return math.ceil(needed.mb + size * (needed.size_mb * processes + needed.object_mb * objects))


def minutes(run, step, whose, attempt=1):
    """Minutes to ask for: thrice what a slow core takes, and ten more; times the attempt."""
    faster = GPU if run.gpus and uses_net(step) else 1
    expected = needs(run, step).seconds * amount(run, step, whose) / faster
    return attempt * (10 + math.ceil(3 * expected / 60))


# --------------------------------------------------------------- a dry run

def seconds(run, job, timed):
    """Seconds that a job is expected to take.  timed: {name in TIMED: seconds}."""
    what, unit = job[0].partition("_")[0], needs(run, job[0]).seconds
    if what in timed:
        unit = timed[what] / (net_size(run) if uses_net(job[0])
                              else frame_amount(run, next(iter(run.videos))))
    return START + unit * amount(run, *job)


def disk_mb(run, pending, jobs):
    """MB that the pending jobs have on disk at most, so many at a time.

    A training keeps the model of every snapshot until its end, and while it writes one,
    two solver states, each as large as a model; all of them with run.keep.
    """
    model = first_weights(run).stat().st_size / 1e6 + HEAD_MB
    snapshots = [math.ceil(iterations(run, step) / run.snapshot)
                 for step, _ in pending if step.startswith("train_")]
    working = sorted(number + min(number, 2) - 1 for number in snapshots)[-jobs:]
    models = 2 * sum(snapshots) if run.keep else len(snapshots) + sum(working)
    pictures = sum(frames_of(run.data_set, name)[0] * frame_amount(run, name)
                   for name in {whose[0] for _, whose in pending if whose})
    return models * model + pictures * PICTURE * PIXELS / 1e6


def table(run, pending, jobs, timed):
    """What a run would do now, for people to read: a Markdown table, and sentences under it.

    pending: its jobs to do, [(step, whose)]; jobs: at a time; timed: {name in TIMED: seconds},
    or None where they run on what was not timed.
    """
    everything = Counter(step for step, _ in steps.jobs(run))
    if not pending:
        return f"nothing to do: all {everything.total()} jobs are done and up to date"
    expected = Counter({job: seconds(run, job, timed or {}) for job in pending})
    rows = []
    for step in (name for name in steps.STEPS if everything[name]):
        to_do = [job for job in pending if job[0] == step]
        rows.append([step.replace("_", " "), everything[step], len(to_do),
                     duration(sum(expected[job] for job in to_do))])
    rows.append(["all", everything.total(), len(pending), duration(expected.total())])
    columns = ["step", "jobs", "to do", *(["time"] if timed is not None else [])]
    text = tabulate([row[:len(columns)] for row in rows], columns, "github",
                    colalign=["left", *["right"] * (len(columns) - 1)])
    return "\n".join([text, "", *notes(run, expected, jobs, timed),
                      f"Disk: {disk_mb(run, pending, jobs) / 1e3:.1f} GB at most."])


def notes(run, expected, jobs, timed):
    """Sentences under the table.  expected: a Counter, {job: seconds}."""
    if timed is None:
        return [f"No hours are predicted: the {'cluster' if run.cluster else 'GPU'} was not timed."]
    threads = count(run.threads, "thread")
    wall = duration(max(expected.total() / jobs, *expected.values()))
    what = ", ".join(f"{TIMED[name]} {value:.2g} s" for name, value in timed.items())
    return [f"{count(jobs, 'job')} at a time, {threads} each: {wall} or more; a training that goes "
            "on from a snapshot counts in full.",
            *([f"timed here: {what} ({run.backbone}, {run.size}, {threads})"] if timed else [])]


# ------------------------------------------------------------------ timing

def time_here(run, pending):
    """{name in TIMED: seconds} of what the pending jobs do; None where it is not done here.

    Raises UserError.
    """
    if run.gpus or run.cluster:
        return None
    steps_to_do, threads = {step.partition("_")[0] for step, _ in pending}, str(run.threads)
    if not steps_to_do & set(TIMED):
        return {}
    result = subprocess.run(
        [sys.executable, "-P", "-m", "segspn.runs.timing", *(steps_to_do & set(TIMED))],
        input=json.dumps(asdict(run)), capture_output=True, text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
        preexec_fn=signals.end_with_parent(signal.SIGTERM))
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [f"status {result.returncode}"])[-1]
        raise UserError(f"what the jobs do cannot be timed: {last.removeprefix('error: ')}")
    return json.loads(result.stdout.splitlines()[-1])


def first_weights(run):
    """Path of the weights that the run's first training begins with."""
    return files.PYTHON_SCRIPTS / (run.generic["weights"] if run.generic else run.weights)
