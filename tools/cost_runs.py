"""Runs single jobs of the pipeline, as a workflow does, and measures what they cost.

For tools/measure_costs.py.  Jobs run in copies of the project (tools/sandbox.py), one in
each at the same time, so that all cores are at work as they are in a run.
"""

import csv
import dataclasses
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import caffe

import benchmark_parts
import process_use
import sandbox
from ResNetF import nets
from run import machine_memory
from segspn import files
from segspn.caffenet import prototxt
from segspn.errors import UserError
from segspn.runs import costs, settings, steps
from segspn.runs.workflow import MEMORY_SHARE
from segspn.synthetic import data_set

HALF = (240, 427)
SPLIT = "val"


@dataclass(frozen=True)
class Shape:
    """A synthetic data set of one video."""

    name: str
    size: tuple
    objects: int
    frames: int

    @property
    def sequence(self):
        return self.recipe.sequence(0)

    @property
    def recipe(self):
        return data_set.Recipe(1, self.size, self.objects, self.frames, f"costs-{self.name}",
                                     SPLIT)

    def write(self, folder):
        """Writes the data set into folder/<name>."""
        root = Path(folder) / self.name
        data_set.claim(root, self.recipe)
        for _ in data_set.write_sequence(root, self.recipe, 0):
            pass
        data_set.write_list(root, self.recipe, 1)


@dataclass(frozen=True)
class Row:
    """A job as it was measured.

    amounts      of costs.amounts()
    seconds      on average over the jobs that ran beside each other
    iteration    median seconds of a training's iterations but the first, which allocates
                 memory; None where there is no second
    peak_mb      of all processes of a job together, at most
    products_mb  of the files it left
    others       share of the CPU time used meanwhile that was not of these jobs
    """

    kind: str
    step: str
    threads: int
    amounts: dict
    seconds: float
    iteration: float | None
    peak_mb: float
    products_mb: float
    others: float = 0


def run_of(data, shape, backbone, iterations, snapshot, size, threads):
    """The runs.Run of one shape's video.

    data: the folder that Shape.write() was given; size: (height, width) of the net's input.
    """
    size = nets.valid_size(nets.BACKBONES[backbone], *size)
    return settings.Run(
        name=f"costs-{shape.name}", data=str(Path(data) / shape.name), split=SPLIT,
        videos={shape.sequence: list(range(1, shape.objects + 1))}, whole=True,
        evaluated=(shape.sequence,), backbone=backbone,
        weights=nets.BACKBONES[backbone].weights, refinement="../spn/refine_small.caffemodel",
        iterations=iterations, snapshot=snapshot, size="x".join(map(str, size)),
        threads=threads, restart=True)


def write_resnet101(path):
    """Weights of ResNet-101 with which every activation is in a sane range."""
    case = benchmark_parts.Case("train", nets.RESNET101.name, (64, 96))
    message = nets.deploy(nets.RESNET101, True, size=case.size)
    net = prototxt.build(caffe.Net, message, caffe.TEST)
    benchmark_parts.initialise(net, case)
    with files.whole_file(path) as temporary:
        net.save(str(temporary))


class Bench:
    """Copies of the project, in each of which a job runs at the same time.

    boxes: their folders; they have the thin net's weights, and those of ResNet-101 that
    `resnet101` names.
    """

    def __init__(self, folder, count, resnet101):
        self.boxes = [sandbox.make(Path(folder) / f"box{index}") for index in range(count)]
        for box in self.boxes:
            (box / "ResNetF" / Path(nets.RESNET101.weights).name).symlink_to(resnet101)

    def measure(self, run, step, whose=(), tries=1):
        """The Row of a job.  Raises UserError where it fails.

        While others compute it is done again, after a pause for them to end, so many
        times in all; the Row is the one with the least of others.
        """
        best = None
        for _ in range(tries):
            if best:
                process_use.wait_for_quiet()
                self._remove_products(run, step, whose)
            row = self._measure(run, step, whose)
            best = min(best or row, row, key=lambda row: row.others)
            if best.others <= process_use.BUSY:
                break
        return best

    def _remove_products(self, run, step, whose):
        for box in self.boxes:
            for path in steps.STEPS[step].products(run, *whose):
                (box / path.relative_to(files.ROOT)).unlink(missing_ok=True)

    def _measure(self, run, step, whose):
        path, used = steps.job_path(step, whose), process_use.Used()
        processes = [self._start(box, run, step, whose, path) for box in self.boxes]
        try:
            peaks = process_use.wait(processes)
        finally:
            for process in processes:
                process.terminate()
                process.wait()
        others = used.share_of_others()
        states = [self._state(box, run, path, process)
                  for box, process in zip(self.boxes, processes)]
        return Row(
            costs.kind(run.backbone, step), step, run.threads,
            costs.amounts(run, step, whose, lambda name: costs.video_on_disk(run.data, name)),
            statistics.mean(state["seconds"] for state in states),
            self._iteration(run, whose) if step.startswith("train_") else None,
            max(peaks), states[0]["products_mb"], others)

    @staticmethod
    def _folder(box, run):
        return box / "results/runs" / run.name

    def _start(self, box, run, step, whose, path):
        folder = self._folder(box, run)
        files.write_text(folder / settings.SETTINGS, json.dumps(dataclasses.asdict(run)))
        # A state of before would add its seconds.
        (folder / "state" / f"{path}.json").unlink(missing_ok=True)
        log = folder / "logs" / f"{path}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "segspn.runs.job", step, *map(str, whose)], cwd=folder,
                env=sandbox.environment(box), stdout=output, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL)

    def _state(self, box, run, path, process):
        folder = self._folder(box, run)
        if process.returncode:
            lines = (folder / "logs" / f"{path}.log").read_text(errors="replace").splitlines()
            errors = [line for line in lines if line.startswith("error: ")] or lines or ["nothing"]
            raise UserError(f"the job {path} failed with status {process.returncode}, "
                            f"its log says: {errors[0].removeprefix('error: ')}")
        return json.loads((folder / "state" / f"{path}.json").read_text())

    def _iteration(self, run, whose):
        """Row.iteration of a training."""
        medians = []
        for box in self.boxes:
            path = self._model(box, run, *whose).with_name(
                self._model(box, run, *whose).name.rsplit("_iter_", 1)[0] + "_log.csv")
            with path.open(newline="") as file:
                seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
            if len(seconds) < 2:
                return None
            medians.append(statistics.median(seconds[1:]))
        return statistics.mean(medians)

    @staticmethod
    def _model(box, run, sequence, k=None):
        return box / steps.model(run, sequence, k).relative_to(files.ROOT)

    def share_model(self, run, sequence, k, others):
        """Gives a trained model to other jobs of inference, [(sequence, object or None)]."""
        for box in self.boxes:
            for other in others:
                target = self._model(box, run, *other)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    shutil.copy2(self._model(box, run, sequence, k), target)


def measure_workflow(folder, threads):
    """{"start", "job"}: seconds that a run takes beside its jobs, and beside each of them."""
    box, data = sandbox.make(Path(folder) / "workflow"), Path(folder) / "tiny"
    shape = Shape("tiny", (64, 96), 1, 3)
    shape.write(data)
    command = [sys.executable, "tools/run.py", "--data", str(data / shape.name), "--split", SPLIT,
               "--backbone", nets.RESNET50_THIN.name, "--iterations", "1", "--size", "64x96",
               "--jobs", "1", "--threads", str(threads)]
    walls = []
    for _ in range(2):  # the second finds nothing to do
        begin = time.perf_counter()
        result = subprocess.run(command, cwd=box, env=sandbox.environment(box),
                                capture_output=True, text=True)
        walls.append(time.perf_counter() - begin)
        if result.returncode:
            raise UserError(f"a run of a tiny video failed: {result.stderr.strip()[-500:]}")
    states = list((box / f"results/runs/{SPLIT}/state").rglob("*.json"))
    used = sum(json.loads(path.read_text())["seconds"] for path in states)
    return {"start": walls[1], "job": max(0, walls[0] - walls[1] - used) / len(states)}


def beside_each_other(threads, megabytes):
    """How many jobs of so many threads and MB keep all cores at work, at most 4."""
    cores = len(os.sched_getaffinity(0))
    fits = math.floor(MEMORY_SHARE * machine_memory() / megabytes)
    return max(1, min(4, cores // threads, fits))


FULL = nets.WORKING_SIZE
FEW, MANY = Shape("few", FULL, 1, 3), Shape("many", FULL, 1, 9)
OBJECTS, SMALL = Shape("objects", FULL, 3, 9), Shape("small", HALF, 1, 9)
SHAPES = (FEW, MANY, OBJECTS, SMALL)
