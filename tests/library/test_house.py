"""The rules of the house: imports go one way, in no circle, and nobody edits sys.path."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from segspn import files

LIBRARY = {"segspn": files.PYTHON_SCRIPTS / "segspn", "ResNetF": files.ROOT / "ResNetF",
           "spn": files.ROOT / "spn"}
OURS = (*LIBRARY, "tools", "tests")


def is_script(path):
    """Whether a user runs a file by its path."""
    return (path.name == "write_prototxts.py"
            or path.parent in (files.PYTHON_SCRIPTS, files.ROOT / "tools"))


def module_name(path):
    root = files.PYTHON_SCRIPTS if path.is_relative_to(files.PYTHON_SCRIPTS) else files.ROOT
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def sources():
    """{module: path} of all Python files of the project."""
    folders = [files.PYTHON_SCRIPTS, *(files.ROOT / name for name in OURS[1:])]
    return {module_name(path): path for folder in folders for path in folder.rglob("*.py")}


SOURCES = sources()


def imports(path):
    """The modules of ours that a file imports, in functions as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(name if (name := f"{node.module}.{alias.name}") in SOURCES
                         else node.module for alias in node.names)
    return {name for name in found if name.split(".")[0] in OURS}


LIBRARY_IMPORTS = {name: imports(path) for name, path in SOURCES.items()
                   if name.split(".")[0] in LIBRARY and not is_script(path)}


def room(name):
    """segspn.data.davis: segspn.data; ResNetF.nets: ResNetF; segspn.files: as it is."""
    parts = name.split(".")
    return parts[0] if parts[0] != "segspn" else ".".join(parts[:2])


def circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_no_import_goes_in_a_circle():
    assert circle(LIBRARY_IMPORTS) is None
    rooms = {}
    for name, wanted in LIBRARY_IMPORTS.items():
        rooms.setdefault(room(name), set()).update(
            room(other) for other in wanted if room(other) != room(name) != "segspn")
    assert {"segspn.method", "segspn.data", "spn"} < set(rooms)
    assert circle(rooms) is None


def test_the_library_imports_no_script():
    for name, wanted in LIBRARY_IMPORTS.items():
        scripts = {other for other in wanted if other.split(".")[0] in ("tools", "tests")
                   or other in SOURCES and is_script(SOURCES[other])}
        assert not scripts, name


@pytest.mark.parametrize("path", [path for path in SOURCES.values() if is_script(path)],
                         ids=lambda path: path.name)
def test_no_script_imports_another(path):
    assert not {name for name in imports(path) if name.split(".")[0] not in LIBRARY
                or name in SOURCES and is_script(SOURCES[name])}


def test_nobody_edits_where_python_looks():
    """But what stands for a new Python, this file, and make setup, which writes a .pth file.

    That has what is installed come before PYTHONPATH, also for Snakemake, for processes of
    multiprocessing, and for scripts that import NumPy before segspn.
    """
    assert {name for name, path in SOURCES.items() if "sys.path" in path.read_text()} == {
        "tests.library.test_house", "tests.support.scripts", "tools.setup.environment"}
