"""Keeps the daemons of a private Slurm: starts them, and ends all that came of them.

    python supervisor.py FOLDER < pipe

It runs until its standard input ends, which happens also where whoever started it is
killed.  It is the subreaper of its descendants (Linux, prctl(2)): what a daemon leaves
behind, such as a slurmstepd and the job below it, becomes its own child.  So it ends
its children until there are none, and looks for no process by name.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36
GRACE = 10  # seconds, for jobs and daemons to end by themselves
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def start(folder, commands):
    """Starts {name: (command, path that is there once it is ready, or None)}, in order.

    Returns {name: Popen}.  One that does not get ready tells why in FOLDER/name.out.
    """
    daemons = {}
    for name, (command, ready) in commands.items():
        with open(folder / f"{name}.out", "wb") as output:
            daemons[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT)
        deadline = time.monotonic() + GRACE
        while (ready and not os.path.exists(ready) and daemons[name].poll() is None
               and time.monotonic() < deadline):
            time.sleep(0.02)
    return daemons


def children():
    return psutil.Process().children()


def tend(folder, daemons):
    """Waits for what has ended; leaves word of a daemon in FOLDER/ended."""
    spared = {daemon.pid for daemon in daemons.values()}
    for child in children():
        if child.pid not in spared and child.status() == psutil.STATUS_ZOMBIE:
            os.waitpid(child.pid, 0)
    ended = [f"{name} ended with status {daemon.returncode}"
             for name, daemon in daemons.items() if daemon.poll() is not None]
    if ended:
        (folder / "ended").write_text("; ".join(ended))


def input_ended():
    """Whether standard input has ended, after half a second at most."""
    readable, _, _ = select.select([0], [], [], 0.5)
    return bool(readable) and not os.read(0, 1024)


def cancel_jobs():
    """Has Slurm end its jobs, which get SIGTERM first; waits while there are any."""
    options = {"timeout": GRACE, "capture_output": True, "text": True}
    deadline = time.monotonic() + GRACE
    try:
        for state in ("PENDING", "RUNNING", "SUSPENDED"):
            subprocess.run(["scancel", f"--state={state}"], **options)
        while time.monotonic() < deadline:
            queue = subprocess.run(["squeue", "--noheader"], **options)
            if queue.returncode or not queue.stdout.strip():
                return
            time.sleep(0.1)
    except (OSError, subprocess.TimeoutExpired):
        pass  # no controller answers: the processes are ended all the same


def end(daemons):
    """Ends the daemons, the last one first, then each child that is left or comes up."""
    for daemon in reversed(daemons.values()):
        daemon.terminate()
        try:
            daemon.wait(GRACE)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    while left := children():
        for child in left:
            child.kill()
            child.wait()


def main(folder):
    for number in SIGNALS:
        signal.signal(number, lambda *_: sys.exit(0))  # into `finally`
    become_subreaper()
    daemons = {}
    try:
        daemons = start(folder, json.loads((folder / "commands.json").read_text()))
        while not input_ended():
            tend(folder, daemons)
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if all(daemon.poll() is None for daemon in daemons.values()):
            cancel_jobs()
        end(daemons)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
