"""Signals that ask a process for its end: noted, passed on to a child, or kept from it."""

import ctypes
import signal
from contextlib import contextmanager, suppress

END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class EndSignals:
    """While it is entered, signals that ask for an end do no more than come into `came`, each once.

    What this process was told to ignore (nohup, a shell's background) stays ignored.
    """

    def __init__(self):
        self.came, self._pending, self._send, self._earlier = [], [], None, {}

    def __enter__(self):
        for number in END:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._earlier[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error):
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def forward(self, send):
        """Has send(number) called for each signal, also for those that came before."""
        self._send = send
        self._forward()

    def _note(self, number, frame):
        if number not in self.came:
            self.came.append(number)
            self._pending.append(number)
            self._forward()

    def _forward(self):
        with suppress(IndexError):  # the end of the list; a signal may come at any line of this
            while self._send:
                self._send(self._pending.pop(0))


@contextmanager
def no_interrupt():
    """While it is entered, SIGINT is ignored, also by processes that are started, for good."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)


def end_with_parent(number):
    """For preexec_fn: a function that has its process get this signal when its parent dies."""
    return lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
