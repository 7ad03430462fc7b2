"""Locks between processes."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from segspn import locks
from segspn.errors import UserError
from tests.support.workflows import wait_until

HOLDER = """
import sys, time
from pathlib import Path
from segspn import locks
with locks.try_lock(Path(sys.argv[1])) as descriptor:
    print("has it" if descriptor is not None else "has it not", flush=True)
    sys.stdin.read()
"""
# Gives the lock to a child, and waits for it.
GIVER = """
import subprocess, sys
from pathlib import Path
from segspn import locks, signals
with locks.try_lock(Path(sys.argv[1])) as descriptor:
    child = subprocess.Popen(["sleep", "600"], pass_fds=[descriptor], stdout=subprocess.DEVNULL,
                             preexec_fn=signals.end_with_parent(int(sys.argv[2])))
    print(child.pid, flush=True)
    child.wait()
"""


@pytest.fixture
def start():
    """Starts a Python program; returns it after its first line, and that."""
    begun = []

    def start_program(program, *arguments):
        process = subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        return process, process.stdout.readline().strip()
    yield start_program
    for process in begun:
        process.kill()
        process.communicate()


def is_free(path):
    with locks.try_lock(path) as descriptor:
        return descriptor is not None


def test_one_process_has_a_lock_until_it_ends(start, tmp_path):
    path = tmp_path / "locks/a"
    holder, word = start(HOLDER, path)
    assert word == "has it" and not is_free(path)
    assert start(HOLDER, path)[1] == "has it not"
    assert is_free(tmp_path / "locks/b")
    holder.kill()
    holder.wait()
    assert is_free(path)


def test_an_exception_frees_a_lock(tmp_path):
    with pytest.raises(ValueError), locks.try_lock(tmp_path / "a"):
        assert not is_free(tmp_path / "a")
        raise ValueError
    assert is_free(tmp_path / "a")


def is_alive(pid):
    """Whether there is such a process that is not a zombie."""
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_children_hold_a_lock_they_were_given_and_end_with_their_parent(start, tmp_path):
    path = tmp_path / "a"
    giver, child = start(GIVER, path, 0)  # no signal: the child stays
    giver.kill()
    giver.wait()
    try:
        assert is_alive(child) and not is_free(path)
    finally:
        os.kill(int(child), signal.SIGKILL)
    wait_until(lambda: is_free(path), "the lock")
    giver, child = start(GIVER, path, int(signal.SIGTERM))
    giver.kill()
    giver.wait()
    wait_until(lambda: is_free(path) and not is_alive(child), "the end of the child")


def test_the_first_free_lock_is_taken_when_there_is_one(start, tmp_path):
    paths = [tmp_path / name for name in "abc"]
    holders = [start(HOLDER, path)[0] for path in paths[:2]]
    with locks.first_free(paths) as (path, descriptor):
        assert path == paths[2] and os.fstat(descriptor)
        waited = []

        def waiting():
            waited.append(time.monotonic())
            if len(waited) == 2:
                holders[1].kill()
                holders[1].wait()
        with locks.first_free(paths, waiting) as (other, _):
            assert other == paths[1] and len(waited) == 2

        def stop():
            raise KeyboardInterrupt
        with pytest.raises(KeyboardInterrupt), locks.first_free(paths[:1], stop):
            raise AssertionError("the lock was not free")
    assert is_free(paths[2])


def test_a_link_is_no_lock(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), locks.try_lock(tmp_path / "a"):
        raise AssertionError("it was followed")
    assert not (tmp_path / "elsewhere").exists()


def test_gpu_locks_are_of_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"segspn-gpus-{os.getuid()}"
    assert locks.gpu_locks((0, 3)) == [folder / "0", folder / "3"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert locks.gpu_locks((1,)) == [folder / "1"]
    other = os.getuid() + 1
    monkeypatch.setattr(locks.os, "getuid", lambda: other)
    folder.rename(tmp_path / f"segspn-gpus-{other}")  # made by another user
    with pytest.raises(UserError, match="is not a folder of yours alone"):
        locks.gpu_locks((0,))
