"""solve.py on what an earlier run left: what it finds done, goes on with, refuses or replaces."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from segspn import files
from segspn.caffenet import prototxt, weights
from segspn.errors import UserError
from segspn.training import snapshots, solving
from segspn.training.log import TrainingLog
from tests.support.frames import fails_in_one_line
from tests.support.trainings import (
    PREFIX,
    RECORD,
    after,
    left,
    record_of,
    snapshot_files,
    without_processes_and_curves,
)
from tests.training.test_solving import assert_same_result, content, succeeds


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    without_processes_and_curves(monkeypatch)


def change_record(training, **changes):
    """Other values in the record of a run; None takes one out."""
    record = {**record_of(training), **changes}
    (training.folder / RECORD).write_text(json.dumps(
        {name: value for name, value in record.items() if value is not None}))


def is_refused(trainings, training, *words, **options):
    """Whether a run ends with one line that has all the words, and changes nothing."""
    before = content(training.folder)
    with pytest.raises(UserError) as error:
        trainings.solve_here(training, **options)
    assert len(str(error.value).splitlines()) == 1
    assert all(str(word) in str(error.value) for word in words), error.value
    assert content(training.folder) == before
    return True


def finds_it_done(trainings, training, iteration, **options):
    """Whether a run gives the model of an iteration at once: no net is made, nothing changed."""
    before = content(training.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prototxt, "build", lambda *arguments, **keywords: pytest.fail("made a net"))
        model = trainings.solve_here(training, iterations=iteration, **options)
    assert content(training.folder) == before and model == training.model(iteration)
    return True


# --------------------------------------------------------- what is gone on with

def test_finished_training_is_found_so(trainings):
    training = trainings.solver("models", max_iter=40)
    trainings.solve_here(training)
    for options in ({"resume": True}, {"restart_changed": True},
                    {"resume": True, "keep_snapshots": True}, {"resume": True, "seed": 0}):
        assert finds_it_done(trainings, training, 40, **options)
    result = trainings.solve(training, "--restart-changed")
    assert succeeds(result) and f"already at iteration 40: {training.model(40)}" in result.stdout
    assert is_refused(trainings, training, training.model(40), "--resume", "--restart")
    weights.write_caffemodel(trainings.weights, {"conv1": [np.zeros((24, 3, 5, 5)), np.ones(24)]})
    assert is_refused(trainings, training, "began with other weights", "--restart", resume=True)


def test_another_model_in_the_place_of_the_finished_one_is_refused(trainings):
    training = trainings.solver("models", max_iter=40)
    trainings.solve_here(training)
    model = training.model(40)
    os.utime(model, (1, 1))
    assert finds_it_done(trainings, training, 40, resume=True)
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert is_refused(trainings, training, model, "is another than was written", "--restart",
                      resume=True)
    trainings.solve_here(training, restart_changed=True)
    assert model.read_bytes() == content


def test_finished_training_goes_on_only_with_its_state(trainings, monkeypatch):
    training, kept = (trainings.solver(name, max_iter=40) for name in ("models", "kept"))
    trainings.solve_here(training)
    words = training.model(40), "no .solverstate", "--keep-snapshots", "--restart"
    assert is_refused(trainings, training, *words, resume=True, iterations=60)
    assert fails_in_one_line(trainings.solve(training, "--resume", "--iterations", 60), *words)
    trainings.solve_here(kept, keep_snapshots=True)
    ended = []
    after(monkeypatch, TrainingLog, "add", lambda *row: ended.append(record_of(kept)))
    trainings.solve_here(kept, resume=True, iterations=60)
    assert len(ended) == 20 and not any("finished" in record for record in ended)
    assert left(kept) == snapshot_files([20, 40, 60], [20, 40, 60])
    trainings.solve_here(training, restart=True, iterations=60, keep_snapshots=True)
    assert_same_result(kept, training, 60, keep=True)


def test_fewer_iterations_than_there_are(trainings):
    training = trainings.solver("models", max_iter=50)
    trainings.solve_here(training, keep_snapshots=True)
    assert finds_it_done(trainings, training, 20, resume=True)
    assert finds_it_done(trainings, training, 40, restart_changed=True)
    words = training.model(50), "beyond iteration 30", "--restart"
    assert is_refused(trainings, training, *words, resume=True, iterations=30)
    for n in (20, 40):  # unfinished, and its states but the last are gone: a model will do
        training.state(n).unlink()
    change_record(training, finished=None, keep_snapshots=False)
    assert finds_it_done(trainings, training, 20, resume=True)
    assert is_refused(trainings, training, *words, resume=True, iterations=30)


def test_the_same_data_set_at_another_place_is_the_same(trainings, data_set, tmp_path):
    """By a link, relative, copied to another disk; also what is of before paths did not count."""
    training = trainings.solver("models", max_iter=2)
    trainings.solve_here(training)
    text = trainings.net.read_text()
    (tmp_path / "link").symlink_to(data_set)
    shutil.copytree(data_set, tmp_path / "disk/copied")
    for place in ("link", "disk/../disk/copied", os.path.relpath(data_set, files.PYTHON_SCRIPTS)):
        place = place if place.startswith("..") else tmp_path / place
        trainings.net.write_text(text.replace(str(data_set), str(place)))
        assert trainings.net.read_text() != text
        assert finds_it_done(trainings, training, 2, resume=True)
    shutil.rmtree(data_set)
    shutil.move(tmp_path / "disk/copied", data_set)
    trainings.net.write_text(text)
    task = solving.Training(trainings.weights, training.solver, resume=True)
    change_record(training, fingerprint=task._fingerprint(with_places=True))
    assert finds_it_done(trainings, training, 2, resume=True)


def test_files_of_older_versions(trainings):
    """They have all pairs, and a record that says nothing of an end."""
    training, whole = (trainings.solver(name, max_iter=40) for name in ("models", "whole"))
    trainings.solve_here(training, keep_snapshots=True)
    change_record(training, finished=None, keep_snapshots=None)
    assert finds_it_done(trainings, training, 40, resume=True)
    assert finds_it_done(trainings, training, 20, resume=True)
    trainings.solve_here(whole, iterations=50)
    trainings.solve_here(training, resume=True, iterations=50)
    assert left(training) == snapshot_files([50])
    assert_same_result(training, whole, 50)


def test_models_without_a_record(trainings):
    """Whole pairs are gone on with; a model alone may be of another training."""
    training = trainings.solver("models", max_iter=20)
    trainings.solve_here(training, keep_snapshots=True)
    (training.folder / RECORD).unlink()
    assert finds_it_done(trainings, training, 20, resume=True)
    assert is_refused(trainings, training, training.model(20), f"no {RECORD}", "move it away",
                      "--restart", restart_changed=True)
    training.state(20).unlink()
    assert is_refused(trainings, training, "no .solverstate", "--restart", resume=True)


def test_nothing_is_deleted_beside_a_run(trainings):
    training = trainings.solver("models", max_iter=40)
    trainings.solve_here(training, keep_snapshots=True)
    change_record(training, finished=None, keep_snapshots=False)
    running = snapshots.Snapshots(training.folder / PREFIX)
    running.begin()
    with pytest.raises(UserError, match="another solve.py is training"):
        trainings.solve_here(training, resume=True)
    running.close()
    assert left(training) == snapshot_files([20, 40], [20, 40])
    trainings.solve_here(training, resume=True)
    assert left(training) == snapshot_files([40]) and record_of(training)["finished"] == 40


# ------------------------------------------------------------- restart-changed

def other_weights(trainings, training, data_set):
    weights.write_caffemodel(trainings.weights, {
        "conv1": [np.full((24, 3, 5, 5), 0.01), np.zeros(24)]})


def other_net(trainings, training, data_set):
    text = trainings.net.read_text()
    trainings.net.write_text(text.replace("std: 0.01", "std: 0.02"))
    assert trainings.net.read_text() != text


def other_solver(trainings, training, data_set):
    text = training.solver.read_text()
    training.solver.write_text(text.replace("momentum: 0.99", "momentum: 0.9"))
    assert training.solver.read_text() != text


def other_frame(trainings, training, data_set):
    path = data_set / "JPEGImages/480p/toy/00000.jpg"
    files.write_image(path, cv2.flip(files.read_image(path), 1))


def damaged_record(trainings, training, data_set):
    (training.folder / RECORD).write_text('{"seed": "0"}')


@pytest.mark.parametrize("change, why", [
    (other_weights, "began with other weights"), (other_net, "another net"),
    (other_solver, "solver or first frame"), (other_frame, "solver or first frame"),
    (damaged_record, f"{RECORD}, which says what")])
def test_restart_where_the_training_has_changed(trainings, data_set, capsys, change, why):
    training, fresh = (trainings.solver(name, max_iter=3, snapshot=1) for name in ("old", "new"))
    trainings.solve_here(training, keep_snapshots=True)
    change(trainings, training, data_set)
    if change is other_solver:
        change(trainings, fresh, data_set)
    assert is_refused(trainings, training, why, "--restart", resume=True)
    capsys.readouterr()
    assert trainings.solve_here(training, restart_changed=True) == training.model(3)
    line, = (line for line in capsys.readouterr().out.splitlines() if why in line)
    assert line.startswith("training anew: ")
    trainings.solve_here(fresh)
    assert_same_result(training, fresh, 3)
    assert left(training) == snapshot_files([3])


def test_restart_where_the_earlier_run_cannot_go_on(trainings, capsys):
    training, fresh = (trainings.solver(name, max_iter=3, snapshot=1) for name in ("old", "new"))
    for iterations, why in ((1, None), (3, "no .solverstate to go on from"),
                            (2, "is beyond iteration 2, of which no model was kept")):
        trainings.solve_here(training, iterations=iterations, restart_changed=True)
        lines = [line for line in capsys.readouterr().out.splitlines() if "anew" in line]
        assert len(lines) == (why is not None) and all(why in line for line in lines)
        assert left(training) == snapshot_files([iterations])
    trainings.solve_here(fresh, iterations=2)
    assert_same_result(training, fresh, 2)


def test_restart_that_is_refused_keeps_the_earlier_run(trainings):
    training = trainings.solver("models", max_iter=2)
    trainings.solve_here(training)
    weights.write_caffemodel(trainings.weights, {"other": [np.zeros((2, 3))]})
    assert is_refused(trainings, training, trainings.weights, "fits no layer",
                      restart_changed=True)
