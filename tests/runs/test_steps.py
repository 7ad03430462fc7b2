"""The steps of a run: their command lines, products, and what comes before what."""

import dataclasses
from pathlib import Path

import pytest

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.method import craf_options
from segspn.runs import settings as run_settings
from segspn.runs import steps
from tests.support.frames import draw_frame

FRAMES = 3


@pytest.fixture
def settings(tmp_path):
    """A run over two videos: `one` with objects 2 and 5, `two` with object 1."""
    for sequence in ("one", "two"):
        for index in range(FRAMES):
            frame, labels = draw_frame(index)
            files.write_image(tmp_path / f"data/JPEGImages/480p/{sequence}/{index:05}.jpg", frame)
            davis.write_labels(tmp_path / f"data/Annotations/480p/{sequence}/{index:05}.png",
                               labels)
    return run_settings.Run(
        name="list", data=str(tmp_path / "data"), split="val",
        videos={"one": [2, 5], "two": [1]}, whole=True, evaluated=("one",),
        backbone="resnet50_thin", weights="../models/resnet50_thin.caffemodel",
        refinement="../spn/refine_small.caffemodel", iterations=7, snapshot=3, size="64x96")


GENERIC = {"lists": ["ImageSets/2017/train.txt", "ImageSets/2017/val.txt"],
           "validation": ["ImageSets/2017/train.txt"], "iterations": 9,
           "weights": "../models/resnet50_thin.caffemodel"}


def commands(run):
    return {(name, *whose): steps.STEPS[name].commands(run, *whose)
            for name, whose in steps.jobs(run)}


@pytest.mark.parametrize("changes", [
    {}, {"base_lr": 1e-4, "restart": True, "keep": True, "threads": 3, "split": None,
         "train_both": True},
    {"generic": GENERIC, "weights": run_settings.GENERIC}, {"size": "480x854"},
    {"recipe": "best", "flip": True},
    {"seed": 3, "craf": craf_options.words("--coarse --lost-pixels 7 --no-foreground")}])
def test_every_command_line_is_parsed_by_its_script(settings, parsed, changes):
    run = dataclasses.replace(settings, **changes)
    if run.split is None:
        run = dataclasses.replace(run, whole=False)  # nothing to submit
    told = commands(run)
    expected = {"prototxts", "train_foreground", "train_object", "infer_foreground",
                "infer_object", "refine", "label", "overlay", "report", "evaluate", "overview"}
    expected |= {"submission"} if run.whole else set()
    expected |= {"generic_prototxts", "train_generic"} if run.generic else set()
    assert {job[0] for job in told} == expected
    for job, lines in told.items():
        for line in lines:
            assert all(isinstance(word, str) for word in line)
            options = ["--gpu", "1"] if steps.STEPS[job[0]].on_gpu else []
            args = parsed([*line, *options])
            assert args, job
            assert not options or args["gpu"] == 1


def test_command_lines_agree_on_what_they_are_of(settings, parsed):
    told = {job: [parsed(line) for line in lines] for job, lines in commands(settings).items()}
    for job, several in told.items():
        for args in several:
            assert args.get("iterations", 7) in (7, None), job
            if len(job) > 1 and "video" in args:
                assert args["video"] == job[1]
            if len(job) > 2 and "object" in args:
                assert args["object"] == job[2]
            if "infer" in job[0]:
                assert args["size"] == (64, 96)
            if "data" in args:
                assert str(args["data"]) == settings.data
    nets, = told["prototxts", "one"]
    assert nets["snapshot"] == 3 and nets["size"] == (64, 96) and nets["base_lr"] is None
    training, = told["train_object", "one", 5]
    assert training["resume"] and not training["restart_changed"]
    assert training["solver"] == "../ResNetF/testnet_per_obj/one/solver_5.prototxt"


ANNOTATED = {"one": {"": ["00000", "00002"], "2": ["00000", "00002"], "5": ["00000"]}}


def test_an_object_with_more_annotated_frames_is_trained_on(settings, parsed):
    """It, and all objects together; nobody else has anything to do with the second frame."""
    run = dataclasses.replace(settings, annotated=ANNOTATED)
    corrected = {("train_object_corrected", ("one", 2)), ("train_foreground_corrected", ("one",))}
    assert set(steps.jobs(run)) - set(steps.jobs(settings)) == corrected
    assert ("submission", ()) not in steps.jobs(run)
    training, = steps.STEPS["train_object_corrected"].commands(run, "one", 2)
    args = parsed(training)
    assert args["weights"] == "../models/one/one_obj_2_iter_7.caffemodel"
    assert args["solver"] == "../ResNetF/testnet_per_obj/one/solver_2_corrected.prototxt"
    assert args["restart_changed"]
    model, = steps.STEPS["train_object_corrected"].products(run, "one", 2)
    assert model.name == "one_obj_2_corrected_iter_4.caffemodel"  # 7 / 2, rounded
    needs = steps.STEPS["infer_object"].needs
    assert needs(run, "one", 2) == [("train_object_corrected", ("one", 2))]
    assert needs(run, "one", 5) == [("train_object", ("one", 5))]
    inferred, = steps.STEPS["infer_object"].commands(run, "one", 2)
    assert str(parsed(inferred)["weights"]) == files.from_scripts(model)
    same = {job: lines for job, lines in commands(run).items()
            if lines == commands(settings).get(job)}
    assert {job[0] for job in commands(run).keys() - same.keys() - corrected if job[1:2] == (
        "one",)} == {"prototxts", "infer_foreground", "infer_object", "refine", "label", "report",
                     *(name for name, _ in corrected)}
    assert ("infer_object", "one", 5) in same and ("train_object", "one", 2) in same
    for name in ("prototxts", "refine", "label", "report"):
        line, = steps.STEPS[name].commands(run, "one")
        assert parsed(line)["annotated"] == ["00000", "00002"], name
    second = settings.data_set.annotation("one", "00002")
    reading = {(name, *whose) for name, whose in steps.jobs(run)
               if second in steps.STEPS[name].reads(run, *whose)}
    assert ("train_object_corrected", "one", 2) in reading
    assert not reading & {("train_object", "one", 2), ("train_object", "one", 5),
                          ("infer_object", "one", 5), ("train_foreground", "one")}


def test_evaluation_is_told_which_frames_were_learned_from(settings, parsed):
    line, = steps.STEPS["evaluate"].commands(dataclasses.replace(settings, annotated=ANNOTATED))
    assert parsed(line)["annotated"] == ["00000", "00002"]
    line, = steps.STEPS["evaluate"].commands(settings)
    assert parsed(line)["annotated"] == "first"


def test_restart_and_keep_reach_the_trainings(settings, parsed):
    run = dataclasses.replace(settings, restart=True, keep=True)
    for job in [("train_object", ("one", 2)), ("train_foreground", ("two",))]:
        line, = steps.STEPS[job[0]].commands(run, *job[1])
        args = parsed(line)
        assert args["restart_changed"] and args["keep_snapshots"] and not args["restart"]


def test_rules_and_seed_reach_their_jobs_and_make_them_anew(settings, parsed):
    text = "--no-recovery --region-overlap 0.010 --lost-pixels 7 --coarse"
    run = dataclasses.replace(settings, seed=3, craf=craf_options.words(text))
    assert run.craf == ("--coarse", "--no-recovery", "--lost-pixels", "7")
    label, = steps.STEPS["label"].commands(run, "one")
    args = parsed(label)
    assert args["coarse"] and args["no_recovery"] and not args["no_filter"]
    assert (args["lost_pixels"], args["region_overlap"]) == (7, 0.01)
    assert ("infer_object", ("one", 5)) in steps.STEPS["label"].needs(run, "one")
    training, = steps.STEPS["train_object"].commands(run, "one", 2)
    assert parsed(training)["seed"] == 3
    changed = {job for job, line in commands(run).items() if line != commands(settings)[job]}
    assert {job[0] for job in changed} == {"train_foreground", "train_object", "label"}


def test_generic_weights_are_those_that_videos_begin_with(settings):
    run = dataclasses.replace(settings, generic=GENERIC, weights=run_settings.GENERIC)
    model = "../models/generic/ResNetF_iter_9.caffemodel"
    line, = steps.STEPS["train_object"].commands(run, "one", 2)
    assert line[1] == model
    product, = steps.STEPS["train_generic"].products(run)
    assert files.from_scripts(product) == model
    assert ("train_generic", ()) in steps.STEPS["train_object"].needs(run, "one", 2)
    only = dataclasses.replace(run, videos={}, whole=False, evaluated=())
    assert steps.jobs(only) == [("generic_prototxts", ()), ("train_generic", ())]


def test_a_video_with_one_object_has_one_training(settings, parsed):
    """Of both nets; those with more objects, and all with train_both, have what they had."""
    both = dataclasses.replace(settings, train_both=True)
    assert set(steps.jobs(both)) - set(steps.jobs(settings)) == {
        ("train_foreground", ("two",)), ("infer_foreground", ("two",))}
    changed = {job for job, line in commands(settings).items() if line != commands(both)[job]}
    assert changed == {("infer_object", "two", 1)}
    masks = steps.STEPS["infer_foreground"].products(both, "two")
    for run, expected in ((settings, masks), (both, [])):
        line, = steps.STEPS["infer_object"].commands(run, "two", 1)
        folder = parsed(line)["masks"]
        assert [path for path in steps.STEPS["infer_object"].products(run, "two", 1)
                if path in masks] == expected
        assert folder == (Path(files.from_scripts(masks[0].parents[1])) if expected else None)
        before = steps.STEPS["refine"].needs(run, "two")
        assert (("infer_foreground", ("two",)) in before) == (not expected)
    line, = steps.STEPS["infer_foreground"].commands(both, "two")
    assert str(parsed(line)["weights"]) == "../models/two/two_fgbg_iter_7.caffemodel"
    assert steps.STEPS["infer_foreground"].needs(both, "two") == [("train_foreground", ("two",))]


@pytest.mark.parametrize("generic", [None, GENERIC])
def test_jobs_are_in_an_order_in_which_they_can_be_run(settings, generic):
    run = dataclasses.replace(settings, generic=generic)
    jobs = steps.jobs(run)
    assert len(set(jobs)) == len(jobs)
    for number, (name, whose) in enumerate(jobs):
        needs = steps.STEPS[name].needs(run, *whose)
        assert set(needs) <= set(jobs[:number]), (name, whose)
        assert len(whose) == {"run": 0, "sequence": 1, "object": 2}[steps.STEPS[name].per]


def test_no_product_is_of_two_jobs_and_all_are_in_the_project(settings):
    run = dataclasses.replace(settings, generic=GENERIC)
    products = [path for name, whose in steps.jobs(run)
                for path in steps.STEPS[name].products(run, *whose)]
    assert len(set(products)) == len(products)
    assert all(path.is_relative_to(files.ROOT) for path in products)


def test_what_a_run_is_of_decides_its_jobs(settings):
    names = {name for name, _ in steps.jobs(dataclasses.replace(
        settings, whole=False, evaluated=()))}
    assert not names & {"evaluate", "submission", "train_generic"} and "overview" in names
    assert steps.describe("train_object", ("one", 5)) == "train object one 5"
    assert steps.job_path("train_object", ("one", 5)) == "train_object/one/5"


def test_a_run_until_a_step_has_what_comes_before_it(settings):
    def names(run, whose=None):
        return {name for name, of in steps.jobs(run) if whose is None or of == whose}

    refined = dataclasses.replace(settings, until="evaluate")
    assert names(refined) == {"prototxts", "train_foreground", "train_object", "infer_foreground",
                              "infer_object", "refine", "label", "evaluate"}
    assert {whose for _, whose in steps.jobs(refined)} == {
        (), ("one",), ("one", 2), ("one", 5)}  # not `two`, which is not evaluated
    coarse = dataclasses.replace(refined, craf=("--coarse",))
    assert names(refined) - names(coarse) == {"refine"}
    trained = dataclasses.replace(settings, until="train_object", generic=GENERIC)
    assert names(trained) == {"generic_prototxts", "train_generic", "prototxts", "train_object"}
    everything = steps.all_jobs(settings)
    assert steps.jobs(settings) == everything
    assert steps.jobs(refined) == [job for job in everything if job in steps.jobs(refined)]


def test_settings_are_read_as_they_were_written(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(run_settings, "RUNS", tmp_path / "runs")
    run = dataclasses.replace(settings, generic=GENERIC, gpus=(0, 3), base_lr=0.1)
    run.write()
    assert run_settings.Run.read(run.folder) == run
    moment = (run.folder / "run.json").stat().st_mtime_ns
    run.write()
    assert (run.folder / "run.json").stat().st_mtime_ns == moment
    run.folder.rename(tmp_path / "runs/other")
    with pytest.raises(UserError, match="is of the run .*runs/list, whose folder alone"):
        run_settings.Run.read(tmp_path / "runs/other")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"name": "x"}', "\xff"])
def test_damaged_settings_are_refused(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="does not hold the settings of a run"):
        run_settings.Run.read(tmp_path)


def test_evaluated_are_those_with_truth_of_every_frame(settings, tmp_path):
    data = settings.data_set
    assert run_settings.evaluated(data, ["one", "two"]) == ("one", "two")
    (data.annotations / "two/00001.png").unlink()
    assert run_settings.evaluated(data, ["one", "two"]) == ("one",)
    (data.images / "one/00002.jpg").unlink()  # two frames left: none between first and last
    assert run_settings.evaluated(data, ["one", "two"]) == ()
