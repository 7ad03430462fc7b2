"""A run of the whole method, started from the page, and what it leaves for it."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial

from segspn import files
from segspn.annotate.drawings import NotFound
from segspn.data import annotations, davis, importing, planes
from segspn.errors import UserError
from segspn.runs import settings

SHOWN = 12  # lines of a run's output that the page shows
# What a run tells: how many jobs it has to do, and that one is done.
TO_DO, ONE_DONE = re.compile(r"(\d+) of \d+ jobs to do,"), re.compile(r".+: .+, \d+ MB")
PERCENT = re.compile(rb"(\d+)%\|")  # of a progress bar in a job's log
LOG_END = 2000  # bytes of a log in which the last one is looked for
# Why models are in the way: the first drawing of an object, or a setting, is another one.
IS_OTHER = "or has another net, solver or first frame"
IDLE, RUNNING, STOPPING, STOPPED, FAILED, DONE = (
    "idle", "running", "stopping", "stopped", "failed", "done")


def command(drawings):
    """The command line by which a video is segmented from all its annotated frames.

    It has the settings of the run that there is, so that what that has trained is gone on with.
    """
    run = run_of(drawings)
    return [sys.executable, str(files.ROOT / "tools/run.py"), "--data",
            str(drawings.data.root.resolve()), "--videos", drawings.video,
            "--annotated", annotations.ALL, *(settings_of(run) if run else [])]


def run_of(drawings):
    """The run of this video's name, where it is of this data set; else None."""
    try:
        run = settings.Run.read(settings.RUNS / drawings.video)
        is_ours = run.data_set.root.resolve() == drawings.data.root.resolve()
    except UserError:
        return None
    return run if is_ours and list(run.videos) == [drawings.video] else None


def settings_of(run):
    """The options of tools/run.py that give these settings."""
    weights = run.weights if run.generic else str((files.PYTHON_SCRIPTS / run.weights).resolve())
    given = {"backbone": run.backbone, "weights": weights, "iterations": run.iterations,
             "size": run.size, "recipe": run.recipe, "base-lr": run.base_lr, "seed": run.seed}
    return [*(word for name, value in given.items() if value is not None
              for word in (f"--{name}", str(value))),
            *([f"--craf={shlex.join(run.craf)}"] if run.craf else []),
            *(["--gpus", *map(str, run.gpus)] if run.gpus else []),
            *(["--train-both"] if run.train_both else [])]


def shown_command(drawings):
    """The same, as a user would type it."""
    return importing.make_command("segment", drawings.data.root, drawings.video)


class Segmenting:
    """The run of a video: one at a time, which can be stopped and goes on later."""

    def __init__(self, drawings, words=None):
        """words: the command line, where it is another than command()."""
        self._drawings = drawings
        self._words = (lambda: words) if words else partial(command, drawings)
        self._lock, self._process, self._thread = threading.Lock(), None, None
        self._state, self._lines, self._done, self._total = IDLE, [], 0, 0
        self._begin = self._end = 0.0

    def start(self, anew=False):
        """Begins, or goes on.  Raises UserError where it is at work already.

        anew: whether models go that are of other drawings than there are now, as it asks for
        where the first drawing of an object is another one.
        """
        with self._lock:
            if self._state in (RUNNING, STOPPING):
                raise UserError("this video is being segmented already")
            self._process = subprocess.Popen(
                [*self._words(), *(["--restart"] if anew else [])], cwd=files.ROOT,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True)
            self._state, self._lines, self._done, self._total = RUNNING, [], 0, 0
            self._begin = time.time()
            self._thread = threading.Thread(target=self._follow, daemon=True)
            self._thread.start()

    def stop(self):
        """Asks it to end; what is done stays done."""
        with self._lock:
            if self._state == RUNNING:
                self._state = STOPPING
                # A shell's background has its children ignore SIGINT, and so may this process.
                ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
                self._process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)

    def close(self):
        """Asks it to end, and waits for that."""
        self.stop()
        if self._thread:
            self._thread.join()

    def status(self):
        """What the page shows, as JSON can hold it."""
        with self._lock:
            is_on = self._state in (RUNNING, STOPPING)
            until = time.time() if is_on else self._end
            return {"state": self._state, "done": self._done, "total": self._total,
                    "atWork": self._at_work() if is_on else [], "lines": self._lines[-SHOWN:],
                    "seconds": round(until - self._begin), "result": self.has_result(),
                    "asksToTrainAnew": self._state == FAILED and any(
                        IS_OTHER in line for line in self._lines)}

    def _follow(self):
        """Reads what the run tells, to its end."""
        for line in self._process.stdout:
            line = line.decode(errors="replace").strip()
            with self._lock:
                if to_do := TO_DO.search(line):
                    self._total = int(to_do[1])
                self._done += bool(self._total and ONE_DONE.fullmatch(line))
                self._lines += [line] if line else []
        status = self._process.wait()
        with self._lock:
            self._end = time.time()
            self._state = (DONE if not status else STOPPED if self._state == STOPPING else FAILED)

    def _at_work(self):
        """The run's jobs that are at work, and how far they are: ["train object toy 1: 40 %"]."""
        folder = settings.RUNS / self._drawings.video
        found = []
        for path in sorted((folder / "state").rglob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError):  # just being written
                state = json.loads(path.read_bytes())
                if state["state"] == "running" and state["begin"] >= self._begin:
                    job = path.relative_to(folder / "state").with_suffix("")
                    percent = PERCENT.findall(_end_of(folder / "logs" / f"{job}.log"))
                    found.append(" ".join(job.parts).replace("_", " ")
                                 + (f": {int(percent[-1])} %" if percent else ""))
        return found

    # ---------------------------------------------------------------------- result

    def _labels(self):
        """The folder of the labels, where there is a run."""
        run = run_of(self._drawings)
        return run and run.folder / "labels" / self._drawings.video

    def has_result(self):
        folder = self._labels()
        return bool(folder and files.images_in(folder, ".png"))

    def result(self, stem):
        """Object ids of a frame, uint8 H x W.  Raises NotFound, UserError."""
        self._drawings.frame(stem)
        folder = self._labels()
        path = folder / f"{stem}.png" if folder else None
        if not path or not path.is_file():
            raise NotFound(f"the run has no labels of frame {stem} yet")
        return planes.of_shape(davis.read_annotation(path), self._drawings.shape_of(stem), path)


def _end_of(path):
    """The last bytes of a file; b"" where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_END))
            return file.read()
    except OSError:
        return b""
