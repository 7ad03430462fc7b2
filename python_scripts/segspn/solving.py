"""Trains a net with caffe's solver: weights in, snapshots, log and curve out."""

import hashlib
import json
import platform
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import caffe
import numpy as np
from tqdm import tqdm

from segspn import device, files, layout, prototxt, sources, weights
from segspn.errors import UserError
from segspn.snapshots import Snapshots
from segspn.training_log import TrainingLog


class Training:
    """One training of a solver prototxt.

    weights     .caffemodel to start from, or "none": from the net's fillers
    solver      path of the solver prototxt; paths in it count from python_scripts/
    iterations  where to stop (default: the solver's max_iter)
    seed        of fillers, sample order and augmentation (default: the resumed run's, or that
                of the net's param_str)
    resume      go on from the latest snapshot, if there is one
    restart     delete the snapshots of an earlier run first

    Raises UserError for anything that a user can mend, before Caffe could abort.
    """

    def __init__(self, weights, solver, iterations=None, seed=None, resume=False, restart=False):
        self.weights = None if weights == "none" else files.existing_file(weights, "weights")
        self.path = solver
        self.parameters = prototxt.read_solver(solver)
        self.iterations = iterations or self.parameters.max_iter
        if self.iterations < 1:
            raise UserError(f"solver {solver}: no iterations to do; give max_iter or --iterations")
        prefix = files.PYTHON_SCRIPTS / self.parameters.snapshot_prefix
        self.snapshots = Snapshots(prefix.resolve())
        self.sources = [sources.KINDS[layer.python_param.layer](layer.python_param.param_str)
                        for layer in self.parameters.train_net_param.layer
                        if layer.python_param.module == "segspn.layers"
                        and layer.python_param.layer in sources.KINDS]
        self.fingerprint = self._fingerprint()
        self.resumed = 0 if restart else self._earlier_run(resume)
        self.seed = self._seed(seed)
        self.solver = None

    def _beside(self, ending):
        return self.snapshots.prefix.with_name(self.snapshots.prefix.name + ending)

    def _earlier_run(self, resume):
        """The iteration to go on from, 0 for a new training."""
        models, whole = self.snapshots.models(), self.snapshots.iterations()
        if models and not resume:
            raise UserError(f"there is an earlier run, {self.snapshots.model(models[-1])}; "
                            "add --resume to go on from it, or --restart to delete it")
        if models and not whole:
            raise UserError(f"{self.snapshots.model(models[-1])} has no .solverstate to go on "
                            "from; add --restart to delete it and train anew")
        return whole[-1] if whole else 0

    def _fingerprint(self):
        """sha256 of what decides a training's result but for its seed and length."""
        parameters = type(self.parameters)()
        parameters.CopyFrom(self.parameters)
        for name in ("snapshot", "snapshot_prefix", "display", "average_loss", "random_seed",
                     *(() if parameters.lr_policy == "poly" else ("max_iter",))):
            parameters.ClearField(name)
        digest = hashlib.sha256(parameters.SerializeToString(deterministic=True))
        if self.weights:
            with self.weights.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        for source in self.sources:
            digest.update(source.fingerprint())
        return digest.hexdigest()

    def _seed(self, seed):
        """The seed to use, that of the run that is resumed if there is one."""
        path = self._beside("_run.json")
        if self.resumed and path.is_file():
            earlier = json.loads(path.read_text())
            if seed not in (None, earlier["seed"]):
                raise UserError(f"--seed {seed}: the run to go on with has the seed "
                                f"{earlier['seed']}")
            if earlier["fingerprint"] != self.fingerprint:
                raise UserError(f"the run to go on with, {self.snapshots.prefix}, began with other "
                                "weights, or has another net, solver or first frame; train anew "
                                "with --restart")
            return earlier["seed"]
        default = self.sources[0].parameters["seed"] if self.sources else 0
        return default if seed is None else seed

    def _begin_anew(self):
        """Deletes the snapshots of an earlier run, and notes the settings of this one."""
        self.snapshots.remove_all()
        files.write_text(self._beside("_run.json"), json.dumps({
            "weights": str(self.weights), "seed": self.seed, "fingerprint": self.fingerprint,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "caffe": caffe.__version__, "python": platform.python_version(),
            "numpy": np.__version__}, indent=1))

    def run(self, gpu=None):
        """Trains to the last iteration.  Returns the path of the last model.

        SIGINT and SIGTERM end it after the iteration at hand, with a snapshot;
        InterruptedError then names the snapshot.
        """
        if self.resumed >= self.iterations:
            print(f"already at iteration {self.resumed}: {self.snapshots.model(self.resumed)}")
            return self.snapshots.model(self.resumed)
        device.use(gpu)
        self.solver = self._make_solver()
        self.snapshots.begin()
        self.snapshots.check_space(self.solver)
        log = TrainingLog(self._beside("_log.csv"), self._scalars(),
                          max(self.parameters.average_loss, 1))
        if self.resumed:
            self.snapshots.restore(self.solver, self.resumed)
            log.resume(self.resumed)
            print(f"going on from iteration {self.resumed}")
        else:
            print(weights.load(self.solver.net, self.weights) if self.weights
                  else "all layers begin at their fillers")
            layout.set_bilinear(self.solver.net)
            self._begin_anew()
        for layer in self.data_layers():
            layer.start(self.seed, self.resumed * max(self.parameters.iter_size, 1))
        return self._loop(log)

    def _make_solver(self):
        """The caffe solver; snapshots and display are ours to do."""
        parameters = type(self.parameters)()
        parameters.CopyFrom(self.parameters)
        parameters.snapshot = 0
        parameters.display = 0
        parameters.snapshot_format = parameters.BINARYPROTO
        parameters.random_seed = self.seed
        parameters.snapshot_prefix = self.snapshots.working_prefix
        return prototxt.build(caffe.get_solver, parameters, what=f"the net of solver {self.path}")

    def data_layers(self):
        """The Python layers of the net that give samples."""
        return [layer for layer in self.solver.net.layers if hasattr(layer, "start")]

    def _scalars(self):
        net = self.solver.net
        return [name for name in net.outputs if net.blobs[name].count == 1]

    def _loop(self, log):
        net, names = self.solver.net, log.names
        every = self.parameters.snapshot or self.iterations
        with StopSignals() as stop, tqdm(
                total=self.iterations, initial=self.resumed, unit="it", dynamic_ncols=True,
                desc=self.snapshots.prefix.name) as bar:
            while self.solver.iter < self.iterations and not stop.requested:
                begin = time.perf_counter()
                self.solver.step(1)
                log.add(self.solver.iter, time.perf_counter() - begin,
                        [net.blobs[name].data.item() for name in names])
                if not np.isfinite(net.blobs["loss"].data if "loss" in names else 0):
                    raise UserError(f"the loss is not finite at iteration {self.solver.iter}; "
                                    "lower base_lr in the solver")
                bar.set_postfix_str(self._summary(log.averages()), refresh=False)
                bar.update()
                if self.solver.iter % (self.parameters.display or 20) == 0:
                    log.write()
                if self.solver.iter % every == 0 and self.solver.iter < self.iterations:
                    self._save(log)
        model = self._save(log)
        if stop.requested:
            raise InterruptedError(f"stopped at iteration {self.solver.iter}; snapshot {model}; "
                                   "add --resume to go on")
        return model

    def _save(self, log):
        log.write()
        model = self.snapshots.save(self.solver)
        log.draw(self._beside("_curve.png"), self.snapshots.prefix.name)
        return model

    @staticmethod
    def _summary(averages):
        short = {"accuracy_fg": "fg", "accuracy_bg": "bg"}
        return ", ".join(f"{short.get(name, name)} {value:.4g}" for name, value in averages.items()
                         if name != "accuracy")

    def close(self):
        """Ends the processes of the data layers, and removes the snapshots' working folder."""
        for layer in self.data_layers() if self.solver else []:
            layer.close()
        self.snapshots.close()


class StopSignals:
    """While it is entered, SIGINT and SIGTERM set `requested` instead of ending the process."""

    def __enter__(self):
        self.requested = None
        self._earlier = {number: signal.signal(number, self._request)
                         for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _request(self, number, frame):
        self.requested = number

    def __exit__(self, *error):
        for number, handler in self._earlier.items():
            signal.signal(number, handler)


def next_command(training, model):
    """The command line that uses a trained model, for the user to go on with."""
    return training.sources[0].next_command(Path(model)) if training.sources else None
