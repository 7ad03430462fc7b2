"""The names that a data set may have, its lists, and its files."""

import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.data import davis, davis_check
from segspn.errors import UserError
from segspn.runs import settings


@pytest.mark.parametrize("name", ["-x", ".x", "", "a b", "a/b", "a;b", "ä", "a\n", "{x}", "a\\b",
                                  "..", "x" * 101])
def test_names_that_files_and_command_lines_cannot_have(name):
    with pytest.raises(UserError, match="run name .* must be a plain folder name of"):
        davis.checked_sequence(name, "run")


@pytest.mark.parametrize("name", ["dog", "bike-trial", "a.b_c-1", "_x", "00", "x" * 100])
def test_names_that_they_can_have(name):
    assert davis.checked_sequence(name) == name


def write(root, data):
    path = davis.list_path(root, "val")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


@pytest.mark.parametrize("data", [
    b"b\na\n", b"\xef\xbb\xbfb\r\n\r\n a \r\nb", b"# two\nb\n #c\na\t\n",
    "b\r\na\r\n".encode("utf-16"), b"\xfe\xff" + "b\na".encode("utf-16-be")])
def test_lists_as_editors_write_them(tmp_path, data):
    write(tmp_path, data)
    assert davis.listed_sequences(tmp_path, "val") == ["b", "a"]


@pytest.mark.parametrize(("data", "words"), [
    (b"\xff\xff", "list .*val.txt is not UTF-8 text"),
    (b"\xff\xfea", "list .*val.txt is not UTF-8 text"),
    (b"a\n../b\n", "list .*val.txt: sequence name '../b' must")])
def test_lists_that_are_refused(tmp_path, data, words):
    write(tmp_path, data)
    with pytest.raises(UserError, match=words):
        davis.listed_sequences(tmp_path, "val")
    with pytest.raises(UserError, match="list .*other.txt does not exist"):
        davis.listed_sequences(tmp_path, "other")
    with pytest.raises(UserError, match="list name '../val'"):
        davis.listed_sequences(tmp_path, "../val")


# ----------------------------------------------------------------------- its files

def renamed(data_set, ending):
    """The frames of `toy` by other endings: those of JPEGs, or PNGs of the same pixels."""
    frames = davis.Davis(data_set).frames("toy")
    for path in frames:
        if ending.lower() == ".png":
            Image.fromarray(files.read_image(path)[..., ::-1]).save(
                path.with_suffix(ending), format="PNG")
            path.unlink()
        else:
            path.rename(path.with_suffix(ending))
    return frames


@pytest.mark.parametrize("ending", [".jpeg", ".JPG", ".JPEG", ".png", ".PNG"])
def test_frames_may_have_other_endings(data_set, ending):
    before = davis.Davis(data_set).first_frame("toy")
    frames = renamed(data_set, ending)
    data = davis.Davis(data_set)
    assert data.frames("toy") == [path.with_suffix(ending) for path in frames]
    assert all(np.array_equal(*pair) for pair in zip(data.first_frame("toy"), before))
    assert data.listed("ImageSets/2017/train.txt")[3] == (
        frames[3].with_suffix(ending), data_set / "Annotations/480p/toy/00003.png")
    report = davis_check.check(data_set, full=True)
    assert report.faults == () and report.sequences[0].frames == 4


def test_annotations_may_end_in_capitals(data_set):
    data = davis.Davis(data_set)
    for path in data.annotated("toy").values():
        path.rename(path.with_suffix(".PNG"))
    assert data.annotation("toy").name == "00000.PNG"
    assert data.first_objects("toy") == [1, 2]
    assert [path.name for _, path in data.listed("ImageSets/2017/train.txt")] == [
        f"{n:05}.PNG" for n in range(4)]
    assert settings.evaluated(data, ["toy"]) == ("toy",)
    assert davis_check.check(data_set).faults == ()
    assert data.annotation("toy", "00009") == data_set / "Annotations/480p/toy/00009.png"


@pytest.mark.parametrize(("name", "words"), [
    ("00001.png", "toy has 00001.jpg and 00001.png: which one is the frame"),
    ("00001_mask.png", "00001_mask.png is not named as the frames beside it, 00000.jpg"),
    ("100000.jpg", "100000.jpg is not named as the frames beside it")])
def test_frames_that_are_not_clear(data_set, name, words):
    path = data_set / "JPEGImages/480p/toy" / name
    path.write_bytes((path.parent / "00001.jpg").read_bytes())
    with pytest.raises(UserError, match=words):
        davis.Davis(data_set).frames("toy")
    assert name in davis_check.check(data_set).faults[0]


@pytest.mark.parametrize("names", [["1.jpg", "2.jpg", "10.jpg"], ["0001.jpg"], ["frame_000.png"]])
def test_frames_of_other_names(data_set, names):
    folder = data_set / "JPEGImages/480p/other"
    for name in names:
        files.write_image(folder / name, np.zeros((9, 9, 3), np.uint8))
    words = rf"00000.jpg \(the first is {names[0]}; tools/import_video.py brings"
    with pytest.raises(UserError, match=words):
        davis.Davis(data_set).first_frame("other")


def test_a_folder_without_frames(data_set):
    (data_set / "JPEGImages/480p/other").mkdir()
    (data_set / "JPEGImages/480p/other/00000.bmp").write_bytes(b"")
    with pytest.raises(UserError, match=r"'other' has no frames \(.jpg, .jpeg, .png\) in .*other"):
        davis.Davis(data_set).frames("other")
    with pytest.raises(UserError, match="'nosuch' has no frames in .*; there are: other, toy"):
        davis.Davis(data_set).frames("nosuch")
