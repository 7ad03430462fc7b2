"""What scripts share of their command lines: types of arguments, and words that are new."""

import ast
import shlex
from pathlib import Path

import pytest

from segspn import cli, files
from segspn.errors import UserError
from tests.support.command_lines import module_of

NETS = [files.ROOT / folder / "write_prototxts.py" for folder in ("ResNetF", "spn")]
SCRIPTS = {script.stem: script for folder in ("python_scripts", "tools")
           for script in sorted((files.ROOT / folder).glob("[!_]*.py"))}


def examples(script):
    """The command lines in the docstring of a script, each a list of words."""
    text = ast.get_docstring(ast.parse(script.read_text())).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("python ")]


@pytest.mark.parametrize("script", [*SCRIPTS.values(), *NETS], ids=lambda path: path.stem)
def test_examples_are_parsed_by_their_scripts(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert examples(script)
    for name, *words in examples(script):
        for word in words:  # report.py wants its folders
            if not word.startswith("-"):
                (tmp_path / word).mkdir(parents=True, exist_ok=True)
        assert script.match(name)
        assert vars(module_of(script).parse_arguments(words)) is not None


@pytest.mark.parametrize("kind, text, value", [
    (cli.size, "480x854", (480, 854)), (cli.whole(), "3", 3), (cli.seed, "0", 0),
    (cli.path, "~nobody.of.this.name/x", Path("~nobody.of.this.name/x")),
    (cli.rate, "1e-4", 1e-4), (cli.real(0.1, 4), "4", 4.0), (cli.video, "a-b.c", "a-b.c")])
def test_values(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize("kind, text, words", [
    (cli.size, "480", "HEIGHTxWIDTH"), (cli.size, "0x5", "HEIGHTxWIDTH"),
    (cli.size, "480x854px", "HEIGHTxWIDTH"), (cli.whole(), "0", "from 1 to 2147483647, not '0'"),
    (cli.whole(), "2147483648", "from 1"), (cli.whole(), "1.5", "a whole number"),
    (cli.rate, "0", "between 0 and 1"), (cli.rate, "nan", "between 0 and 1"),
    (cli.real(0.1, 4), "nan", "a number from 0.1 to 4"), (cli.seed, "-1", "from 0"),
    (cli.video, "../x", "plain folder name"), (cli.folder, "nosuch", "nosuch is not a folder")])
def test_what_is_refused_names_the_argument(kind, text, words):
    parser = cli.parser("")
    parser.add_argument("--thing", type=kind)
    with pytest.raises(UserError, match=f"^--thing.*{words}.*; see --help$"):
        parser.parse_args([f"--thing={text}"])


@pytest.mark.parametrize("script, words, told", [
    ("segment_instances", ["--class", "lions"], "--class is now --video"),
    ("segment_instances", ["--iter=3"], "--iter is now --iterations"),
    ("import_video", ["clip.mp4", "--name", "x"], "--name is now --video"),
    ("report", ["--sequences", "x"], "--sequences is now --videos"),
    ("evaluate", ["--davis", "x"], "--davis is now --data"),
    ("davis", ["get", "--root", "x"], "--root is now --data"),
    ("davis", ["check", "--splits", "val"], "--splits is now --split"),
    ("synthetic", ["--data", "x", "--list", "train"], "--list is now --split"),
    ("synthetic", ["--data", "x", "--sequences", "3"], "--sequences is now --count"),
    ("synthetic", ["x"], "required: --data")])
def test_old_words_name_the_new_ones(script, words, told):
    with pytest.raises(UserError, match=f"{told}; see --help$"):
        module_of(SCRIPTS[script]).parse_arguments(words)


@pytest.mark.parametrize("word, told", [("test-challenge", "--split"), ("data/DAVIS", "--data")])
def test_a_data_set_without_its_option(word, told):
    with pytest.raises(UserError, match=f"give {word} with {told}; see --help$"):
        module_of(NETS[0]).parse_arguments([word])
