"""Runs the command lines of python_scripts/, one after the other, as a user would type them."""

import subprocess
import sys
import time

from segspn import cli, files
from segspn.errors import UserError
from segspn.signals import EndSignals


def run(what, command, again):
    """Runs a step and prints its command line.  Returns its seconds.

    again: the command that goes on from a step that failed.  Raises UserError where
    it fails, and KeyboardInterrupt, after the step's end, where a signal asked for that.
    """
    print(f"\n== {what}: {cli.command(*command)}", flush=True)
    begin = time.perf_counter()
    with EndSignals() as signals:
        # In a session of its own: Ctrl-C reaches it from here alone.  It then ends as it does by
        # itself, a training with a snapshot.
        process = subprocess.Popen([sys.executable, *command], cwd=files.PYTHON_SCRIPTS,
                                   start_new_session=True)
        signals.forward(process.send_signal)
        status = process.wait()
    if signals.came:
        raise KeyboardInterrupt
    if status:
        raise UserError(f"stopped at: {what}; {again} goes on from there")
    return time.perf_counter() - begin
