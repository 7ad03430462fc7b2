"""What signals that ask for an end do to a process that notes them."""

import os
import signal
import subprocess
import sys

import pytest

from segspn import signals


def handlers():
    return [signal.getsignal(number) for number in signals.END]


@pytest.mark.parametrize("number", signals.END)
def test_a_signal_is_noted_once_and_handlers_are_as_before_in_the_end(number):
    before = handlers()
    with pytest.raises(ValueError), signals.EndSignals() as ends:
        assert ends.came == []
        for _ in range(2):
            os.kill(os.getpid(), number)
        assert ends.came == [number]
        raise ValueError
    assert handlers() == before


def test_signals_are_passed_on_once_also_those_from_before():
    sent = []
    with signals.EndSignals() as ends:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        ends.forward(sent.append)
        assert sent == [signal.SIGTERM, signal.SIGHUP]
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
    assert sent == ends.came == [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


def test_ignored_signals_stay_ignored():
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with signals.EndSignals() as ends:
            os.kill(os.getpid(), signal.SIGHUP)
            assert ends.came == [] and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_a_process_is_kept_from_interrupts():
    before = handlers()
    with signals.no_interrupt():
        process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"],
                                   stdin=subprocess.PIPE)
    assert handlers() == before
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0
