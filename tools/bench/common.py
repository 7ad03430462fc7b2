"""What the benchmarks share: seconds, a process of one's own, tables, and the machine."""

import ctypes
import multiprocessing
import platform
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import caffe
import cv2
import numpy as np
import psutil
from tabulate import tabulate

from segspn import surroundings
from segspn.caffenet import device
from segspn.errors import UserError


def timed(function, repeat, warm=True):
    """Seconds of each of `repeat` calls; warm: after one that does not count."""
    if warm:
        function()
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return seconds


def median_seconds(function, repeat):
    return statistics.median(timed(function, repeat))


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def apart(function, *arguments):
    """(what a function returns in a new process, peak resident MB of that process).

    Raises UserError where the function does, or where the process ends before it.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(with_peak, function, *arguments).result()
        except BrokenProcessPool as error:
            raise UserError("its process was ended, perhaps for want of memory") from error


def with_peak(function, *arguments):
    """(what a function returns, peak resident MB of this process)."""
    result = function(*arguments)
    # In kibibytes.  A process starts at the mark of the one that started it, but that
    # one has the same modules loaded and no net, so this is the function's own.
    return result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def table(heads, rows, names=1):
    """Rows of text in Markdown; the first `names` columns are names, the others numbers."""
    return tabulate(rows, heads, "pipe", disable_numparse=True,
                    colalign=["left"] * names + ["right"] * (len(heads) - names))


def cores():
    """The number of cores that this process may use."""
    return len(psutil.Process().cpu_affinity())


def blas_threads():
    """Threads of the OpenBLAS that Caffe is linked to, or None where it is another BLAS."""
    for path in sorted(m.path for m in psutil.Process().memory_maps() if "blas" in m.path):
        count = getattr(ctypes.CDLL(path), "openblas_get_num_threads", None)
        if count:  # NumPy's own OpenBLAS has other names
            return count()
    return None


def machine():
    """What the numbers depend on."""
    return {"cpu": surroundings.processor(), "cores": cores(),
            "memory_gb": psutil.virtual_memory().total / 1e9, "blas_threads": blas_threads(),
            "caffe": f"{caffe.__version__} ({device.build_info()['mode']} build)",
            "python": platform.python_version(), "numpy": np.__version__,
            "opencv": cv2.__version__, "load_before": psutil.getloadavg()[0]}


def machine_text(about):
    """The last lines of a benchmark."""
    return (f"{about['cpu']}, {about['cores']} cores, {about['memory_gb']:.0f} GB, "
            f"{about['blas_threads'] or 'unknown'} BLAS threads; Caffe {about['caffe']}, Python "
            f"{about['python']}, NumPy {about['numpy']}, OpenCV {about['opencv']}. Load average "
            f"before the run: {about['load_before']:.2f} (above 0.5, something else computed and "
            "the seconds are too many).")
