"""Expected seconds, memory and disk of jobs: sums that can be done by hand."""

import dataclasses
import json
import math

import pytest

from ResNetF import nets
from segspn import files
from segspn.errors import UserError
from segspn.runs import costs, gpu_costs, settings, steps

VIDEOS = {"short": costs.Video(10), "long": costs.Video(20, 2 * costs.PIXELS)}
RUN = settings.Run(
    name="toys", data="../data/none", split="val", videos={"short": [1], "long": [1, 2, 3]},
    whole=True, evaluated=("short",), backbone="resnet101", weights="w", refinement="r",
    iterations=100, snapshot=40, size="480x854")
TABLE = {
    "machine": {"cpu": "abacus", "cores": 2, "memory_mb": 25000},
    "workflow": {"start": 5, "job": 0.5},
    "seconds": {
        "1": {name: {"start": 3, "object": 2} for name in costs.KINDS},
        "2": {name: {"start": 3, "object": 1} for name in costs.KINDS}},
    "memory_mb": {name: {"start": 100, "pixel_object": 10} for name in costs.KINDS},
    "disk_mb": {name: {"model": 50} if name.startswith("train ") else {"frame": 2}
                for name in costs.DISK_KINDS}}
TABLE["seconds"]["1"]["train resnet101"] = {"start": 4, "iteration": 1, "net_iteration": 8,
                                            "snapshot": 2}
TABLE["seconds"]["1"]["infer resnet101"] = {"start": 3, "frame": 0.5, "net_frame": 4}


@pytest.fixture
def known(tmp_path):
    return read(tmp_path, TABLE).assuming(videos=VIDEOS)


def read(folder, table):
    path = folder / "costs.json"
    path.write_text(json.dumps(table))
    return costs.Costs.read(path)


def test_the_shipped_costs_are_whole():
    shipped = costs.Costs.read(costs.SHIPPED).assuming(videos=VIDEOS)
    for backbone in nets.BACKBONES:
        run = dataclasses.replace(RUN, backbone=backbone)
        for job in steps.jobs(run):
            assert 0.1 < shipped.seconds(run, *job) < 3600, job
            assert 20 < shipped.memory_mb(run, *job) < 20_000, job
            assert 0 < shipped.disk_mb(run, *job) < 1000, job
    run = dataclasses.replace(RUN, backbone="resnet50_thin")
    assert shipped.seconds(run, "train_object", ("short", 1)) < shipped.seconds(
        RUN, "train_object", ("short", 1))


def test_a_job_costs_its_amounts_times_the_constants(known):
    # 3 snapshots in 100 iterations: after 40, 80 and in the end.
    assert known.seconds(RUN, "train_object", ("long", 2)) == 4 + 100 * (1 + 8) + 3 * 2
    assert known.seconds(RUN, "infer_object", ("long", 2)) == 3 + 20 * 2 * 0.5 + 20 * 4
    assert known.seconds(RUN, "infer_foreground", ("short",)) == 3 + 10 * 0.5 + 10 * 4
    assert known.seconds(RUN, "refine", ("long",)) == 3 + 2 * (20 * 2 * 3)
    assert known.seconds(RUN, "evaluate") == 3 + 2 * 10  # the sequence with ground truth alone
    assert known.seconds(RUN, "submission") == 3 + 2 * (10 + 20 * 2 * 3)


def test_the_working_size_counts_for_the_nets_alone(known):
    half = dataclasses.replace(RUN, size="240x427")
    share = 240 * 427 / costs.PIXELS
    assert known.seconds(half, "train_object", ("long", 1)) == pytest.approx(
        4 + 100 * (1 + 8 * share) + 3 * 2)
    assert known.seconds(half, "infer_object", ("long", 1)) == pytest.approx(
        3 + 20 * 2 * 0.5 + 20 * 4 * share)
    assert known.seconds(half, "label", ("long",)) == known.seconds(RUN, "label", ("long",))


def test_the_generic_training_has_its_own_length(known):
    run = dataclasses.replace(RUN, generic={"lists": ["x.txt"], "iterations": 30, "weights": "w"})
    assert known.seconds(run, "train_generic") == 4 + 30 * 9 + 2
    assert known.disk_mb(run, "train_generic") == 50
    alone = dataclasses.replace(run, videos={}, evaluated=())
    assert known.memory_mb(alone, "train_object") == math.ceil(costs.SPARE * 100)


def test_seconds_by_threads(known):
    label = [known.seconds(RUN.with_threads(n), "label", ("short",)) for n in (1, 2, 4)]
    assert label == [23, 13, 8]  # 3 s that do not shrink, 20 s that do
    assert costs.at_threads({1: 10, 2: 12}, 8) == 12  # it never gets slower
    assert costs.at_threads({1: 10, 2: 4}, 8) > 0
    assert costs.at_threads({4: 7}, 1) == 7
    assert [known.is_predicted(RUN.with_threads(n), "label") for n in (1, 2, 4)] == [
        False, False, True]


def test_memory_is_that_of_the_largest_job_with_room_to_spare(known):
    assert known.memory_mb(RUN, "label") == math.ceil(1.15 * (100 + 10 * 2 * 3))
    assert known.memory_mb(RUN, "label", ("short",)) == math.ceil(1.15 * (100 + 10))


def test_a_training_takes_more_disk_while_it_works(known):
    job = "train_object", ("short", 1)
    assert (known.disk_mb(RUN, *job), known.working_mb(RUN, *job)) == (50, (3 + 2) * 50)
    keep = dataclasses.replace(RUN, keep=True)
    assert (known.disk_mb(keep, *job), known.working_mb(keep, *job)) == (300, 300)
    once = dataclasses.replace(RUN, snapshot=100)
    assert known.working_mb(once, *job) == 2 * 50
    assert known.disk_mb(RUN, "label", ("long",)) == known.working_mb(
        RUN, "label", ("long",)) == 2 * 20 * 2


def test_a_gpu_changes_the_nets_part_alone(known):
    run = dataclasses.replace(RUN, gpus=(0,))
    guess = known.assuming(gpu_costs.Gpu(iteration=0.1, frame=0.02))
    assert guess.seconds(run, "train_object", ("long", 1)) == pytest.approx(4 + 100 * 0.1 + 3 * 2)
    assert guess.seconds(run, "infer_object", ("long", 1)) == pytest.approx(3 + 20 + 20 * 0.02)
    for step in ("refine", "label"):
        assert guess.seconds(run, step, ("long",)) == known.seconds(RUN, step, ("long",))
    assert guess.seconds(RUN, "train_object", ("long", 1)) > 900
    assert guess.is_predicted(run, "train_object") and not guess.is_predicted(run, "label")
    assert "never measured" in " ".join(guess.caveats(run)) and not guess.caveats(RUN)


def test_multiply_adds_of_resnet101_are_as_published():
    # 7.6e9 for an image of 224 x 224 (He et al., CVPR 2016, table 1), and the head's 1x1s.
    head = 128 * (512 * 28 ** 2 + 1024 * 14 ** 2 + 2048 * 7 ** 2)
    count = gpu_costs.multiply_adds("resnet101", (224, 224))
    assert count == pytest.approx(7.6e9 + head, rel=0.03)
    assert gpu_costs.multiply_adds("resnet50_thin", (224, 224)) < count / 5


def test_gpu_seconds_follow_the_assumption():
    gpu, size = gpu_costs.Gpu(flops=1e12), (224, 224)
    count = gpu_costs.multiply_adds("resnet101", size)
    assert gpu.seconds("infer", "resnet101", size) == 2 * count / 1e12
    assert gpu.seconds("train", "resnet101", size) == 3 * 2 * count / 1e12
    half = gpu_costs.Gpu(iteration=0.4).seconds("train", "resnet101", (240, 427))
    assert half == pytest.approx(0.1, rel=0.01)
    assert "assumed 1 TFLOP/s" in str(gpu) and "as given" not in str(gpu)
    assert "assumed" not in str(gpu_costs.Gpu(iteration=0.1, frame=0.1))


def test_frames_are_counted_on_disk(data_set, tmp_path):
    run = dataclasses.replace(RUN, data=str(data_set), videos={"toy": [1, 2]})
    known = read(tmp_path, TABLE)
    assert known.seconds(run, "label", ("toy",)) == pytest.approx(
        3 + 2 * 4 * 2 * 96 * 128 / costs.PIXELS)
    with pytest.raises(UserError, match="none"):
        known.seconds(dataclasses.replace(run, videos={"none": [1]}), "label", ("none",))


def test_costs_of_this_machine_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "MEASURED", tmp_path / "costs.json")
    shipped = costs.Costs.of_here()
    assert not shipped.here and "another machine" in shipped.source()
    (tmp_path / "costs.json").write_text(json.dumps(TABLE))
    measured = costs.Costs.of_here()
    assert measured.here and measured.job_seconds == 0.5 and "abacus" in measured.source()


@pytest.mark.parametrize("damage", [
    "no json", "[]", json.dumps(TABLE | {"seconds": {}}), json.dumps(TABLE | {"memory_mb": {}}),
    json.dumps(TABLE | {"workflow": {"start": 1}}), json.dumps(TABLE | {"machine": {}}),
    json.dumps(TABLE | {"workflow": {"start": "1", "job": "2"}}),
    json.dumps(TABLE | {"workflow": {"start": -1, "job": 1}})])
def test_damaged_costs_are_refused(tmp_path, damage):
    path = tmp_path / "costs.json"
    path.write_text(damage)
    with pytest.raises(UserError, match="costs.json does not hold .*measure_costs.py"):
        costs.Costs.read(path)


def test_missing_costs_are_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        costs.Costs.read(tmp_path / "none.json")
    assert costs.MEASURED == files.RESULTS / "costs.json"
