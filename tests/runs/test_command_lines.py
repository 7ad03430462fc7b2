"""Steps of a pipeline, and what a signal does to them: a small process stands for a step."""

import os
import signal
import subprocess
import sys
import time

import pytest

from segspn.errors import UserError
from segspn.runs import command_lines

# Counts the signals that it gets for a while, as solve.py ends some time after the first.
STEP = """
import os, signal, sys, time
from pathlib import Path
came = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: came.append(number))
Path(sys.argv[1]).write_text(str(os.getsid(0)))
end = time.monotonic() + 60
while not came and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.5)
Path(sys.argv[2]).write_text(repr([int(number) for number in came]))
sys.exit(int(sys.argv[3]))
"""
PIPELINE = """
import signal, sys
from segspn.runs import command_lines
from segspn.errors import script
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a shell had it ignore
signal.signal(signal.SIGTERM, signal.SIG_DFL)
@script
def main():
    command_lines.run("count", sys.argv[1:], "the test")
    print("not reached")
main()
"""


@pytest.fixture
def pipeline(tmp_path):
    """Starts a pipeline of one step, which ends with a status; waits until the step runs."""
    step, ready = tmp_path / "step.py", tmp_path / "ready"
    step.write_text(STEP)
    started = []

    def start(status):
        started.append(subprocess.Popen(
            [sys.executable, "-c", PIPELINE, step, ready,
             tmp_path / "came", str(status)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True))
        end = time.monotonic() + 60
        while not (ready.is_file() and ready.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        return started[0], int(ready.read_text())
    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 0), (signal.SIGTERM, 130)])
def test_an_interrupted_pipeline_ends_after_its_step(pipeline, tmp_path, number, status):
    """A terminal sends Ctrl-C to the whole group; the step gets it once, from its parent."""
    process, session = pipeline(status)
    assert session != os.getsid(process.pid)
    os.killpg(process.pid, number)
    time.sleep(0.1)
    os.killpg(process.pid, number)  # by someone impatient
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "\ninterrupted; run the same command again to go on\n"
    assert (tmp_path / "came").read_text() == repr([int(number)])
    assert "not reached" not in output


def test_seconds_of_a_step_and_what_a_failed_one_says(tmp_path, capfd):
    (tmp_path / "good.py").write_text("")
    (tmp_path / "bad.py").write_text("import sys; sys.exit(3)")
    assert command_lines.run("good", [str(tmp_path / "good.py"), "7"], "the test") > 0
    assert f"== good: python {tmp_path / 'good.py'} 7\n" in capfd.readouterr().out
    with pytest.raises(UserError, match="stopped at: bad; the test goes on from there"):
        command_lines.run("bad", [str(tmp_path / "bad.py")], "the test")
