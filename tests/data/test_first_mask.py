"""Masks of painting programs and annotation tools: their ids, or one clear line."""

import io
import re
import shlex

import cv2
import numpy as np
import pytest
from PIL import Image

from segspn.data import davis, first_mask
from segspn.errors import UserError
from segspn.evaluation import metrics
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


def refused(path, *words, **options):
    with pytest.raises(UserError) as error:
        first_mask.read_mask(path, **options)
    assert "\n" not in str(error.value)
    for word in (str(path), *words):
        assert word in str(error.value), error.value
    return True


def test_ids_of_indexed_masks_stay(tmp_path):
    mask = first_mask.read_mask(write_mask(tmp_path / "mask.png"))
    np.testing.assert_array_equal(mask.ids, labels())
    assert davis.VOID in mask.ids and mask.colours == () and mask.notes == ()


def test_a_photograph_is_refused_before_its_colours_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(first_mask.soft_edges, "hardened", None)
    colours = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    assert refused(saved(tmp_path, colours), "colours, as a photograph has")


def test_ids_of_grey_masks_stay(tmp_path):
    mask = first_mask.read_mask(saved(tmp_path, squares(7, 3)))
    np.testing.assert_array_equal(mask.ids, squares(7, 3))


@pytest.mark.parametrize("pixels", [squares(255), squares(255) > 0])
def test_black_and_white_is_one_object(tmp_path, pixels):
    np.testing.assert_array_equal(first_mask.read_mask(saved(tmp_path, pixels)).ids, squares(1))


def test_colours_of_the_palette_are_its_ids(tmp_path):
    palette = [tuple(map(int, colour)) for colour in davis.palette()]
    pixels = painted(palette[5], palette[2], palette[davis.VOID])
    mask = first_mask.read_mask(saved(tmp_path, pixels), void="#e0e0c0")
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


def indexed(folder, ids, *colours, **options):
    image = Image.fromarray(ids)
    image.putpalette(np.array(colours, np.uint8).tobytes())
    image.save(folder / "mask.png", **options)
    return folder / "mask.png"


def ids_of(path, **options):
    return first_mask.read_mask(path, **options).ids


def test_palettes_without_a_background_at_0_are_read_by_colours(tmp_path):
    """As those that Pillow's quantize() makes."""
    ground = (2, 1, 0)
    path = indexed(tmp_path, np.array(ground, np.uint8)[squares(1, 2)], CYAN, RED, (0, 0, 0))
    mask = first_mask.read_mask(path)
    np.testing.assert_array_equal(mask.ids, squares(2, 1))  # as they appear
    assert mask.colours == ((CYAN, 1), (RED, 2))
    path = indexed(tmp_path, np.array(ground, np.uint8)[squares(1, 2)], CYAN, RED, WHITE,
                   transparency=2)
    np.testing.assert_array_equal(ids_of(path), squares(2, 1))


def test_transparent_indices_are_background(tmp_path):
    path = indexed(tmp_path, squares(1, 2, 3), WHITE, RED, CYAN, WHITE,
                   transparency=bytes([0, 255, 128, 0]))
    np.testing.assert_array_equal(ids_of(path), squares(1, 2))
    grey = saved(tmp_path, np.where(squares(1, 2) == 0, 9, squares(1, 2)).astype(np.uint8),
                 transparency=9)
    np.testing.assert_array_equal(ids_of(grey), squares(1, 2))


def test_fewer_bits_and_more(tmp_path):
    for bits in (1, 2, 4):
        path = indexed(tmp_path, squares(1), (0, 0, 0), RED, bits=bits)
        np.testing.assert_array_equal(ids_of(path), squares(1))
    assert refused(saved(tmp_path, squares(1).astype(np.uint16)), "8-bit grey", "I;16")


@pytest.mark.parametrize(("pixels", "ground"), [
    (painted(RED, (0, 0, 0), background=WHITE), "#ffffff"),
    (painted([0], [4], background=[255])[..., 0], "255"),
    (painted([7], [8], background=[3])[..., 0], "3")])
def test_what_covers_the_border_is_asked_for(tmp_path, pixels, ground):
    path = saved(tmp_path, pixels)
    assert refused(path, "% of the border", f"--background {shlex.quote(ground)}")
    found = first_mask.read_mask(path, background=ground)
    areas = first_mask.areas(found.ids)
    assert sorted(areas.values()) == [144, 144] and not found.ids[0, 0]
    nothing = "#000000" if "#" in ground else "0"
    void = {"void": "none"} if ground == "255" else {}
    assert first_mask.read_mask(path, background=nothing, **void).ids[0, 0]


def test_black_on_white_is_one_object(tmp_path):
    path = saved(tmp_path, ~squares(255))
    assert refused(path, "--background 255", "--background 0")
    np.testing.assert_array_equal(ids_of(path, background="255"), squares(1))
    path = saved(tmp_path, squares(255) == 0)
    np.testing.assert_array_equal(ids_of(path, background="255"), squares(1))


def test_ids_of_palettes_without_black_can_be_confirmed(tmp_path):
    path = indexed(tmp_path, squares(1, 2), RED, (0, 0, 0), CYAN)
    assert refused(path, "% of the border", "--background '#ff0000'")
    np.testing.assert_array_equal(ids_of(path, background="0"), squares(1, 2))
    np.testing.assert_array_equal(ids_of(path, background="#ff0000"), squares(2, 1))


@pytest.mark.parametrize(("options", "words"), [
    ({"background": "white"}, "--background of mask"), ({"void": "#12345"}, "--void of mask"),
    ({"background": "9"}, "a colour, as '#ffffff', not '9'"),
    ({"void": "#123456"}, "--void '#123456' is not in mask")])
def test_options_that_fit_no_value_are_refused(tmp_path, options, words):
    assert refused(saved(tmp_path, painted(RED)), words, **options)


def test_void_is_asked_for_where_it_is_no_rim(tmp_path):
    """Apart from objects, thicker than a rim, or alone; a rim is void as it is."""
    thick = squares(127)
    thick[70:90, 12:32] = 255
    for pixels in (squares(127, 255), thick):
        path, is_void = saved(tmp_path, pixels), pixels == 255
        assert refused(path, f"{np.count_nonzero(is_void)} px of 255", "--void 255", "--void none")
        np.testing.assert_array_equal(ids_of(path, void="255"), pixels)
        mask = first_mask.read_mask(path, void="none")
        np.testing.assert_array_equal(mask.ids, np.where(is_void, 1, pixels))
        assert mask.notes == ("object 1 has the value 255 in the mask",)
        np.testing.assert_array_equal(ids_of(path, void="127") == davis.VOID, pixels == 127)
    rim = squares(1, 2)
    rim[(cv2.dilate(rim, np.ones((5, 5))) > 0) & (rim == 0)] = 255
    np.testing.assert_array_equal(ids_of(saved(tmp_path, rim)), rim)


@pytest.mark.parametrize("pixels", [squares(0), painted(), painted(background=(*RED, 0)),
                                    painted((0, 0, 0, 255), background=(*RED, 0))])
def test_empty_masks_are_refused(tmp_path, pixels):
    assert refused(saved(tmp_path, pixels), "has no object")


def test_void_alone_is_refused(tmp_path):
    path = tmp_path / "mask.png"
    davis.write_labels(path, squares(255))
    assert refused(path, "px of 255", "--void none")
    assert refused(path, "has no object", "void", void="255")
    np.testing.assert_array_equal(ids_of(path, void="none"), squares(1))


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


# ------------------------------------------------------------------- soft edges

def discs():
    """Ids 1 to 3, 120 x 160: three discs, of which two touch, and a bar to the border."""
    ids = np.zeros((120, 160), np.uint8)
    for k, centre in enumerate(((50, 40), (93, 45), (60, 90)), 1):
        cv2.circle(ids, centre, 22, k, -1)
    ids[90:98, 60:] = 3
    return ids


def resized(factor, interpolation):
    return lambda pixels: cv2.resize(pixels, None, fx=factor, fy=factor,
                                     interpolation=interpolation)


def through_jpeg(pixels):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=90, subsampling=0)
    return np.array(Image.open(data))


SOFTENED = {
    "bilinear": resized(2, cv2.INTER_LINEAR), "bicubic": resized(3, cv2.INTER_CUBIC),
    "lanczos": resized(1.7, cv2.INTER_LANCZOS4), "area": resized(0.6, cv2.INTER_AREA),
    "feather": lambda pixels: cv2.GaussianBlur(pixels, None, 2), "jpeg": through_jpeg}
GROUNDS = {
    "grey": [0, 38, 75, 113], "colours": [(0, 0, 0), RED, (0, 255, 0), (0, 0, 255)],
    "clear": [(0, 0, 0, 0), (*RED, 255), (0, 255, 0, 255), (0, 0, 255, 255)],
    "clear white": [(*WHITE, 0), (*RED, 255), (0, 255, 0, 255), (0, 0, 255, 255)]}


@pytest.mark.parametrize("how", SOFTENED)
@pytest.mark.parametrize("ground", GROUNDS)
def test_soft_edges_are_read_as_hard_ones(tmp_path, how, ground):
    if how == "jpeg" and "clear" in ground:
        how = "bilinear"  # JPEG has no alpha
    pixels = SOFTENED[how](np.array(GROUNDS[ground], np.uint8)[discs()])
    truth = cv2.resize(discs(), pixels.shape[1::-1],
                       interpolation=cv2.INTER_NEAREST_EXACT)
    mask = first_mask.read_mask(saved(tmp_path, pixels))
    assert len(np.unique(mask.ids)) == 4
    for k in range(4):
        found = mask.ids == mask.ids[np.unravel_index(
            cv2.distanceTransform((truth == k).astype(np.uint8), cv2.DIST_L2, 3).argmax(),
            truth.shape)]
        assert metrics.jaccard(truth == k, found) > (0.9 if ground == "grey" else 0.97)
    note, = mask.notes
    lowest = {"grey": "0", "colours": "'#000000'"}.get(ground, "transparent")
    assert re.match(rf"soft edges: \d+ px of \d+ values between {lowest}, .* were given", note)


def test_one_soft_object_is_one(tmp_path):
    """As of a mask of 0 and 255 enlarged, antialiased, feathered, or once a JPEG."""
    disc = np.zeros((60, 80), np.uint8)
    cv2.circle(disc, (40, 30), 17, 255, -1)
    noisy = disc.copy()
    noisy[30:36:2, 38:42:2], noisy[3:9:3, 3:9:2] = 254, 1
    for pixels in (resized(2, cv2.INTER_LINEAR)(disc), cv2.GaussianBlur(disc, None, 3), noisy,
                   resized(0.5, cv2.INTER_AREA)(disc)):
        mask = first_mask.read_mask(saved(tmp_path, pixels))
        np.testing.assert_array_equal(mask.ids, pixels > 127)
        assert "between 0 and 255" in mask.notes[0]


def test_noise_around_one_value_is_told_so(tmp_path):
    pixels = squares(255)
    pixels[2:9:3, 60:90:4] = 1
    mask = first_mask.read_mask(saved(tmp_path, pixels))
    np.testing.assert_array_equal(mask.ids, squares(1))
    assert mask.notes == ("soft edges: 24 px of 1 value around 0 were given to it",)


def test_an_antialiased_line_is_of_its_object(tmp_path):
    pixels = np.zeros((100, 200), np.uint8)
    cv2.circle(pixels, (50, 50), 20, 255, -1, cv2.LINE_AA)
    cv2.line(pixels, (90, 20), (190, 60), 255, 2, cv2.LINE_AA)
    mask = first_mask.read_mask(saved(tmp_path, pixels))
    np.testing.assert_array_equal(mask.ids, pixels > 127)


def test_soft_edges_of_palettes(tmp_path):
    """Of indices, as programs make that know no palettes, and of the colours of one."""
    indices = resized(2, cv2.INTER_LINEAR)(discs() * 20)
    image = Image.fromarray(indices)
    image.putpalette(davis.palette().tobytes())
    image.save(tmp_path / "mask.png")
    assert davis.objects_of(first_mask.read_mask(tmp_path / "mask.png").ids) == [20, 40, 60]
    colours = np.array(GROUNDS["colours"], np.uint8)[discs()]
    image = Image.fromarray(resized(2, cv2.INTER_LINEAR)(colours)).quantize(32)
    image.save(tmp_path / "mask.png")
    assert len(davis.objects_of(first_mask.read_mask(tmp_path / "mask.png").ids)) == 3


def test_small_and_thin_objects_of_hard_masks_stay(tmp_path):
    pixels = np.array([0, 38, 75, 113], np.uint8)[discs()]
    pixels[10:12, 20:25] = 52  # beside nothing
    pixels[60, 73:76] = pixels[64, 90:95] = 60  # between objects, and within one
    for row in range(100, 118):
        pixels[row, row - 90:row - 88] = 19  # a wire
    pixels[96:98, 59:62] = 40  # between an object and the background
    mask = first_mask.read_mask(saved(tmp_path, pixels))
    np.testing.assert_array_equal(mask.ids, pixels)
    assert mask.notes == ()


def test_what_may_be_an_object_is_refused_in_a_soft_mask(tmp_path):
    soft = resized(2, cv2.INTER_LINEAR)(discs() * 50)
    soft[3:5, 3:9] = 233
    assert refused(saved(tmp_path, soft), "colours", "soft edges", "without antialiasing")
    lines = np.zeros((100, 100, 3), np.uint8)
    cv2.circle(lines, (60, 60), 20, RED, -1, cv2.LINE_AA)
    cv2.line(lines, (5, 5), (90, 30), CYAN, 1, cv2.LINE_AA)  # nowhere without a rim
    assert refused(saved(tmp_path, lines), "soft edges")
    photo = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    assert refused(saved(tmp_path, photo), "fewer than 16 px")


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
    assert re.fullmatch(r"the ids have gaps: no object 1, 3–4", gap)
    assert "object 2 has no more than 15 px" in small
    assert first_mask.notes(dict.fromkeys(range(1, 11), 99)) == []
    many, = first_mask.notes(dict.fromkeys(range(1, 12), 99))
    assert "11 objects" in many


@pytest.mark.filterwarnings("error")
def test_ids_of_palettes_with_one_colour_twice(tmp_path):
    ids = squares(1)
    ids[40:60, 20:40], ids[40:60, 41:60], ids[40:60, 40] = 2, 3, 4
    path = indexed(tmp_path, ids, (0, 0, 0), RED, CYAN, CYAN, RED)
    np.testing.assert_array_equal(ids_of(path), ids)
