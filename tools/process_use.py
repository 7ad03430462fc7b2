"""What processes use of a machine: memory at most, and CPU time, by this one and by others."""

import os
import time
from contextlib import suppress
from pathlib import Path

POLL = 0.1  # s
BUSY = 0.1  # share of the CPU time, or cores, of others: above, something else computes
PATIENCE = 30  # s to wait for others to end


def children(pid):
    """Process ids of all descendants of a process."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children(child)]
    return found


def high_water_mb(pid):
    """The most that a process has had in memory so far; 0 where it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0


def wait(processes):
    """Waits for processes.  Returns, for each, MB of it and its descendants together, at most.

    Pages that processes share count in each of them.
    """
    peaks = [0.0] * len(processes)
    while any(process.poll() is None for process in processes):
        for index, process in enumerate(processes):
            if process.poll() is None:
                together = sum(map(high_water_mb, [process.pid, *children(process.pid)]))
                peaks[index] = max(peaks[index], together)
        time.sleep(POLL)
    return peaks


def busy_seconds():
    """CPU seconds that all processes of this machine have used since it started."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    idle = int(fields[3]) + int(fields[4])
    return (sum(map(int, fields[:8])) - idle) / os.sysconf("SC_CLK_TCK")


class Used:
    """CPU time that is used from now on, by this process and its children, and by others."""

    def __init__(self):
        self._busy, self._own = busy_seconds(), self._own_seconds()

    @staticmethod
    def _own_seconds():
        return sum(os.times()[:4])  # its own, and those of children that have ended

    def share_of_others(self):
        """The share of others, 0 to 1."""
        busy, own = busy_seconds() - self._busy, self._own_seconds() - self._own
        return max(0, 1 - own / busy) if busy > 0 else 0


def wait_for_quiet():
    """Waits until others leave this machine's cores alone for a second, but not for long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        before = busy_seconds()
        time.sleep(1)
        if busy_seconds() - before < BUSY:
            return
