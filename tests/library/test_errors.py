"""How scripts begin and end."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import subprocess, sys
from tqdm import tqdm
from segspn.errors import UserError, script

@script
def main():
    with open(sys.argv[1], "w+") as file:
        for _ in tqdm(range(3)):
            print("a word")
            sys.stderr.flush()
        subprocess.run(["sh", "-c", "echo out; echo err >&2; cat"], check=True)
        file.seek(0)
        raise UserError(f"the file has {file.read()!r},\\nin the end")
main()
"""


def run(path, *closed):
    return subprocess.run([sys.executable, "-c", PROGRAM, path], capture_output=True, text=True,
                          timeout=60, preexec_fn=lambda: [os.close(number) for number in closed])


@pytest.mark.parametrize("closed", [(), (2,), (1,), (0,), (0, 1), (0, 1, 2)])
def test_closed_streams_are_open_on_nothing(tmp_path, closed):
    result = run(tmp_path / "file", *closed)
    assert result.returncode == 1 and (tmp_path / "file").read_text() == ""
    if 1 not in closed:
        assert sorted(result.stdout.split("\n")) == ["", *["a word"] * 3, "out"]
    if 2 not in closed:
        assert result.stderr.endswith("error: the file has '',\\nin the end\n")
        assert "err\n" in result.stderr
    else:
        assert result.stderr == ""
