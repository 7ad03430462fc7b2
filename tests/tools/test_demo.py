"""The demo and the quality table: their command lines, their times and their tables."""

import sys

import pytest

from segspn import files
from segspn.errors import UserError
from segspn.method import craf_options
from segspn.runs import command_lines, settings
from tools import quality
from tools.setup import demo

COMMANDS = {
    **{f"demo, {what}": command for what, command in demo.commands()},
    "quality, videos": quality.scenes(quality.parse_arguments([])),
    **{f"quality, {stage}": quality.pipeline(quality.parse_arguments([]), stage, rules)
       for stage, _, rules in quality.STAGES}}


# ------------------------------------------------------------- the command lines

@pytest.mark.parametrize("name", COMMANDS)
def test_command_lines_are_those_of_their_scripts(parsed, name):
    assert all(isinstance(word, str) for word in COMMANDS[name])
    assert parsed(COMMANDS[name])


def test_a_wrong_command_line_is_noticed(parsed):
    for command in (["solve.py", "x.caffemodel"], ["refine_spn.py", "x", "toy"],
                    ["../ResNetF/write_prototxts.py", "--data", "x", "--nosuch"]):
        with pytest.raises(UserError):
            parsed(command)


def test_steps_agree_on_iterations_size_and_data(parsed):
    for name, command in COMMANDS.items():
        args, tool = parsed(command), demo if name.startswith("demo") else quality
        assert args.get("iterations", tool.ITERATIONS) == tool.ITERATIONS, name
        assert args.get("size", tool.SIZE) == tool.SIZE, name
        if "data" in args:
            data = demo.DEMO if tool is demo else quality.DATA
            assert str(args["data"]) == files.from_scripts(data), name
    assert parsed(COMMANDS["demo, labels of the coarse maps"])["coarse"]


@pytest.fixture
def ran(monkeypatch):
    """The steps that are run, each said to take 10 seconds."""
    taken = []

    def step(what, command, again):
        taken.append((what, command, again))
        return 10
    monkeypatch.setattr(command_lines, "run", step)
    return taken


def test_demo_runs_every_step_and_says_what_to_look_at(ran, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    monkeypatch.setattr(demo.demo_data, "make", lambda: None)
    demo.main()
    assert ran == [(what, command, "make demo") for what, command in demo.commands()]
    told = capsys.readouterr().out
    assert "30 seconds" in told
    for name in ("results/runs/demo/report/bunny/report.html", "results/demo/overlay.mp4",
                 "results/demo/contact_sheet.png"):
        assert str(files.ROOT / name) in told


# ---------------------------------------------------------------- the quality table

def test_stages_differ_in_their_name_and_their_rules(parsed):
    told = {stage: parsed(COMMANDS[f"quality, {stage}"]) for stage, *_ in quality.STAGES}
    for stage, _, rules in quality.STAGES:
        args = told[stage]
        assert args.pop("name") == f"quality-{stage}"
        assert args.pop("craf") == craf_options.words(rules) == tuple(rules.split())
    first, *others = told.values()
    assert all(args == first for args in others)
    assert first["split"] == parsed(COMMANDS["quality, videos"])["split"]


def test_a_data_set_of_the_user(parsed):
    args = quality.parse_arguments(["--data", "/x", "--split", "val", "--videos", "dog", "bear"])
    run = parsed(quality.pipeline(args, "refined", "--no-filter"))
    assert (str(run["data"]), run["split"], run["videos"]) == ("/x", "val", ["dog", "bear"])
    assert run["iterations"] is run["size"] is run["backbone"] is None  # those of tools/run.py
    args = quality.parse_arguments(["--data", "/x", "--split", "val", "--iterations", "7", "--size",
                                    "64x96", "--backbone", "resnet101"])
    run = parsed(quality.pipeline(args, "refined", "--no-filter"))
    assert (run["iterations"], run["size"], run["backbone"]) == (7, (64, 96), "resnet101")
    for options in (["--data", "/x"], ["--split", "val"]):
        with pytest.raises(UserError, match="go together"):
            quality.parse_arguments(options)


@pytest.fixture
def evaluated(monkeypatch, tmp_path):
    """Writes the evaluation of a stage's run: J in per cent, F ten more."""
    monkeypatch.setattr(settings, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(quality, "OUTPUT", tmp_path / "results")

    def write(stage, j, split="train"):
        files.write_text(
            tmp_path / f"runs/quality-{stage}/evaluation/global_results-{split}.csv",
            f"J&F-Mean,J-Mean,F-Mean\n{(j + 5) / 100:.3f},{j / 100:.3f},{(j + 10) / 100:.3f}\n")
    return write


def test_the_table_is_made_of_the_evaluations(evaluated, ran, monkeypatch, data_set, tmp_path):
    for number, (stage, *_) in enumerate(quality.STAGES):
        evaluated(stage, 50 + number)
    monkeypatch.setattr(sys, "argv", ["quality.py", "--data", str(data_set), "--split", "train"])
    quality.main()
    assert [what for what, *_ in ran] == [what for _, what, _ in quality.STAGES]
    lines = (tmp_path / "results/table.md").read_text().splitlines()
    assert lines[0].split() == ["|", "stage", "|", "J", "|", "F", "|", "J&F", "|"]
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:7]] == [
        [what, f"{50 + n}.0", f"{60 + n}.0", f"{55 + n}.0"]
        for n, (_, what, _) in enumerate(quality.STAGES)]
    foot, = lines[8:]
    assert "dilated" in foot and "same generator" not in foot


def test_figures_that_are_none_are_refused(evaluated):
    with pytest.raises(UserError, match="evaluation .*global_results-train.csv does not exist"):
        quality.figures("coarse", "train")
    evaluated("coarse", float("nan"))
    with pytest.raises(UserError, match="figures in .*global_results-train.csv are not numbers"):
        quality.figures("coarse", "train")


def test_videos_without_truth_are_refused_at_once(ran, data_set, monkeypatch, capsys):
    (data_set / "Annotations/480p/toy/00002.png").unlink()
    monkeypatch.setattr(sys, "argv", ["quality.py", "--data", str(data_set), "--split", "train"])
    with pytest.raises(SystemExit):
        quality.main()
    assert "no video of train in" in capsys.readouterr().err and not ran
