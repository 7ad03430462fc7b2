"""Masks of painting programs and annotation tools: their ids, or one clear line."""

import re

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from segspn.data import davis, first_mask
from segspn.errors import UserError
from tests.support.import_clips import SIZE, labels, write_mask

RED, CYAN, WHITE = (255, 0, 0), (0, 255, 255), (255, 255, 255)


def painted(*colours, background=(0, 0, 0), size=SIZE):
    """uint8, H x W x 3 or 4: a square a colour from the left, each higher than the last."""
    image = np.full((*size, len(background)), background, np.uint8)
    for index, colour in enumerate(colours):
        top = size[0] - 30 - 5 * index
        image[top:top + 12, 16 * index:16 * index + 12] = colour
    return image


def squares(*ids):
    """The ids of painted() with these for its colours."""
    return painted(*([k] for k in ids), background=[0])[..., 0]


def saved(folder, pixels, name="mask.png", **options):
    Image.fromarray(pixels).save(folder / name, **options)
    return folder / name


def refused(path, *words):
    with pytest.raises(UserError) as error:
        first_mask.read_mask(path)
    assert "\n" not in str(error.value)
    for word in (str(path), *words):
        assert word in str(error.value), error.value
    return True


def test_ids_of_indexed_masks_stay(tmp_path):
    mask = first_mask.read_mask(write_mask(tmp_path / "mask.png"))
    np.testing.assert_array_equal(mask.ids, labels())
    assert davis.VOID in mask.ids and mask.colours == () and mask.notes == ()


def test_ids_of_grey_masks_stay(tmp_path):
    mask = first_mask.read_mask(saved(tmp_path, squares(7, 3, 255)))
    np.testing.assert_array_equal(mask.ids, squares(7, 3, 255))


@pytest.mark.parametrize("pixels", [squares(255), squares(255) > 0])
def test_black_and_white_is_one_object(tmp_path, pixels):
    np.testing.assert_array_equal(first_mask.read_mask(saved(tmp_path, pixels)).ids, squares(1))


def test_colours_of_the_palette_are_its_ids(tmp_path):
    palette = [tuple(map(int, colour)) for colour in davis.palette()]
    pixels = painted(palette[5], palette[2], palette[davis.VOID])
    mask = first_mask.read_mask(saved(tmp_path, pixels))
    np.testing.assert_array_equal(mask.ids, squares(5, 2, davis.VOID))
    assert mask.colours == ()


def test_other_colours_are_numbered_as_they_appear(tmp_path):
    """Row by row from the top: the last of painted() is the highest."""
    palette = tuple(map(int, davis.palette()[1]))
    mask = first_mask.read_mask(saved(tmp_path, painted(CYAN, palette, RED)))
    np.testing.assert_array_equal(mask.ids, squares(3, 2, 1))
    assert mask.colours == ((RED, 1), (palette, 2), (CYAN, 3))


def test_transparent_is_background(tmp_path):
    pixels = painted((*RED, 255), (*CYAN, 90), (*CYAN, 0), background=(*WHITE, 0))
    mask = first_mask.read_mask(saved(tmp_path, pixels))
    np.testing.assert_array_equal(mask.ids, squares(2, 1, 0))
    grey = painted((255, 255), background=(255, 0))
    np.testing.assert_array_equal(first_mask.read_mask(saved(tmp_path, grey)).ids, squares(1))
    key = saved(tmp_path, painted(RED, background=WHITE), transparency=WHITE)
    assert Image.open(key).mode == "RGB"
    np.testing.assert_array_equal(first_mask.read_mask(key).ids, squares(1))


def test_an_indexed_mask_whose_background_is_not_black_is_noted(tmp_path):
    image = Image.fromarray(squares(1))
    image.putpalette([*RED, 0, 0, 0])
    image.save(tmp_path / "mask.png")
    note, = first_mask.read_mask(tmp_path / "mask.png").notes
    assert "index 0" in note and "#ff0000" in note


@pytest.mark.parametrize("pixels", [squares(0), painted(), painted(background=(*RED, 0)),
                                    painted((0, 0, 0, 255), background=(*RED, 0))])
def test_empty_masks_are_refused(tmp_path, pixels):
    assert refused(saved(tmp_path, pixels), "has no object")


def test_void_alone_is_refused(tmp_path):
    davis.write_labels(tmp_path / "mask.png", squares(255))
    assert refused(tmp_path / "mask.png", "has no object", "void")


@pytest.mark.parametrize(("name", "word"), [
    ("mask.jpg", "JPEG, which changes colours"), ("mask.bmp", "BMP"), ("mask.webp", "WEBP"),
    ("mask.gif", "GIF")])
def test_other_kinds_of_files_are_refused(tmp_path, name, word):
    path = saved(tmp_path, painted(RED), name)
    assert refused(path, word, "save it as PNG")
    assert refused(path.rename(tmp_path / "mask.png"), word)


def test_corrupt_masks_are_refused(tmp_path):
    path = saved(tmp_path, painted(RED))
    data = path.read_bytes()
    for content in (b"", b"no image", data[:-30], data[:60] + b"x" + data[61:]):
        path.write_bytes(content)
        assert refused(path, "corrupt or not an image")
    assert refused(tmp_path / "nosuch.png", "does not exist")
    assert refused(saved(tmp_path, np.full(SIZE, 300, np.uint16)), "8-bit grey")


def soft(size, channels):
    """A disc with antialiased edges, on black or on nothing."""
    alpha = np.zeros(size, np.uint8)
    cv2.circle(alpha, (size[1] // 2, size[0] // 2), size[0] // 4, 255, -1, cv2.LINE_AA)
    return {1: alpha, 3: alpha[..., None] // np.array((1, 2, 3), np.uint8),
            4: np.dstack([np.full((*size, 3), RED, np.uint8), alpha])}[channels]


@pytest.mark.parametrize("size, channels", [
    (SIZE, 1), (SIZE, 3), (SIZE, 4), ((480, 854), 3), ((1080, 1920), 1)])
def test_soft_edges_are_refused(tmp_path, size, channels):
    pixels = soft(size, channels)
    count = len(np.unique(pixels.reshape(-1, channels), axis=0))
    assert count > 20
    assert refused(saved(tmp_path, pixels), f"has {count} colours", "fewer than 16 px",
                   "without antialiasing")


def test_soft_edges_of_four_by_four_samples_are_refused(tmp_path):
    image = Image.new("L", (400, 400))
    ImageDraw.Draw(image).ellipse((60, 60, 340, 340), fill=255)
    image.resize((100, 100), Image.BOX).save(tmp_path / "mask.png")
    assert refused(tmp_path / "mask.png", "soft edges")


def test_more_colours_than_ids_are_refused(tmp_path):
    side = 16 * 16
    blocks = np.arange(256).reshape(16, 16).repeat(16, 0).repeat(16, 1)
    colours = np.dstack([blocks, np.full((side, side), 77), blocks]).astype(np.uint8)
    assert refused(saved(tmp_path, colours), "has 256 colours")
    colours[blocks > 253] = colours[0, 0]
    mask = first_mask.read_mask(saved(tmp_path, colours))
    np.testing.assert_array_equal(mask.ids, np.where(blocks > 253, 0, blocks) + 1)


def test_many_thin_objects_beside_as_many_whole_ones_are_no_edges(tmp_path):
    pixels = np.zeros((200, 200), np.uint8)
    for k in range(12):
        pixels[10 * k:10 * k + 5, 10:30] = k + 1
        pixels[10 * k:10 * k + 2, 50:70] = k + 101
    np.testing.assert_array_equal(first_mask.read_mask(saved(tmp_path, pixels)).ids, pixels)


def mask_of(ids):
    return first_mask.Mask("mask.png", ids)


def test_masks_take_the_size_of_the_frames():
    ids = labels((96, 128))
    assert first_mask.fitted(mask_of(ids), (960, 1280), (96, 128), 0) is ids
    assert first_mask.fitted(mask_of(ids), (999, 500), (96, 128), 0) is ids
    np.testing.assert_array_equal(first_mask.fitted(mask_of(ids), (960, 1280), (48, 64), 0),
                                  ids[1::2, 1::2])
    double = first_mask.fitted(mask_of(ids), (96, 128), (192, 256), 0)
    np.testing.assert_array_equal(double, ids.repeat(2, 0).repeat(2, 1))
    # 854x480 is not quite of the aspect of 1920x1080.
    assert first_mask.fitted(mask_of(labels((480, 854))), (1080, 1920), (480, 853), 0).any()


def test_masks_of_another_aspect_are_refused():
    with pytest.raises(UserError, match="mask.png is 128x96, and frame 5 .* of, 96x128;"):
        first_mask.fitted(mask_of(labels((96, 128))), (128, 96), (64, 48), 5)


def test_objects_that_get_lost_are_refused():
    ids = labels()
    ids[0, 0] = 9
    with pytest.raises(UserError, match="object 9 of mask mask.png .* nothing is left.* 32x24"):
        first_mask.fitted(mask_of(ids), SIZE, (24, 32), 0)


def test_areas_and_notes():
    assert first_mask.areas(labels()) == {1: 24 * 32, 2: 24 * 32}
    assert first_mask.notes({1: 16, 2: 500}) == []
    gap, small = first_mask.notes({2: 15, 5: 16})
    assert re.fullmatch(r"the ids have gaps: no object 1, 3, 4", gap)
    assert "object 2 has no more than 15 px" in small
    assert first_mask.notes(dict.fromkeys(range(1, 11), 99)) == []
    many, = first_mask.notes(dict.fromkeys(range(1, 12), 99))
    assert "11 objects" in many
