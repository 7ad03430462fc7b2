"""What is around a process: its terminal, its Python, its limits.

Importing segspn prepares it, before NumPy and Caffe are loaded.
"""

import io
import json
import math
import os
import platform
import re
import resource
import sys
from importlib.util import find_spec
from pathlib import Path

from segspn.errors import UserError, count

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
MIB = 2**20
# Addresses that Python takes with Caffe, NumPy and SciPy, each of which has an OpenBLAS: libraries
# and buffers; a stack, a buffer and an arena of each thread.  A small net was seen to need
# 650 MiB with one thread, and 350 more with another.
START_MIB, THREAD_MIB = 400, 400


def prepare():
    """Has this process end with one line on what is wrong around it.  Raises UserError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")  # not all terminals are of UTF-8
    sys.excepthook = tell
    # Caffe would log every layer of every net; errors still show.  It looks when it is loaded.
    os.environ.setdefault("GLOG_minloglevel", "2")
    check_checkout()
    check_threads(threads(), "set OPENBLAS_NUM_THREADS=1")


def processor():
    """What the processor is called."""
    model = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return model[1] if model else platform.machine()


def has_onednn():
    """Whether make setup has built Caffe with oneDNN; False where it is not known."""
    try:
        return bool(json.loads((VENV / "setup.json").read_text())["onednn"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def tell(kind, error, traceback):
    """The excepthook: one line for what fails in imports, and where there is no memory."""
    if issubclass(kind, UserError):
        print(f"error: {error}", file=sys.stderr)
    elif issubclass(kind, MemoryError):
        what = f" ({error})" if str(error) else ""
        print(f"error: memory ran out{what}; look at ulimit -v, run fewer programs at a "
              "time, or take a smaller --size", file=sys.stderr)
    elif issubclass(kind, ImportError):
        reason = (str(error).strip().splitlines() or ["an import failed"])[0]
        print(f"error: {reason}; {_whose(error)}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def _whose(error):
    """Whose the module is that could not be imported, and what to do."""
    if Path(sys.prefix).resolve() != VENV.resolve():
        return f"{sys.executable} is not the Python of make setup: . {VENV}/bin/activate"
    found = find_spec(error.name.partition(".")[0]) if error.name else None
    for path in filter(None, os.environ.get("PYTHONPATH", "").split(":")):
        if found and found.origin and Path(found.origin).is_relative_to(os.path.abspath(path)):
            return f"{found.origin} is not what make setup installed: take {path} out of PYTHONPATH"
    for name in ("LD_PRELOAD", "LD_LIBRARY_PATH"):
        foreign = [path for path in os.environ.get(name, "").split(":")  # cv2 adds one of its own
                   if path and not path.startswith(sys.prefix)]
        if foreign and not isinstance(error, ModuleNotFoundError):
            return (f"{name} has other libraries than it was made with, in {', '.join(foreign)}: "
                    f"unset {name}")
    return "make clean setup makes .venv anew"


# ------------------------------------------------------------------ whose it is

def checkout(path):
    """The checkout of this project that a file is in, or None; what is installed is in none."""
    path = Path(path).resolve()
    return next((folder for folder in path.parents if not path.is_relative_to(sys.prefix)
                 and (folder / "python_scripts/segspn/__init__.py").is_file()), None)


def check_checkout():
    """Raises UserError where the script, segspn, ResNetF and spn are not of one checkout."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    wanted = checkout(script) if script else None
    specs = [find_spec(name) for name in ("segspn", "ResNetF", "spn")]
    for path in [spec.origin for spec in specs if spec]:
        found = checkout(path)
        if found != (wanted := wanted or found):
            in_shell = str(found) in os.environ.get("PYTHONPATH", "")
            raise UserError(f"{path} is not of {wanted}, as the script is: " + (
                f"take {found} out of PYTHONPATH" if in_shell
                else f". {wanted}/.venv/bin/activate"))


# --------------------------------------------------------------------- its limits

def threads():
    """Threads that OpenBLAS will have."""
    cores = len(os.sched_getaffinity(0))
    given = [os.environ.get(f"{name}_NUM_THREADS", "") for name in ("OPENBLAS", "GOTO", "OMP")]
    return min([cores, *[int(text) for text in given if text.isdigit() and int(text)][:1]])


def check_threads(number, fewer):
    """Raises UserError where Caffe cannot have so many threads.  fewer: how to have one."""
    check_addresses(START_MIB + THREAD_MIB * number, f"Caffe with {count(number, 'thread')}",
                    fewer if number > 1 else "")


def check_addresses(needed, what, instead=""):
    """Raises UserError where a limit allows less MiB of addresses than `what` needs.

    OpenBLAS tries for ever to have them, Caffe aborts.  instead: what helps beside a higher limit.
    """
    for kind, option in ((resource.RLIMIT_AS, "-v"), (resource.RLIMIT_DATA, "-d")):
        allowed, _ = resource.getrlimit(kind)
        if allowed != resource.RLIM_INFINITY and allowed < needed * MIB:
            raise UserError(
                f"ulimit {option} allows {allowed // MIB} MB of memory, {what} needs "
                f"{math.ceil(needed)}: ulimit {option} unlimited, or ask the cluster for more"
                + (f"; or {instead}" if instead else ""))
