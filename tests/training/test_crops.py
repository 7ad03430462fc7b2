"""Random crops: where they lie, what they hold, how the loss is weighted."""

import numpy as np
import pytest

from segspn.errors import UserError
from segspn.training import augment
from segspn.training.crops import Crops


@pytest.fixture
def frame():
    """A frame of 120 x 200 whose pixel (x, y) is (x, y, 7), with a small object, and void."""
    rows, columns = np.mgrid[:120, :200]
    image = np.stack([columns, rows, np.full_like(rows, 7)], 2).astype(np.uint8)
    foreground, void = np.zeros((2, 120, 200), bool)
    foreground[100:110, 20:40], void[50:60, 100:110] = True, True
    return image, foreground, void


def test_a_crop_is_a_window_of_the_frame(frame):
    crops = Crops.parse({"size": (40, 64)})
    seen = 0
    for seed in range(40):
        image, foreground, void = crops.cut(augment.generator(seed, 0), *frame)
        assert image.shape == (40, 64, 3) and foreground.shape == void.shape == (40, 64)
        columns, rows = image[..., 0].astype(int), image[..., 1].astype(int)
        assert (rows == rows[:, :1]).all() and (np.diff(rows[:, 0]) == 1).all()
        assert (np.abs(np.diff(columns[0])) == 1).all()  # inside the frame, mirrored or not
        for cut, whole in ((foreground, frame[1]), (void, frame[2])):  # to half a pixel
            assert np.count_nonzero(cut != whole[rows, columns]) <= 30
            assert cut.any() == whole[rows, columns].any()
        seen += foreground.any()
    assert 25 <= seen < 40


def test_same_numbers_give_the_same_crop(frame):
    crops = Crops.parse({"size": (40, 64), "scale": (0.5, 2.0), "angle": 20, "colour": 1.0})
    first, again, other = (crops.cut(augment.generator(3, n), *frame) for n in (5, 5, 6))
    assert all((a == b).all() for a, b in zip(first, again))
    assert (first[0] != other[0]).any()


def test_scale_and_crops_larger_than_the_frame(frame):
    crops = Crops.parse({"size": (240, 400), "scale": (2, 2)})
    image, foreground, _ = crops.cut(augment.generator(0, 0), *frame)
    assert abs(int(foreground.sum()) - 4 * 200) < 80
    crops = Crops.parse({"size": (300, 300)})
    image, foreground, _ = crops.cut(augment.generator(0, 0), *frame)
    assert image.shape == (300, 300, 3) and foreground.sum() >= 200


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_weight(frame, balance):
    weight = Crops.parse({"size": (32, 32), "balance": balance}).weight(*frame[1:])
    share = 200 / (120 * 200 - 100)
    assert weight.dtype == np.float32 and (weight[frame[2]] == 0).all()
    assert np.allclose(weight[frame[1]], (0.5 / max(share, 0.01)) ** balance)
    assert np.allclose(weight[0, 0], (0.5 / (1 - max(share, 0.01))) ** balance)


@pytest.mark.parametrize("given", [
    {}, {"size": (16, 64)}, {"size": (64,)}, {"size": (64, 64.0)}, {"size": (64, 64), "batch": 0},
    {"size": (64, 64), "scale": (2, 1)}, {"size": (64, 64), "scale": (0, 1)},
    {"size": (64, 64), "angle": "5"}, {"size": (64, 64), "balance": 2.0},
    {"size": (64, 64), "colour": float("nan")}, {"size": (64, 64), "sizes": 1}])
def test_what_describes_no_crops(given):
    with pytest.raises(UserError, match="crops must have a size"):
        Crops.parse(given)


def test_recoloured():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    assert (augment.recoloured(augment.generator(0, 0), image, 0.0) == image).all()
    strong = [augment.recoloured(augment.generator(0, n), image) for n in range(8)]
    assert all(other.dtype == np.uint8 and other.shape == image.shape for other in strong)
    assert len({other.tobytes() for other in strong}) == 8
