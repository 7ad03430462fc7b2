"""The demo and the quality table: their command lines, their times and their tables."""

import importlib.util
import json
import sys
import time

import numpy as np
import pytest

from ResNetF import write_prototxts
from segspn import cli, davis, evaluation, files
from segspn.errors import UserError

sys.path.insert(0, str(files.ROOT / "tools"))
import demo  # noqa: E402
import quality  # noqa: E402

import steps  # noqa: E402  (a script, not a package)

OBJECTS = [1, 2]
COMMANDS = {
    **{f"demo, {what}": command for what, command in demo.pipeline(OBJECTS)},
    "demo, report": demo.report(),
    **{f"quality, {what}": command for what, command in (
        *steps.refined_maps(quality.DATA, "quality-0000", OBJECTS, quality.SIZE,
                            quality.ITERATIONS),
        *quality.labelling("quality-0000"))}}


class ParsedError(Exception):
    """Ends a script after its arguments are parsed."""


# ------------------------------------------------------------- the command lines

def module_of(path):
    """A script as a module; the one behind nets.py."""
    if path == files.ROOT / "ResNetF/nets.py":
        return write_prototxts
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def parsed(monkeypatch, tmp_path):
    """Parses a command line by its script's own parser, in a project that has all folders."""
    (tmp_path / "python_scripts").mkdir()
    monkeypatch.chdir(tmp_path / "python_scripts")

    def parse(command):
        script, *arguments = command
        path = (files.PYTHON_SCRIPTS / script).resolve()
        assert path.is_file(), script
        for value in arguments:
            if value.startswith("../"):
                (tmp_path / "python_scripts" / value).mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        module = module_of(path)
        if hasattr(module, "parse_arguments"):
            return vars(module.parse_arguments())
        return parsed_in_main(module)

    def parsed_in_main(module):
        original = cli.Parser.parse_args

        def parse_args(parser):
            raise ParsedError(original(parser))
        with monkeypatch.context() as patch, pytest.raises(ParsedError) as end:
            patch.setattr(cli.Parser, "parse_args", parse_args)
            module.main()
        return vars(end.value.args[0])
    return parse


@pytest.mark.parametrize("name", COMMANDS)
def test_command_lines_are_those_of_their_scripts(parsed, name):
    assert all(isinstance(word, str) for word in COMMANDS[name])
    assert parsed(COMMANDS[name])


def test_a_wrong_command_line_is_noticed(parsed):
    for command in (["solve.py", "x.caffemodel"], ["refine_spn.py", "x", "toy"],
                    ["../ResNetF/nets.py", "x", "--nosuch"]):
        with pytest.raises((UserError, SystemExit)):
            parsed(command)


def test_steps_agree_on_iterations_size_and_data(parsed):
    settings = {name: parsed(command) for name, command in COMMANDS.items()}
    size = "x".join(map(str, demo.SIZE))
    assert settings["demo, prototxts"]["iterations"] == demo.ITERATIONS
    for name, args in settings.items():
        iterations = demo.ITERATIONS if name.startswith("demo") else quality.ITERATIONS
        assert args.get("iteration", iterations) == iterations, name
        assert args.get("iter", iterations) == iterations, name
        assert args.get("size") or size == size, name
        if "infer" in name:
            assert args["size"] == size, name
        data = demo.DEMO if name.startswith("demo") else quality.DATA
        if "data" in args:
            assert str(args["data"]) == files.from_scripts(data), name
    assert [settings[f"demo, train object {k}"]["solver"][-10:] for k in OBJECTS] == [
        "1.prototxt", "2.prototxt"]
    assert settings["demo, labels of the coarse maps"]["coarse"]


# ------------------------------------------------------------------ the demo's times

def test_summary_is_a_markdown_table():
    lines = demo.summary([("data", 0.25), ("train object 1", 61.0)]).splitlines()
    assert lines[0].startswith("# Demo, 427x240, 200 iterations a net, ")
    assert lines[2:7] == ["| step | seconds |", "|---|---|", "| data | 0.2 |",
                          "| train object 1 | 61.0 |", "| total | 61.2 |"]


class Project:
    """A project in which every step is said to take `seconds`, or 0.1 where all is done."""

    def __init__(self, root, monkeypatch):
        for name, folder in (("ROOT", ""), ("MODELS", "models"), ("RESULTS", "results")):
            monkeypatch.setattr(files, name, root / folder)
        monkeypatch.setattr(demo, "OUTPUT", root / "results/demo")
        monkeypatch.setattr(demo, "DEMO", root / "data/demo")
        monkeypatch.setattr(steps, "run", self.step)
        monkeypatch.setattr(sys, "argv", ["demo.py"])
        davis.write_labels(root / "data/demo/Annotations/480p/bunny/00000.png",
                           np.array([[0, 1, 2]], np.uint8))
        (root / "data/demo/JPEGImages/480p").mkdir(parents=True)
        self.output, self.always = demo.OUTPUT, {"prototxts", "overlay", "report"}
        self.killed_at, self.seconds, self.done = None, 10, []

    def step(self, what, command, again):
        if what == self.killed_at:
            raise KeyboardInterrupt
        if what in self.done and what not in self.always:
            return 0.1
        self.done.append(what)
        time.sleep(0.02)  # the times of files are some milliseconds apart
        path = demo.product(what)
        if what == "report":
            self.page = (self.output / "summary.md").read_text()
        path = path if path.suffix else path / f"{len(self.done)}.png"
        path.unlink(missing_ok=True)
        files.write_text(path, str(len(self.done)))
        return self.seconds

    def run(self, killed_at=None, seconds=10):
        self.killed_at, self.seconds = killed_at, seconds
        if killed_at:
            with pytest.raises(SystemExit) as end:
                demo.main()
            assert end.value.code == 130
        else:
            demo.main()
        return json.loads((self.output / "times.json").read_text())

    def table(self):
        rows = [line.strip("| ").split(" | ") for line
                in (self.output / "summary.md").read_text().splitlines() if line.startswith("| ")]
        return {what: float(seconds) for what, seconds in rows[1:]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    return Project(tmp_path, monkeypatch)


NAMES = ["data", *(what for what, _ in demo.pipeline(OBJECTS)), "report"]


def test_times_of_a_demo_that_was_killed_after_the_trainings(project, capsys):
    first = project.run(killed_at="refine", seconds=10)
    assert list(first) == NAMES[:NAMES.index("refine")] and set(first.values()) == {10}
    assert not (project.output / "summary.md").exists()
    second = project.run(seconds=20)
    late = dict.fromkeys(NAMES[NAMES.index("refine"):], 20)
    assert second == {**first, "prototxts": 20, **late}
    assert project.table() == {**second, "total": sum(second.values())}
    assert list(project.table()) == [*NAMES, "total"]
    assert "| report |" not in project.page and "| overlay | 20.0 |" in project.page
    assert (project.output / "summary.md").read_text() in capsys.readouterr().out


def test_times_of_a_demo_that_was_done(project):
    project.run(seconds=10)
    third = project.run(seconds=30)
    assert third == {what: 30 if what in project.always else 10 for what in NAMES}
    project.done.remove("train object 2")  # trained anew
    project.done.remove("infer object 2")
    times = project.run(seconds=40)
    assert {what for what, seconds in times.items() if seconds == 40} == {
        "train object 2", "infer object 2", *project.always}


@pytest.mark.parametrize("text", [None, "{", "[]", '{"data": "x"}', '{"data": null}'])
def test_steps_without_a_known_time_are_left_out(project, text):
    project.run(seconds=10)
    path = project.output / "times.json"
    path.unlink()
    if text:
        path.write_text(text)
    assert set(project.run(seconds=30)) == project.always
    assert list(project.table()) == ["prototxts", "overlay", "report", "total"]


def test_every_step_has_its_product():
    products = [demo.product(what) for what in NAMES]
    assert len(set(products)) == len(products) - 1  # the maps of both objects are in one folder
    assert all(path.is_relative_to(files.ROOT) for path in products)
    assert demo.product("train object 2").name == "bunny_obj_2_iter_200.caffemodel"


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
        return [evaluation.Evaluation(name, ("00001", "00002", "00003"), j, j + 0.1)
                for name in sequences]
    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    return asked


def test_table_of_stages(evaluated):
    lines = quality.table(["quality-0000"]).splitlines()
    assert lines[:4] == ["| stage | J | F | J&F |", "|---|---:|---:|---:|",
                         "| coarse score maps | 50.0 | 60.0 | 55.0 |",
                         "| + foreground mask | 51.0 | 61.0 | 56.0 |"]
    assert lines[6] == "| + recovery | 54.0 | 64.0 | 59.0 |" and lines[7] == ""
    foot, = lines[8:]
    assert "same generator" in foot and "dilated" in foot
    assert evaluated == [["quality-0000"]] * len(quality.STAGES)


def test_figures_that_are_no_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(evaluation, "evaluate", lambda results, root, sequences: [
        evaluation.Evaluation("x", ("00001",), np.full((1, 1), np.nan), np.ones((1, 1)))])
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
    monkeypatch.setattr(steps, "run", lambda what, command, again: ran.append((what, command)))
    monkeypatch.setattr(sys, "argv", ["quality.py", "--sequences", str(count)])
    quality.main()
    assert evaluated == [names[:count]] * len(quality.STAGES)
    assert {what.split(":")[0] for what, _ in ran[1:]} == set(names[:count])
    assert ran[0][1][-2:] == ["--sequences", str(count)]
    assert "+ recovery" in (tmp_path / "results/table.md").read_text()


def test_names_are_those_that_the_generator_gives(parsed, monkeypatch):
    made = ["../tools/synthetic.py", "../data/quality", *quality.SCENES, "--sequences", "2"]
    monkeypatch.setattr(sys, "argv", made)
    _, recipe, _ = module_of(files.ROOT / "tools/synthetic.py").parse_arguments()
    assert recipe.sequence(1) == "quality-0001" and recipe.size == quality.SIZE
