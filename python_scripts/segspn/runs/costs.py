"""What a job costs: seconds, memory and disk, by constants that were measured.

tools/measure_costs.py measures them.  A job costs the sum of its amounts (how many
iterations, frames, …; see amounts()), each times a constant.  Pixels are counted in
units of 480 x 854.  What a GPU takes is not measured but predicted (segspn.runs.gpu_costs).
"""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ResNetF import nets
from segspn import files
from segspn.caffenet import deploy
from segspn.data import davis
from segspn.errors import UserError
from segspn.runs import steps
from segspn.runs.gpu_costs import Gpu

SHIPPED = Path(__file__).with_name("costs.json")
MEASURED = files.RESULTS / "costs.json"
PIXELS = math.prod(nets.WORKING_SIZE)
SPARE = 1.15  # of the memory that a job asks for, to what was measured


@dataclass(frozen=True)
class Video:
    """What costs depend on: how many frames, and the pixels of each."""

    frames: float
    pixels: int = PIXELS


@functools.cache
def video_on_disk(root, sequence):
    """The Video of a sequence in a data set's folder.  Raises UserError."""
    frames = davis.Davis(root).frames(sequence)
    height, width = files.read_image(frames[0]).shape[:2]
    return Video(len(frames), height * width)


def on_gpu(run, step):
    """Whether the jobs of a step are given a GPU."""
    return bool(run.gpus) and steps.STEPS[step].on_gpu


def working_size(run):
    """(height, width) of the net's input."""
    return deploy.parse_size(run.size, nets.BACKBONES[run.backbone])


def kind(backbone, step):
    """What the constants of a step are filed under: trainings and inference by backbone."""
    for what in ("train", "infer"):
        if step.startswith(f"{what}_"):
            return f"{what} {backbone}"
    return step.removeprefix("generic_")


def disk_kind(backbone, step):
    """The same for what they leave: what inference leaves is of the step, not of the net."""
    return kind(backbone, step) if step.startswith("train_") else step.removeprefix("generic_")


KINDS, DISK_KINDS = ({name(backbone, step) for step in steps.STEPS
                      for backbone in nets.BACKBONES} for name in (kind, disk_kind))


def amounts(run, step, whose, video):
    """What a job has how many of, {amount: number}; a constant is of one of it.

    video: sequence -> Video

    start                   1
    iteration, net_iteration, snapshot   of a training; the second times the net's pixels
    image, frame, net_frame              frames; times their pixels; times the net's pixels
    object                               frames times objects times pixels
    video, training         videos of the job, and the trainings that these have
    net, pixel, pixel_object             the net's pixels; those of the largest frame; these
                                         times objects
    thread                  threads
    """
    generic = step in ("train_generic", "generic_prototxts")
    of_run = run.evaluated if step == "evaluate" else run.videos
    sequences = () if generic else whose[:1] or of_run
    videos = [(video(name), len(run.videos[name])) for name in sequences]
    iterations = 0
    if step.startswith("train_"):
        iterations = run.generic["iterations"] if generic else run.iterations
    net = math.prod(working_size(run)) / PIXELS
    frames = sum(v.frames for v, _ in videos)
    return {
        "start": 1, "iteration": iterations, "net_iteration": iterations * net,
        "snapshot": math.ceil(iterations / run.snapshot),
        "image": frames, "net_frame": frames * net,
        "frame": sum(v.frames * v.pixels for v, _ in videos) / PIXELS,
        "object": sum(v.frames * v.pixels * objects for v, objects in videos) / PIXELS,
        "video": len(videos),
        "training": 1 if generic else sum(1 + objects for _, objects in videos),
        "net": net, "pixel": max((v.pixels for v, _ in videos), default=0) / PIXELS,
        "pixel_object": max((v.pixels * objects for v, objects in videos), default=0) / PIXELS,
        "thread": run.threads}


def total(constants, counted):
    return sum(constant * counted[amount] for amount, constant in constants.items())


def at_threads(seconds, threads):
    """Seconds with this many threads, from {threads: seconds} of others, by Amdahl's law."""
    few, many = min(seconds), max(seconds)
    if threads in seconds or few == many:
        return seconds.get(threads, seconds[few])
    parallel = max(0, (seconds[few] - seconds[many]) / (1 / few - 1 / many))
    return max(0, seconds[many] - parallel / many) + parallel / threads


@dataclass(frozen=True)
class Costs:
    """Constants, and what jobs cost by them.

    table   {"machine": {…}, "workflow": {"start", "job"}: seconds of Snakemake's own,
            "seconds": {threads: {kind: {amount: constant}}}, measured with all cores at work;
            "memory_mb", "disk_mb": {kind: {amount: constant}}}
    here    whether they were measured on this machine
    gpu     what a GPU is assumed to do
    videos  {sequence: Video} of videos that are not on disk
    """

    table: dict
    here: bool = False
    gpu: Gpu = Gpu()
    videos: Mapping = field(default_factory=dict)

    @classmethod
    def of_here(cls):
        """Those that were measured on this machine, or else those that come with the project.

        Raises UserError where the measured ones are damaged.
        """
        here = MEASURED.is_file()
        return cls.read(MEASURED if here else SHIPPED, here)

    @classmethod
    def read(cls, path, here=False):
        """Those of a file.  Raises UserError."""
        try:
            table = json.loads(files.existing_file(path, "costs").read_text())
            seconds = {int(threads): kinds for threads, kinds in table["seconds"].items()}
            table["seconds"] = seconds
            groups = [*((kinds, KINDS) for kinds in (*seconds.values(), table["memory_mb"])),
                      (table["disk_mb"], DISK_KINDS)]
            constants = [value for kinds, names in groups for name in names
                         for value in kinds[name].values()]
            constants += [table["workflow"]["start"], table["workflow"]["job"]]
            about = table["machine"]
            constants += [about["cores"], about["memory_mb"]]
            if not (seconds and min(seconds) > 0 and about["cpu"]
                    and all(0 <= value < math.inf for value in constants)):
                raise ValueError("no constants")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} does not hold the costs of jobs; measure them anew: "
                            "python tools/measure_costs.py") from error
        return cls(table, here)

    def assuming(self, gpu=None, videos=None):
        """These, with another Gpu, or for videos that are not on disk: {sequence: Video}."""
        return replace(self, gpu=gpu or self.gpu, videos=videos or self.videos)

    def _amounts(self, run, step, whose):
        def video(sequence):
            return self.videos.get(sequence) or video_on_disk(str(run.data_set.root), sequence)
        return amounts(run, step, whose, video)

    @property
    def job_seconds(self):
        """Snakemake's own, a job."""
        return self.table["workflow"]["job"]

    @property
    def start_seconds(self):
        """Snakemake's own, a run."""
        return self.table["workflow"]["start"]

    def seconds(self, run, step, whose=()):
        """Seconds that a job is expected to take; with a GPU, a prediction."""
        counted, name = self._amounts(run, step, whose), kind(run.backbone, step)
        return at_threads({threads: total(self._constants(run, step, kinds[name]), counted)
                           for threads, kinds in self.table["seconds"].items()}, run.threads)

    def _constants(self, run, step, constants):
        """The constants of seconds; on a GPU, those of the net are of segspn.runs.gpu_costs."""
        what = step.partition("_")[0]
        if not on_gpu(run, step) or what not in ("train", "infer"):
            return constants  # refinement on a GPU is taken to be no faster than on the CPU
        of_net = {"train": "iteration", "infer": "image"}[what]
        kept = {amount: constant for amount, constant in constants.items()
                if amount not in ("iteration", "net_iteration", "net_frame")}
        return {**kept, of_net: self.gpu.seconds(what, run.backbone, working_size(run))}

    def memory_mb(self, run, step, whose=None):
        """MB to ask for, of all processes of a job together, with room to spare.

        whose: None for the largest job of the step.  A GPU's job is taken as on the CPU.
        """
        jobs = [whose] if whose is not None else [
            job for name, job in steps.jobs(run) if name == step] or [()]
        constants = self.table["memory_mb"][kind(run.backbone, step)]
        return math.ceil(SPARE * max(total(constants, self._amounts(run, step, job))
                                     for job in jobs))

    def disk_mb(self, run, step, whose=()):
        """MB that a job leaves."""
        constants = self.table["disk_mb"][disk_kind(run.backbone, step)]
        if not step.startswith("train_"):
            return total(constants, self._amounts(run, step, whose))
        snapshots = self._amounts(run, step, whose)["snapshot"]
        return constants["model"] * (2 * snapshots if run.keep else 1)

    def working_mb(self, run, step, whose=()):
        """MB that a job has on disk at most, while it works.

        A training keeps the model of every snapshot until its end, and while it writes
        one, two solver states, each as large as a model; all of them with run.keep.
        """
        if not step.startswith("train_"):
            return self.disk_mb(run, step, whose)
        model = self.table["disk_mb"][disk_kind(run.backbone, step)]["model"]
        snapshots = self._amounts(run, step, whose)["snapshot"]
        return model * (snapshots + (snapshots if run.keep else min(snapshots, 2)))

    def source(self):
        """Where the constants are from, in words."""
        about = self.table["machine"]
        where = f"{about['cpu']}, {about['cores']} cores"
        if self.here:
            return f"measured on this machine by tools/measure_costs.py ({where})"
        return (f"measured on another machine ({where}); this one will differ, and "
                "tools/measure_costs.py measures it")

    def is_predicted(self, run, step):
        """Whether the seconds of a step are a prediction, not from measured ones."""
        return on_gpu(run, step) or run.threads not in self.table["seconds"]

    def caveats(self, run):
        """What of a run's seconds is a prediction, a sentence each; none of it was measured."""
        said = []
        if run.gpus:
            said.append(f"GPU seconds are a prediction, never measured: {self.gpu}; refinement is "
                        "taken to be no faster than on the CPU.")
        measured = self.table["seconds"]
        if run.threads not in measured:
            said.append(f"Seconds with {run.threads} threads are a prediction, by Amdahl's law "
                        f"from those with {' and '.join(map(str, measured))}.")
        if run.cluster:
            said.append("The cluster's machines will differ from the one that was measured.")
        return said
