"""solve.py: logs, snapshots, and runs that are stopped, killed and gone on with."""

import csv
import os
import resource
import shutil
import signal
import time
from pathlib import Path

import caffe
import numpy as np
import psutil
import pytest
from google.protobuf import text_format
from PIL import Image

from ResNetF import nets
from segspn import files
from segspn.caffenet import weights
from segspn.errors import UserError
from segspn.training import samples, snapshots
from tests.support.frames import fails_in_one_line
from tests.support.refusals import training_refused
from tests.support.trainings import SNAPSHOT, without_processes_and_curves


def rows_of(log):
    """Header and rows of a CSV log, without the seconds."""
    with log.open(newline="") as file:
        return [row[:1] + row[2:] for row in csv.reader(file)]


def history_of(state):
    """Everything in a .solverstate but the path of its model."""
    message = snapshots.RawState.FromString(state.read_bytes())
    message.ClearField("learned_net")
    return message.SerializeToString()


def assert_same_result(ours, theirs, iteration, keep=False):
    """Bit for bit: weights, log but for its seconds, and, where snapshots are kept, momentum."""
    assert ours.model(iteration).read_bytes() == theirs.model(iteration).read_bytes()
    assert [run.state(iteration).exists() for run in (ours, theirs)] == [keep, keep]
    if keep:
        assert history_of(ours.state(iteration)) == history_of(theirs.state(iteration))
    assert rows_of(ours.log) == rows_of(theirs.log)
    assert [row[0] for row in rows_of(ours.log)[1:]] == [str(i + 1) for i in range(iteration)]


def content(folder):
    """Names, bytes and times of a folder's files."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def succeeds(result):
    assert result.returncode == 0, result.stderr
    return True


def test_a_run_from_any_folder(trainings, tmp_path):
    training = trainings.solver("models", max_iter=50)
    message = caffe.proto.caffe_pb2.SolverParameter()
    text_format.Parse(training.solver.read_text(), message)
    message.train_net = os.path.relpath(trainings.net, files.PYTHON_SCRIPTS)
    message.snapshot_prefix = os.path.relpath(tmp_path / "models/toy_obj_1", files.PYTHON_SCRIPTS)
    training.solver.write_text(text_format.MessageToString(message))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    trainings.weights, training.solver = "../start.caffemodel", "../models.prototxt"
    result = trainings.solve(training, cwd=elsewhere)
    assert succeeds(result)
    assert not list(elsewhere.iterdir())
    # Of the snapshots, the last model alone.
    assert {p.name for p in training.folder.iterdir()} == {
        "toy_obj_1_curve.png", "toy_obj_1_iter_50.caffemodel", "toy_obj_1_log.csv",
        "toy_obj_1_run.json"}
    assert f"wrote {training.model(50)}" in result.stdout
    assert (f"next: python infer_test_perobj.py 50 toy 1 --weights {training.model(50)} "
            f"--data {trainings.parameters['data']} --size 48x64\n") in result.stdout
    check_log(training.log, 50)
    with Image.open(training.curve) as curve:
        assert curve.format == "PNG" and np.array(curve.convert("L")).std() > 1


def check_log(log, iterations):
    """A row an iteration; values as they must be."""
    header, *rows = rows_of(log)
    assert header == ["iteration", "accuracy", "accuracy_bg", "accuracy_fg", "loss"]
    assert [int(row[0]) for row in rows] == list(range(1, iterations + 1))
    values = np.array([row[1:] for row in rows], float)
    assert ((values[:, :3] >= 0) & (values[:, :3] <= 1)).all()
    losses = values[:, 3]
    assert abs(losses[0] / (48 * 64 * np.log(2)) - 1) < 0.1  # near chance at the start
    assert losses[-10:].mean() < 0.95 * losses[:10].mean()


def test_log_has_the_net_s_own_loss(trainings):
    """Row 1 against a forward pass in NumPy's hands: sample 0 of the seed, the given weights."""
    rng = np.random.default_rng(1)
    blobs = {**weights.read_caffemodel(trainings.weights),
             "score_ori": [rng.normal(0, 0.1, (2, 24, 1, 1)), rng.normal(0, 0.1, 2)]}
    weights.write_caffemodel(trainings.weights, blobs)
    training = trainings.solver("models", max_iter=1)
    assert succeeds(trainings.solve(training, "--seed", 9))
    data, label, _ = samples.FirstFrameObject(repr(trainings.parameters)).sample(9, 0)
    blobs = {name: [a.astype(np.float64) for a in arrays] for name, arrays in blobs.items()}
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(data, ((0, 0), (2, 2), (2, 2))), (5, 5), axis=(1, 2))
    hidden = np.maximum(np.einsum("cyxij,ocij->oyx", windows, blobs["conv1"][0]), 0)
    scores = np.einsum("cyx,oc->oyx", hidden, blobs["score_ori"][0][:, :, 0, 0])
    scores += blobs["score_ori"][1][:, None, None]
    log_odds = np.where(label == 1, scores[0] - scores[1], scores[1] - scores[0])
    header, row = rows_of(training.log)
    values = dict(zip(header, map(float, row)))
    np.testing.assert_allclose(values["loss"], np.logaddexp(0, log_odds).sum(), rtol=1e-5)
    right = log_odds < 0
    np.testing.assert_allclose(values["accuracy"], right.mean(), rtol=1e-5)
    np.testing.assert_allclose(values["accuracy_fg"], right[label == 1].mean(), rtol=1e-5)
    np.testing.assert_allclose(values["accuracy_bg"], right[label == 0].mean(), rtol=1e-5)


@pytest.mark.parametrize("changes", [
    {}, {"iter_size": 2, "lr_policy": "multistep", "gamma": 0.5, "stepvalue": [5, 12]},
    {"type": "Adam", "momentum": 0.9, "momentum2": 0.99, "base_lr": 1e-4,
     "snapshot_format": caffe.proto.caffe_pb2.SolverParameter.HDF5}],
    ids=["fixed", "multistep", "adam"])
def test_resumed_run_is_the_uninterrupted_one(trainings, changes):
    steps = changes.pop("stepvalue", [])
    whole, parted = (trainings.solver(name, max_iter=20, snapshot=0, **changes) for name in "ab")
    for training in (whole, parted):
        with training.solver.open("a") as file:
            file.writelines(f"stepvalue: {n}\n" for n in steps)
    trainings.solve_here(whole, seed=4, keep_snapshots=True)
    trainings.solve_here(parted, seed=4, iterations=7, keep_snapshots=True)
    trainings.solve_here(parted, resume=True)  # the seed is remembered, and that all is kept
    assert_same_result(parted, whole, 20, keep=True)


def test_seeds_of_solver_and_command_line(trainings, monkeypatch):
    """The solver's random_seed is that of fillers, as Caffe's own; --seed is for both."""
    without_processes_and_curves(monkeypatch)

    def filled(name, seed=None, **changes):
        training = trainings.solver(name, max_iter=1, base_lr=1e-20, **changes)
        trainings.solve_here(training, seed=seed)
        return weights.read_caffemodel(training.model(1))["score_ori"][0].tolist()

    plain, other = filled("plain"), filled("other", random_seed=7)
    assert other == filled("seven", seed=7) != plain
    assert plain == filled("unset", random_seed=-1) == filled("given", seed=0, random_seed=7)
    with pytest.raises(UserError, match="another net, solver or first frame"):
        trainings.solve_here(trainings.solver("other", max_iter=2, random_seed=8), resume=True)


def test_fields_that_are_not_followed_are_said(trainings, monkeypatch, capsys):
    without_processes_and_curves(monkeypatch)
    message = caffe.proto.caffe_pb2.SolverParameter
    for name, value in (("snapshot_format", message.HDF5), ("snapshot_diff", True),
                        ("snapshot_after_train", False), ("debug_info", True)):
        training = trainings.solver(name, max_iter=1, **{name: value})
        trainings.solve_here(training)
        assert f"note: {name} of the solver is passed over: " in capsys.readouterr().out
        assert training.model(1).exists()
    trainings.solve_here(trainings.solver("b", max_iter=1, snapshot_format=message.BINARYPROTO,
                                          debug_info=False))
    assert "note: " not in capsys.readouterr().out


def test_no_iterations_at_a_rate_of_nothing(trainings):
    training = trainings.solver("models", max_iter=2, lr_policy="poly", power=0.9)
    assert training_refused(trainings, training, "--iterations 3", "max_iter, 2",
                            options=("--iterations", 3))


def wait_for(path, process):
    end = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.001)


@pytest.mark.slow
def test_run_that_is_stopped_and_killed_goes_on(trainings):
    """SIGTERM, then SIGKILL, then to the end: bit for bit the uninterrupted run."""
    count = 200
    whole, broken = (trainings.solver(name, max_iter=count) for name in ("whole", "broken"))
    process = trainings.start(broken)
    wait_for(broken.model(20), process)
    loaded = {Path(part.path).name for child in psutil.Process(process.pid).children()
              for part in child.memory_maps()}
    assert "cv2.abi3.so" in loaded and "_caffe.so" not in loaded  # samples need no Caffe
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors
    stopped, = (int(p.stem.split("_")[-1]) for p in broken.folder.glob("*.solverstate"))
    assert 20 <= stopped < count
    assert f"stopped at iteration {stopped}; snapshot {broken.model(stopped)}" in errors
    assert "add --resume to go on" in errors
    assert not list(broken.folder.glob(".*"))

    process = trainings.start(broken, "--resume")
    following = stopped // SNAPSHOT * SNAPSHOT + SNAPSHOT
    wait_for(broken.model(following), process)
    with pytest.raises(UserError, match="another solve.py is training"):
        trainings.solve_here(broken, resume=True)
    process.kill()
    output, errors = process.communicate(timeout=60)
    assert f"going on from iteration {stopped}" in output
    assert process.returncode == -signal.SIGKILL and not broken.model(count).exists()
    assert list(broken.folder.glob(".*"))  # its half-made files, which the next run removes
    (broken.folder / ".part-toy_obj_1_curve-killed.png").touch()

    assert succeeds(trainings.solve(broken, "--resume"))
    assert succeeds(trainings.solve(whole))
    assert_same_result(broken, whole, count)
    assert not list(broken.folder.glob(".*"))


def test_second_run_is_refused_and_can_begin_anew(trainings):
    training = trainings.solver("models", max_iter=10, snapshot=0)
    assert succeeds(trainings.solve(training))
    before, earlier = content(training.folder), rows_of(training.log)
    result = trainings.solve(training)
    assert fails_in_one_line(result, training.model(10), "--resume", "--restart")
    assert content(training.folder) == before

    result = trainings.solve(training, "--resume")
    assert succeeds(result) and "already at iteration 10" in result.stdout
    assert content(training.folder) == before
    assert fails_in_one_line(trainings.solve(training, "--resume", "--seed", 1),
                             "--seed 1", "has the seed 0")
    assert content(training.folder) == before

    assert succeeds(trainings.solve(training, "--restart", "--seed", 1, "--iterations", 8))
    assert training.model(8).exists() and not training.model(10).exists()
    assert len(rows_of(training.log)) == 9
    assert rows_of(training.log) != earlier[:9]  # another seed


def test_restart_that_fails_keeps_the_earlier_run(trainings):
    training = trainings.solver("models", max_iter=3, snapshot=0)
    trainings.solve_here(training)
    before = content(training.folder)
    trainings.weights.write_bytes(b"")
    assert fails_in_one_line(trainings.solve(training, "--restart", "--seed", 5), ".caffemodel")
    assert content(training.folder) == before


def test_damaged_snapshots_are_refused(trainings):
    training = trainings.solver("models", max_iter=30, snapshot=10)
    trainings.solve_here(training, keep_snapshots=True)
    kept = content(training.folder)
    state, model = training.state(30), training.model(30)

    def restored():
        assert {p.name for p in training.folder.iterdir()} == kept.keys()
        for path in (state, model):
            path.write_bytes(kept[path.name][0])
        return True

    def refused(*words):
        with pytest.raises(UserError) as error:
            trainings.solve_here(training, iterations=40, resume=True)
        assert all(str(word) in str(error.value) for word in words), error.value
        return restored()

    state.write_bytes(state.read_bytes()[:-1000])
    assert fails_in_one_line(trainings.solve(training, "--resume", "--iterations", 40), state,
                             "truncated", "delete it to go on from the one before",
                             "of iteration 20", "--restart")
    assert restored()
    state.write_bytes(b"")
    assert refused(state, "--restart")
    damaged = snapshots.RawState.FromString(state.read_bytes())
    damaged.history[0].data = damaged.history[0].data[:-4]
    state.write_bytes(damaged.SerializeToString())
    assert refused(state)
    model.write_bytes(model.read_bytes()[:-500])
    assert refused(model, "truncated")
    model.write_bytes(training.model(10).read_bytes()[:9])
    assert refused(model)
    shutil.copy(training.state(20), state)
    assert refused(state, "--restart")

    # As the message says: without the last one it goes on from the one before.
    state.unlink()
    result = trainings.solve(training, "--resume", "--iterations", 40)
    assert succeeds(result) and "going on from iteration 20" in result.stdout
    assert model.read_bytes() == kept[model.name][0]
    assert state.read_bytes() == kept[state.name][0]


def test_weights_of_another_net_are_refused_before_anything_is_written(trainings):
    weights.write_caffemodel(trainings.weights, {"other": [np.zeros((2, 3))]})
    training = trainings.solver("models")
    assert fails_in_one_line(trainings.solve(training), trainings.weights, "fits no layer", "conv1")
    assert not training.folder.exists()


def test_batch_norms_that_no_weights_have_are_refused(trainings):
    """With a mean and variance of 0 the first scores would be infinite."""
    plain = text_format.Parse(trainings.net.read_text(), caffe.proto.caffe_pb2.NetParameter())
    net = type(plain)(layer=plain.layer[:4])
    norm = net.layer.add(name="norm", type="BatchNorm", bottom=["score_ori"], top=["score_ori"])
    norm.batch_norm_param.use_global_stats = True
    net.layer.extend(plain.layer[4:])
    trainings.net.write_text(text_format.MessageToString(net))
    training = trainings.solver("models", max_iter=1)
    assert training_refused(trainings, training, trainings.weights, "the BatchNorm norm has no",
                            script=False)
    net.layer[4].batch_norm_param.use_global_stats = False  # it makes its own
    trainings.net.write_text(text_format.MessageToString(net))
    trainings.solve_here(training)


def test_diverging_run_is_ended_by_an_error(trainings):
    training = trainings.solver("models", base_lr=1e10)
    assert fails_in_one_line(trainings.solve(training), "not finite", "base_lr")
    assert not list(training.folder.glob("*.caffemodel")) + list(training.folder.glob(".*"))


def test_thin_resnetf_resumed_is_the_uninterrupted_run(trainings):
    """The real net: 3 + 3 iterations at 64 x 96 against 6."""
    parameters = {**trainings.parameters, "size": (64, 96)}
    trainings.net.write_text(text_format.MessageToString(
        nets.train(nets.RESNET50_THIN, "FirstFrameObject", **parameters)))
    trainings.weights = files.MODELS / "resnet50_thin.caffemodel"
    whole, parted = (trainings.solver(name, **{**nets.RESNET50_THIN.solver, "max_iter": 6})
                     for name in ("whole", "parted"))
    result = trainings.solve(whole, "--keep-snapshots")
    assert succeeds(result) and "at their fillers, not in the file: project32" in result.stdout
    assert succeeds(trainings.solve(parted, "--iterations", 3, "--keep-snapshots"))
    assert succeeds(trainings.solve(parted, "--resume"))
    assert_same_result(parted, whole, 6, keep=True)
    before, after = (weights.read_caffemodel(parted.model(n)) for n in (3, 6))
    changed = {name for name in after for a, b in zip(before[name], after[name]) if (a != b).any()}
    assert {"conv_1", "conv_stage3_block2_branch2c", "project4", "decode32", "score04"} <= changed
    fixed = {name for name in after if name.startswith(("bn_", "up"))}
    assert fixed and not fixed & changed


def test_generic_training_on_pairs_resumed_with_its_validation(trainings, tmp_path):
    """Crops of pairs, two an iteration; J of the pair held out is logged at each snapshot."""
    folder, rng = tmp_path / "pairs", np.random.default_rng(0)
    for index in range(3):
        mask = np.zeros((70, 80 + index), np.uint8)
        mask[20:50, 30:60] = 255
        image = rng.integers(0, 256, (*mask.shape, 3), np.uint8)
        image[mask > 0] = 255
        files.write_image(folder / f"images/{index}.jpg", image)
        files.write_image(folder / f"masks/{index}.png", mask)
    (folder / "val.txt").write_text("1\n")
    trainings.net.write_text(text_format.MessageToString(nets.train(
        nets.RESNET50_THIN, "GenericForeground", data=str(folder), lists=(), size=(64, 96),
        validation=("val.txt",), crops={"size": (64, 64), "batch": 2, "scale": (0.8, 1.2)})))
    trainings.weights = files.MODELS / "resnet50_thin.caffemodel"
    whole, parted = (trainings.solver(name, **{
        **nets.RESNET50_THIN.recipe("generic").solver, "max_iter": 4, "snapshot": 2})
        for name in ("whole", "parted"))
    assert succeeds(trainings.solve(whole))
    assert succeeds(trainings.solve(parted, "--iterations", 2, "--keep-snapshots"))
    assert succeeds(trainings.solve(parted, "--resume"))
    assert parted.model(4).read_bytes() == whole.model(4).read_bytes()
    logs = [np.genfromtxt(training.log, delimiter=",", names=True)["validation_J"]
            for training in (whole, parted)]
    np.testing.assert_array_equal(*logs)
    assert list(np.isfinite(logs[0])) == [False, True, False, True]
    assert all(0 <= j <= 1 for j in logs[0][1::2])


def test_space_is_reserved_for_weights_and_history(trainings):
    """A limit of file sizes below the weights, in a process of its own, stops the run."""
    training = trainings.solver("models")
    size = sum(array.nbytes for array in weights.read_caffemodel(trainings.weights)["conv1"])
    result = trainings.solve(training, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (snapshots.SLACK + size // 2,) * 2))
    assert fails_in_one_line(result, "no space to write a snapshot", "make room")
    assert not training.folder.exists()
