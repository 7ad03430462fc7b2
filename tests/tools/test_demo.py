"""The demo: its command lines and its times."""

import sys

import pytest

from segspn import files
from segspn.errors import UserError
from segspn.runs import command_lines
from tools.setup import demo

COMMANDS = dict(demo.commands())


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


def test_steps_agree_on_iterations_and_data(parsed):
    for name, command in COMMANDS.items():
        args = parsed(command)
        assert args.get("iterations", demo.ITERATIONS) == demo.ITERATIONS, name
        if "data" in args:
            assert str(args["data"]) == files.from_scripts(demo.DEMO), name
    assert parsed(COMMANDS["labels of the coarse maps"])["coarse"]


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
