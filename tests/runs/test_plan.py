"""What a run takes: sums that can be done by hand, limits, and a real dry run."""

import dataclasses
import re

import numpy as np
import pytest

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.runs import plan, settings, steps
from tests.support.workflows import Project

FRAMES, SIZE = 4, (240, 427)  # a quarter of 480 x 854
TIMED = {"train": 2.0, "infer": 0.5, "refine": 0.8}
QUARTER = SIZE[0] * SIZE[1] / plan.PIXELS


@pytest.fixture
def run(tmp_path):
    """Videos `one`, with an object, and `three`, with three, of FRAMES frames at SIZE each."""
    objects = {"one": [1], "three": [1, 2, 3]}
    for sequence in objects:
        for index in range(FRAMES):
            files.write_image(tmp_path / f"JPEGImages/480p/{sequence}/{index:05}.jpg",
                              np.zeros(SIZE, np.uint8))
    (tmp_path / "start.caffemodel").write_bytes(bytes(10**6))
    return settings.Run(
        name="a", data=str(tmp_path), split="val", videos=objects, whole=True, evaluated=("one",),
        backbone="resnet50_thin", weights=str(tmp_path / "start.caffemodel"), refinement="r",
        iterations=100, snapshot=40, size="240x427")


def cells(text):
    """{step: the other cells of its row}."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("seconds, words", [
    (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (3599.7, "1 h 0 min"),
    (7830, "2 h 10 min")])
def test_durations(seconds, words):
    assert plan.duration(seconds) == words


def test_what_was_timed_is_taken_as_it_is(run):
    """At the net's size; and for refinement at the first video's frame, with one object."""
    def seconds(step, *whose):
        return plan.seconds(run, (step, whose), TIMED) - plan.START
    assert seconds("train_object", "three", 2) == pytest.approx(100 * 2.0)
    assert seconds("infer_object", "three", 2) == pytest.approx(FRAMES * 0.5)
    assert seconds("refine", "one") == pytest.approx(FRAMES * 0.8)
    assert seconds("refine", "three") == pytest.approx(FRAMES * 0.8 * (2 + 3) / (2 + 1))
    generic = {"lists": ["x"], "validation": [], "iterations": 30, "weights": "w"}
    run = dataclasses.replace(run, generic=generic)
    assert seconds("train_generic") == pytest.approx(30 * 2.0)
    # Of what is not timed, constants count.
    label = FRAMES * QUARTER * (2 + 1) * plan.Needs().seconds
    assert seconds("label", "one") == pytest.approx(label) == seconds("evaluate")


def test_the_table_counts_pending_jobs_and_sums_their_seconds(run):
    pending = [("train_object", ("three", k)) for k in (1, 2)] + [("refine", ("one",))]
    text = plan.table(run, pending, 2, TIMED)
    training, refinement = 100 * 2 + plan.START, FRAMES * 0.8 + plan.START
    rows = cells(text)
    assert rows["step"] == ["jobs", "to do", "time"]
    assert rows["train object"] == ["4", "2", plan.duration(2 * training)]
    assert rows["refine"] == ["2", "1", plan.duration(refinement)]
    assert rows["label"] == ["2", "0", "0 s"]
    total = 2 * training + refinement
    assert rows["all"] == [str(len(steps.jobs(run))), "3", plan.duration(total)]
    assert f"2 jobs at a time, 1 thread each: {plan.duration(total / 2)} or more" in text
    # No number of jobs at a time is faster than the longest of them.
    assert f"{plan.duration(training)} or more" in plan.table(run, pending, 9, TIMED)
    assert ("timed here: training iteration 2 s, frame 0.5 s, refined frame 0.8 s "
            "(resnet50_thin, 240x427, 1 thread)") in text


def test_a_device_that_was_not_timed_gets_no_hours(run, monkeypatch):
    monkeypatch.setattr(plan.subprocess, "run", None)  # nothing is started
    pending = steps.jobs(run)
    for changes, word in (({"gpus": (0,)}, "GPU"), ({"cluster": "slurm", "gpus": (0,)}, "cluster")):
        elsewhere = dataclasses.replace(run, **changes)
        timed = plan.time_here(elsewhere, pending)
        text = plan.table(elsewhere, pending, 1, timed)
        assert timed is None and cells(text)["step"] == ["jobs", "to do"]
        assert f"No hours are predicted: the {word} was not timed." in text
        assert not re.search(r"\d (s|min|h)\b", text)
    # Small steps need no timing.
    assert plan.time_here(run, [("label", ("one",))]) == {}


def test_nothing_to_do_is_said(run):
    assert plan.table(run, [], 1, {}).startswith(f"nothing to do: all {len(steps.jobs(run))} jobs")


def test_disk_is_that_of_models_snapshots_and_pictures(run):
    model, training = 1 + plan.HEAD_MB, ("train_object", ("three", 1))
    picture = FRAMES * QUARTER * plan.PIXELS * plan.PICTURE / 1e6
    pictures = 5 * picture
    # Snapshots after 40, 80 and 100 iterations: three models and two states, then a model.
    assert plan.disk_mb(run, [training], 1) == pytest.approx(5 * model + pictures)
    assert plan.disk_mb(run, 3 * [training], 2) == pytest.approx((3 + 2 * 4) * model + pictures)
    keep = dataclasses.replace(run, keep=True)
    assert plan.disk_mb(keep, 3 * [training], 2) == pytest.approx(3 * 6 * model + pictures)
    labels = [("label", ("one",)), ("label", ("three",)), ("overlay", ("one",)), ("evaluate", ())]
    assert plan.disk_mb(run, labels, 1) == pytest.approx((3 + 5) * picture)


def test_limits_grow_with_what_there_is_to_do(run):
    def minutes(step, *whose, **changes):
        return plan.minutes(dataclasses.replace(run, **changes), step, whose)
    short, long = (minutes("train_object", "one", 1, iterations=n) for n in (1000, 10_000))
    assert 10 < short < long == pytest.approx(10 * short, rel=0.5)
    assert minutes("train_object", "one", 1, iterations=10_000, size="480x854") > 3 * long
    assert long > minutes("train_object", "one", 1, iterations=10_000, gpus=(0,)) > 10
    assert minutes("train_object", "one", 1, iterations=1000, backbone="resnet101") > 2 * short
    assert plan.minutes(run, "train_object", ("one", 1), attempt=2) == 2 * minutes(
        "train_object", "one", 1)
    assert minutes("refine", "three") >= minutes("refine", "one") > 10

    def memory(step, **changes):
        return plan.memory_mb(dataclasses.replace(run, **changes), step)
    assert memory("train_object") < memory("train_object", size="480x854") < memory(
        "train_object", size="480x854", backbone="resnet101")
    assert memory("refine", videos={"one": [1]}) < memory("refine")
    assert memory("evaluate") < memory("evaluate", threads=4)
    assert memory("train_generic", videos={}) > memory("train_object")


@pytest.mark.parametrize("onednn, gpus, backbone, measured, generic", [
    (True, (), "resnet101", 1642, None), (True, (), "resnet50_thin", 686, 1529),
    (False, (), "resnet101", 5881, None), (False, (), "resnet50_thin", 2500, None),
    (True, (0,), "resnet101", 5881, None)])
def test_every_step_of_every_net_has_sane_limits(run, monkeypatch, onednn, gpus, backbone,
                                                 measured, generic):
    """At 480 x 854, against the MB that were measured of a training; GPUs are as Caffe's own."""
    monkeypatch.setattr(plan.surroundings, "has_onednn", lambda: onednn)
    big = dataclasses.replace(run, backbone=backbone, size="480x854", gpus=gpus, generic={
        "iterations": 2400, "weights": run.weights, "lists": [], "validation": []})
    assert 1.15 * measured < plan.memory_mb(big, "train_object") < 1.7 * measured
    assert generic is None or 1.2 < plan.memory_mb(big, "train_generic") / generic < 1.7
    for step, whose in steps.jobs(big):
        assert 300 < plan.memory_mb(big, step) < 8300
        assert 10 < plan.minutes(big, step, whose) < 24 * 60


def test_a_timing_that_fails_is_told_in_one_line(run):
    """The data set has no annotation."""
    with pytest.raises(UserError, match="cannot be timed: annotation .*png does not exist$"):
        plan.time_here(run, [("train_object", ("one", 1))])


def test_a_dry_run_times_and_tells_and_leaves_no_change(tmp_path):
    project = Project(tmp_path / "project")
    path = project.data / "Annotations/480p/disk/00000.png"
    labels = davis.read_annotation(path)
    labels[:2, :3] = davis.VOID
    davis.write_labels(path, labels)

    def there():
        return {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()
                and "results/runs" not in str(path) and "__pycache__" not in path.parts}
    before, output = there(), project.succeed("--dry-run")
    assert "note: first annotation of disk: void (255): 6 px are left out\n" in output
    rows = cells(output)
    assert rows["train object"][:2] == ["3", "3"] and rows["submission"][:2] == ["1", "1"]
    for step in ("train foreground", "infer foreground"):
        assert rows[step][:2] == ["1", "1"]  # not of disk, which has one object
    assert "note: of one object, trained once" in output and "(--train-both: twice): disk" in output
    assert rows["all"][0] == rows["all"][1] == "21"
    assert re.search(r"timed here: training iteration \S+ s, frame \S+ s, refined frame \S+ s "
                     r"\(resnet50_thin, 64x96, 1 thread\)\nDisk: 0\.\d GB at most\.$",
                     output.strip())
    assert there() == before and not project.done() and not project.states()
    assert not (project.folder / settings.SETTINGS).exists() and not project.processes()
