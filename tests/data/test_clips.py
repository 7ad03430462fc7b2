"""Clips: images of folders are in order, damage is told, and rates are kept by time."""

import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.data import clips
from segspn.errors import UserError
from tests.support.import_clips import SIZE, frame, number_of, numbers_in, write_folder


def test_images_are_in_natural_order(tmp_path):
    names = ["a1.jpg", "a2.PNG", "a10.jpeg", "a11.jpg", "b.png"]
    folder = write_folder(tmp_path / "folder", names)
    (folder / ".hidden.jpg").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    (folder / "thumbnails.jpg").mkdir()
    clip = clips.open_clip(folder)
    assert clip.times() == [None] * 5 and clip.times(last=1) == [None] * 2
    assert numbers_in(clip, range(5)) == list(range(5))
    assert numbers_in(clip, [1, 4]) == [1, 4]
    clip = clips.open_clip(folder, leave_out=folder / "a2.PNG")
    assert numbers_in(clip, range(4)) == [0, 2, 3, 4]


def test_photographs_are_upright(tmp_path):
    tmp_path.joinpath("folder").mkdir()
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
    Image.fromarray(frame(0b11110010)).save(tmp_path / "folder/0.jpg", exif=exif)
    image = next(clips.open_clip(tmp_path / "folder").read([0]))
    assert image.shape == (*SIZE[::-1], 3) and number_of(image) == 0b11110010


def test_folders_that_are_no_clips(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"{tmp_path / 'empty'} has no images"):
        clips.open_clip(tmp_path / "empty")
    folder = write_folder(tmp_path / "mixed", ["0.jpg", "0.png", "1.jpg"])
    with pytest.raises(UserError, match=r"0.jpg and 0.png: which one is the frame"):
        clips.open_clip(folder)
    assert len(clips.open_clip(folder, leave_out=folder / "0.png").times()) == 2
    (folder / "1.jpg").write_bytes(b"no image")
    clip = clips.open_clip(folder, leave_out=folder / "0.png")
    with pytest.raises(UserError, match=r"1.jpg is corrupt"):
        list(clip.read([0, 1]))


def nearest(times, fps):
    """Literally: of each moment k / fps, the frame nearest to it (the earlier of two), once."""
    times = np.asarray(times) - times[0]
    moments = np.arange(0, times[-1] + 1e-9, 1 / fps)
    return sorted({int(np.argmin(np.round(np.abs(times - moment), 9))) for moment in moments})


@pytest.mark.parametrize(("count", "fps", "wanted", "expected"), [
    (10, 25, 25, range(10)), (10, 25, 30, range(10)), (10, 25, 12.5, [0, 2, 4, 6, 8]),
    (11, 25, 10, [0, 2, 5, 7, 10]), (9, 30, 10, [0, 3, 6]), (100, 30000 / 1001, 29.97, range(100)),
    (50, 25, 1, [0, 25]), (50, 25, 0.1, [0]), (1, 25, 5, [0])])
def test_rates_of_constant_clips(count, fps, wanted, expected):
    times = 3.2 + np.arange(count) / fps
    assert clips.at_rate(times, wanted).tolist() == list(expected)
    assert clips.at_rate(np.round(times, 3), wanted).tolist() == list(expected)  # as in webm


@pytest.mark.parametrize("seed", range(5))
def test_rates_of_variable_clips(seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([0.02, 0.03, 0.1, 0.5], 80))
    for fps in (3.3, 7.7, 11.1):
        chosen = clips.at_rate(times, fps).tolist()
        expected = nearest(times, fps)
        # After the last moment, the last frame may be the nearest to the next.
        assert chosen[:len(expected)] == expected and len(chosen) - len(expected) <= 1
        assert len(chosen) <= (times[-1] - times[0]) * fps + 2


def test_times_that_stand_or_step_back():
    assert clips.at_rate([0, 0, 0.1, 0.1, 0.2], 10).tolist() == [0, 2, 4]
    assert clips.at_rate([0, 0.1, 0.05, 0.2, 0.3], 100).tolist()[-1] == 4


def write_deep(path, greatest, channels=3):
    """A PNG of 16 bits a channel; returns its values, H x W x 3 BGR."""
    values = np.linspace(0, greatest, 30 * 40 * channels).reshape(30, 40, channels)
    image = values.astype(np.uint16)
    files.write_image(path, image)
    return np.dstack([image] * (3 // channels))


@pytest.mark.parametrize(("greatest", "bits"), [(255, 8), (1023, 10), (3000, 12), (4095, 12),
                                               (4096, 14), (16383, 14), (16384, 16)])
def test_images_of_16_bits_are_as_bright_as_the_brightest_of_all_allows(tmp_path, greatest, bits):
    dark = write_deep(tmp_path / "0.png", greatest // 3)
    bright = write_deep(tmp_path / "1.png", greatest, channels=1)
    files.write_image(tmp_path / "2.png", frame(7))  # of 8 bits, as it is
    clip = clips.open_clip(tmp_path)
    images = list(clip.read([0, 1, 2]))
    assert all(image.dtype == np.uint8 for image in images)
    assert np.array_equal(images[0], dark >> (bits - 8))
    assert np.array_equal(images[1], bright >> (bits - 8))
    assert np.array_equal(images[2], frame(7))
    assert clip.notes == [f"the images have 16 bits, their greatest value is {greatest}: taken "
                          f"as values of {bits} bits"]
    with pytest.raises(UserError, match="0.png has 16 bits a channel, not 8; .*import_video.py"):
        files.read_image(tmp_path / "0.png")


def test_jpegs_that_are_cut_off(tmp_path):
    folder = write_folder(tmp_path / "folder", ["0.jpg", "1.jpg"])
    data = (folder / "1.jpg").read_bytes()
    files.write_bytes(folder / "1.jpg", data[:-50])
    with pytest.raises(UserError, match=r"1.jpg is corrupt"):
        list(clips.open_clip(folder).read([0, 1]))
