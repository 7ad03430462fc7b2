"""Runs the command lines of python_scripts/, one after the other, as a user would type them."""

import signal
import subprocess
import sys
import time
from contextlib import suppress

from segspn import cli, files
from segspn.errors import UserError


class Forwarded:
    """While it is entered, signals that ask for an end go to the step's process, each once.

    The step then ends as it does by itself, a training with a snapshot.  `came` has
    those that came.  What this process was told to ignore (nohup, a shell's
    background) stays ignored.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.came, self._pending, self._process, self._earlier = [], [], None, {}

    def __enter__(self):
        for number in self.SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._earlier[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error):
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def start(self, command):
        """The process of a command; in a session of its own: Ctrl-C reaches it from here alone."""
        self._process = subprocess.Popen(command, cwd=files.PYTHON_SCRIPTS, start_new_session=True)
        self._send()  # what came while it was started
        return self._process

    def _note(self, number, frame):
        if number not in self.came:
            self.came.append(number)
            self._pending.append(number)
            if self._process:
                self._send()

    def _send(self):
        with suppress(IndexError):  # the end of the list; a signal may come at any line of this
            while True:
                self._process.send_signal(self._pending.pop())


def run(what, command, again):
    """Runs a step and prints its command line.  Returns its seconds.

    again: the command that goes on from a step that failed.  Raises UserError where
    it fails, and KeyboardInterrupt, after the step's end, where a signal asked for that.
    """
    print(f"\n== {what}: {cli.command(*command)}", flush=True)
    begin = time.perf_counter()
    with Forwarded() as signals:
        status = signals.start([sys.executable, *command]).wait()
    if signals.came:
        raise KeyboardInterrupt
    if status:
        raise UserError(f"stopped at: {what}; {again} goes on from there")
    return time.perf_counter() - begin
