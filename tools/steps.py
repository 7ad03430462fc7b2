"""Runs the command lines of python_scripts/, one after the other, as a user would type them."""

import signal
import subprocess
import sys
import time

from segspn import cli, files
from segspn.errors import UserError


def run(what, command, again):
    """Runs a step and prints its command line.  Returns its seconds.

    again: the command that goes on from a step that failed.  Raises UserError
    where it fails.
    """
    print(f"\n== {what}: {cli.command(*command)}", flush=True)
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], cwd=files.PYTHON_SCRIPTS)
    for number in (signal.SIGINT, signal.SIGTERM):  # a training then ends with a snapshot
        signal.signal(number, lambda number, frame: process.send_signal(number))
    if process.wait():
        raise UserError(f"stopped at: {what}; {again} goes on from there")
    return time.perf_counter() - begin
