"""The snapshots of a training: which are kept, and that none is lost however it is stopped."""

import os
import shutil
import signal
import sys

import pytest

from segspn.signals import EndSignals
from segspn.training import snapshots, solving
from segspn.training.log import TrainingLog
from tests.support.frames import names_in
from tests.support.trainings import (
    PREFIX,
    RECORD,
    after,
    left,
    record_of,
    snapshot_files,
    without_processes_and_curves,
)
from tests.training.test_solving import assert_same_result


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    without_processes_and_curves(monkeypatch)


@pytest.mark.parametrize("keep", [False, True])
def test_snapshots_that_are_kept(trainings, monkeypatch, keep):
    training = trainings.solver("models", max_iter=50)
    seen, draw = [], solving.Training._draw

    def note(task, log):
        seen.append({name for name in names_in(training.folder) if "_iter_" in name})
        draw(task, log)
    monkeypatch.setattr(solving.Training, "_draw", note)
    assert trainings.solve_here(training, keep_snapshots=keep) == training.model(50)
    reached = [(20,), (20, 40), (20, 40, 50)]
    assert seen == [snapshot_files(models, models if keep else models[-1:]) for models in reached]
    assert left(training) == (seen[-1] if keep else snapshot_files([50]))
    record = record_of(training)
    assert record["finished"] == 50 and record["keep_snapshots"] is keep


def stop_here(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)


def test_stopped_where_a_snapshot_is_it_is_not_written_again(trainings, monkeypatch):
    """Else its state, the only one, would be gone for a moment."""
    training = trainings.solver("models", snapshot=20)
    saved = []
    after(monkeypatch, snapshots.Snapshots, "save",
          lambda self, solver: (saved.append(solver.iter), stop_here()))
    with pytest.raises(InterruptedError, match=r"at iteration 20; snapshot \S+_20\.caffemodel; "):
        trainings.solve_here(training)
    assert left(training) == snapshot_files([20], [20]) and "finished" not in record_of(training)
    after(monkeypatch, EndSignals, "__enter__", stop_here)  # before the first iteration
    with pytest.raises(InterruptedError, match=r"at iteration 20; snapshot \S+_20\.caffemodel; "):
        trainings.solve_here(training, resume=True)
    assert saved == [20] and left(training) == snapshot_files([20], [20])


def test_signal_in_the_last_iteration_comes_too_late(trainings, monkeypatch):
    training = trainings.solver("models", max_iter=1)
    after(monkeypatch, TrainingLog, "add", stop_here)
    assert trainings.solve_here(training) == training.model(1)
    assert left(training) == snapshot_files([1]) and record_of(training)["finished"] == 1


# ------------------------------------------------- killed between any two steps

def killed_at(step, trainings, training, **options):
    """Runs a training in a process that is killed before its step-th change of a file's name.

    False where it came to its end before that.  Files that only try the space do not count.
    """
    pid = os.fork()
    if pid == 0:
        status, steps = 1, iter(range(1, step))

        def kill(event, arguments):
            path = os.fspath(arguments[0]) if event in ("os.rename", "os.remove") else ""
            if (path.startswith(os.fspath(training.folder))
                    and not (event == "os.remove" and f".{PREFIX}.snapshot" in path)
                    and next(steps, 0) == 0):
                os.kill(os.getpid(), signal.SIGKILL)
        try:
            sys.addaudithook(kill)
            trainings.solve_here(training, **options)
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.mark.parametrize("earlier", [False, True], ids=["anew", "replaced"])
def test_run_killed_at_any_step_goes_on(trainings, earlier):
    """To the same files; and what has been reached once is not lost by being killed later."""

    def solver(name):
        return trainings.solver(name, max_iter=2, snapshot=1)
    whole, other = solver("whole"), solver("other")
    trainings.solve_here(whole)
    trainings.solve_here(other, seed=1, keep_snapshots=True)
    options = {"seed": 0, "restart_changed": True}
    reached, step = [], 1
    while True:
        training = solver(f"killed-{step}")
        if earlier:
            shutil.copytree(other.folder, training.folder)
        if not killed_at(step, trainings, training, **options):
            break
        task = solving.Training(trainings.weights, training.solver, **options)
        reached.append(task.resumed)
        ended = (training.folder / RECORD).is_file() and record_of(training).get("finished") == 2
        task.run()
        task.close()
        assert_same_result(training, whole, 2)
        assert left(training) == snapshot_files([2])
        # Of one that was killed after all was done, a folder may be left, which is empty.
        hidden = list(training.folder.glob(".*"))
        assert not hidden or (ended and not task.solver and not list(hidden[0].iterdir()))
        assert training.curve.read_text() == whole.curve.read_text()
        assert record_of(training)["finished"] == 2
        step += 1
    assert left(training) == snapshot_files([2])
    assert reached == sorted(reached) and set(reached) == {0, 1, 2}, reached
