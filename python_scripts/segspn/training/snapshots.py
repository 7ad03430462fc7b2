"""Snapshots of a training: whole pairs of .caffemodel and .solverstate, and their return."""

import glob
import math
import os
import re
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from google.protobuf.message import DecodeError

from segspn import files, locks
from segspn.caffenet import weights
from segspn.errors import UserError

SLACK = 2**17  # bytes that a snapshot has beside its numbers: names and shapes
RawState = weights.raw_message_class("SolverState")


class Snapshots:
    """The snapshots <prefix>_iter_<n>.{caffemodel,solverstate} of a training.

    Caffe writes them into a folder of its own beside the prefix; they are
    renamed when they are whole and on the disk, the solverstate last.
    """

    def __init__(self, prefix):
        self.prefix = Path(prefix)
        self._folder = self.prefix.with_name(f".{self.prefix.name}.snapshot")
        self._lock = None

    def begin(self):
        """Makes and locks the folder that Caffe writes into; call it before save and restore.

        Raises UserError where another run has it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = ExitStack()
        lock.enter_context(locks.alone(
            self._folder, f"another solve.py is training {self.prefix} now; "
            "wait for its end, or stop it"))
        self._lock = lock
        # What a killed run left.
        unfinished = self.prefix.parent.glob(f".part-{glob.escape(self.prefix.name)}_*")
        for path in [*self._folder.iterdir(), *unfinished]:
            path.unlink()

    def close(self):
        """Removes the folder, and that of the snapshots where there are none."""
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            with suppress(OSError):
                self.prefix.parent.rmdir()  # only where it is empty
            self._lock.close()
            self._lock = None

    @property
    def working_prefix(self):
        """The snapshot_prefix that Caffe is given."""
        return str(self._folder / "state")

    def model(self, iteration):
        return self.prefix.with_name(f"{self.prefix.name}_iter_{iteration}.caffemodel")

    def state(self, iteration):
        return self.model(iteration).with_suffix(".solverstate")

    def iterations(self):
        """Iterations of the snapshots that are whole, in order."""
        models = set(self.models())
        return [iteration for iteration in self._iterations("solverstate") if iteration in models]

    def _iterations(self, ending):
        if not self.prefix.parent.is_dir():
            return []
        pattern = re.compile(re.escape(self.prefix.name) + rf"_iter_(\d+)\.{ending}")
        matches = (pattern.fullmatch(path.name) for path in self.prefix.parent.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def models(self):
        """Iterations that have a model, with or without a state, in order."""
        return self._iterations("caffemodel")

    def remove_states(self, but=None):
        """Deletes the solverstates, but for that of one iteration."""
        for iteration in self._iterations("solverstate"):
            if iteration != but:
                self.state(iteration).unlink()

    def remove_models(self, before=math.inf):
        """Deletes the models of earlier iterations than `before`."""
        for iteration in self.models():
            if iteration < before:
                self.model(iteration).unlink()

    def remove_all(self):
        """Deletes the snapshots of an earlier run, states first."""
        self.remove_states()
        self.remove_models()

    def check_space(self, solver):
        """Raises UserError where there is no room for a snapshot of `solver`.

        Caffe aborts when a snapshot's write fails, so as much is reserved first:
        a full disk, a quota and a limit of file sizes all show there.
        """
        weights_size = 4 * sum(blob.count for blobs in solver.net.params.values() for blob in blobs)
        reserved = [self._folder / "model", self._folder / "state"]
        try:
            for path, size in zip(reserved, (weights_size, weights_size * history_blobs(solver))):
                with path.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size + SLACK)
        except OSError as error:
            raise UserError(f"no space to write a snapshot in {self.prefix.parent} "
                            f"({error.strerror}); make room, and go on with --resume") from error
        finally:
            for path in reserved:
                path.unlink(missing_ok=True)

    def save(self, solver):
        """Writes the snapshot of the solver's iteration and returns the model's path."""
        self.check_space(solver)
        iteration = solver.iter
        solver.snapshot()
        state_path = Path(f"{self.working_prefix}_iter_{iteration}.solverstate")
        state = _read_state(state_path, "run the same command again with --resume")
        state.learned_net = os.fspath(self.model(iteration))
        state_path.write_bytes(state.SerializeToString())
        with suppress(FileNotFoundError):  # no state beside a model that is not its own
            self.state(iteration).unlink()
        model_path = state_path.with_suffix(".caffemodel")
        for path in (model_path, state_path):
            _to_disk(path)  # since those before are deleted then
        model_path.replace(self.model(iteration))
        state_path.replace(self.state(iteration))
        return self.model(iteration)

    def _advice(self, iteration):
        """What to do about a damaged state."""
        before = [n for n in self.iterations() if n < iteration]
        return (f"delete it to go on from the one before, of iteration {before[-1]}, or "
                if before else "") + "train anew with --restart"

    def restore(self, solver, iteration):
        """Returns the solver to a snapshot.  Raises UserError where it is not this net's."""
        advice = self._advice(iteration)
        state = _read_state(self.state(iteration), advice)
        history = [(tuple(blob.shape.dim), len(blob.data)) for blob in state.history]
        expected = [(tuple(blob.shape), 4 * blob.count)
                    for blobs in solver.net.params.values() for blob in blobs]
        expected *= history_blobs(solver)
        if state.iter != iteration or history != expected:
            raise UserError(f"snapshot {self.state(iteration)} is damaged, or not of this net and "
                            f"iteration; {advice}")
        report = weights.load(solver.net, self.model(iteration))
        if report.filler:
            raise UserError(f"snapshot {self.model(iteration)} lacks the layers {report.filler}")
        state.ClearField("learned_net")  # loaded and checked above; Caffe would abort on a bad one
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            file.write(state.SerializeToString())
            file.flush()
            solver.restore(file.name)


def history_blobs(solver):
    """How many numbers a solver keeps for every weight."""
    return 2 if type(solver).__name__ in ("AdamSolver", "AdaDeltaSolver") else 1


def _to_disk(path):
    with files.writing(path), path.open("rb") as file:
        os.fsync(file.fileno())


def _read_state(path, advice):
    state = RawState()
    try:
        state.ParseFromString(files.existing_file(path, "snapshot").read_bytes())
    except DecodeError as error:
        raise UserError(f"snapshot {path} is truncated; {advice}") from error
    return state
