"""Trains a net with caffe's solver: weights in, snapshots, log and curve out."""

import hashlib
import json
import platform
import time
from datetime import UTC, datetime

import caffe
import numpy as np
from tqdm import tqdm

from ResNetF import nets
from segspn import done, files
from segspn.caffenet import device, prototxt, published_head, weights
from segspn.data import owner
from segspn.errors import UserError
from segspn.signals import EndSignals
from segspn.training import sources
from segspn.training.earlier_run import EarlierRun
from segspn.training.log import TrainingLog
from segspn.training.snapshots import Snapshots
from segspn.training.validation import NAME, Validation

# Fields of a solver that are not followed, and what is done instead.
OTHERWISE = {"snapshot_format": "models are .caffemodel files",
             "snapshot_diff": "models hold no gradients",
             "snapshot_after_train": "the last model is always written",
             "debug_info": "what Caffe logs is not shown"}


class Training:
    """One training of a solver prototxt.

    weights     .caffemodel to start from, or "none": from the net's fillers
    solver      path of the solver prototxt; paths in it count from python_scripts/
    iterations  where to stop (default: the solver's max_iter)
    seed        of fillers, sample order and augmentation (default: the resumed run's, or that
                of the net's param_str; of fillers the solver's random_seed, if it is set)
    resume      go on from the latest snapshot, if there is one
    restart     delete the snapshots of an earlier run first
    restart_changed  go on as with `resume`; where the earlier run is of other settings, or has
                no state to go on from, delete it and train anew
    keep_snapshots  keep all models and states; else earlier states go when there is a new
                snapshot, and at the last iteration all but the model of that.  A run that
                was begun with it goes on with it.

    Raises UserError for anything that a user can mend, before Caffe could abort.
    """

    def __init__(self, weights, solver, iterations=None, seed=None, resume=False, restart=False,
                 restart_changed=False, keep_snapshots=False):
        self.weights = None if weights == "none" else files.existing_file(weights, "weights")
        self.path = solver
        self.parameters = prototxt.read_solver(solver)
        self.iterations = iterations or self.parameters.max_iter
        if self.iterations < 1:
            raise UserError(f"solver {solver}: no iterations to do; give max_iter or --iterations")
        prefix = files.PYTHON_SCRIPTS / self.parameters.snapshot_prefix
        files.check_link(prefix)
        self.snapshots = Snapshots(prefix.resolve())
        self.sources = [sources.KINDS[layer.python_param.layer](layer.python_param.param_str)
                        for layer in sources.layers_of(self.parameters.train_net_param)]
        self.fingerprint = self._fingerprint()
        self._why_anew = None
        self._of_video(owner.check)
        earlier = None if restart else self._earlier_run(seed, resume, restart_changed)
        self.resumed = earlier.start(self.iterations) if earlier else 0
        self._lacks_its_end = bool(earlier) and earlier.lacks_its_end(self.iterations)
        if self.parameters.lr_policy == "poly" and self.iterations > self.parameters.max_iter:
            raise UserError(f"--iterations {self.iterations}: the learning rate of solver {solver} "
                            f"is 0 from max_iter, {self.parameters.max_iter}; set that, too")
        self.record = self._record(earlier.record if earlier else None, seed, keep_snapshots)
        self.seed = self.record["seed"]
        self._seed_is_given = seed is not None
        self._saved = self.resumed or None  # the iteration of the latest snapshot
        self.solver = None

    def _of_video(self, action):
        """owner.check or owner.claim of the video whose models these are, where they are one's."""
        for source in self.sources:
            video = source.parameters.get("sequence")
            if video and self.snapshots.prefix.parent == (files.MODELS / video).resolve():
                action(source.data, video)

    def _beside(self, ending):
        return self.snapshots.prefix.with_name(self.snapshots.prefix.name + ending)

    def _earlier_run(self, seed, resume, restart_changed):
        """The EarlierRun to go on with; None where there is none, or it is to be replaced."""
        earlier = EarlierRun(self._beside("_run.json"), self.snapshots)
        if not earlier.models:
            return None
        if not (resume or restart_changed):
            raise UserError(f"there is an earlier run, {earlier.last_model}; "
                            "add --resume to go on from it, or --restart to delete it")
        if restart_changed:
            earlier.check_known()
        known = self.fingerprint, self._fingerprint(with_places=True)
        self._why_anew = earlier.obstacle(known, seed, self.iterations)
        if self._why_anew and not restart_changed:
            raise UserError(f"{self._why_anew}; train anew with --restart")
        return None if self._why_anew else earlier

    def _fingerprint(self, with_places=False):
        """sha256 of what decides a training's result but for its seed and length.

        with_places: as records had it that were of the paths of their data set, too.
        """
        parameters = type(self.parameters)()
        parameters.CopyFrom(self.parameters)
        for name in ("snapshot", "snapshot_prefix", "display", "average_loss",
                     "solver_mode", "device_id", *OTHERWISE,
                     *(() if parameters.lr_policy == "poly" else ("max_iter",))):
            parameters.ClearField(name)
        # What lies at the paths of a source is in its own fingerprint, wherever that is.
        layers = [] if with_places else sources.layers_of(parameters.train_net_param)
        for layer, source in zip(layers, self.sources):
            layer.python_param.param_str = repr(
                {name: value for name, value in source.parameters.items()
                 if name not in source.places})
        digest = hashlib.sha256(parameters.SerializeToString(deterministic=True))
        if self.weights:
            with self.weights.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        for source in self.sources:
            digest.update(source.fingerprint())
        return digest.hexdigest()

    def _record(self, earlier, seed, keep_snapshots):
        """The settings of this run, for EarlierRun: those of the one to go on with, if it has any.

        earlier: what the record of that says, or None.
        """
        default = self.sources[0].parameters["seed"] if self.sources else 0
        record = dict(earlier or {
            "weights": str(self.weights), "seed": default if seed is None else seed,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "caffe": caffe.__version__, "python": platform.python_version(),
            "numpy": np.__version__})
        record["fingerprint"] = self.fingerprint
        record["keep_snapshots"] = keep_snapshots or record.get("keep_snapshots", False)
        for name in ("finished", "model"):  # it is to go on
            record.pop(name, None)
        return record

    def _note(self, **more):
        files.write_text(self._beside("_run.json"), json.dumps({**self.record, **more}, indent=1))

    def run(self, gpu=None):
        """Trains to the last iteration.  Returns the path of the last model.

        SIGINT, SIGTERM and SIGHUP end it after the iteration at hand, with a snapshot;
        InterruptedError then names the snapshot.
        """
        if self.resumed == self.iterations:
            self._of_video(owner.claim)
            if self._lacks_its_end:
                self._end_killed_run()
            print(f"already at iteration {self.resumed}: {self.snapshots.model(self.resumed)}")
            return self.snapshots.model(self.resumed)
        self._use(gpu)
        self.solver = self._make_solver()
        self.snapshots.begin()
        self.snapshots.check_space(self.solver)
        validation = self._validation()
        log = TrainingLog(self._beside("_log.csv"),
                          [*self._scalars(), *([NAME] if validation else [])], self._window)
        if self.resumed:
            self.snapshots.restore(self.solver, self.resumed)
            log.resume(self.resumed)
            print(f"going on from iteration {self.resumed}")
        else:
            print(weights.load(self.solver.net, self.weights) if self.weights
                  else "all layers begin at their fillers")
            self._check_statistics()
            published_head.set_bilinear(self.solver.net)
            if self._why_anew:
                print(f"training anew: {self._why_anew}")
            self.snapshots.remove_all()
        self._of_video(owner.claim)
        self._note()
        for layer in self.data_layers():
            layer.start(self.seed, self.resumed * max(self.parameters.iter_size, 1))
        return self._loop(log, validation)

    def _use(self, gpu):
        """Moves Caffe to the device, and says which fields of the solver are not followed."""
        if gpu is None and prototxt.wants_gpu(self.parameters):
            raise UserError(f"solver {self.path} is for a GPU: add --gpu "
                            f"{self.parameters.device_id}, or set solver_mode: CPU in it")
        device.use(gpu)
        for field, value in self.parameters.ListFields():
            if field.name in OTHERWISE and value != field.default_value:
                print(f"note: {field.name} of the solver is passed over: {OTHERWISE[field.name]}")

    @property
    def _window(self):
        return max(self.parameters.average_loss, 1)

    def _make_solver(self):
        """The caffe solver; snapshots and display are ours to do."""
        parameters = type(self.parameters)()
        parameters.CopyFrom(self.parameters)
        parameters.snapshot = 0
        parameters.display = 0
        for name in OTHERWISE:
            parameters.ClearField(name)
        if self._seed_is_given or parameters.random_seed < 0:  # -1: not set
            parameters.random_seed = self.seed
        parameters.snapshot_prefix = self.snapshots.working_prefix
        parameters.train_net_param.CopyFrom(prototxt.sharing_memory(parameters.train_net_param))
        return prototxt.build(caffe.get_solver, parameters, what=f"the net of solver {self.path}")

    def _check_statistics(self):
        """Raises UserError where a BatchNorm is to use a mean and variance that no file gave."""
        for layer in self.parameters.train_net_param.layer:
            if (layer.type == "BatchNorm" and layer.batch_norm_param.use_global_stats
                    and not self.solver.net.params[layer.name][2].data.any()):
                raise UserError(f"weights {self.weights or 'none'}: the BatchNorm {layer.name} has "
                                "no mean and variance there; begin with weights that have them")

    def data_layers(self):
        """The Python layers of the net that give samples."""
        return [layer for layer in self.solver.net.layers if hasattr(layer, "start")]

    def _validation(self):
        """The Validation by what a source holds out; None where none does."""
        for source in self.sources:
            if getattr(source, "validation", None):
                return Validation(source.foreground, source.validation,
                                  nets.backbone_of(self.solver.net.params))
        return None

    def _scalars(self):
        net = self.solver.net
        return [name for name in net.outputs if net.blobs[name].count == 1]

    def _loop(self, log, validation):
        net, names = self.solver.net, self._scalars()
        every = self.parameters.snapshot or self.iterations
        with EndSignals() as signals, tqdm(
                total=self.iterations, initial=self.resumed, unit="it", dynamic_ncols=True,
                desc=self.snapshots.prefix.name) as bar:
            while self.solver.iter < self.iterations and not signals.came:
                begin = time.perf_counter()
                self.solver.step(1)
                seconds = time.perf_counter() - begin
                values = [net.blobs[name].data.item() for name in names]
                if validation:
                    is_due = self.solver.iter % every == 0 or self.solver.iter == self.iterations
                    values.append(validation(net) if is_due else np.nan)
                log.add(self.solver.iter, seconds, values)
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
            if self.solver.iter < self.iterations:
                raise InterruptedError(f"stopped at iteration {self.solver.iter}; snapshot "
                                       f"{model}; add --resume to go on")
            self._finish()
        return model

    def _save(self, log):
        """Writes log, snapshot and curve, unless those of this iteration are there already."""
        iteration = self.solver.iter
        if iteration != self._saved:
            log.write()
            self.snapshots.save(self.solver)
            self._saved = iteration
            if not self.record["keep_snapshots"]:
                self.snapshots.remove_states(but=iteration)
            self._draw(log)
        return self.snapshots.model(iteration)

    def _draw(self, log):
        log.draw(self._beside("_curve.png"), self.snapshots.prefix.name)

    def _finish(self):
        """The work of the end, when the last model is whole; killed, it can be done again."""
        if not self.record["keep_snapshots"]:
            self.snapshots.remove_states()
            self.snapshots.remove_models(before=self.iterations)
        self._note(finished=self.iterations,
                   model=done.seen(self.snapshots.model(self.iterations)))

    def _end_killed_run(self):
        """What a run that was killed after its last model has not done any more."""
        self.snapshots.begin()
        log = TrainingLog.of_file(self._beside("_log.csv"), self._window)
        log.resume(self.iterations)
        self._draw(log)
        self._finish()

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

