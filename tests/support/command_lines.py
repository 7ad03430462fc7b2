"""Command lines, parsed by the scripts that they call."""

import importlib.util
import sys

import pytest

from segspn import cli, files


class ParsedError(Exception):
    """Ends a script after its arguments are parsed."""


def module_of(path):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse(command, monkeypatch, root):
    """The arguments of a command line, a dict, by its script's own parser.

    root: where the project is said to be; it gets all folders that the command line names.
    """
    script, *arguments = command
    path = (files.PYTHON_SCRIPTS / script).resolve()
    assert path.is_file(), script
    for value in arguments:
        if value.startswith("../"):
            (root / "python_scripts" / value).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    module = module_of(path)
    if hasattr(module, "parse_arguments"):
        return vars(module.parse_arguments())
    original = cli.Parser.parse_args

    def parse_args(parser):
        raise ParsedError(original(parser))
    with monkeypatch.context() as patch, pytest.raises(ParsedError) as end:
        patch.setattr(cli.Parser, "parse_args", parse_args)
        module.main()
    return vars(end.value.args[0])
