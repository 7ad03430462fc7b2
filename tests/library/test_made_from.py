"""What files remember of what they are made from."""

import os

import pytest

from segspn import files


@pytest.fixture
def frames(tmp_path):
    paths = [tmp_path / f"frames/{index:05}.jpg" for index in range(3)]
    for path in paths:
        files.write_text(path, path.stem)
    return paths


@pytest.fixture
def made(tmp_path, frames):
    """Makes what is not current, as the scripts do; the frames that were made."""
    def make(recipe, killed_after=3):
        outputs = {path: tmp_path / f"made/{path.stem}.png" for path in frames}
        made_from = files.MadeFrom(tmp_path / "made/.stamp", recipe, frames)
        todo = [path for path in frames if not made_from.is_current(outputs[path], path)]
        if todo:
            made_from.note([outputs[path] for path in todo])
        for path in todo[:killed_after]:
            files.write_text(outputs[path], path.read_text())
        return [path.stem for path in todo]
    return make


def replace(path, text):
    """Another file of the same size and an earlier time, as copying with times gives."""
    before = path.stat()
    files.write_text(path, text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 10**12))


def test_nothing_is_made_twice(made):
    assert made({"size": [1, 2]}) == ["00000", "00001", "00002"]
    assert made({"size": (1, 2)}) == []
    assert made({"size": (1, 3)}) == ["00000", "00001", "00002"]


def test_a_replaced_frame_is_noticed_whatever_its_time(made, frames, tmp_path):
    made({})
    replace(frames[1], "other")
    assert made({}) == ["00001"] and made({}) == []
    assert (tmp_path / "made/00001.png").read_text() == "other"


def test_a_kill_between_loses_no_change(made, frames, tmp_path):
    made({})
    for path in frames[1:]:
        replace(path, "other")
    assert made({}, killed_after=0) == ["00001", "00002"]
    assert made({}, killed_after=1) == ["00001", "00002"]
    assert made({}) == ["00002"]
    assert (tmp_path / "made/00002.png").read_text() == "other"


@pytest.mark.parametrize("stamp", ["", "[]", "{", "7", "\xff"])
def test_a_damaged_stamp_makes_all_anew(made, tmp_path, stamp):
    made({})
    (tmp_path / "made/.stamp").write_bytes(stamp.encode("latin-1"))
    assert len(made({})) == 3 and made({}) == []
