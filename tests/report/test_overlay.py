"""Overlays: what is tinted and what is not, the sheet, the video, and the script."""

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.data import davis, videos
from segspn.errors import UserError
from segspn.report import overlay
from tests.support.frames import draw_frame, fails_in_one_line

RED, GREEN = (davis.palette()[k, ::-1] for k in (1, 2))  # BGR


def square(size=40):
    """A grey frame; object 1 at 10..29, void beside it, object 2 in the corner."""
    labels = np.zeros((size, size), np.uint8)
    labels[10:30, 10:30] = 1
    labels[10:30, 30:33] = davis.VOID
    labels[36:, 36:] = 2
    return np.full((size, size, 3), 100, np.uint8), labels


def test_tint_leaves_background_and_void_alone():
    frame, labels = square()
    before = frame.copy()
    result = overlay.tint(frame, labels)
    assert result.dtype == np.uint8 and result.shape == frame.shape
    np.testing.assert_array_equal(frame, before)
    objects = (labels == 1) | (labels == 2)
    np.testing.assert_array_equal(result[~objects], frame[~objects])
    assert (result[objects] != frame[objects]).any(axis=1).all()


def test_outline_is_two_pixels_of_the_palette_colour():
    result = overlay.tint(*square())
    for depth in 0, 1:
        for pixel in (10 + depth, 20), (29 - depth, 20), (20, 10 + depth), (20, 29 - depth):
            np.testing.assert_array_equal(result[pixel], RED)
    np.testing.assert_array_equal(result[20, 12], (255, 255, 255))
    np.testing.assert_array_equal(result[36, 36], GREEN)


@pytest.mark.parametrize("strength", [0, 0.25, 1])
def test_strength_is_the_share_of_the_colour(strength):
    inside = overlay.tint(*square(), strength)[20, 20]
    np.testing.assert_allclose(inside, (1 - strength) * 100 + strength * RED, atol=0.5)


def test_touching_objects_each_have_an_outline():
    labels = np.ones((20, 20), np.uint8)
    labels[:, 10:] = 2
    result = overlay.tint(np.zeros((20, 20, 3), np.uint8), labels)
    np.testing.assert_array_equal(result[5, 8:12], [RED, RED, GREEN, GREEN])


@pytest.mark.parametrize("labels", [
    np.zeros((40, 41), np.uint8), np.zeros((40, 40), np.int64), np.zeros((40, 40, 3), np.uint8)])
def test_tint_refuses_unfit_labels(labels):
    with pytest.raises(UserError, match=r"labels are .*40x40x3 uint8"):
        overlay.tint(square()[0], labels)


def test_tint_refuses_unfit_frames_and_strengths():
    frame, labels = square()
    with pytest.raises(UserError, match="three channels"):
        overlay.tint(frame[..., 0], labels)
    with pytest.raises(UserError, match="strength"):
        overlay.tint(frame, labels, 1.5)


def test_contact_sheet_is_a_grid():
    images = [np.full((48, 64, 3), 40 * k, np.uint8) for k in range(5)]
    sheet = overlay.contact_sheet(images, columns=3, width=200)
    tile = (200 - 2 * overlay.GAP) // 3, 48
    assert sheet.shape == (2 * tile[1] + overlay.GAP, 200, 3)
    for number in range(5):  # upper right corners are free of the caption
        row, column = divmod(number, 3)
        corner = sheet[row * (tile[1] + overlay.GAP),
                       column * (tile[0] + overlay.GAP) + tile[0] - 1]
        np.testing.assert_array_equal(corner, [40 * number] * 3)
    assert (sheet[:, tile[0]:tile[0] + overlay.GAP] == 255).all()
    assert (sheet[tile[1]:tile[1] + overlay.GAP] == 255).all()


def test_captions_differ_and_default_to_numbers():
    images = [np.full((60, 80, 3), 90, np.uint8)] * 2
    sheet = overlay.contact_sheet(images, 2, 164)
    assert (sheet[:, :80] != sheet[:, 84:]).any()
    np.testing.assert_array_equal(sheet, overlay.contact_sheet(images, 2, 164, ["0", "1"]))
    assert not (images[0] != 90).any()


@pytest.mark.parametrize(("images", "columns", "width", "captions", "words"), [
    ([], 3, 100, None, "at least one image"),
    ([(8, 8)], 0, 100, None, "one column"),
    ([(8, 8), (8, 9)], 2, 100, None, "9x8x3"),
    ([(8, 8)], 1, 100, ["a", "b"], "2 captions for 1 images"),
    ([(8, 8)] * 4, 4, 12, None, "too narrow")])
def test_contact_sheet_refuses(images, columns, width, captions, words):
    images = [np.zeros((*size, 3), np.uint8) for size in images]
    with pytest.raises(UserError, match=words):
        overlay.contact_sheet(images, columns, width, captions)


@pytest.mark.parametrize(("count", "tiles", "expected"), [
    (41, 5, [0, 10, 20, 30, 40]), (3, 12, [0, 1, 2]), (1, 4, [0]), (10, 1, [0])])
def test_tiles_are_spread_from_first_to_last(count, tiles, expected):
    assert overlay.spread(count, tiles) == expected


def test_odd_sized_video_can_be_read_back(tmp_path):
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (90, 90, 90), (10, 200, 200)]
    frames = [np.full((51, 77, 3), colour, np.uint8) for colour in colours]
    path = tmp_path / "new/odd.mp4"
    assert overlay.write_video(path, iter(frames), fps=12) == 5
    video = videos.Video(path)
    assert video.times() == pytest.approx([number / 12 for number in range(5)], abs=1e-3)
    read = list(video.read(range(5)))
    for frame, colour in zip(read, colours):
        assert frame.shape == (52, 78, 3)
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), colour, atol=12)
    meta = next(imageio_ffmpeg.read_frames(str(path)))
    assert meta["codec"] == "h264" and meta["pix_fmt"].startswith("yuv420p")
    assert [p.name for p in path.parent.iterdir()] == ["odd.mp4"]


def test_failing_video_leaves_the_old_one(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    frames = [np.zeros((32, 32, 3), np.uint8)] * 3
    with pytest.raises(UserError, match="34x32x3"):
        overlay.write_video(path, [*frames, np.zeros((32, 34, 3), np.uint8)], 12)
    with pytest.raises(UserError, match="no frames"):
        overlay.write_video(path, [], 12)
    with pytest.raises(UserError, match="frames a second"):
        overlay.write_video(path, frames, 0)
    with pytest.raises(UserError, match=".mp4"):
        overlay.write_video(tmp_path / "video.gif", frames, 12)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_dead_or_short_ffmpeg_is_a_user_error(tmp_path, monkeypatch):
    frames = [np.zeros((480, 640, 3), np.uint8)] * 20  # more than a pipe holds
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/false")
    with pytest.raises(UserError, match="ffmpeg"):
        overlay.write_video(tmp_path / "video.mp4", frames, 12)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def toy(data_set):
    """(frames, labels) folders of the toy sequence."""
    return data_set / "JPEGImages/480p/toy", data_set / "Annotations/480p/toy"


def arguments(toy, output, *more):
    return ["tools/overlay.py", "--frames", toy[0], "--labels", toy[1], "--output", output, *more]


def test_script_writes_video_and_sheet(toy, tmp_path, run):
    result = run(*arguments(toy, tmp_path / "out", "--tiles", 3, "--columns", 2, "--fps", 5))
    assert result.returncode == 0, result.stderr
    video = videos.Video(tmp_path / "out/overlay.mp4")
    assert video.times() == pytest.approx([0, 0.2, 0.4, 0.6])
    frames = list(video.read(range(4)))
    drawn = overlay.tint(*draw_frame(0))
    assert np.abs(frames[0].astype(int) - drawn).mean() < 12
    sheet = files.read_image(tmp_path / "out/contact_sheet.png")
    tile = (1600 - overlay.GAP) // 2 * 96 // 128
    assert sheet.shape[1] == 1600 and abs(sheet.shape[0] - 2 * tile - overlay.GAP) <= 2


def test_frames_that_exif_turns_are_of_the_size_that_they_are_shown_at(toy, tmp_path, run):
    path, exif = toy[0] / "00001.jpg", Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    with Image.open(path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    result = run(*arguments(toy, tmp_path / "out"))
    assert result.returncode == 0, result.stderr


def test_other_labels_stand_on_the_left(toy, tmp_path, run):
    for index in range(4):
        davis.write_labels(tmp_path / f"other/toy/{index:05}.png", np.zeros((96, 128), np.uint8))
    options = ["--beside", tmp_path / "other/toy", "--tiles", 2, "--columns"]
    result = run(*arguments(toy, tmp_path / "out", *options, 2))
    assert result.returncode == 0, result.stderr
    sheet = files.read_image(tmp_path / "out/contact_sheet.png").astype(int)
    width = (1600 - overlay.GAP) // 2
    height = width * 96 // 128
    plain, drawn = draw_frame(0)[0], overlay.tint(*draw_frame(0))
    for image, tile in ((plain, sheet[:height, :width]), (drawn, sheet[:height, -width:])):
        expected = davis.resized(image, (height, width))
        assert np.abs(tile - expected)[:-80].mean() < 6  # the caption is below
    assert np.abs(sheet[:height, :width] - sheet[:height, -width:]).mean() > 6
    assert fails_in_one_line(run(*arguments(toy, tmp_path / "out", *options, 3)), "--columns")


def test_frames_of_any_ending_stand_in_their_order(tmp_path):
    names = ["1.jpg", "2.PNG", "9.jpeg", "10.JPG"]
    for name in names:
        files.write_bytes(tmp_path / "frames" / name, b"")
        files.write_bytes((tmp_path / "labels" / name).with_suffix(".png"), b"")
    found = overlay.paired(tmp_path / "frames", tmp_path / "labels")
    assert [frame.name for frame, _ in found] == names
    files.write_bytes(tmp_path / "frames/9.png", b"")
    with pytest.raises(UserError, match="has 9.jpeg and 9.png: which one is the frame"):
        overlay.paired(tmp_path / "frames", tmp_path / "labels")


def test_script_names_what_is_missing_or_unfit(toy, tmp_path, run):
    output = tmp_path / "out"
    result = run(*arguments((tmp_path, toy[1]), output))
    assert fails_in_one_line(result, "no frames", tmp_path)
    davis.write_labels(toy[1] / "00002.png", np.ones((96, 130), np.uint8))
    assert fails_in_one_line(run(*arguments(toy, output)), "00002.png", "130x96", "128x96")
    (toy[1] / "00001.png").unlink()
    assert fails_in_one_line(run(*arguments(toy, output)), toy[1] / "00001.png",
                             "segment_instances.py")
    assert fails_in_one_line(run(*arguments(toy, output, "--tiles", 0)), "--tiles")
    assert fails_in_one_line(run(*arguments(toy, output, "--fps", "nan")), "--fps")
    assert not output.exists() or not list(output.iterdir())
