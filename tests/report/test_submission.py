"""submission.zip: the layout of the DAVIS challenge, and what does not go into it."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.report import submission
from tests.support.frames import fails_in_one_line

SCRIPT = "tools/submission.py"


@pytest.fixture
def labels(data_set, tmp_path):
    """Labels of all frames of `toy`: the folder."""
    folder = tmp_path / "labels"
    annotation = davis.read_annotation(data_set / "Annotations/480p/toy/00000.png")
    for index in range(4):
        davis.write_labels(folder / f"toy/{index:05}.png", np.roll(annotation, index, axis=1))
    files.write_text(folder / "toy/.made_from.json", "{}")
    files.write_bytes(folder / "toy/.part-00001-x.png", b"half")
    files.write_text(folder / "other/00000.png", "not of the list")
    return folder


def write(labels, data_set, name="submission.zip"):
    path = labels.parent / name
    count = submission.write(path, labels, davis.Davis(data_set), ["toy"])
    return path, count


def test_it_has_all_frames_of_all_sequences_and_nothing_else(labels, data_set):
    path, count = write(labels, data_set)
    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None and count == 4
        assert package.namelist() == [f"toy/{index:05}.png" for index in range(4)]
        for name in package.namelist():
            assert package.read(name) == (labels / name).read_bytes()
            with Image.open(io.BytesIO(package.read(name))) as image:
                assert image.mode == "P" and image.size == (128, 96)
                palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
                np.testing.assert_array_equal(palette, davis.palette()[:len(palette)])
                assert len(palette) > 2


def test_the_same_labels_give_the_same_bytes(labels, data_set):
    first, _ = write(labels, data_set)
    for path in (labels / "toy").iterdir():
        path.touch()
    second, _ = write(labels, data_set, "again.zip")
    assert first.read_bytes() == second.read_bytes()


def test_what_unzip_makes_can_be_read_by_its_owner(labels, data_set):
    path, _ = write(labels, data_set)
    with zipfile.ZipFile(path) as package:
        assert {entry.external_attr >> 16 for entry in package.infolist()} == {0o644}


def grey(path):
    with Image.open(path) as image:
        Image.fromarray(np.array(image)).save(path)


def with_ids(path, ids):
    labels = davis.read_annotation(path).copy()
    labels[0, :len(ids)] = ids
    davis.write_labels(path, labels)


@pytest.mark.parametrize("spoil, words", [
    (lambda path: path.unlink(), "does not exist"),
    (lambda path: davis.write_labels(path, np.zeros((96, 127), np.uint8)), "127x96"),
    (grey, "not an indexed PNG"),
    (lambda path: with_ids(path, [3]), r"have the ids \[3\], the first annotation \[1, 2\]"),
    (lambda path: with_ids(path, [255]), r"have the ids \[255\]"),
    (lambda path: path.write_bytes(path.read_bytes()[:-20]), "corrupt"),
    (lambda path: path.write_bytes(b""), "corrupt")])
def test_what_does_not_fit_is_refused(labels, data_set, spoil, words):
    path = labels / "toy/00002.png"
    spoil(path)
    with pytest.raises(UserError, match=words) as error:
        write(labels, data_set)
    assert str(path) in str(error.value)
    assert not [path for path in labels.parent.iterdir() if path.suffix == ".zip"]


def test_ids_between_those_of_the_annotation_are_refused(labels, data_set):
    """Objects 1 and 3, and a label 2."""
    for path in [data_set / "Annotations/480p/toy/00000.png", *(labels / "toy").glob("0*.png")]:
        ids = files.read_plane(path, "labels")
        davis.write_labels(path, np.where(ids == 2, 3, ids).astype(np.uint8))
    write(labels, data_set)
    with_ids(labels / "toy/00001.png", [2])
    with pytest.raises(UserError, match=r"have the ids \[2\], the first annotation \[1, 3\]"):
        write(labels, data_set)


def test_script(run, labels, data_set, tmp_path):
    output = tmp_path / "out/submission.zip"
    arguments = (SCRIPT, "--data", data_set, "--labels", labels, "--split")
    result = run(*arguments, "train", "--output", output)
    assert result.returncode == 0, result.stderr
    assert f"wrote {output}: 4 frames of 1 sequences" in result.stdout
    before = output.read_bytes()
    (labels / "toy/00003.png").unlink()
    assert fails_in_one_line(run(*arguments, "train", "--output", output), labels, "00003.png")
    assert output.read_bytes() == before
    assert fails_in_one_line(run(*arguments, "nosuch", "--output", output), "nosuch.txt")
    assert fails_in_one_line(run(*arguments, "train", "--output", tmp_path / "x.tar"), ".zip")
    (data_set / "ImageSets/2017/train.txt").write_text("")
    assert fails_in_one_line(run(*arguments, "train", "--output", output), "names no sequence")
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_that_of_a_run(finished):
    with zipfile.ZipFile(finished.folder / "submission.zip") as package:
        assert package.namelist() == [
            f"{sequence}/{index:05}.png" for sequence in ("disk", "toy") for index in range(5)]
        for name in package.namelist():
            assert package.read(name) == (finished.folder / "labels" / name).read_bytes()
