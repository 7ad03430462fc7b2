"""The demo and the quality table: their command lines, their times and their tables."""

import sys

import numpy as np
import pytest

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.evaluation import davis2017
from segspn.runs import command_lines
from tests.support.command_lines import module_of
from tools import quality
from tools.setup import demo

COMMANDS = {
    **{f"demo, {what}": command for what, command in demo.commands()},
    "quality, pipeline": quality.pipeline(["quality-0000"]),
    **{f"quality, {what}": command for what, command in quality.labelling("quality-0000")}}


# ------------------------------------------------------------- the command lines

@pytest.mark.parametrize("name", COMMANDS)
def test_command_lines_are_those_of_their_scripts(parsed, name):
    assert all(isinstance(word, str) for word in COMMANDS[name])
    assert bool(parsed(COMMANDS[name])) == (len(COMMANDS[name]) > 1)


def test_a_wrong_command_line_is_noticed(parsed):
    for command in (["solve.py", "x.caffemodel"], ["refine_spn.py", "x", "toy"],
                    ["../ResNetF/write_prototxts.py", "x", "--nosuch"]):
        with pytest.raises((UserError, SystemExit)):
            parsed(command)


def test_steps_agree_on_iterations_size_and_data(parsed):
    for name, command in COMMANDS.items():
        args, tool = parsed(command), demo if name.startswith("demo") else quality
        assert args.get("iterations", tool.ITERATIONS) == tool.ITERATIONS, name
        assert args.get("iter", tool.ITERATIONS) == tool.ITERATIONS, name
        if "pipeline" in name:
            assert args["size"] == "x".join(map(str, tool.SIZE)), name
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

@pytest.fixture
def evaluated(monkeypatch):
    """Made-up evaluations: J of stage n is 0.5 + n / 100, F 0.1 above; the sequences asked for."""
    asked = []

    def evaluate(results, root, sequences):
        stage = [folder for folder, *_ in quality.STAGES].index(results.name)
        assert results.parent == quality.OUTPUT and root == quality.DATA
        asked.append(list(sequences))
        j = np.full((2, 3), 0.5 + stage / 100)
        return [davis2017.Evaluation(name, ("00001", "00002", "00003"), j, j + 0.1)
                for name in sequences]
    monkeypatch.setattr(davis2017, "evaluate", evaluate)
    return asked


def test_table_of_stages(evaluated):
    lines = quality.table(["quality-0000"]).splitlines()
    assert lines[:4] == ["| stage                 |    J |    F |   J&F |",
                         "|:----------------------|-----:|-----:|------:|",
                         "| coarse score maps     | 50.0 | 60.0 |  55.0 |",
                         "| + foreground mask     | 51.0 | 61.0 |  56.0 |"]
    assert lines[6] == "| + recovery            | 54.0 | 64.0 |  59.0 |" and lines[7] == ""
    foot, = lines[8:]
    assert "same generator" in foot and "dilated" in foot
    assert evaluated == [["quality-0000"]] * len(quality.STAGES)


def test_figures_that_are_no_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(davis2017, "evaluate", lambda results, root, sequences: [
        davis2017.Evaluation("x", ("00001",), np.full((1, 1), np.nan), np.ones((1, 1)))])
    with pytest.raises(UserError, match="the figures of coarse score maps are not numbers"):
        quality.table(["x"])


@pytest.mark.parametrize("count", [1, 2])
def test_only_the_videos_asked_for_count(evaluated, monkeypatch, tmp_path, count):
    """Two were made before."""
    monkeypatch.setattr(quality, "DATA", tmp_path / "data")
    monkeypatch.setattr(quality, "OUTPUT", tmp_path / "results")
    names, ran = ["quality-0000", "quality-0001"], []
    for name in names:
        (tmp_path / "data/JPEGImages/480p" / name).mkdir(parents=True)
        davis.write_labels(tmp_path / f"data/Annotations/480p/{name}/00000.png",
                           np.array([[0, 1, 2]], np.uint8))
    monkeypatch.setattr(command_lines, "run",
                        lambda what, command, again: ran.append((what, command)))
    monkeypatch.setattr(sys, "argv", ["quality.py", "--sequences", str(count)])
    quality.main()
    assert evaluated == [names[:count]] * len(quality.STAGES)
    what, command = ran[1]
    assert what == "pipeline" and command == quality.pipeline(names[:count])
    assert {what.split(":")[0] for what, _ in ran[2:]} == set(names[:count])
    assert ran[0][1][-2:] == ["--sequences", str(count)]
    assert "+ recovery" in (tmp_path / "results/table.md").read_text()


def test_names_are_those_that_the_generator_gives(parsed, monkeypatch):
    made = ["../tools/synthetic.py", "../data/quality", *quality.SCENES, "--sequences", "2"]
    monkeypatch.setattr(sys, "argv", made)
    _, recipe, _ = module_of(files.ROOT / "tools/synthetic.py").parse_arguments()
    assert recipe.sequence(1) == "quality-0001" and recipe.size == quality.SIZE
