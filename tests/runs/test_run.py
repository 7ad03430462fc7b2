"""tools/run.py: what it makes, what it makes again, and what it refuses."""

import csv
import json
import os
import re
import resource
import shutil
import sys

import numpy as np
import pytest

from segspn import files
from segspn.caffenet import weights
from segspn.data import davis
from segspn.errors import UserError
from segspn.evaluation import davis2017
from segspn.runs import choices, plan, settings, steps, workflow
from segspn.training import corrections
from tests.support.command_lines import module_of
from tests.support.frames import alter
from tests.support.workflows import ITERATIONS, VIDEOS, Project, labels_of

FRAME = "data/small/JPEGImages/480p/toy/00002.jpg"
LAST = {"evaluate", "overview", "submission"}  # jobs of the whole run


def jobs_of(sequence, *wanted):
    """Names of jobs, as steps.job_path() gives them; without steps: all of a sequence."""
    names = {f"{name}/{sequence}" for name, step in steps.STEPS.items()
             if step.per == "sequence"} | {
        f"{name}/{sequence}/{k}" for name, step in steps.STEPS.items()
        if step.per == "object" for k in VIDEOS[sequence]}
    names -= {"train_foreground/disk", "infer_foreground/disk"}  # which has one object
    names = {name for name in names if corrections.SUFFIX not in name}
    return {name for name in names if not wanted or name.split("/")[0] in wanted}


ALL = LAST | jobs_of("disk") | jobs_of("toy")


def times(project, folder):
    """{name: time of change} of the files of a folder."""
    return {path.name: path.stat().st_mtime_ns
            for path in (project.root / folder).iterdir() if not files.is_hidden(path)}


def changed(before, after):
    return {name for name in after if after[name] != before.get(name)}


# ------------------------------------------------------------- what it makes again

def test_a_run_leaves_labels_and_all_that_is_made_of_them(finished):
    finished.check()
    assert finished.done() == ALL == set(finished.states())
    assert {state["state"] for state in finished.states().values()} == {"done"}
    for sequence, objects in VIDEOS.items():
        labels = labels_of(finished, sequence)
        first = davis.read_annotation(finished.data / f"Annotations/480p/{sequence}/00000.png")
        np.testing.assert_array_equal(labels[0], first)
        assert davis.objects_of(labels[1:]) == objects
    for name in ("evaluation", "overview.html", "labels", "submission.zip"):
        assert str(finished.folder / name) in finished.output
        assert (finished.folder / name).exists()
    told = re.findall(r"^(.+): \d+ s, \d+ MB$", finished.output, re.MULTILINE)
    assert len(told) == len(ALL) and "train object toy 2" in told
    overall, = davis2017.evaluate(finished.folder / "labels", finished.data, ["toy"], processes=1)
    with (finished.folder / "evaluation/per-sequence_results-val.csv").open() as file:
        rows = {row["Sequence"]: row for row in csv.DictReader(file)}
    assert rows["toy_2"]["J-Mean"] == f"{overall.statistics()[1][0].mean:.3f}"
    assert not finished.states_of_solvers()
    assert (finished.folder / ".snakemake/home").is_dir()  # HOME cannot be written


@pytest.mark.parametrize("options", [(), ("--jobs", 1, "--threads", os.cpu_count())])
def test_a_run_that_is_done_does_nothing(finished, options):
    before = finished.states()
    output = finished.succeed(*options)
    assert finished.states() == before and finished.products() == finished.reference
    assert not re.search(r": \d+ s, ", output)
    assert f"0 of {len(ALL)} jobs to do" in output


def test_a_run_takes_over_what_another_has_done_and_ends_where_it_is_told(finished):
    val, before, output = finished.folder, finished.states(), finished.output
    labelled = {"label/disk", "label/toy", "evaluate"}
    finished.folder = val.with_name("other")
    try:
        finished.succeed("--name", "other", "--craf", "--no-filter", "--until", "evaluate")
        assert finished.begun_since(before) == labelled
        expected = ALL - {"overview", "submission"} - {
            job for job in ALL if job.startswith(("overlay/", "report/"))}
        assert finished.done() == expected == set(finished.states())
        assert all(state == before[job] for job, state in finished.states().items()
                   if job not in labelled)
        states = finished.states()
        told = finished.succeed("--name", "other", "--craf", "--no-filter", "--until", "evaluate")
        assert finished.states() == states and f"0 of {len(expected)} jobs to do" in told
        assert "next: the same command without --until" in told
        assert sorted(path.name for path in finished.folder.iterdir() if path.is_dir()
                      and not files.is_hidden(path)) == [
            "done", "evaluation", "labels", "locks", "logs", "records", "state"]
        # What has changed since is nobody's.
        alter(finished.root / f"results/SPN_{ITERATIONS}/toy/00002_1.png")
        finished.succeed("--name", "other", "--craf", "--no-filter", "--until", "evaluate")
        assert finished.begun_since(states) == {"refine/toy"}
    finally:
        shutil.rmtree(finished.folder)
        finished.folder = val
    finished.succeed()
    assert finished.states() == before and finished.products() == finished.reference, output


def test_what_is_deleted_or_damaged_is_made_again(finished):
    """A model, a score map, a label, a record: they alone, where they become the same."""
    before = finished.states()
    scores = times(finished, f"results/ResNetF_perobj_{ITERATIONS}/toy")
    (finished.root / f"models/disk/disk_obj_1_iter_{ITERATIONS}.caffemodel").unlink()
    (finished.root / f"results/ResNetF_perobj_{ITERATIONS}/toy/00002_1.png").unlink()
    (finished.folder / "labels/toy/00003.png").write_bytes(b"\x89PNG")
    (finished.folder / "records/infer_foreground/toy.jsonl").write_text('{"a": ')
    (finished.root / "results/ResNetF_fgbg/disk/00003.png").unlink()
    finished.succeed()
    assert finished.begun_since(before) == {
        "train_object/disk/1", "infer_object/disk/1", "infer_object/toy/1",
        "infer_foreground/toy", "label/toy"}
    again = times(finished, f"results/ResNetF_perobj_{ITERATIONS}/toy")
    assert changed(scores, again) == {"00002_1.png", "00002_1.jpg"}
    assert finished.products() == finished.reference


def test_a_failing_job_names_its_log_and_stops_no_other(finished):
    """A folder stands in the place of a mask; meanwhile another video has work."""
    mask = finished.root / "results/ResNetF_fgbg/toy/00002.png"
    masks, before = times(finished, "results/ResNetF_fgbg/toy"), finished.states()
    mask.unlink()
    mask.mkdir()
    (finished.folder / "labels/disk/00004.png").unlink()
    status, output, errors = finished.run()
    assert status == 1 and "Traceback" not in errors + output
    failed, last = errors.splitlines()
    assert failed.startswith("infer foreground toy: failed: ") and "Is a directory" in failed
    assert failed.endswith(f"(log: {finished.folder / 'logs/infer_foreground/toy.log'})")
    assert last.startswith("error: 1 job failed, ") and "the same command goes on" in last
    assert finished.begun_since(before) == {"infer_foreground/toy", "label/disk"}

    before = finished.states()
    mask.rmdir()
    finished.succeed()
    assert finished.begun_since(before) == {"infer_foreground/toy"}
    assert finished.products() == finished.reference
    assert changed(masks, times(finished, "results/ResNetF_fgbg/toy")) == {"00002.png"}


def test_what_cannot_be_read_is_found_before_the_first_job(finished):
    """Also with DRY=1: a frame, and an annotation of a later frame."""
    before = finished.states()
    for path in (finished.root / FRAME, finished.data / "Annotations/480p/toy/00003.png"):
        content = path.read_bytes()
        for options in ((), ("--dry-run",)):
            path.write_bytes(b"garbage")
            status, output, errors = finished.run(*options)
            assert (status, output, errors.count("\n")) == (1, "", 1)
            assert str(path.relative_to(finished.data)) in errors and "is corrupt" in errors
            path.write_bytes(content)
    assert finished.states() == before


def test_the_same_data_set_at_another_place_and_another_one(finished, tmp_path):
    """The paths in the prototxts are written anew, and nothing is made again but them."""
    before, own = finished.states(), finished.data
    finished.data = shutil.copytree(own, tmp_path / "moved")
    for path in finished.data.rglob("*.*"):
        os.utime(path, (1, 1))
    finished.succeed()
    assert finished.begun_since(before) == {
        *jobs_of("toy", "prototxts", "train_foreground", "train_object"),
        *jobs_of("disk", "prototxts", "train_foreground", "train_object")}
    before = finished.states()
    label = finished.folder / "labels/toy/00004.png"
    label.unlink()
    finished.data = tmp_path / "by link"
    finished.data.symlink_to(tmp_path / "moved")
    shutil.rmtree(own / "JPEGImages/480p/toy")  # where the record of the refined maps has it
    finished.succeed("--videos", "toy", "--name", "val")
    shutil.copytree(tmp_path / "moved/JPEGImages/480p/toy", own / "JPEGImages/480p/toy")
    assert "label/toy" in finished.begun_since(before)

    finished.data = shutil.copytree(own, tmp_path / "other")
    alter(finished.data / "JPEGImages/480p/toy/00002.jpg")
    before = finished.states()
    for options in ((), ("--dry-run",)):
        status, output, errors = finished.run(*options)
        assert (status, output, errors.count("\n")) == (1, "", 1)
        for word in (finished.root / "models/toy", f"in {tmp_path / 'by link'}", finished.data,
                     "rename the video"):
            assert str(word) in errors
    assert finished.states() == before
    finished.data = own
    finished.succeed()
    assert finished.products() == finished.reference


def test_another_annotation_of_a_later_frame_is_evaluated(finished):
    """Figures depend on it, and nothing else."""
    path = finished.data / "Annotations/480p/toy/00003.png"
    table = finished.folder / "evaluation/per-frame_results-val.csv"
    content, before, figures = path.read_bytes(), finished.states(), table.read_text()
    davis.write_labels(path, np.roll(davis.read_annotation(path), 9, axis=1))
    finished.succeed()
    assert finished.begun_since(before) == {"report/toy", "evaluate", "overview"}
    assert table.read_text() != figures
    path.write_bytes(content)
    finished.succeed()
    assert table.read_text() == figures and finished.products() == finished.reference


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A project for runs of few iterations, in which all that is large is a link elsewhere."""
    project = Project(tmp_path_factory.mktemp("short") / "project")
    for name in ("data/small", "data", "models/disk", "models", "results/runs", "results"):
        folder, elsewhere = project.root / name, project.root.with_name(name.replace("/", "-"))
        folder.mkdir(parents=True, exist_ok=True)
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)
    return project


def test_generic_weights_and_then_more_iterations(short):
    generic = ("--lists", "ImageSets/2017/val.txt", "--generic-iterations", 3)
    output = short.succeed("--generic-only", *generic)
    short.folder = short.folder.with_name("generic")
    assert short.done() == {"generic_prototxts", "train_generic"}, output
    model = short.root / "models/generic/ResNetF_iter_3.caffemodel"
    made = model.stat().st_mtime_ns

    options = ("--videos", "disk", "--weights", "generic", *generic)
    output = short.succeed(*options, iterations=3)
    assert "trained on videos that are evaluated (disk)" in output
    short.folder = short.folder.with_name("val-part")  # not the figures of all of val
    assert short.done() == {*jobs_of("disk"), "generic_prototxts", "train_generic", "evaluate",
                            "overview"}  # a part of the list is not submitted
    assert model.stat().st_mtime_ns == made  # it was there already
    record = json.loads((short.root / "models/disk/disk_obj_1_run.json").read_text())
    assert record["weights"] == "../models/generic/ResNetF_iter_3.caffemodel"

    before = short.states()
    status, _, errors = short.run(*options, iterations=4)
    assert status == 1 and "1 job failed" in errors
    assert all("train anew with --restart" in line for line in errors.splitlines()[:-1])
    short.succeed(*options, "--restart", iterations=4)
    assert short.begun_since(before) >= jobs_of("disk", *(
        "prototxts", "train_object", "infer_object", "refine", "label", "report"))
    assert (short.root / "models/disk/disk_obj_1_iter_4.caffemodel").is_file()
    assert (short.root / "results/ResNetF_perobj_4/disk/00001_1.png").is_file()
    short.check()
    states = short.states()
    short.succeed(*options, iterations=4)  # --restart is of that time alone
    assert short.states() == states

    # What two trainings of a video with one object leave is equal, bit for bit.
    products = short.products()
    assert "trained once" not in short.succeed(*options, "--train-both", iterations=4)
    refined = {"refine/disk", "report/disk", "overview"}  # of masks from another job
    assert short.begun_since(states) == {
        "train_foreground/disk", "infer_foreground/disk", "infer_object/disk/1", *refined}
    assert products.items() < short.products().items()
    fgbg, only = (weights.read_caffemodel(
        short.root / f"models/disk/disk_{what}_iter_4.caffemodel") for what in ("fgbg", "obj_1"))
    assert fgbg.keys() == only.keys()
    assert all(a.tobytes() == b.tobytes() for layer in only
               for a, b in zip(fgbg[layer], only[layer], strict=True))
    states = short.states()
    short.succeed(*options, iterations=4)
    assert short.begun_since(states) == {"infer_object/disk/1", *refined}
    assert products.items() < short.products().items()


# ------------------------------------------------------------- what it refuses

@pytest.fixture
def tool(monkeypatch, tmp_path, capsys, data_set):
    """tools/run.py in this process, which must not start anything; its runs are below tmp_path."""
    monkeypatch.setattr(settings, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(workflow.subprocess, "Popen", None)
    module = module_of(files.ROOT / "tools/run.py")

    def run(*arguments, data=data_set):
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, (*arguments, "--data", data))])
        with pytest.raises(SystemExit) as end:
            module.main()
        lines = capsys.readouterr().err.splitlines()
        assert end.value.code == 1 and len(lines) == 1 and lines[0].startswith("error: "), lines
        return lines[0]
    run.module, run.runs = module, tmp_path / "runs"
    return run


TOY = ("--videos", "toy")


@pytest.mark.parametrize("arguments, words", [
    ((), ["which videos?", "toy"]),
    (("--split", "nosuch"), ["list", "nosuch.txt does not exist"]),
    (("--split", "../train"), ["plain folder name"]),
    (("--split", "train", "--videos", "other"), ["other: not in the list train", "has toy"]),
    (("--videos", "nosuch"), ["nosuch", "has no frames", "there are: toy"]),
    (("--videos", "a/../toy"), ["video name 'a/../toy' must be a plain folder name"]),
    ((*TOY, "--name", "../x"), ["run name '../x' must be a plain folder name"]),
    ((*TOY, "--name=-x"), ["run name '-x'", "not beginning with"]),
    ((*TOY, "--weights", "nosuch.caffemodel"), ["weights nosuch.caffemodel do not exist"]),
    ((*TOY, "--weights", __file__), ["is truncated or not a .caffemodel"]),
    ((*TOY, "--backbone", "resnet101", "--weights", files.MODELS / "resnet50_thin.caffemodel"),
     ["are those of resnet50_thin, not of resnet101"]),
    ((*TOY, "--backbone", "resnet7"), ["invalid choice: 'resnet7'", "see --help"]),
    ((*TOY, "--backbone", "resnet101", "--weights", "generic", "--lists",
      "ImageSets/2017/train.txt"), ["resnet101.caffemodel do not exist"]),
    ((*TOY, "--refinement", "nosuch.caffemodel"), ["nosuch.caffemodel does not exist"]),
    ((*TOY, "--refinement", files.MODELS / "resnet50_thin.caffemodel"), ["no refinement net"]),
    ((*TOY, "--size", "8x8"), ["not defined at this size"]),
    ((*TOY, "--size", "10000x96"), ["--size 10000x96: at most 9999"]),
    ((*TOY, "--iterations", 0), ["--iterations must be a whole number from 1"]),
    ((*TOY, "--snapshot", -1), ["--snapshot must be a whole number from 1"]),
    ((*TOY, "--generic-iterations", 0), ["--generic-iterations must be"]),
    ((*TOY, "--base-lr", 0), ["--base-lr must be between 0 and 1"]),
    ((*TOY, "--jobs", 0), ["--jobs must be a whole number from 1"]),
    ((*TOY, "--jobs", 5000), ["5000 jobs of 1 threads are more than the", "cores"]),
    ((*TOY, "--threads", 5000), ["1 jobs of 5000 threads are more than the", "cores"]),
    ((*TOY, "--gpus", -1), ["--gpus must be a whole number from 0"]),
    ((*TOY, "--gpus", 1, 1), ["--gpus must be different numbers"]),
    ((*TOY, "--until", "labels"), ["--until: invalid choice: 'labels'"]),
    ((*TOY, "--until", "submission"), ["this run has no such step; it has: prototxts, train_"]),
    ((*TOY, "--seed", -1), ["--seed must be a whole number from 0"]),
    ((*TOY, "--craf", "--region-overlap 2"), ["--craf: region-overlap must be", "not 2"]),
    ((*TOY, "--craf", "--no-filtre"), ["--craf: unrecognized arguments: --no-filtre; see --help"]),
    ((*TOY, "--craf", "'"), ["--craf: No closing quotation"]),
    ((*TOY, "--cluster-options", "slurm_partition=gpu"), ["go with --cluster"]),
    ((*TOY, "--cluster", "slurm", "--cluster-options", "slurm_partition"), ["must be NAME=VALUE"]),
    ((*TOY, "--cluster", "slurm", "--cluster-options", "slurm_partition=a;b"),
     ["must be NAME=VALUE"]),
    ((*TOY, "--weights", "generic", "--lists", "nosuch.txt"), ["nosuch.txt does not exist"]),
    ((*TOY, "--generic-only", "--weights", "generic"), ["no generic ones"]),
    (("--generic-only",), ["val.txt does not exist"]),
], ids=lambda value: None if isinstance(value, list) else " ".join(map(str, value))[-40:] or "none")
def test_bad_options_are_refused_in_one_line(tool, arguments, words):
    line = tool(*arguments)
    assert all(word in line for word in words), line
    assert not tool.runs.exists()


def test_weights_of_no_known_net_are_refused_in_one_line(tool, tmp_path):
    path = tmp_path / "other.caffemodel"
    weights.write_caffemodel(path, {"conv1": [np.zeros((2, 3, 5, 5), np.float32)]})
    assert f"weights {path} are those of another net, not of resnet50_thin" in tool(
        *TOY, "--weights", path)
    assert f"weights {path} are of no refinement net" in tool(*TOY, "--refinement", path)
    assert not tool.runs.exists()


def test_weights_of_other_shapes_are_refused_in_one_line(tool, tmp_path):
    for option, path, layer in (
            ("--weights", files.MODELS / "resnet50_thin.caffemodel", "conv_stage0_block0_branch2a"),
            ("--refinement", files.ROOT / "spn/refine_small.caffemodel", "guide8")):
        blobs = weights.read_caffemodel(path)
        blobs[layer] = [array[:1] for array in blobs[layer]]
        weights.write_caffemodel(tmp_path / path.name, blobs)
        line = tool(*TOY, option, tmp_path / path.name)
        assert str(tmp_path / path.name) in line and layer in line and "in the net" in line


def test_all_annotations_and_frames_are_looked_at(tool, data_set):
    images, annotations = data_set / "JPEGImages/480p/toy", data_set / "Annotations/480p/toy"
    for path, name, fault in (
            (annotations / "00002.png", "00002.png", "(127x96)"),
            (images / "00003.jpg", "00003.jpg", "(127x96)"),
            (annotations / "00003.png", "00008.png", "of no frame: 00008.png")):
        content = path.read_bytes()
        plane = np.ones((96, 127), np.uint8)
        (davis.write_labels if path.suffix == ".png" else files.write_image)(
            path.with_name(name), plane)
        assert f"{data_set}: " in (line := tool(*TOY)) and fault in line
        assert fault in tool(*TOY, "--dry-run")
        path.with_name(name).unlink()
        path.write_bytes(content)
    davis.write_labels(annotations / "00001.png", np.ones((96, 127), np.uint8))
    line = tool("--generic-only", "--lists", "ImageSets/2017/train.txt")
    assert f"annotation {annotations / '00001.png'} is not of the size of its frame" in line


def test_the_folder_of_a_run_of_another_data_set_is_kept(tool, data_set, tmp_path):
    other = settings.Run(
        name="toy", data=str(tmp_path / "other"), split=None, videos={"cat": [1]}, whole=False,
        evaluated=(), backbone="resnet50_thin", weights="w", refinement="r", iterations=4,
        snapshot=2, size="64x96")
    other.write()
    line = tool(*TOY)
    assert f"{other.folder} is of a run of {other.data}" in line and "another --name" in line
    assert settings.Run.read(other.folder) == other


@pytest.mark.parametrize("place", ["runs", "runs/toy", "runs/toy/labels", "data", "frames"])
def test_a_link_to_nothing_is_named(tool, data_set, tmp_path, place):
    link = {"data": tmp_path / "gone data", "frames": data_set / "JPEGImages"}.get(
        place, tmp_path / place)
    if place == "frames":
        shutil.rmtree(link)
    link.parent.mkdir(exist_ok=True, parents=True)
    link.symlink_to("/gone")
    line = tool(*TOY, data=link if place == "data" else data_set)
    assert f"{link} is a link to /gone, which is not there; make that, mount its disk" in line


def test_bad_data_is_refused_in_one_line(tool, data_set, tmp_path):
    images, annotation = data_set / "JPEGImages/480p", data_set / "Annotations/480p/toy/00000.png"
    content, listing = annotation.read_bytes(), data_set / "ImageSets/2017/train.txt"
    assert "is not a data set in DAVIS layout" in tool(*TOY, data=tmp_path / "nowhere")
    (tmp_path / "no UTF-8 \udcff").symlink_to(data_set)
    assert "cannot have such a path" in tool(*TOY, data=tmp_path / "no UTF-8 \udcff")
    for name in ("-rf", "toy;ls", "a b", ".hidden", "../toy"):
        listing.write_text(f"toy\n{name}\n")
        line = tool("--split", "train")
        assert repr(name) in line and "must be" in line
    listing.write_text("\n")
    assert "names no sequence" in tool("--split", "train")
    annotation.unlink()
    assert f"{annotation} does not exist" in tool(*TOY)
    annotation.write_bytes(content[:-30])
    assert f"{annotation} is corrupt" in tool(*TOY)
    davis.write_labels(annotation, np.ones((5, 7), np.uint8))
    assert f"{annotation} is 7x5" in tool(*TOY)
    davis.write_labels(annotation, np.zeros((96, 128), np.uint8))
    assert f"{annotation} is empty" in tool(*TOY)
    annotation.write_bytes(content)
    shutil.copytree(images / "toy", images / "yot")
    assert "give the run a --name" in tool("--videos", "toy", "yot")
    (images / "toy/00000.jpg").unlink()
    assert "frame 0 of toy is missing" in tool(*TOY)
    (images / "toy/00000.jpg").write_bytes(b"")
    assert "is corrupt or not an image" in tool(*TOY)
    assert not tool.runs.exists()


@pytest.mark.parametrize("what", ["folder", "settings", "lock"])
def test_a_place_where_nothing_can_be_written_is_refused(tool, what):
    """A file stands where a folder has to be, a folder or a link where a file has to be."""
    folder = tool.runs / "toy"
    if what == "folder":
        files.write_text(tool.runs, "")
    elif what == "settings":
        (folder / "run.json").mkdir(parents=True)
    else:
        folder.mkdir(parents=True)
        (folder / ".lock").symlink_to(tool.runs)
    line = tool(*TOY)
    assert str(tool.runs) in line and "Traceback" not in line


def test_damaged_settings_are_written_anew(tool, monkeypatch):
    """Snakemake is not started: that is where the run ends here."""
    def start(task, *options):
        raise UserError("not run")
    monkeypatch.setattr(workflow.Workflow, "_snakemake", start)
    folder = tool.runs / "toy"
    for damage in (None, b"", b"\xff\xfe\0", b"{"):
        if damage is not None:
            (folder / "run.json").write_bytes(damage)
        assert tool(*TOY) == "error: not run"
        run = settings.Run.read(folder)
        assert run.videos == {"toy": [1, 2]} and run.name == "toy"


# ------------------------------------------------------------- how many at a time

@pytest.fixture
def shared(tool, monkeypatch):
    """What run.py shares out on a machine of 8 cores and 10 GB, with jobs of 2 GB.

    trainings: of the run.
    """
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(choices, "machine_memory", lambda: 10_000)
    monkeypatch.setattr(plan, "memory_mb", lambda run, step: 2_000)

    def share(*arguments, trainings=20):
        monkeypatch.setattr(steps, "jobs", lambda run: [
            ("prototxts", ("a",)), *(("train_object", ("a", k)) for k in range(trainings))])
        return choices.shares(tool.module.parse_arguments([*map(str, arguments)]), None)
    return share


@pytest.mark.parametrize("arguments, expected", [
    ((), (4, 2)),  # of 8.5 GB
    (("--jobs", 8), (8, 1)), (("--jobs", 3), (3, 2)), (("--threads", 4), (2, 4)),
    (("--threads", 8), (1, 8)), (("--jobs", 2, "--threads", 3), (2, 3)),
    (("--gpus", 7), (1, 8)), (("--gpus", 0, 1), (2, 4)), (("--gpus", 0, 1, 2, 3), (4, 2)),
    (("--cluster", "slurm"), (100, 4)),
    (("--cluster", "slurm", "--jobs", 500, "--threads", 16), (500, 16))])
def test_jobs_and_threads_share_the_cores(shared, arguments, expected):
    assert shared(*arguments) == expected


def test_a_training_that_is_alone_has_all_cores(shared):
    assert [shared(trainings=count) for count in (0, 1, 2, 3)] == [(1, 8), (1, 8), (2, 4), (3, 2)]
    assert steps.STEPS["train_generic"].is_alone and not steps.STEPS["train_object"].is_alone


def test_more_jobs_and_threads_than_cores_are_refused(shared):
    for arguments in (("--jobs", 9), ("--threads", 9), ("--jobs", 3, "--threads", 3)):
        with pytest.raises(UserError, match="are more than the 8 cores"):
            shared(*arguments)


def test_threads_of_jobs_that_a_limit_has_no_room_for_are_refused(shared, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (900 * 2**20,) * 2)
    assert shared("--threads", 1) == (4, 1)
    with pytest.raises(UserError, match="ulimit -v allows 900 MB.* 2 threads.*; or give --threads"):
        shared("--threads", 2)
