"""A run of the whole method, started from the page, and what it leaves for it."""

import re
import shlex
import signal
import subprocess
import sys
import threading
import time

from segspn import files
from segspn.annotate.drawings import NotFound
from segspn.data import annotations, davis, importing, planes
from segspn.errors import UserError
from segspn.runs import settings

SHOWN = 12  # lines of a run's output that the page shows
# A progress bar of the run: its jobs, and which are at work.
BAR = re.compile(r"(\d+)/(\d+) \[[^,\]]*(?:,[^,\]]*)?(?:, ([^\]]*))?\]")
IDLE, RUNNING, STOPPING, STOPPED, FAILED, DONE = (
    "idle", "running", "stopping", "stopped", "failed", "done")


def command(drawings):
    """The command line by which a video is segmented from all its annotated frames."""
    return [sys.executable, str(files.ROOT / "tools/run.py"), "--data",
            str(drawings.data.root.resolve()), "--videos", drawings.video,
            "--annotated", annotations.ALL]


def shown_command(drawings):
    """The same, as a user would type it."""
    root = drawings.data.root.resolve()
    where = root.relative_to(files.ROOT) if root.is_relative_to(files.ROOT) else root
    data = [] if root == importing.VIDEOS.resolve() else [f"DATA={where}"]
    return shlex.join(["make", "segment", f"VIDEO={drawings.video}", *data])


class Segmenting:
    """The run of a video: one at a time, which can be stopped and goes on later."""

    def __init__(self, drawings, words=None):
        """words: the command line, where it is another than command()."""
        self._drawings, self._words = drawings, words or command(drawings)
        self._lock, self._process, self._thread = threading.Lock(), None, None
        self._state, self._lines, self._bar = IDLE, [], (0, 0, "")
        self._begin = self._end = 0.0

    def start(self):
        """Begins, or goes on.  Raises UserError where it is at work already."""
        with self._lock:
            if self._state in (RUNNING, STOPPING):
                raise UserError("this video is being segmented already")
            self._state, self._lines, self._bar = RUNNING, [], (0, 0, "")
            self._begin = time.time()
            self._process = subprocess.Popen(
                self._words, cwd=files.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True)
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
            done, total, at_work = self._bar
            until = time.time() if self._state in (RUNNING, STOPPING) else self._end
            return {"state": self._state, "done": done, "total": total, "atWork": at_work,
                    "lines": self._lines[-SHOWN:], "seconds": round(until - self._begin),
                    "result": self.has_result()}

    def _follow(self):
        """Reads what the run tells, to its end."""
        text = b""
        while part := self._process.stdout.read1(4096):
            *lines, text = re.split(rb"[\r\n]+", text + part)
            for line in lines:
                self._hear(line.decode(errors="replace").strip())
            self._see(text.decode(errors="replace"))  # a bar ends with its next state
        self._hear(text.decode(errors="replace").strip())
        status = self._process.wait()
        with self._lock:
            self._end = time.time()
            self._state = (DONE if not status else STOPPED if self._state == STOPPING else FAILED)

    def _hear(self, line):
        line = self._see(line)
        if line:
            with self._lock:
                self._lines.append(line)

    def _see(self, text):
        """Notes what a progress bar in a text tells; what stands after it, or all."""
        bar = BAR.search(text)
        if not bar:
            return text
        with self._lock:
            self._bar = int(bar[1]), int(bar[2]), (bar[3] or "").strip()
        return text[bar.end():].strip()

    # ---------------------------------------------------------------------- result

    def _labels(self):
        """The folder of the labels, where the run of this name is of this data set."""
        folder = settings.RUNS / self._drawings.video
        try:
            run = settings.Run.read(folder)
            is_ours = run.data_set.root.resolve() == self._drawings.data.root.resolve()
        except UserError:
            is_ours = False
        return folder / "labels" / self._drawings.video if is_ours else None

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
