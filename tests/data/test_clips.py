"""Clips: every frame is the right one, damage is told, and rates are kept by time."""

import re

import cv2
import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.data import clips
from segspn.errors import UserError
from tests.support.import_clips import (
    SIZE,
    ffmpeg,
    frame,
    number_of,
    turned,
    write_clip,
    write_folder,
)

ENDINGS = [".mp4", ".mov", ".avi", ".webm", ".gif"]


def numbers_in(clip, numbers):
    return [number_of(image) for image in clip.read(numbers)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_frames_are_the_ones_asked_for(tmp_path, ending):
    path = write_clip(tmp_path / f"clip{ending}", 20, 40 if ending == ".gif" else 25)
    clip = clips.open_clip(path)
    assert clip.times() == pytest.approx([number / 25 for number in range(20)], abs=1e-3)
    assert numbers_in(clip, range(20)) == list(range(20))
    assert numbers_in(clip, [3, 4, 11, 19]) == [3, 4, 11, 19]
    image = next(clip.read([7]))
    assert image.shape == (*SIZE, 3) and image.dtype == np.uint8
    assert len(clip.times(last=6)) == 7 and len(clip.times(last=99)) == 20
    with pytest.raises(UserError, match=r"only up to frame 19, not 20"):
        list(clip.read([20]))


def test_frames_that_are_stored_out_of_order_or_not_shown(tmp_path):
    """H.264 with B-frames, and a copy that is cut between key frames: players skip its first."""
    path = write_clip(tmp_path / "clip.avi", 40)
    coded = ffmpeg("-i", path, "-c:v", "libx264", "-bf", 3, "-g", 15, tmp_path / "coded.mp4")
    clip = clips.Video(coded)
    assert clip.times() == pytest.approx([number / 25 for number in range(40)], abs=1e-3)
    assert numbers_in(clip, range(40)) == list(range(40))
    cut = clips.Video(ffmpeg("-ss", 20 / 25, "-i", coded, "-c", "copy", tmp_path / "cut.mp4"))
    assert len(cut.times()) == 20
    assert numbers_in(cut, range(20)) == list(range(20, 40))


@pytest.mark.parametrize(("degrees", "number"), [(90, 0b01001111), (-90, 0b11110010),
                                                (180, 0b01001111)])
def test_rotation_flags_are_followed(tmp_path, degrees, number):
    """Turned anticlockwise, the bars read upwards; clockwise, downwards."""
    path = write_clip(tmp_path / "clip.mp4", 0b11110010 + 1)
    clip = clips.Video(turned(path, degrees))
    image = next(clip.read([0b11110010]))
    assert image.shape == ((*SIZE[::-1], 3) if degrees % 180 else (*SIZE, 3))
    assert number_of(image) == number


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


@pytest.mark.parametrize(("content", "words"), [
    (None, "does not exist"), (b"", "is not a video"), (b"no video at all" * 99, "is not a video")])
def test_files_that_are_no_videos(tmp_path, capfd, content, words):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path} {words}"):
        clips.open_clip(path)
    assert capfd.readouterr() == ("", "")


def test_names_are_no_patterns_and_no_addresses(tmp_path, monkeypatch):
    """What FFmpeg would take for a protocol, an option, or a number is a plain name."""
    monkeypatch.chdir(tmp_path)
    for name in ("-i.mp4", "http:x.mp4", "clip%02d.mp4"):
        write_clip(tmp_path / "clip.mp4", 3).rename(tmp_path / name)
        clip = clips.open_clip(name)
        assert len(clip.times()) == 3 and numbers_in(clip, [2]) == [2], name


def noisy_clip(path, count=150):
    """A clip of large frames, so that a cut or a blot hits one of them.

    There are many, since ffmpeg reads some frames ahead: how many depends on the machine's load.
    """
    rng = np.random.default_rng(3)
    if path.suffix == ".gif":
        first, *others = (Image.fromarray(rng.integers(0, 256, SIZE, np.uint8))
                          for _ in range(count))
        first.save(path, save_all=True, append_images=others, duration=40)
        return path
    codec = {".mp4": "mp4v", ".avi": "MJPG", ".webm": "VP80"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 25,
                             SIZE[::-1])
    for _ in range(count):
        writer.write(rng.integers(0, 256, (*SIZE, 3), np.uint8))
    writer.release()
    return path


def refused_frame(clip, last=None):
    """The frame that a refusal of damage names."""
    with pytest.raises(UserError, match=r"cut off or damaged at about frame \d+ \(.+\); ") as error:
        clip.times(last)
    assert str(clip.path) in str(error.value) and "\n" not in str(error.value)
    return int(str(error.value).split("about frame ")[1].split()[0])


@pytest.mark.parametrize("ending", [".avi", ".webm", ".gif"])
def test_videos_that_end_early(tmp_path, ending):
    path = noisy_clip(tmp_path / f"clip{ending}")
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * 3 // 5 + 7])
    clip = clips.Video(path)
    assert 10 < refused_frame(clip) < 95
    assert len(clip.times(last=5)) == 6


def test_a_video_without_its_end_that_has_the_index(tmp_path):
    path = noisy_clip(tmp_path / "clip.mp4")
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * 3 // 5])
    with pytest.raises(UserError, match="not a video that OpenCV can read, or is cut off"):
        clips.Video(path)


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".gif"])
def test_videos_that_are_damaged(tmp_path, ending):
    path = noisy_clip(tmp_path / f"clip{ending}")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 400] = b"\xff" * 400
    path.write_bytes(data)
    clip = clips.Video(path)
    assert 10 < refused_frame(clip) <= 76
    assert len(clip.times(last=5)) == 6


def test_a_video_that_ends_in_its_last_frame(tmp_path):
    """So late in it that the decoder does not miss the two bytes."""
    path = write_clip(tmp_path / "clip.avi", 40)
    data = path.read_bytes()
    *_, last = re.finditer(b"00dc", data[:len(data) * 3 // 4])  # a frame of MJPEG begins
    path.write_bytes(data[:last.start() - 2])
    assert refused_frame(clips.Video(path)) < 40


def test_frames_at_one_time_are_no_damage(tmp_path):
    """Matroska has whole milliseconds: at 2000 frames a second, two frames are at each."""
    path = ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.02:r=2000:s=64x64", "-c:v", "mpeg4",
                  tmp_path / "clip.mkv")
    times = clips.Video(path).times()
    assert len(times) == 40 and len(set(times)) < 25


def test_ffmpeg_that_does_not_run(tmp_path, monkeypatch):
    clip = clips.Video(write_clip(tmp_path / "clip.mp4", 3))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nosuch"))
    with pytest.raises(UserError, match="ffmpeg does not run"):
        clip.times()


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
