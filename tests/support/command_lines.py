"""Command lines, parsed by the scripts that they call."""

import importlib.util
from pathlib import Path

from segspn import files


def module_of(path):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse(command):
    """The arguments of a command line, a dict, by its script's own parser.

    The folders that it names, "../…", are made, as seen from the working folder.
    """
    script, *arguments = command
    path = (files.PYTHON_SCRIPTS / script).resolve()
    assert path.is_file(), script
    for value in arguments:
        if value.startswith("../"):
            Path(value).mkdir(parents=True, exist_ok=True)
    return vars(module_of(path).parse_arguments(arguments))
