"""How scripts begin and end, with one line for what goes wrong; how paths are spelled."""

import os
import subprocess
import sys

import pytest

from segspn import errors, files

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


@pytest.mark.parametrize("name", ["link", "link/more/file.png"])
def test_a_link_to_nothing_is_named(tmp_path, name):
    link = tmp_path / "link"
    link.symlink_to("gone")
    expected = (f"{link} is a link to gone, which is not there; make that, mount its disk, or "
                "remove the link")
    with pytest.raises(errors.UserError, match="is a link to gone"):
        files.existing_file(tmp_path / name, "weights")
    with pytest.raises(OSError) as error:
        (tmp_path / name).mkdir(parents=True)
    assert errors.describe_os_error(error.value) == expected
    (tmp_path / "gone").mkdir()
    assert errors.dangling(tmp_path / name) is None
    link.unlink()
    link.symlink_to(link)  # in a circle
    assert errors.dangling(tmp_path / name).startswith(f"{link} is a link to {link}")


def test_a_path_of_the_project_is_spelled_in_one_way(tmp_path):
    (tmp_path / "link").symlink_to(files.ROOT)
    for path in (files.ROOT / "data/x", tmp_path / "link/data/x",
                 os.path.relpath(files.ROOT / "data/x")):
        assert files.from_scripts(path) == "../data/x"
    assert files.from_scripts(tmp_path / "link") == ".."
    assert files.from_scripts(tmp_path / "data") == str(tmp_path / "data")


def test_files_that_cannot_be_written_are_named_as_they_are_to_be(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "folder.png", tmp_path / f"{'long' * 62}.png"):
        with pytest.raises(OSError) as error:
            files.write_bytes(path, b"new")
        assert errors.describe_os_error(error.value).startswith(f"{path}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]
