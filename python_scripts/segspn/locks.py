"""Locks between the processes of jobs: one job at a time, one job a GPU.

They are flock()s: the system frees them when the last process that has one ends,
however it ends.  Children that are given the descriptor hold it, too (not on NFS,
where the lock is the process's own).  Those of GPUs are between the processes of one
user that have one folder for temporary files.
"""

import fcntl
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from segspn.errors import UserError

POLL = 0.3  # s


@contextmanager
def try_lock(path):
    """The descriptor of a lock file, or a folder, locked; None where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def alone(path, refusal):
    """While it is entered, this process has a lock.  Raises UserError(refusal) if another has."""
    with try_lock(path) as descriptor:
        if descriptor is None:
            raise UserError(refusal)
        yield


@contextmanager
def first_free(paths, waiting=lambda: None):
    """(path, descriptor) of the first of these lock files that is free, when one is.

    waiting: called again and again until then; what it raises ends the wait.
    """
    while True:
        for path in paths:
            with try_lock(path) as descriptor:
                if descriptor is not None:
                    yield path, descriptor
                    return
        waiting()
        time.sleep(POLL)


def gpu_locks(numbers):
    """The lock files of this machine's GPUs, in a folder of this user alone.  Raises UserError."""
    folder = Path(tempfile.gettempdir()) / f"segspn-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise UserError(f"{folder} is not a folder of yours alone; remove it")
    return [folder / str(number) for number in numbers]
