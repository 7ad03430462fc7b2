"""tools/workflow.py: what it tells of jobs, and how it ends Snakemake.  test_run.py runs it."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from segspn import files, signals
from segspn.errors import UserError
from segspn.runs import settings, steps, workflow
from tests.support.workflows import wait_until

JOB = ("train_object", ("toy", 1))
RUN = settings.Run(
    name="a", data="x", split=None, videos={"toy": [1]}, whole=False, evaluated=(),
    backbone="resnet50_thin", weights="w", refinement="r", iterations=4, snapshot=2, size="64x96")


@pytest.fixture
def task(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "RUNS", tmp_path)
    task = workflow.Workflow(RUN, 2, [], 1000, 20)
    files.write_text(task.log(JOB), "")
    return task


# ------------------------------------------------------------- what it tells

def state(**changes):
    return {"state": "failed", "begin": 1.0, "seconds": 61.0, "peak_mb": 12.3, "commands": [],
            "error": "solve.py ended with status 1", **changes}


def test_a_job_that_is_done_has_a_line(task):
    assert task._line(JOB, state(state="done")) == "train object toy 1: 1 min 1 s, 12 MB"


@pytest.mark.parametrize("log, reason", [
    ("\n== python solve.py\nerror: the loss is not finite\nerror: solve.py ended with status 1\n",
     "the loss is not finite"),
    # Of a command line before, and of the last one.
    ("\n== python a\nerror: old\n\n== python b\nF0101 Check failed\nerror: b was killed\n",
     "b was killed"),
    ("error: locks/a is no lock\n", "locks/a is no lock"),
    ("\n== python a\nno word\n", "solve.py ended with status 1"),
    ("", "solve.py ended with status 1")])
def test_a_job_that_failed_has_a_line_with_the_reason_and_the_log(task, log, reason):
    task.log(JOB).write_text(log)
    assert task._line(JOB, state()) == (
        f"train object toy 1: failed: {reason} (log: {task.log(JOB)})")


def test_a_job_without_a_log_or_a_word(task):
    task.log(JOB).unlink()
    left = {"state": "running", "begin": 1.0, "commands": []}
    assert task._line(JOB, left) == (
        f"train object toy 1: killed: it ended without a word (log: {task.log(JOB)})")


def test_states_of_earlier_and_damaged_ones_do_not_count(task):
    folder = task.run.folder / "state/train_object/toy"
    files.write_text(folder / "1.json", '{"state": "running", "begin": 5.0, "commands": []}')
    assert task.states(5.0) == {JOB: {"state": "running", "begin": 5.0, "commands": []}}
    assert task.states(5.1) == {}
    (folder / "1.json").write_text('{"state": "running", "begin": 7.')
    assert task.states(0) == {}


def test_the_end_is_judged_by_what_is_there(task, capsys):
    for job in task.all_jobs:
        files.write_text(task.flag(job), "")
    assert task._judge(0, 0, "") is None
    task.flag(JOB).unlink()
    with pytest.raises(UserError, match=r"0 jobs failed, 1 of .* Snakemake stopped: OSError: x "
                                        r"\(log: .*logs/snakemake.log\); the"):
        task._judge(1, 0, "OSError: x\n")
    files.write_text(task.run.folder / "state/train_object/toy/1.json",
                     '{"state": "running", "begin": 5.0, "commands": []}')
    with pytest.raises(UserError, match="1 job failed, 1 of .* mend what their logs tell"):
        task._judge(1, 0, "")
    assert "train object toy 1: killed" in capsys.readouterr().err


def test_a_job_that_died_before_it_wrote_its_state_failed(task, capsys):
    told = ("Error in rule train_object:\n    message: None\n    jobid: 4\n    input: done/a\n"
            "    output: done/train_object/toy/1\n    log: x\n")
    task.log(JOB).write_text("error: ulimit -v allows 4 MB\n")
    with pytest.raises(UserError, match="^1 job failed, .* mend what their logs tell"):
        task._judge(1, 0, told)
    assert capsys.readouterr().err == (
        f"train object toy 1: failed: ulimit -v allows 4 MB (log: {task.log(JOB)})\n")
    with pytest.raises(UserError, match="^0 jobs failed, .* Snakemake stopped: sbatch"):
        task._judge(1, 0, told.replace("None", "sbatch"))


@pytest.mark.parametrize("told, why", [
    ('OSError in file "/a/Snakefile", line 50:\n[Errno 28] No space left: \'x\'\n  File "/a"',
     "OSError: [Errno 28] No space left: 'x'"),
    ('UserError in file "/a/Snakefile", line 15:\nrun.json does not exist\n  File "/a", line 5',
     "run.json does not exist"),
    ('MissingInputException in rule all in file "/a/Snakefile", line 1:\n'
     "Missing input files for rule all:\n    affected files:\n        done/x\n",
     "MissingInputException: Missing input files for rule all: affected files: done/x"),
    ('Traceback (most recent call last):\n\n  File "/a", line 5\n    raise ValueError\n\n'
     "FileNotFoundError: [Errno 2] No such file or directory: '/home/me'\n\n",
     "FileNotFoundError: [Errno 2] No such file or directory: '/home/me'"),
    ("usage: __main__.py\n__main__.py: error: argument --jobs: bad\n", "argument --jobs: bad"),
    ("Error in rule label:\n    message: SLURM sbatch failed. The error message was 'invalid "
     "partition'.For further error details see the log\n    jobid: 4\nShutting down\n"
     "WorkflowError:\nAt least one job did not complete successfully.\n",
     "SLURM sbatch failed. The error message was 'invalid partition'."),
    ("Error in rule label:\n    message: None\n    jobid: 4\n", "it does not tell why")])
def test_why_snakemake_stopped_is_one_line(told, why):
    assert workflow.why_stopped(1, f"Building DAG of jobs...\n{told}") == why


def test_that_snakemake_was_killed_is_told():
    assert workflow.why_stopped(-signal.SIGKILL, "Building DAG of jobs...") == "killed by SIGKILL"


def test_every_job_has_files_of_its_own(task):
    paths = [steps.job_path(*job) for job in task.all_jobs]
    assert len(set(paths)) == len(paths) == len(task.all_jobs)
    assert task.flag(JOB) == task.run.folder / "done/train_object/toy/1"


# ------------------------------------------------------------- how it ends

# Stands for Snakemake: says when it is ready, and what came.
FAKE = """
import signal, sys, time
def note(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM or "patient" not in sys.argv:
        sys.exit(1)
signal.signal(signal.SIGTERM, note)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    print("SIGINT is ignored", flush=True)
signal.signal(signal.SIGINT, note)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def fake(tmp_path):
    """Starts the fake in a Stopping; what it wrote is in `output`."""
    begun, path = [], tmp_path / "output"

    def start(stopping, *words):
        with path.open("a") as output:
            process = stopping.start([sys.executable, "-c", FAKE, *words], output)
        begun.append(process)
        return process
    yield SimpleNamespace(start=start, lines=lambda: path.read_text().splitlines())
    for process in begun:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", signals.END)
def test_a_signal_asks_snakemake_to_end(fake, number):
    with workflow.Stopping(repeats=True) as stopping:
        process = fake.start(stopping)
        assert os.getpgid(process.pid) == process.pid
        wait_until(lambda: "ready" in fake.lines(), "the start")
        stopping.insist()
        assert process.poll() is None and not stopping.came
        os.kill(os.getpid(), number)
        assert stopping.came and process.wait(60) == 1
        stopping.insist()  # nothing is left to ask
    assert fake.lines() == ["ready", "SIGINT"]


def test_what_was_started_meanwhile_is_asked_again(fake):
    with workflow.Stopping(repeats=True) as stopping:
        process = fake.start(stopping, "patient")
        wait_until(lambda: "ready" in fake.lines(), "the start")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # a second Ctrl-C does not interrupt the ending
        wait_until(lambda: "SIGINT" in fake.lines(), "the signal")
        assert process.poll() is None
        stopping.insist()
        assert process.wait(60) == 1
    assert fake.lines() == ["ready", "SIGINT", "SIGTERM"]


def test_on_a_cluster_it_is_asked_once(fake):
    """The jobs are being cancelled then."""
    with workflow.Stopping(repeats=False) as stopping:
        process = fake.start(stopping, "patient")
        wait_until(lambda: "ready" in fake.lines(), "the start")
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: "SIGINT" in fake.lines(), "the signal")
        stopping.insist()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
    assert fake.lines() == ["ready", "SIGINT"]


def test_a_signal_before_the_start_is_not_lost(fake):
    with workflow.Stopping(repeats=True) as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        process = fake.start(stopping)
        wait_until(lambda: process.poll() is not None, "its end")


def test_snakemake_hears_ctrl_c_though_a_shell_had_it_ignored(fake):
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with workflow.Stopping(repeats=True) as stopping:
            fake.start(stopping)
            wait_until(lambda: "ready" in fake.lines(), "the start")
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # nohup stays in force
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert fake.lines() == ["ready"]
