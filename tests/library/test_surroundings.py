"""What is around a process: one line on what is wrong, and nothing of PYTHONPATH before ours."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import caffe
import psutil
import pytest

from ResNetF import nets
from segspn import files, surroundings
from segspn.caffenet import prototxt
from segspn.errors import UserError
from tests.support.frames import fails_in_one_line

LIB = Path(json.__file__).parents[1]
LIMITS = {resource.RLIMIT_AS: "-v", resource.RLIMIT_DATA: "-d"}


def python(*words, limit=None, **changes):
    """A new Python's result.  limit: (kind, bytes); changes: of the environment."""
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, timeout=100,
        encoding=changes.get("PYTHONIOENCODING"), env={**os.environ, **changes}, cwd="/",
        preexec_fn=limit and (lambda: resource.setrlimit(limit[0], (limit[1], limit[1]))))


@pytest.fixture
def limited(monkeypatch):
    """limited(kind, MiB) has such a limit in force."""
    def limit(kind, allowed):
        monkeypatch.setattr(resource, "getrlimit", lambda asked: (
            allowed * surroundings.MIB if asked == kind else resource.RLIM_INFINITY,) * 2)
    return limit


# -------------------------------------------------------------------- its terminal

@pytest.mark.parametrize("encoding, shown", [
    ("ascii", r"480\xd7854 \u2026"), ("latin-1", "480×854 \\u2026"), ("utf-8", "480×854 …")])
def test_output_never_fails_for_letters_that_a_terminal_lacks(encoding, shown):
    code = "import segspn, sys; print('480×854 …'); print('480×854 …', file=sys.stderr)"
    result = python("-c", code, PYTHONIOENCODING=encoding)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{shown}\n", f"{shown}\n")


def test_help_on_a_terminal_of_ascii():
    result = python(files.ROOT / "tools/run.py", "--help", PYTHONIOENCODING="ascii")
    assert result.returncode == 0 and "slurm_partition=\\u2026" in result.stdout, result.stderr


# ---------------------------------------------------------------------- its Python

def test_what_is_installed_comes_before_pythonpath(tmp_path):
    """Of which what only it has is found: Python layers of the user's own."""
    installed = ["caffe", "cv2", "numpy", "PIL", "google", "snakemake"]
    for name in [*installed, "own"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            "" if name == "own" else f"raise ImportError('another {name}')")
    (tmp_path / "own/layers.py").write_text("print('own layers')")
    code = f"import {', '.join(installed)}, google.protobuf, segspn, own.layers"
    for shell in (f"{tmp_path}:", f"/nowhere:{tmp_path}"):
        result = python("-c", code, PYTHONPATH=shell)
        assert (result.returncode, result.stdout) == (0, "own layers\n"), result.stderr


def test_a_script_of_another_checkout(tmp_path):
    other = tmp_path / "other"
    files.write_text(other / "python_scripts/segspn/__init__.py", "")
    files.write_text(other / "tools/run.py", "import segspn\n")
    assert fails_in_one_line(python(other / "tools/run.py"), files.PYTHON_SCRIPTS / "segspn",
                             f"is not of {other}", f". {other}/.venv/bin/activate")
    files.write_text(other / "spn/__init__.py", "")
    assert fails_in_one_line(python(files.ROOT / "tools/overlay.py", PYTHONPATH=str(other)),
                             other / "spn", f"take {other} out of PYTHONPATH")


@pytest.mark.parametrize("error, environment, told", [
    (ImportError("_caffe.so: undefined symbol: x", name="_caffe"), {"LD_LIBRARY_PATH": "/a:/b"},
     "x; LD_LIBRARY_PATH has other libraries than it was made with, in /a, /b: unset"),
    (ImportError("wrong ELF class\nsecond line"), {"LD_PRELOAD": "/c.so"}, "class; LD_PRELOAD has"),
    (ModuleNotFoundError("No module named 'tqdm'", name="tqdm.x"), {"LD_LIBRARY_PATH": "/a"},
     "'tqdm'; make clean setup makes .venv anew"),
    (ImportError("no x in json", name="json.x"), {"PYTHONPATH": f"/a:{LIB}"},
     f"{json.__file__} is not what make setup installed: take {LIB} out of PYTHONPATH"),
    (ImportError("no x in json", name="json.x"), {}, "in json; make clean setup"),
    (MemoryError("cannot allocate"), {}, "error: memory ran out (cannot allocate); look at ulimit"),
    (MemoryError(), {}, "error: memory ran out; look at ulimit"),
    (UserError("as it is"), {}, "error: as it is\n")])
def test_what_cannot_be_had_is_told_in_one_line(monkeypatch, capsys, error, environment, told):
    monkeypatch.setattr(surroundings, "VENV", Path(sys.prefix))
    for name, usual in (("LD_PRELOAD", ""), ("LD_LIBRARY_PATH", f"{sys.prefix}/lib"),
                        ("PYTHONPATH", "")):
        monkeypatch.setenv(name, environment.get(name, usual))
    surroundings.tell(type(error), error, None)
    text = capsys.readouterr().err
    assert told in text and text.count("\n") == 1


def test_a_python_without_what_make_setup_installs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "prefix", "/usr")
    surroundings.tell(ImportError, ImportError("No module named 'cv2'", name="cv2"), None)
    assert "is not the Python of make setup: . " in capsys.readouterr().err


# ---------------------------------------------------------------------- its limits

@pytest.mark.parametrize("kind", LIMITS)
def test_a_limit_under_which_openblas_would_try_for_ever(kind):
    result = python(files.ROOT / "tools/run.py", "--help", limit=(kind, 400 * surroundings.MIB),
                    OPENBLAS_NUM_THREADS="1")
    assert fails_in_one_line(result, f"ulimit {LIMITS[kind]} allows 400 MB", "1 thread needs 800")


def test_at_the_limit_that_is_asked_for_caffe_computes():
    needed = (surroundings.START_MIB + surroundings.THREAD_MIB) * surroundings.MIB
    result = python("-m", "tools.setup.check", limit=(resource.RLIMIT_AS, needed),
                    OPENBLAS_NUM_THREADS="1", PYTHONPATH=str(files.ROOT))
    assert result.returncode == 0 and "a small net runs" in result.stdout, result.stderr


@pytest.mark.parametrize("environment, expected", [
    ({}, 8), ({"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "4"}, 2),
    ({"OMP_NUM_THREADS": "4"}, 4), ({"OPENBLAS_NUM_THREADS": "0"}, 8),
    ({"OPENBLAS_NUM_THREADS": "64"}, 8)])
def test_threads_that_openblas_will_have(monkeypatch, environment, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, environment.get(name, ""))
    assert surroundings.threads() == expected


def test_a_net_that_a_limit_has_no_room_for_is_not_run(limited):
    net = nets.deploy(nets.RESNET50_THIN, True, size=(480, 854))
    little = psutil.Process().memory_info().vms // surroundings.MIB + 100
    limited(resource.RLIMIT_AS, little)
    with pytest.raises(UserError, match=f"ulimit -v allows {little} MB of memory, this net needs "
                                        "[0-9]+: .*smaller --size"):
        prototxt.build(caffe.Net, net, caffe.TEST)
    limited(resource.RLIMIT_AS, 9000)
    assert prototxt.build(caffe.Net, net, caffe.TEST).blobs


def test_the_build_is_asked_whether_it_has_onednn(monkeypatch, tmp_path):
    assert surroundings.has_onednn() is bool(
        json.loads((surroundings.VENV / "setup.json").read_text())["onednn"])
    monkeypatch.setattr(surroundings, "VENV", tmp_path)
    for text, expected in ((None, False), ("{", False), ('{"onednn": 0}', False),
                           ('{"onednn": 1}', True)):
        if text:
            (tmp_path / "setup.json").write_text(text)
        assert surroundings.has_onednn() is expected
