"""Refinement of a video's score maps, and training of the net that does it."""

import importlib
import os
import shutil
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from google.protobuf import text_format

from ResNetF.nets import solver
from segspn import files
from segspn.caffenet import weights
from segspn.data import davis
from segspn.errors import UserError
from segspn.evaluation import metrics
from segspn.method import refine
from segspn.training import solving
from spn import nets
from tests.method.test_end_to_end import following
from tests.support.frames import alter, fails_in_one_line, names_in
from tests.support.refinements import Video, passing_weights
from tests.support.refusals import SEGMENT
from tests.training.test_solving import assert_same_result, rows_of


@pytest.fixture
def video(tmp_path):
    return Video(tmp_path)


# ------------------------------------------------------------------- one video

@pytest.mark.parametrize("size", [(70, 90), (96, 128), (33, 161)])
def test_maps_and_masks_of_every_frame(tmp_path, size):
    """A net that passes score maps on gives them back, each object's under its own name."""
    video = Video(tmp_path, size, frames=2)
    assert video.task().run() == 2
    assert names_in(video.output) == sorted(
        f"{stem}{k}.png" for stem in video.stems for k in ("", "_1", "_2"))
    for stem in video.stems:
        for k in (1, 2):
            refined = video.refined(stem, k)
            assert refined.shape == size and refined.dtype == np.uint8
            truth = video.masks[stem] == k
            assert metrics.jaccard(truth, refined > 127) > 0.85
            deep = cv2.erode(truth.astype(np.uint8), np.ones((7, 7))) > 0
            assert (refined[deep] > 240).all() and (refined[video.masks[stem] == 3 - k] < 128).all()
        mask = files.read_plane(video.output / f"{stem}.png", "mask")
        expected = refine.dilated(video.masks[stem] > 0)
        np.testing.assert_array_equal(mask, expected.astype(np.uint8) * 255)


@pytest.mark.parametrize("height, radius", [(480, 16), (240, 8), (70, 2), (1080, 36)])
def test_foreground_is_dilated_by_a_thirtieth_of_the_height(height, radius):
    foreground = np.zeros((height, 200), bool)
    foreground[height // 2 - 4:height // 2, 90:100] = True
    result = refine.dilated(foreground)
    distance = cv2.distanceTransform((~foreground).astype(np.uint8), cv2.DIST_L2,
                                     cv2.DIST_MASK_PRECISE)
    assert result.dtype == bool and result[foreground].all()
    assert result[distance <= radius - 1].all() and not result[distance > radius + 1].any()
    assert np.count_nonzero(result.any(1)) == 4 + 2 * radius
    assert not refine.dilated(np.zeros((height, 200), bool)).any()


def test_all_is_0_outside_the_dilated_foreground(video):
    stem = video.stems[1]
    small = np.zeros(video.size, np.uint8)
    small[:, 25:40] = 255
    files.write_image(video.mask(stem), small)
    video.task().run()
    inside = refine.dilated(small > 0)
    for k in (1, 2):
        assert not video.refined(stem, k)[~inside].any()
    assert (video.refined(stem, 1)[(video.masks[stem] == 1) & (small > 0)] > 127).mean() > 0.8
    video.task(foreground=None).run()
    assert (files.read_plane(video.output / f"{stem}.png", "mask") == 255).all()
    assert (video.refined(stem, 2) > 127).sum() > 0.8 * (video.masks[stem] == 2).sum()


def test_objects_are_refined_alike_alone_and_together(video):
    frame, rng = files.read_image(video.frames[0]), np.random.default_rng(0)
    maps = cv2.GaussianBlur(rng.integers(0, 256, (*video.size, 3), np.uint8), (0, 0), 4)
    maps = maps.transpose(2, 0, 1)
    together = refine.Refiner(video.weights, video.size, 3)(frame, maps).copy()
    assert together.shape == (3, *video.size)
    alone = refine.Refiner(video.weights, video.size, 1)
    for k in range(3):
        np.testing.assert_allclose(alone(frame, maps[k:k + 1])[0], together[k], atol=1e-6)


def test_second_run_does_what_is_missing_or_outdated(video):
    task = video.task()
    assert task.run() == 4 and task.run() == 0
    (video.output / "00002_1.png").unlink()
    assert task.run() == 1
    for changed in (video.score("00001", 2), video.mask("00003"), video.frames[0]):
        os.utime(changed)
        assert task.run() == 0, changed
        alter(changed)
        assert task.run() == 1 and task.run() == 0, changed
    passing_weights(video.weights, "another")
    assert task.run() == 4 and task.run() == 0
    assert task.run(force=True) == 4 and task.run() == 0
    other = shutil.copytree(video.scores, video.folder / "other/toy")
    assert video.task(scores=other).run() == 0  # the same maps elsewhere
    for changes in ({"foreground": None}, {}, {"objects": [1]}):
        assert video.task(**changes).run() == 4, changes
        assert video.task(**changes).run() == 0, changes


# ------------------------------------------------------------------ the scripts

@pytest.fixture
def placed(video, project):
    """The video's maps where the scripts look for them; has `run` and `results`."""
    results = project.root / "results"
    results.mkdir()
    (results / "ResNetF_perobj_5").symlink_to(video.scores.parent)
    (results / "ResNetF_fgbg").symlink_to(video.foreground.parent)

    def run(script, *arguments):
        return project.run(script, *arguments, "--data", video.data)
    return SimpleNamespace(run=run, results=results, root=project.root)


def test_train_refine_and_label_by_the_printed_commands(placed, project, video):
    written = project.run("spn/write_prototxts.py", video.data, "--batch", 2, "--iterations", 3)
    script, start, solver = following(written)
    assert start == nets.REFINE_SMALL.weights
    assert solver == "../spn/refine_small/training/solver.prototxt"
    script, *options, iteration, name = following(project.run(script, start, solver))
    assert (iteration, name) == ("<iterations>", "<video>")
    assert options == ["--weights", "../models/spn/refine_small_iter_3.caffemodel",
                       "--data", str(video.data)]
    assert [row[0] for row in rows_of(project.root / "models/spn/refine_small_log.csv")] == [
        "iteration", "1", "2", "3"]
    refined = placed.run(script, 5, "toy", *options)
    script, *arguments = following(refined)
    assert "4 frames done, 0 were there" in refined.stdout
    assert names_in(placed.results / "SPN_5/toy") == sorted(
        f"{stem}{k}.png" for stem in video.stems for k in ("", "_1", "_2"))
    labelled = project.run(script, *arguments)
    assert labelled.returncode == 0 and "4 frames done" in labelled.stdout, labelled.stderr
    assert names_in(placed.results / "labels/toy") == [f"{stem}.png" for stem in video.stems]


def test_refine_script_does_what_is_not_done(placed, video, monkeypatch, capsys):
    """In this process, which is quicker."""
    monkeypatch.syspath_prepend(files.PYTHON_SCRIPTS)
    monkeypatch.setattr(files, "RESULTS", placed.results)
    for options, done in (((), 4), ((), 0), (("--force",), 4), (("--no-foreground",), 4)):
        monkeypatch.setattr(sys, "argv", list(map(str, (
            "refine_spn.py", 5, "toy", "--weights", video.weights, "--data", video.data,
            "--foreground", video.foreground.parent, *options))))
        importlib.import_module("refine_spn").main()
        output = capsys.readouterr().out
        assert f"SPN_5/toy: {done} frames done, {4 - done} were there" in output
    assert (f"next: python segment_instances.py --video toy --iterations 5 --data {video.data}\n"
            in output)
    mask = files.read_plane(placed.results / "SPN_5/toy/00001.png", "mask")
    assert (mask == 255).all()


def test_labels_come_from_refined_maps_where_they_are(placed, video):
    """Refined maps have the objects exchanged, and another foreground."""
    refined = placed.results / "SPN_5/toy"
    refined.mkdir(parents=True)
    inside = np.zeros(video.size, np.uint8)
    inside[:, :60] = 255
    for stem in video.stems:
        for k in (1, 2):
            shutil.copy(video.score(stem, k), refined / f"{stem}_{3 - k}.png")
        files.write_image(refined / f"{stem}.png", inside)
    exchanged = np.array([0, 2, 1], np.uint8)
    for options, expected in (
            ((), lambda labels: exchanged[labels] * (inside > 0)),
            (("--coarse",), lambda labels: labels),
            (("--foreground", placed.results / "ResNetF_fgbg"), lambda labels: exchanged[labels])):
        result = placed.run(SEGMENT, "--video", "toy", "--iterations", 5, "--no-filter", *options)
        assert result.returncode == 0 and "frames done" in result.stdout, result.stderr
        for stem in video.stems[1:]:
            labels = davis.read_annotation(placed.results / f"labels/toy/{stem}.png")
            np.testing.assert_array_equal(labels, expected(video.masks[stem]))


def test_refined_maps_of_other_coarse_ones_are_refused(placed, video):
    video.task().run()
    refined = placed.results / "SPN_5/toy"
    shutil.copytree(video.output, refined)
    changed = alter(video.score("00002", 1))
    command = (SEGMENT, "--video", "toy", "--iterations", 5)
    assert fails_in_one_line(placed.run(*command), refined / "00002_1.png", "has changed since",
                             changed.name, "refine_spn.py", "--coarse")
    assert not (placed.results / "labels").exists()
    coarse = placed.run(*command, "--coarse")
    assert coarse.returncode == 0 and "4 frames done" in coarse.stdout, coarse.stderr


# -------------------------------------------------------------------- training

class RefinementTraining:
    """A training of refine_small on the video, and what its run leaves."""

    def __init__(self, video, name, iterations):
        self.folder = video.folder / name
        files.write_text(video.folder / f"{name}.train.prototxt", text_format.MessageToString(
            nets.train(nets.REFINE_SMALL, sources=(str(video.data),), size=(64, 64), batch=2)))
        self.solver = video.folder / f"{name}.prototxt"
        self.solver.write_text(text_format.MessageToString(solver(
            nets.REFINE_SMALL, str(video.folder / f"{name}.train.prototxt"),
            str(self.folder / "refine"), max_iter=iterations, snapshot=iterations)))
        self.log = self.folder / "refine_log.csv"

    def run(self, start=nets.REFINE_SMALL.weights, **options):
        if start != "none":
            start = files.PYTHON_SCRIPTS / start
        task = solving.Training(start, self.solver, **options)
        try:
            return task.run()
        finally:
            task.close()

    def model(self, iteration):
        return self.folder / f"refine_iter_{iteration}.caffemodel"

    def state(self, iteration):
        return self.folder / f"refine_iter_{iteration}.solverstate"


def test_resumed_training_is_the_uninterrupted_one(video):
    whole, parted = (RefinementTraining(video, name, 5) for name in ("whole", "parted"))
    assert whole.run(seed=2, keep_snapshots=True) == whole.model(5)
    parted.run(seed=2, iterations=2, keep_snapshots=True)
    parted.run(resume=True)
    assert_same_result(parted, whole, 5, keep=True)
    before, after = (weights.read_caffemodel(parted.model(n)) for n in (2, 5))
    for layer in ("gates", "mask", "refined"):
        assert (before[layer][0] != after[layer][0]).any(), layer
    for kind in ("JPEGImages", "Annotations"):  # with another source it is not the same training
        shutil.copytree(video.data / f"{kind}/480p/toy", video.data / f"{kind}/480p/more")
    with pytest.raises(UserError, match="began with other weights, or has another net"):
        parted.run(resume=True, iterations=8)


def test_training_lessens_the_loss(video):
    training = RefinementTraining(video, "models", 30)
    training.run()
    header, *rows = rows_of(training.log)
    assert header == ["iteration", "accuracy", "loss"] and len(rows) == 30
    losses = np.array([row[2] for row in rows], float)
    assert np.isfinite(losses).all() and losses[-8:].mean() < 0.8 * losses[:8].mean()
    assert nets.net_of(weights.read_caffemodel(training.model(30))) is nets.REFINE_SMALL
    refiner = refine.Refiner(training.model(30), video.size, 1)  # it is whole
    assert refiner(files.read_image(video.frames[0]), np.zeros((1, *video.size))).shape == (
        1, *video.size)
