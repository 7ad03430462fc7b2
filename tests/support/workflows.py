"""Runs over a whole small list, in a copy of the project: ended, killed, mended, compared."""

import hashlib
import json
import subprocess
import sys
import time

import numpy as np
import psutil
from PIL import Image

from segspn import done, files
from segspn.caffenet import weights
from segspn.data import davis
from tests.support.frames import draw_frame
from tools.bench import sandbox

SIZE = (64, 96)
FRAMES = 5
VIDEOS = {"disk": [1], "toy": [1, 2]}
ITERATIONS, SNAPSHOT = 40, 8
PATIENCE = 240  # s, for what takes seconds on a machine without other load
TIMED = {"report", "overview"}  # steps whose products tell seconds


def write_data(root):
    """The list `val` of `disk`, with one object, and `toy`, with two; all frames have labels."""
    for sequence, objects in VIDEOS.items():
        for index in range(FRAMES):
            frame, labels = draw_frame(index, SIZE)
            if sequence == "disk":
                frame, labels = frame[:, ::-1], labels[:, ::-1] * (labels[:, ::-1] <= max(objects))
            files.write_image(root / f"JPEGImages/480p/{sequence}/{index:05}.jpg", frame)
            davis.write_labels(root / f"Annotations/480p/{sequence}/{index:05}.png", labels)
    files.write_text(root / "ImageSets/2017/val.txt", "\n".join(VIDEOS) + "\n")


def wait_until(condition, what):
    """The first true value of condition()."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE} s in vain for {what}")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Project:
    """A copy of the project with the small data set in it, and the run `val`."""

    def __init__(self, root):
        self.root = sandbox.make(root)
        self.data = root / "data/small"
        self.folder = root / "results/runs/val"
        write_data(self.data)
        self._environment = {**sandbox.environment(root), "TMPDIR": str(root / "tmp"),
                             "HOME": "/dev/null"}  # where nothing can be written
        (root / "tmp").mkdir()

    def start(self, *options, iterations=ITERATIONS, command=(), **keywords):
        """tools/run.py in the background, as a user runs it, or another command line."""
        command = command or [
            self.root / "tools/run.py", "--data", self.data, "--split", "val", "--snapshot",
            SNAPSHOT, "--size", "x".join(map(str, SIZE)), "--iterations", iterations,
            "--jobs", 2, "--threads", 1, *options]
        return subprocess.Popen(
            [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=self._environment, cwd=self.root, **keywords)

    def run(self, *options, **keywords):
        """The same, to its end: (status, stdout, stderr)."""
        return ended(self.start(*options, **keywords))

    def succeed(self, *options, **keywords):
        """What a run says that ends well."""
        status, output, errors = self.run(*options, **keywords)
        assert status == 0, f"{errors}\n{self.tail()}"
        return output

    def tail(self):
        """The end of Snakemake's log."""
        log = self.folder / "logs/snakemake.log"
        return log.read_text()[-3000:] if log.is_file() else ""

    def processes(self, *words):
        """The processes of this copy whose command lines have one of these words, or all."""
        found = []
        for process in psutil.process_iter():
            try:
                if (process.environ().get("PYTHONPATH") == self._environment["PYTHONPATH"]
                        and process.status() != psutil.STATUS_ZOMBIE):
                    line = " ".join(process.cmdline())
                    if not words or any(word in line for word in words):
                        found.append(process)
            except psutil.Error:  # it has ended meanwhile, or is of somebody else
                continue
        return found

    def records(self):
        """{path of the product: sha256 as its record says}, of all jobs that are done."""
        entries = {}
        for path in (self.folder / "records").rglob("[!.]*.jsonl"):
            entries |= done.Record(path).products()
        return entries

    def done(self):
        """Names of the jobs that are done."""
        folder = self.folder / "records"
        return {str(path.relative_to(folder).with_suffix(""))
                for path in folder.rglob("[!.]*.jsonl")}

    def states(self):
        """{job: its state}."""
        folder = self.folder / "state"
        return {str(path.relative_to(folder).with_suffix("")): json.loads(path.read_text())
                for path in folder.rglob("[!.]*.json")}

    def begun_since(self, earlier):
        """The jobs that were run since these states."""
        return {job for job, state in self.states().items()
                if job not in earlier or state["begin"] > earlier[job]["begin"]}

    def products(self):
        """{name: sha256} of what the records name, but for times."""
        return {str(path.relative_to(self.root)): sha256(path) for path in self.records()
                if not TIMED & {*path.parts, path.stem}}

    def logs(self, step="*"):
        """The text of all logs of a step's jobs."""
        paths = sorted((self.folder / "logs").glob(f"{step}/**/*.log"))
        return "\n".join(path.read_text() for path in paths)

    def states_of_solvers(self):
        """The states of trainings that can go on."""
        return sorted((self.root / "models").glob("*/[!.]*.solverstate"))

    def check(self):
        """What must be so however a run ended: nothing runs, records tell the truth, all
        files are whole."""
        wait_until(lambda: not self.processes(), f"the end of {self.processes()}")
        for path, expected in self.records().items():
            assert not files.is_hidden(path) and sha256(path) == expected, path
        for folder in (self.root / "results", self.root / "models"):
            for path in folder.rglob("[!.]*"):
                if not any(part.startswith(".") for part in path.relative_to(folder).parts):
                    assert is_whole(path), path


def ended(process):
    """(status, stdout, stderr) of a process, which must end."""
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, output, errors


def is_whole(path):
    """Whether a file that has its final name can be read to its end."""
    if path.suffix in (".png", ".jpg"):
        with Image.open(path) as image:
            return bool(image.load()) and path.stat().st_size
    if path.suffix == ".json":
        return json.loads(path.read_text()) is not None
    if path.suffix == ".caffemodel":
        return bool(weights.read_caffemodel(path))
    return path.is_dir() or path.name == "run.json" or path.is_file()


def labels_of(project, sequence):
    """uint8, frames x H x W."""
    folder = project.folder / "labels" / sequence
    return np.stack([davis.read_annotation(folder / f"{index:05}.png") for index in range(FRAMES)])
