"""Folders of image and mask pairs."""

import cv2
import numpy as np
import pytest

from segspn.data import davis, pairs
from segspn.errors import UserError
from tests.support.davis_trees import jpeg


@pytest.fixture
def folder(tmp_path):
    """Three pairs of 48 x 64, the last with an indexed mask."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 10:30], mask[20:22, 10:30] = 255, 128
    for i, stem in enumerate("abc"):
        (tmp_path / f"images/{stem}.jpg").write_bytes(jpeg(i, (48, 64)))
        cv2.imwrite(str(tmp_path / f"masks/{stem}.png"), mask)
    davis.write_labels(tmp_path / "masks/c.png", (mask == 255) * np.uint8(3))
    (tmp_path / "train.txt").write_text("a\nc\n")
    return tmp_path


def test_values_of_masks(folder):
    data = pairs.data_set(folder)
    (image, ids), (_, indexed) = (data.pair(*pair) for pair in data.listed("train.txt"))
    assert image.shape == (48, 64, 3) and ids.dtype == np.uint8
    assert (ids[10:20, 10:30] == 1).all() and (ids[20:22, 10:30] == davis.VOID).all()
    assert np.count_nonzero(ids) == 240
    assert (indexed[10:20, 10:30] == 3).all() and np.count_nonzero(indexed) == 200


def test_all_and_listed(folder):
    data = pairs.data_set(folder)
    assert [image.name for image, _ in data.all()] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [mask.name for _, mask in data.listed("train.txt")] == ["a.png", "c.png"]


def refusal(action):
    with pytest.raises(UserError) as error:
        action()
    return str(error.value)


def test_what_is_refused(folder):
    data = pairs.data_set(folder)
    (folder / "train.txt").write_text("a\nz\n")
    assert "names z, which is no image" in refusal(lambda: data.listed("train.txt"))
    (folder / "masks/b.png").unlink()
    assert "b.png does not exist" in refusal(data.all)
    cv2.imwrite(str(folder / "masks/b.png"), np.ones((48, 64), np.uint8))
    assert "no value above 1" in refusal(lambda: data.pair(*data.all()[1]))
    cv2.imwrite(str(folder / "masks/b.png"), np.zeros((48, 65), np.uint8))
    assert "must be of one size" in refusal(lambda: data.pair(*data.all()[1]))
    assert "not a data set in DAVIS layout" in refusal(lambda: pairs.data_set(folder / "images"))
