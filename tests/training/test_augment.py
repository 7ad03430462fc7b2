"""The augmentation: one warp for image and masks, drawn from (seed, iteration) alone."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from segspn.caffenet.net_input import net_input
from segspn.errors import UserError
from segspn.training import augment
from segspn.training.augment import Augmentation

SIZE = (48, 64)
RELEASE = (3000, 0.05, 5, 0.1, 0.1, 1)


def random_source(seed=0):
    """An image of noise, the hardest to interpolate, and two masks of smooth outline."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE[0], :SIZE[1]]
    masks = [(x - 30) ** 2 + (y - 20) ** 2 < 200, (x > 40) & (y > 25) & (y < 40)]
    return rng.integers(0, 256, (*SIZE, 3), np.uint8), masks


def random_matrix(seed):
    rng = np.random.default_rng(seed)
    return augment.affine(1 + rng.uniform(-0.3, 0.3), np.deg2rad(rng.uniform(-40, 40)),
                          rng.uniform(-15, 15, 2), seed % 2 == 1, *SIZE)


def source_coordinates(matrix):
    """x and y in the source of every pixel of the warped image, float64."""
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    y, x = np.mgrid[:SIZE[0], :SIZE[1]]
    return inverse[:2] @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)]), inverse


def fixed_point_coordinates(matrix):
    """The same as cv2.warpAffine has them: in steps of 1/32 pixel.

    It multiplies the inverse by 1024, rounds the terms of x and of (y, 1)
    apart, and rounds their sum to 1/32.
    """
    coordinates, inverse = source_coordinates(matrix)
    x, y = np.arange(SIZE[1]), np.arange(SIZE[0])[:, None]
    fixed = [(np.rint(1024 * row[0] * x) + np.rint(1024 * (row[1] * y + row[2])) + 16) // 32 / 32
             for row in inverse[:2]]
    # Half a step, and twice half of 1/1024: nothing else is lost.
    assert np.abs(np.stack(fixed).reshape(2, -1) - coordinates).max() <= 1 / 64 + 1 / 1024
    return fixed


def mirrored_index(index, length):
    """Reflection at the centres of the border pixels (reflect 101)."""
    index = np.abs(index) % (2 * length - 2)
    return np.where(index < length, index, 2 * length - 2 - index)


def bilinear(plane, x, y):
    """float64 bilinear interpolation of a plane at real coordinates."""
    left, upper = np.floor(x).astype(int), np.floor(y).astype(int)
    result = 0
    for i, wy in ((upper, 1 - (y - upper)), (upper + 1, y - upper)):
        for j, wx in ((left, 1 - (x - left)), (left + 1, x - left)):
            result = result + wy * wx * plane.astype(float)[
                mirrored_index(i, SIZE[0]), mirrored_index(j, SIZE[1])]
    return result


@pytest.mark.parametrize("seed", range(8))
def test_warp_is_bilinear_with_mirrored_borders(seed):
    """Exact: at coordinates in 1/32, the products of weights are whole multiples of 1/1024."""
    image, masks = random_source(seed)
    matrix = random_matrix(seed)
    warped, warped_masks = augment.warp(image, masks, matrix)
    x, y = fixed_point_coordinates(matrix)
    for channel in range(3):
        expected = np.floor(bilinear(image[..., channel], x, y) + 0.5)
        np.testing.assert_array_equal(warped[..., channel], expected)
    for mask, warped_mask in zip(masks, warped_masks):
        assert warped_mask.dtype == bool
        np.testing.assert_array_equal(warped_mask, bilinear(mask, x, y) >= 0.5)


@pytest.mark.parametrize("seed", range(8))
def test_image_and_masks_move_together(seed):
    """An image that is the mask itself, cut at one half, stays the mask."""
    _, masks = random_source()
    for mask in masks:
        image = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
        warped, (warped_mask,) = augment.warp(image, [mask], random_matrix(seed))
        assert 0 < np.count_nonzero(warped_mask) < warped_mask.size
        np.testing.assert_array_equal(warped[..., 0] > 127, warped_mask)


def test_mirror_is_exact():
    image, masks = random_source()
    warped, warped_masks = augment.warp(image, masks, augment.affine(1, 0, (0, 0), True, *SIZE))
    np.testing.assert_array_equal(warped, image[:, ::-1])
    for mask, warped_mask in zip(masks, warped_masks):
        np.testing.assert_array_equal(warped_mask, mask[:, ::-1])


def test_whole_shift_is_exact_and_goes_right_and_down():
    image, _ = random_source()
    warped, _ = augment.warp(image, [], augment.affine(1, 0, (5, 3), False, *SIZE))
    np.testing.assert_array_equal(warped[3:, 5:], image[:-3, :-5])
    np.testing.assert_array_equal(warped[:3, 5:], image[3:0:-1, :-5])  # mirrored beyond the border


def test_identity_gives_the_same_arrays():
    image, masks = random_source()
    matrix = augment.affine(1, 0, (0, 0), False, *SIZE)
    np.testing.assert_array_equal(matrix, np.eye(2, 3))
    warped, warped_masks = augment.warp(image, masks, matrix)
    assert warped is image and warped_masks is masks


def test_angles_are_anticlockwise_about_the_centre():
    matrix = augment.affine(1, np.pi / 2, (0, 0), False, 11, 11)
    for point, expected in (((5, 5), (5, 5)), ((10, 5), (5, 0)), ((5, 0), (0, 5))):
        np.testing.assert_allclose(matrix @ (*point, 1), expected, atol=1e-12)


def drawn(parameters, count, size=(480, 854)):
    """Scale, angle in degrees, relative shift, and mirroring of `count` random warps."""
    height, width = size
    augmentation = Augmentation.parse(parameters)
    result = []
    for iteration in range(count):
        matrix = augmentation.draw(augment.generator(0, iteration), height, width)
        mirrored = np.linalg.det(matrix[:, :2]) < 0
        if mirrored:
            matrix = np.vstack([[-1, 0, width - 1] @ np.vstack([matrix, [0, 0, 1]]), matrix[1]])
        (cosine, sine), centre = matrix[0, :2], np.array([(width - 1) / 2, (height - 1) / 2])
        shift = matrix @ (*centre, 1) - centre
        result.append((np.hypot(cosine, sine), np.rad2deg(np.arctan2(sine, cosine)),
                       shift[0] / width, shift[1] / height, mirrored))
    return np.array(result)


def test_parameters_fill_their_ranges():
    values = drawn((10**9, 0.05, 5, 0.1, 0.2, 1), 4000)
    for column, middle, limit in ((0, 1, 0.05), (1, 0, 5), (2, 0, 0.1), (3, 0, 0.2)):
        column = (values[:, column] - middle) / limit
        assert np.abs(column).max() <= 1 + 1e-9
        assert column.min() < -0.99 and column.max() > 0.99
        # A uniform distribution's deciles, within four standard deviations.
        counts, _ = np.histogram(column, np.linspace(-1, 1, 11))
        assert np.abs(counts - 400).max() < 4 * np.sqrt(4000 * 0.1 * 0.9)
    assert abs(values[:, 4].sum() - 2000) < 4 * np.sqrt(4000 / 4)


def test_mirroring_can_be_switched_off():
    assert not drawn((10**9, 0.05, 5, 0.1, 0.1, 0), 200)[:, 4].any()


@pytest.mark.parametrize("untouched", [0, 1, 9])
def test_untouched_with_probability_of_one_in_untouched_plus_one(untouched):
    augmentation = Augmentation.parse((untouched, *RELEASE[1:]))
    same = sum(np.array_equal(augmentation.draw(augment.generator(7, i), *SIZE), np.eye(2, 3))
               for i in range(2000))
    p = 1 / (untouched + 1)
    assert abs(same - 2000 * p) <= 4 * np.sqrt(2000 * p * (1 - p))


def test_function_of_seed_and_iteration_only():
    augmentation = Augmentation.parse(RELEASE)

    def draw(seed, iteration):
        return augmentation.draw(augment.generator(seed, iteration), *SIZE)

    forwards = [draw(3, i) for i in range(20)]
    np.random.seed(1)  # the global generator plays no part
    backwards = [draw(3, i) for i in reversed(range(20))][::-1]
    np.testing.assert_array_equal(forwards, backwards)
    different = {draw(seed, i).tobytes() for seed in range(5) for i in range(20)}
    assert len(different) == 100


@pytest.mark.parametrize("values", [
    None, "3000", 5, (), (1, 2, 3, 4, 5), (*RELEASE, 0), (3000, -0.05, 5, 0.1, 0.1, 1),
    (3000, 1, 5, 0.1, 0.1, 1), (3000, 0.05, "5", 0.1, 0.1, 1), (3000, 0.05, None, 0.1, 0.1, 1),
    (3000, float("nan"), 5, 0.1, 0.1, 1), (float("inf"), 0.05, 5, 0.1, 0.1, 1),
    (3000, 0.05, float("inf"), 0.1, 0.1, 1), (3000, 0.05, 5, float("inf"), 0.1, 1),
    (10**30, 0.05, 5, 0.1, 0.1, 1), (0.5, 0.05, 5, 0.1, 0.1, 1), (3000, 0.05, 5, 0.1, 0.1, 0.5)])
def test_bad_parameters_are_refused(values):
    with pytest.raises(UserError, match="augmentation"):
        Augmentation.parse(values)


def test_net_input_is_bgr_minus_mean():
    image, _ = random_source()
    planes = net_input(image)
    assert planes.dtype == np.float32 and planes.shape == (3, *SIZE)
    for channel, mean in enumerate((104.00699, 116.66877, 122.67892)):
        expected = image[..., channel].astype(np.float32) - np.float32(mean)
        np.testing.assert_array_equal(planes[channel], expected)


@pytest.mark.parametrize("void_share", [0, 0.2, 1])
@pytest.mark.parametrize("foreground_share", [0, 0.3, 1])
def test_class_balance(foreground_share, void_share):
    """At class c: 1 - (pixels of class c) / (all pixels that are not void); 0 at void."""
    rng = np.random.default_rng(4)
    mask, void = rng.random(SIZE) < foreground_share, rng.random(SIZE) < void_share
    weight = augment.class_balance(mask, void)
    assert weight.dtype == np.float32
    pixels = list(zip(mask.ravel(), void.ravel(), weight.ravel()))
    counts = Counter(m for m, v, _ in pixels if not v)
    for m, v, actual in pixels:
        expected = 0 if v else 1 - Fraction(counts[m], sum(counts.values()))
        assert actual == np.float32(float(expected))
