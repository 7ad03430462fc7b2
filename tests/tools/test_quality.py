"""The quality tables: what is run for them, on which frames, and what they tell."""

import csv
import dataclasses
import json
import sys

import numpy as np
import pytest

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.method import craf_options
from segspn.runs import command_lines, figures, settings, steps
from tools import quality

COMMANDS = {stage: quality.pipeline(quality.parse_arguments([]), stage, rules)
            for stage, _, rules in quality.STAGES}
USERS = ("--data", "/x", "--split", "val")


def command(*options, stage="refined", rules="--no-filter"):
    return quality.pipeline(quality.parse_arguments([*USERS, *options]), stage, rules)


# ------------------------------------------------------------- the command lines

def test_stages_differ_in_their_name_and_their_rules(parsed):
    told = {stage: parsed(line) for stage, line in COMMANDS.items()}
    for stage, _, rules in quality.STAGES:
        args = told[stage]
        assert args.pop("name") == f"quality-{stage}"
        assert args.pop("craf") == craf_options.words(rules) == tuple(rules.split())
    first, *others = told.values()
    assert all(args == first for args in others)
    assert (first["iterations"], first["size"]) == (quality.ITERATIONS, quality.SIZE)
    assert str(first["data"]) == files.from_scripts(quality.DATA)
    assert first["split"] == parsed(quality.scenes(quality.parse_arguments([])))["split"]
    assert first["until"] == "evaluate"


def test_a_data_set_of_the_user(parsed):
    run = parsed(command("--videos", "dog", "bear"))
    assert (str(run["data"]), run["split"], run["videos"]) == ("/x", "val", ["dog", "bear"])
    assert run["iterations"] is run["size"] is run["backbone"] is None  # those of tools/run.py
    for options in (USERS[:2], USERS[2:]):
        with pytest.raises(UserError, match="go together"):
            quality.parse_arguments(options)


def test_options_of_a_run_are_handed_on(parsed):
    run = parsed(command("--", "--iterations", "7", "--size", "64x96", "--seed", "1", "--weights",
                         "generic"))
    assert (run["iterations"], run["size"], run["seed"]) == (7, (64, 96), 1)
    assert run["weights"] == "generic" and run["craf"] == ("--no-filter",)
    run = parsed(command("--", "--craf", "--lost-pixels 7", "--threads", "1"))
    assert run["craf"] == ("--no-filter", "--lost-pixels", "7") and run["threads"] == 1
    own = parsed(quality.pipeline(quality.parse_arguments(["--", "--iterations", "7"]), "x", ""))
    assert (own["iterations"], own["size"]) == (7, quality.SIZE)  # of the synthetic videos


# ------------------------------------------------------------------- the frames

@pytest.fixture
def output(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(quality, "OUTPUT", tmp_path / "results")
    return quality.OUTPUT


def test_a_choice_has_links_to_the_frames_under_names_of_its_own(output, data_set):
    root = output / "a/data"
    for every, frames in ((1, [0, 1, 2, 3]), (2, [0, 2]), (1, [0, 1, 2, 3])):
        args = quality.parse_arguments(["--data", str(data_set), "--split", "train", "--name", "a",
                                        "--every", str(every)])
        if every == 1:
            quality.prepare(args)
        else:
            with pytest.raises(UserError, match=f"no video of train in {root} .* of three"):
                quality.prepare(args)
        data = davis.Davis(root)
        assert davis.listed_sequences(root, "train") == data.sequences() == ["a-toy"]
        for paths, folder, ending in ((data.frames("a-toy"), davis.IMAGES, "jpg"),
                                      (data.annotated("a-toy").values(), davis.ANNOTATIONS, "png")):
            assert [path.name for path in paths] == [
                f"{n:05}.{ending}" for n in range(len(frames))]
            assert [path.resolve() for path in paths] == [
                data_set / folder / f"toy/{n:05}.{ending}" for n in frames]
    first = root / davis.IMAGES / "a-toy/00000.jpg"
    made = first.lstat().st_ino
    quality.prepare(args)
    assert first.lstat().st_ino == made  # another process may be at work on them
    line = quality.pipeline(args, "coarse", "--coarse")
    assert line[line.index("--data") + 1] == files.from_scripts(root)
    assert line[line.index("--name") + 1] == "quality-a-coarse"


def test_a_part_of_the_frames_has_a_name_of_its_own():
    assert quality.parse_arguments([*USERS, "--every", "3"]).name == "every-3"
    assert quality.parse_arguments([*USERS, "--every", "3", "--name", "b"]).name == "b"
    assert quality.parse_arguments(USERS).name is None


# ------------------------------------------------------------------- the tables

@pytest.fixture
def ran(monkeypatch):
    """What is run, by what it is called."""
    taken = {}
    monkeypatch.setattr(command_lines, "run",
                        lambda what, command, again: taken.update({what: command}))
    return taken


@pytest.fixture
def evaluated(output, data_set):
    """Writes the run of a stage as it is when it was evaluated: J of its objects by frame."""
    def write(stage, values, video="toy", name="quality-"):
        run = settings.Run(
            name=name + stage, data=str(data_set), split="train", videos={video: [1, 2]},
            whole=True, evaluated=(video,), backbone="resnet50_thin", weights="w", refinement="r",
            iterations=4, snapshot=2, size="64x96", until="evaluate")
        run.write()
        rows = ["Sequence,Object,Frame,J,F", *(
            f"{video},{k},{n:05},{j},{j + 0.1}" for k, several in enumerate(values, 1)
            for n, j in enumerate(several, 1))]
        files.write_text(run.folder / "evaluation/per-frame_results-train.csv",
                         "\n".join(rows) + "\n")
        for number, job in enumerate(steps.all_jobs(run)):
            files.write_text(settings.state_path(run, steps.job_path(*job)), json.dumps(
                {"state": "done", "begin": 1.0, "commands": [], "threads": 1,
                 "seconds": 2.0 ** number, "peak_mb": 1.0}))
        return run
    return write


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


@pytest.mark.parametrize("options", [(), ("--name", "a")])
def test_the_tables_are_made_of_the_evaluations(evaluated, ran, output, monkeypatch, data_set,
                                                options):
    for number, (stage, *_) in enumerate(quality.STAGES):
        evaluated(stage, [[0.5 + number / 100, 0.3], [0.05, 0.75]], *(
            ("a-toy", "quality-a-") if options else ()))
    monkeypatch.setattr(sys, "argv", ["quality.py", "--data", str(data_set), "--split", "train",
                                      *options])
    quality.main()
    assert list(ran) == [what for _, what, _ in quality.STAGES]
    folder = output / "a" if options else output
    lines = (folder / "table.md").read_text().splitlines()
    assert cells(lines[0]) == ["stage", "J", "F", "J&F", "J < 0.1", "s a video"]
    # Both objects have the same weight; one of four values is below 0.1.
    means = [40 + n / 4 for n in range(5)]
    assert [cells(line)[0] for line in lines[2:7]] == [what for _, what, _ in quality.STAGES]
    for line, mean in zip(lines[2:7], means):
        found = list(map(float, cells(line)[1:5]))
        assert found == pytest.approx([mean, mean + 10, mean + 5, 25], abs=0.051)
    assert cells(lines[8])[0] == "+ CRAF's recovery"
    assert cells(lines[10])[0] == "toy" and cells(lines[11])[0] == "all"
    assert cells(lines[10])[1:] == cells(lines[11])[1:] == cells(lines[6])[1:]
    foot = lines[13]
    assert "dilated" in foot and "1 thread each" in foot and "same generator" not in foot
    with (folder / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["video"], row["lost"]) for row in rows] == [
        (stage, "toy", "25.00") for stage, *_ in quality.STAGES]


def test_seconds_are_those_of_the_jobs_before_the_labels(evaluated):
    run = evaluated("coarse", [[0.5], [0.5]])
    names = [name for name, _ in steps.all_jobs(run)]
    took = {name: sum(2.0 ** n for n, other in enumerate(names) if other == name)
            for name in names}
    before = ("prototxts", "train_foreground", "train_object", "infer_foreground", "infer_object")
    coarse = dataclasses.replace(run, craf=("--coarse",))
    assert figures.seconds(coarse, "toy") == sum(took[name] for name in (*before, "label"))
    assert figures.seconds(run, "toy") == sum(took[name] for name in (*before, "refine", "label"))


def test_a_plan_leaves_no_table(ran, data_set, output, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["quality.py", "--data", str(data_set), "--split", "train",
                                      "--", "--dry-run"])
    quality.main()
    assert len(ran) == len(quality.STAGES) and not output.exists()


def test_figures_that_are_none_are_refused(evaluated):
    run = evaluated("coarse", [[0.5, 0.5]])
    values, = figures.values(run)["toy"]
    np.testing.assert_allclose(values, [[0.5, 0.5], [0.6, 0.6]])
    table, = (run.folder / "evaluation").iterdir()
    for text, message in (("Sequence,Object,Frame,J,F\ntoy,1,00001,nan,1\n", "are not numbers"),
                          ("Sequence,Object,Frame,J,F\n", "are not numbers"),
                          ("Sequence,J\ntoy,1\n", "is no table of J and F"),
                          (None, "evaluation .*per-frame_results-train.csv does not exist")):
        files.write_text(table, text) if text else table.unlink()
        with pytest.raises(UserError, match=message):
            figures.values(run)


def test_videos_without_truth_are_refused_at_once(ran, data_set, monkeypatch, capsys):
    (data_set / "Annotations/480p/toy/00002.png").unlink()
    monkeypatch.setattr(sys, "argv", ["quality.py", "--data", str(data_set), "--split", "train"])
    with pytest.raises(SystemExit):
        quality.main()
    assert "no video of train in" in capsys.readouterr().err and not ran
