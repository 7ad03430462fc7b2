"""Trainings of a small net, for the tests that run solve.py."""

import json
import subprocess
import sys
from types import SimpleNamespace

import caffe
import numpy as np
from caffe import layers as L
from google.protobuf import text_format

from ResNetF import nets
from segspn import files, layers
from segspn.caffenet import weights
from segspn.training import solving, sources
from segspn.training.log import TrainingLog

SIZE = (48, 64)
SOLVE = "python_scripts/solve.py"
SNAPSHOT = 20
PREFIX = "toy_obj_1"
RECORD = f"{PREFIX}_run.json"
BESIDE = {f"{PREFIX}_curve.png", f"{PREFIX}_log.csv", RECORD}


def small_net(parameters):
    """Two convolutions between the data layer and the loss, as in ResNetF's training."""
    n = caffe.NetSpec()
    n.data, n.label, n.weight = L.Python(module="segspn.layers", layer="FirstFrameObject",
                                         param_str=repr(parameters), ntop=3)
    n.conv1 = L.Convolution(n.data, num_output=24, kernel_size=5, pad=2,
                            weight_filler={"type": "msra"})
    n.conv1_relu = L.ReLU(n.conv1, in_place=True)
    n.score_ori = L.Convolution(n.conv1_relu, num_output=2, kernel_size=1,
                                weight_filler={"type": "gaussian", "std": 0.01})
    n.score = L.Python(n.score_ori, n.weight, module="segspn.layers", layer="LossWeighting")
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_param={"normalize": False})
    n.accuracy = L.Accuracy(n.score, n.label)
    n.accuracy_fg = L.Accuracy(n.score, n.label, ignore_label=0)
    n.accuracy_bg = L.Accuracy(n.score, n.label, ignore_label=1)
    return n.to_proto()


class Trainings:
    """Solvers of a small net, each with a models folder of its own below `root`."""

    def __init__(self, root, data, run):
        self.root, self._run = root, run
        self.parameters = {"data": str(data), "sequence": "toy", "object": 1, "size": SIZE,
                           "augmentation": (3000, 0.05, 5, 0.1, 0.1, 1), "seed": 0}
        self.net = root / "train.prototxt"
        self.net.write_text(text_format.MessageToString(small_net(self.parameters)))
        self.weights = root / "start.caffemodel"
        rng = np.random.default_rng(0)
        kernel = rng.normal(0, 0.01, (24, 3, 5, 5))
        weights.write_caffemodel(self.weights, {"conv1": [kernel, np.zeros(24)]})

    def solver(self, name, **changes):
        """A solver prototxt, and what its run leaves, as a namespace."""
        prefix = changes.pop("snapshot_prefix", str(self.root / name / "toy_obj_1"))
        message = nets.solver(nets.RESNET101, str(self.net), prefix, **{
            "base_lr": 1e-8, "max_iter": 60, "snapshot": SNAPSHOT, **changes})
        path = self.root / f"{name}.prototxt"
        path.write_text(text_format.MessageToString(message))
        folder = self.root / name
        return SimpleNamespace(
            solver=path, folder=folder, log=folder / "toy_obj_1_log.csv",
            curve=folder / "toy_obj_1_curve.png",
            model=lambda n: folder / f"toy_obj_1_iter_{n}.caffemodel",
            state=lambda n: folder / f"toy_obj_1_iter_{n}.solverstate")

    def solve(self, training, *options, **keywords):
        return self._run(SOLVE, self.weights, training.solver, *options, **keywords)

    def solve_here(self, training, **options):
        """The same in this process: quicker than the script."""
        task = solving.Training(self.weights, training.solver, **options)
        try:
            return task.run()
        finally:
            task.close()
            layers = task.data_layers() if task.solver else []
            assert all(one._process is None for layer in layers for one in layer._prefetchers)

    def start(self, training, *options):
        """A run in the background."""
        return subprocess.Popen(
            [sys.executable, files.ROOT / SOLVE, self.weights, training.solver, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def snapshot_files(models, states=()):
    """The names of the snapshots of these iterations."""
    return {*(f"{PREFIX}_iter_{n}.caffemodel" for n in models),
            *(f"{PREFIX}_iter_{n}.solverstate" for n in states)}


def left(training):
    """The names of the snapshots of a training; beside log, curve and record nothing else is."""
    names = {path.name for path in training.folder.iterdir() if not files.is_hidden(path)}
    assert names > BESIDE
    return names - BESIDE


def record_of(training):
    return json.loads((training.folder / RECORD).read_text())


def after(monkeypatch, owner, name, action):
    """Has a method do its work, and then action(self, *arguments)."""
    method = getattr(owner, name)

    def both(self, *arguments):
        result = method(self, *arguments)
        action(self, *arguments)
        return result
    monkeypatch.setattr(owner, name, both)


class SamplesHere:
    """Stands for a Prefetcher where a test is of something else: samples of this process."""

    _process = None

    def __init__(self, kind, text, shapes):
        self._source = sources.KINDS[kind](text)

    def request(self, seed, iteration):
        pass

    def get(self, seed, iteration):
        return self._source.sample(seed, iteration)

    def close(self):
        pass


def without_processes_and_curves(monkeypatch):
    """Trains without what takes its time: the process of samples, and Matplotlib.

    Curves say what would be drawn.
    """
    monkeypatch.setattr(layers, "Prefetcher", SamplesHere)
    monkeypatch.setattr(TrainingLog, "draw", lambda self, path, title: files.write_text(
        path, f"{title}, {len(self.rows)} rows, {self.names}"))
