"""Folders and files that take their places together, also where a run is killed in between."""

import os
import shutil

import pytest

from segspn import files
from segspn.data.staging import Staging
from segspn.errors import UserError
from tests.support.refusals import files_below

NAMES = ["b/labels", "c/list.txt", "a/frames"]


def killed_at(number, paths):
    """Puts new content in place in a process that ends at its renaming of a number, as by a kill.

    False where it came to its end before that.
    """
    pid = os.fork()
    if pid == 0:
        renames, rename = iter(range(99)), os.rename

        def killed(*arguments):
            if next(renames) == number:
                os._exit(9)
            rename(*arguments)
        os.rename = killed
        try:
            with Staging(paths) as new:
                fill(new, "new")
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 9)
    return status == 9


def fill(new, text):
    """Writes the two folders and the file."""
    for path in new[0] / "x", new[1], new[2] / "x":
        files.write_text(path, text)


def texts(root):
    return {str(path.relative_to(root)): data.decode() for path, data in files_below(root).items()}


@pytest.fixture
def paths(tmp_path):
    return [tmp_path / name for name in NAMES]


def all_of(text):
    return {"b/labels/x": text, "c/list.txt": text, "a/frames/x": text}


def names_left(root):
    return {path.name for folder in "abc" for path in (root / folder).glob("*")}


@pytest.mark.parametrize("before", [{}, all_of("old"), {"b/labels/x": "old"}])
def test_all_take_their_places(tmp_path, paths, before):
    for name in before:
        files.write_text(tmp_path / name, "old")
    with Staging(paths) as new:
        fill(new, "new")
        assert {k: v for k, v in texts(tmp_path).items() if ".import-" not in k} == before
    assert texts(tmp_path) == all_of("new")
    assert names_left(tmp_path) == {"labels", "list.txt", "frames"}


@pytest.mark.parametrize("before", [{}, all_of("old"), {"b/labels/x": "old"}])
@pytest.mark.parametrize("number", range(7))
def test_a_kill_leaves_the_old_or_the_new(tmp_path, paths, before, number):
    """What was there comes back at the next entry, or all of the new is there."""
    for name in before:
        files.write_text(tmp_path / name, "old")
    moves = len(NAMES) + len(before)
    assert killed_at(number, paths) == (number < moves)
    left = texts(tmp_path)
    assert sum(value == "old" for value in left.values()) == (len(before) if number < moves else 0)
    if number < moves and before:  # the last of the paths counts: it is the old one, or not there
        assert left.get("a/frames/x", "old") == "old"
    with pytest.raises(KeyError), Staging(paths):
        raise KeyError  # of a run that fails
    assert texts(tmp_path) == (before if number < moves else all_of("new"))
    assert not any(name.startswith(".") for name in names_left(tmp_path))


@pytest.mark.parametrize("first", range(1, 6))
def test_kills_while_the_old_comes_back(tmp_path, paths, first):
    for second in range(6):
        for path in tmp_path.iterdir():
            shutil.rmtree(path)
        fill(paths, "old")
        assert killed_at(first, paths) and killed_at(second, paths)
        with pytest.raises(KeyError), Staging(paths):
            raise KeyError
        assert texts(tmp_path) == all_of("old")


@pytest.mark.parametrize("number", range(6))
def test_an_error_puts_the_old_back(tmp_path, paths, monkeypatch, number):
    fill(paths, "old")
    rename, count = os.rename, iter(range(99))

    def failing(*arguments):
        if next(count) == number:
            raise OSError(28, "No space left on device")
        rename(*arguments)
    monkeypatch.setattr("segspn.data.staging.os.rename", failing)
    with pytest.raises(OSError, match="No space"), Staging(paths) as new:
        fill(new, "new")
    assert texts(tmp_path) == all_of("old")


def test_one_at_a_time(tmp_path, paths):
    with Staging(paths) as new:
        fill(new, "new")
        with pytest.raises(UserError, match="being written by another run"), Staging(paths):
            pass
        with Staging([path.with_name(f"other-{path.name}") for path in paths]) as others:
            fill(others, "other")
    assert sum(value == "new" for value in texts(tmp_path).values()) == 3
    assert sum(value == "other" for value in texts(tmp_path).values()) == 3


def test_a_place_that_cannot_be(tmp_path, paths):
    (tmp_path / "b").write_text("a file")
    with pytest.raises(OSError), Staging(paths):
        pass
    assert texts(tmp_path) == {"b": "a file"} and not list((tmp_path / "a").iterdir())


def test_links_are_replaced_and_not_followed(tmp_path, paths):
    files.write_text(tmp_path / "kept/x", "kept")
    paths[2].parent.mkdir()
    paths[2].symlink_to(tmp_path / "kept")
    with Staging(paths) as new:
        fill(new, "new")
    assert texts(tmp_path) == {"kept/x": "kept", **all_of("new")}
    assert not paths[2].is_symlink()
