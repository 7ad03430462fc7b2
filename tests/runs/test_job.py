"""segspn.runs.job: one job at a time, a GPU each, and an end in order."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import psutil
import pytest

from segspn.done import Record
from segspn.runs import settings
from tests.support.workflows import ended, wait_until
from tools.bench import sandbox

# Stands for a script of the pipeline: it says what it was given, and notices whether another
# one has the same GPU, or does the same job.
FAKE = """
import json, os, sys, time
from pathlib import Path
folder, run, k = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
gpu = sys.argv[sys.argv.index("--gpu") + 1] if "--gpu" in sys.argv else None
held = [folder / f"job-{run}-{k}", *([folder / f"gpu-{gpu}"] if gpu else [])]
for path in held:
    path.mkdir()  # fails where another one has it
print("fake at work", flush=True)
while (folder / "wait").exists():
    time.sleep(0.01)
time.sleep(0.2)
for path in held:
    path.rmdir()
if (folder / "fail").exists():
    sys.exit("error: the fake fails")
if not (folder / "no product").exists():
    Path("product").write_text("made")
with (folder / "told").open("a") as file:
    file.write(json.dumps({"run": run, "k": k, "gpu": gpu, "threads": [
        os.environ["OPENBLAS_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]]}) + "\\n")
"""
# Runs a job, and says by a file that it waits for another, or for its command.
DRIVER = """
import dataclasses, os
from pathlib import Path
from segspn import files
from segspn.runs import job, steps
steps.STEPS["train_object"] = dataclasses.replace(
    steps.STEPS["train_object"], on_gpu=True, needs=lambda *whose: [], reads=lambda *whose: [],
    commands=lambda run, sequence, k: [[{fake!r}, {folder!r}, run.name, str(k)]],
    products=lambda run, sequence, k: [files.PYTHON_SCRIPTS / "product"])
check = job.Job._check_end
def told(self):
    Path({folder!r}, f"waits-{{os.getpid()}}").touch()
    check(self)
job.Job._check_end = told
job.main()
"""
SETTINGS = settings.Run(
    name="one", data="../data/small", split="val", videos={"toy": list(range(1, 9))}, whole=True,
    evaluated=(), backbone="resnet50_thin", weights="../models/resnet50_thin.caffemodel",
    refinement="../spn/refine_small.caffemodel", iterations=4, snapshot=2, size="64x96")


class Jobs:
    """Jobs of fake runs in a copy of the project, with locks of their own."""

    def __init__(self, root):
        self.root = sandbox.make(root / "project")
        self.folder, self.temporary = root / "fake", root / "tmp"
        self.folder.mkdir()
        self.temporary.mkdir()
        (root / "fake.py").write_text(FAKE)
        self._driver = root / "driver.py"
        self._driver.write_text(DRIVER.format(fake=str(root / "fake.py"),
                                              folder=str(self.folder)))
        self._processes = []

    def write_run(self, name="one", **changes):
        folder = self.root / "results/runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(dataclasses.asdict(
            dataclasses.replace(SETTINGS, name=name, **changes))))
        return folder

    def start(self, run, k=1, *options):
        process = subprocess.Popen(
            [sys.executable, self._driver, "train_object", "toy", str(k), *map(str, options)],
            cwd=run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**sandbox.environment(self.root), "TMPDIR": str(self.temporary)})
        self._processes.append(process)
        return process

    def waits(self, process):
        return (self.folder / f"waits-{process.pid}").exists()

    def held(self):
        return {path.name for path in self.folder.iterdir() if path.is_dir()}

    def told(self):
        return [json.loads(line) for line in (self.folder / "told").read_text().splitlines()]

    def mark(self, what):
        (self.folder / what).touch()

    def unmark(self, what):
        (self.folder / what).unlink()

    def forget(self):
        """What a fake that was killed has left."""
        for name in self.held():
            (self.folder / name).rmdir()

    def close(self):
        with suppress(FileNotFoundError):
            self.unmark("wait")
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def jobs(tmp_path):
    jobs = Jobs(tmp_path)
    yield jobs
    jobs.close()


def state(run, k=1):
    return json.loads((run / f"state/train_object/toy/{k}.json").read_text())


def done(run, k=1):
    return run / f"records/train_object/toy/{k}.jsonl"


def test_a_job_leaves_its_record_its_state_and_says_what_it_ran(jobs):
    run = jobs.write_run(threads=3)
    status, output, errors = ended(jobs.start(run))
    assert status == 0 and "== python" in output and "fake at work" in output, errors
    product = jobs.root / "python_scripts/product"
    record = Record(done(run))
    assert list(record.products()) == [product] and record.fault(product) is None
    assert jobs.told() == [{"run": "one", "k": "1", "gpu": None, "threads": ["3", "3"]}]
    left = state(run)
    assert left["state"] == "done" and left["seconds"] > 0.2 and left["peak_mb"] > 1
    assert left["job"] == ["train_object", "toy", 1] and left["threads"] == 3


def test_no_two_jobs_have_the_same_gpu(jobs):
    """Also those of two runs."""
    one, two = (jobs.write_run(name, gpus=(0, 1)) for name in ("one", "two"))
    processes = [jobs.start(run, k) for k in (1, 2, 3) for run in (one, two)]
    for process in processes:
        status, _, errors = ended(process)
        assert status == 0, errors
    assert {job["gpu"] for job in jobs.told()} == {"0", "1"} and len(jobs.told()) == 6
    for k in (1, 2, 3):
        assert state(one, k)["gpu"] in (0, 1)


def test_a_gpu_is_free_after_a_job_was_killed(jobs):
    one, two = (jobs.write_run(name, gpus=(5,)) for name in ("one", "two"))
    jobs.mark("wait")
    first = jobs.start(one)
    wait_until(lambda: "gpu-5" in jobs.held(), "the first job")
    second = jobs.start(two)
    first.kill()
    assert ended(first)[0] == -signal.SIGKILL
    # The fake ends by the SIGTERM that it gets with its parent's death; what it held is forgotten.
    wait_until(lambda: not running("fake.py", jobs.folder, "one"), "the end of the first fake")
    jobs.forget()
    jobs.unmark("wait")
    status, _, errors = ended(second)
    assert status == 0, errors
    assert [job["gpu"] for job in jobs.told()] == ["5"]


def running(*words):
    """Whether a process has all these words in its command line."""
    lines = [" ".join(process.info["cmdline"] or [])
             for process in psutil.process_iter(["cmdline"])]
    return any(all(str(word) in line for word in words) for line in lines)


def test_on_a_cluster_the_gpu_is_the_one_that_was_given(jobs):
    run = jobs.write_run(gpus=(3, 4), cluster="slurm")
    status, _, errors = ended(jobs.start(run))
    assert status == 0, errors
    assert jobs.told()[0]["gpu"] == "0"


@pytest.mark.parametrize("kind", ["link", "dangling link", "open to others", "file"])
def test_a_folder_of_gpu_locks_that_is_not_ours_is_refused(jobs, tmp_path, kind):
    run = jobs.write_run(gpus=(0,))
    folder = jobs.temporary / f"segspn-gpus-{os.getuid()}"
    if "link" in kind:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    elif kind == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777)
    status, _, errors = ended(jobs.start(run))
    assert status == 1 and errors.count("error: ") == 1 and str(folder) in errors
    assert "Traceback" not in errors and not done(run).exists()
    assert state(run)["state"] == "failed"
    assert not (tmp_path / "nowhere").exists()


def test_the_same_job_is_not_run_twice_at_a_time(jobs):
    run = jobs.write_run()
    jobs.mark("wait")
    first = jobs.start(run)
    wait_until(jobs.held, "the first job")
    second = jobs.start(run)
    wait_until(lambda: jobs.waits(second), "the second job")
    jobs.unmark("wait")
    for process in (first, second):
        status, _, errors = ended(process)
        assert status == 0, errors
    assert len(jobs.told()) == 1  # the second one finds it done


@pytest.mark.parametrize("waits", [False, True])
def test_a_job_that_is_asked_to_end(jobs, waits):
    """While it works, or while it waits for another process of the same job."""
    run = jobs.write_run()
    jobs.mark("wait")
    first = jobs.start(run)
    wait_until(jobs.held, "the job")
    second = jobs.start(run, 1) if waits else first
    wait_until(lambda: jobs.waits(second), "its wait")
    second.send_signal(signal.SIGTERM)
    status, _, errors = ended(second)
    assert status == 143 and "ended by SIGTERM" in errors and "Traceback" not in errors
    assert not done(run).exists()
    assert state(run)["state"] == ("running" if waits else "ended")
    assert running("fake.py", jobs.folder) == waits


def test_a_job_ends_with_the_workflow_even_before_it_has_begun(jobs):
    """The process that is its parent is gone when it looks."""
    run = jobs.write_run()
    jobs.mark("wait")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    status, _, errors = ended(jobs.start(run, 1, "--parent", gone.pid))
    assert status == 143 and "ended by the end of the workflow" in errors
    assert not running("fake.py", jobs.folder) and not done(run).exists()


@pytest.mark.parametrize("what, words", [
    ("fail", "fake.py ended with status 1"), ("no product", "product of this step")])
def test_a_job_that_fails_has_no_record(jobs, what, words):
    run = jobs.write_run()
    jobs.mark(what)
    status, _, errors = ended(jobs.start(run))
    assert status == 1 and words in errors.splitlines()[-1] and "Traceback" not in errors
    assert not done(run).exists()
    assert state(run)["state"] == "failed" and words in state(run)["error"]
    jobs.unmark(what)
    assert ended(jobs.start(run))[0] == 0 and done(run).is_file()
    assert state(run)["state"] == "done" and state(run)["seconds"] > 0.4  # of both times


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"state": "done"}', "\xff\0",
                                  '{"state": "done", "begin": "now", "commands": [], '
                                  '"seconds": null, "peak_mb": []}'])
def test_a_damaged_state_is_no_state(tmp_path, text):
    run = SimpleNamespace(folder=tmp_path)
    path = tmp_path / "state/train_object/toy/1.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("latin-1"))
    assert settings.state(run, "train_object/toy/1") == {}
    path.write_text('{"state": "running", "begin": 1.5, "commands": []}')
    assert settings.state(run, "train_object/toy/1")["begin"] == 1.5


def test_a_job_over_a_damaged_state_and_a_damaged_run(jobs):
    run = jobs.write_run()
    path = run / "state/train_object/toy/1.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"sta')
    status, _, errors = ended(jobs.start(run))
    assert status == 0 and state(run)["state"] == "done", errors
    (run / "run.json").write_text("{")
    status, _, errors = ended(jobs.start(run))
    assert status == 1 and "does not hold the settings of a run" in errors
    assert len(errors.splitlines()) == 1
