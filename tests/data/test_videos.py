"""Videos: every frame is the right one and upright, what is done to it and damage are told."""

import os
import re

import cv2
import imageio_ffmpeg
import numpy as np
import psutil
import pytest
from PIL import Image

from segspn.data import videos
from segspn.errors import UserError
from tests.support.import_clips import (
    SIZE,
    encoded,
    ffmpeg,
    frame,
    number_of,
    numbers_in,
    turned,
    write_clip,
)

ENDINGS = [".mp4", ".mov", ".avi", ".webm", ".gif"]


def picture(number, size=SIZE):
    """uint8, H x W x 3: no two places and numbers look alike, and compression does little to it."""
    down, across = np.mgrid[:size[0], :size[1]]
    return np.dstack([down * 200 // size[0], across * 200 // size[1],
                      np.full(size, number * 20)]).astype(np.uint8)


def all_of(clip):
    """All frames, and what is told of them."""
    times = clip.times()
    return list(clip.read(range(len(times)))), clip.notes


def assert_alike(images, expected, most=3):
    assert [image.shape for image in images] == [image.shape for image in expected]
    for image, other in zip(images, expected):
        assert np.abs(image.astype(int) - other).mean() < most


@pytest.mark.parametrize("ending", ENDINGS)
def test_frames_are_the_ones_asked_for(tmp_path, ending):
    path = write_clip(tmp_path / f"clip{ending}", 20, 40 if ending == ".gif" else 25)
    clip = videos.Video(path)
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
    clip = videos.Video(coded)
    assert clip.times() == pytest.approx([number / 25 for number in range(40)], abs=1e-3)
    assert numbers_in(clip, range(40)) == list(range(40))
    cut = videos.Video(ffmpeg("-ss", 20 / 25, "-i", coded, "-c", "copy", tmp_path / "cut.mp4"))
    assert len(cut.times()) == 20
    assert numbers_in(cut, range(20)) == list(range(20, 40))


@pytest.mark.parametrize(("degrees", "number"), [(90, 0b01001111), (-90, 0b11110010),
                                                (180, 0b01001111)])
def test_rotation_flags_are_followed(tmp_path, degrees, number):
    """Turned anticlockwise, the bars read upwards; clockwise, downwards."""
    path = write_clip(tmp_path / "clip.mp4", 0b11110010 + 1)
    clip = videos.Video(turned(path, degrees))
    image = next(clip.read([0b11110010]))
    assert image.shape == ((*SIZE[::-1], 3) if degrees % 180 else (*SIZE, 3))
    assert number_of(image) == number


@pytest.mark.parametrize(("content", "words"), [
    (None, "does not exist"), (b"", "is not a video"), (b"no video at all" * 99, "is not a video")])
def test_files_that_are_no_videos(tmp_path, capfd, content, words):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path} {words}"):
        videos.Video(path).times()
    assert capfd.readouterr() == ("", "")


def test_names_are_no_patterns_and_no_addresses(tmp_path, monkeypatch):
    """What ffmpeg would take for a protocol, an option, or a number is a plain name."""
    monkeypatch.chdir(tmp_path)
    for name in ("-i.mp4", "http:x.mp4", "clip%02d.mp4", "new\nline", os.fsdecode(b"\xff.mp4")):
        write_clip(tmp_path / "clip.mp4", 3).rename(tmp_path / name)
        clip = videos.Video(name)
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
    clip = videos.Video(path)
    assert 10 < refused_frame(clip) < 95
    assert len(clip.times(last=5)) == 6


def test_a_video_without_its_end_that_has_the_index(tmp_path):
    path = noisy_clip(tmp_path / "clip.mp4")
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * 3 // 5])
    with pytest.raises(UserError, match="not a video that ffmpeg can read, or is cut off"):
        videos.Video(path).times()


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".gif"])
def test_videos_that_are_damaged(tmp_path, ending):
    path = noisy_clip(tmp_path / f"clip{ending}")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 400] = b"\xff" * 400
    path.write_bytes(data)
    clip = videos.Video(path)
    assert 10 < refused_frame(clip) <= 76
    assert len(clip.times(last=5)) == 6


def test_a_video_that_ends_in_its_last_frame(tmp_path):
    """So late in it that the decoder does not miss the two bytes."""
    path = write_clip(tmp_path / "clip.avi", 40)
    data = path.read_bytes()
    *_, last = re.finditer(b"00dc", data[:len(data) * 3 // 4])  # a frame of MJPEG begins
    path.write_bytes(data[:last.start() - 2])
    assert refused_frame(videos.Video(path)) < 40


def test_frames_at_one_time_are_no_damage(tmp_path):
    """Matroska has whole milliseconds: at 2000 frames a second, two frames are at each."""
    path = ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.02:r=2000:s=64x64", "-c:v", "mpeg4",
                  tmp_path / "clip.mkv")
    times = videos.Video(path).times()
    assert len(times) == 40 and len(set(times)) < 25


def test_ffmpeg_that_does_not_run(tmp_path, monkeypatch):
    clip = videos.Video(write_clip(tmp_path / "clip.mp4", 3))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nosuch"))
    with pytest.raises(UserError, match="ffmpeg does not run"):
        clip.times()


@pytest.mark.parametrize(("flags", "expected"), [
    (["-display_hflip"], np.fliplr), (["-display_vflip"], np.flipud),
    (["-display_rotation", 90, "-display_hflip"], lambda image: np.fliplr(np.rot90(image))),
    (["-display_rotation", -90], lambda image: np.rot90(image, -1))])
def test_mirrored_and_turned_frames_are_as_flagged(tmp_path, flags, expected):
    images = [picture(number) for number in range(3)]
    plain = encoded(tmp_path / "clip.mp4", images, "-c:v", "libx264", "-pix_fmt", "yuv420p")
    flagged = ffmpeg(*flags, "-i", plain, "-c", "copy", tmp_path / "flagged.mp4")
    found, notes = all_of(videos.Video(flagged))
    assert_alike(found, list(map(expected, images))) and notes == []


@pytest.mark.parametrize(("name", "options"), [
    ("clip.mkv", ["-c:v", "ffv1", "-pix_fmt", "bgr0"]), ("clip.apng", ["-f", "apng"]),
    ("clip.png", ["-f", "apng"]), ("clip.webp", ["-c:v", "libwebp_anim", "-lossless", 1]),
    ("clip.avi", ["-c:v", "huffyuv", "-pix_fmt", "rgb24"])])
def test_what_is_without_loss_is_so_to_the_bit(tmp_path, name, options):
    """Frames of odd size, some alike, which formats of animated pictures may join."""
    images = [picture(number, (77, 131)) for number in (0, 1, 1, 2, 3, 4)]
    clip = videos.Video(encoded(tmp_path / name, images, *options))
    seconds = clip.times()
    found = list(clip.read(range(len(seconds))))
    shown = [np.searchsorted(seconds, number / 25, "right") - 1 for number in range(6)]
    assert len(found) in (5, 6) and clip.notes == []
    assert all(np.array_equal(found[k], image) for k, image in zip(shown, images))


@pytest.mark.parametrize(("ending", "size", "options"), [
    (".mp4", (77, 131), ["-c:v", "libx264", "-pix_fmt", "yuv444p"]),
    (".avi", (77, 131), ["-c:v", "mpeg4", "-q:v", 2]), (".webm", (77, 131), []),
    (".mp4", (76, 130), ["-c:v", "libx264", "-pix_fmt", "yuv420p10le"]),
    (".mov", (76, 130), ["-c:v", "prores_ks"])])
def test_sizes_and_depths(tmp_path, ending, size, options):
    images = [picture(number, size) for number in range(3)]
    found, notes = all_of(videos.Video(encoded(tmp_path / f"clip{ending}", images, *options)))
    assert_alike(found, images) and notes == []


def test_a_portrait_of_4k(tmp_path):
    clip = videos.Video(encoded(tmp_path / "clip.mp4", [frame(k, (3840, 2160)) for k in (5, 170)],
                                "-c:v", "libx264", "-preset", "ultrafast"))
    assert numbers_in(clip, [0, 1]) == [5, 170]
    assert next(clip.read([1])).shape == (3840, 2160, 3)


def test_variable_rates(tmp_path):
    seconds = [0, 0.04, 0.08, 0.4, 0.44, 1]
    expression = "+".join(f"eq(N,{k})*{s}" for k, s in enumerate(seconds))
    clip = videos.Video(encoded(
        tmp_path / "clip.mp4", [frame(number) for number in range(6)], "-c:v", "libx264", "-vf",
        f"setpts='({expression})/TB'", "-fps_mode", "vfr", "-enc_time_base", "1/1000"))
    assert clip.times() == pytest.approx(seconds) and numbers_in(clip, range(6)) == [*range(6)]


@pytest.mark.parametrize(("pixel", "size"), [("16/15", (96, 137)), ("8/9", (108, 128)),
                                            ("4001/4000", SIZE), ("0/1", SIZE)])
def test_pixels_become_square(tmp_path, pixel, size):
    clip = videos.Video(encoded(tmp_path / "clip.mp4", [picture(k) for k in range(3)],
                                "-vf", f"setsar={pixel}", "-c:v", "libx264"))
    found, notes = all_of(clip)
    assert_alike(found, [picture(k, size) for k in range(3)])
    told = f"pixels were {pixel.replace('/', ':')}: 128x96 became {size[1]}x{size[0]}"
    assert notes == ([told] if size != SIZE else []) and clip.stored == SIZE


def test_the_main_video_of_a_file(tmp_path):
    """The default one, not the first; no cover."""
    first = encoded(tmp_path / "first.mp4", [picture(0)] * 3, "-c:v", "libx264")
    main = encoded(tmp_path / "main.mp4", [picture(5)] * 3, "-c:v", "libx264")
    both = ffmpeg("-i", first, "-i", main, "-map", 0, "-map", 1, "-c", "copy", "-disposition:0", 0,
                  "-disposition:1", "default", tmp_path / "both.mkv")
    found, notes = all_of(videos.Video(both))
    assert_alike(found, [picture(5)] * 3)
    assert notes == ["the file has 2 videos: stream 1 was taken, which ffmpeg takes for the main "
                     "one"]
    cover = encoded(tmp_path / "cover.png", [picture(9, (300, 300))])
    covered = ffmpeg("-i", cover, "-i", main, "-map", 0, "-map", 1, "-c", "copy",
                     "-disposition:0", "attached_pic", tmp_path / "covered.mp4")
    found, notes = all_of(videos.Video(covered))
    assert_alike(found, [picture(5)] * 3) and notes == []
    coded = ffmpeg("-i", main, "-c", "copy", "-timecode", "01:00:00:00", tmp_path / "main.mov")
    assert len(videos.Video(coded).times()) == 3  # as cameras write them
    sound = ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-i", cover, "-map", 0, "-map", 1, "-c:v",
                   "copy", "-disposition:v", "attached_pic", tmp_path / "sound.m4a")
    with pytest.raises(UserError, match=f"{sound} has no video, only a cover picture"):
        videos.Video(sound).times()
    sound = ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "sound.wav")
    with pytest.raises(UserError, match=f"{sound} is not a video"):
        videos.Video(sound).times()


@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_hdr_becomes_sdr(tmp_path, transfer, name):
    """Up to middle grey as it was; what is brighter is darker, but keeps its order."""
    image = np.repeat(np.arange(5, 255, 10, dtype=np.uint8), 8)
    image = np.dstack([np.tile(image, (75, 1))] * 3)  # of odd height
    path = encoded(
        tmp_path / "clip.mkv", [image] * 2, "-vf",
        "format=gbrpf32,setparams=color_trc=iec61966-2-1:color_primaries=bt709,"
        f"zscale=t=linear:npl=203,zscale=t={transfer}:p=bt2020:m=bt2020nc:r=tv:npl=203,"
        "format=yuv444p10", "-c:v", "ffv1", "-color_trc", transfer,
        "-color_primaries", "bt2020", "-colorspace", "bt2020nc")
    found, notes = all_of(videos.Video(path))
    assert notes == [f"HDR ({name}) was converted to SDR"]
    for made in found:
        assert made.shape == image.shape
        np.testing.assert_allclose(made[image < 130].astype(int), image[image < 130], atol=4)
        bright = made[40, 8 * 12::8].astype(int)
        assert (np.diff(bright, axis=0) > 0).all() and 200 < bright[-1].min() < 250


LOSSLESS = ["-c:v", "libx264", "-qp", 0, "-pix_fmt", "yuv420p"]


def stripe(number):
    """uint8, H x W x 3: a stripe that moves to the right."""
    image = np.full((*SIZE, 3), 40, np.uint8)
    image[:, 5 * number:5 * number + 5] = 200
    return image


def interlaced(path, count, first="top"):
    """H.264 of `count` frames without loss, whose fields, one by one, have rows of stripe(k)."""
    images = [stripe(2 * number) for number in range(count)]
    for number, image in enumerate(images):
        rows = slice(first == "top", None, 2)  # of the second field
        image[rows] = stripe(2 * number + 1)[rows]
    return encoded(path, images, *LOSSLESS, "-flags", "+ildct+ilme",
                   "-vf", {"top": "setfield=tff", "bottom": "setfield=bff"}[first])


@pytest.mark.parametrize("first", ["top", "bottom"])
def test_interlaced_frames_show_their_first_field(tmp_path, first):
    clip = videos.Video(interlaced(tmp_path / "clip.mp4", 12, first))
    assert clip.times() == pytest.approx([number / 25 for number in range(12)], abs=1e-3)
    for numbers in (range(12), [3, 4, 7]):
        assert_alike(list(clip.read(numbers)), [stripe(2 * number) for number in numbers])
    assert clip.notes == ["12 of 12 frames are interlaced: they were deinterlaced"]


def test_progressive_frames_among_interlaced_ones_stay(tmp_path):
    parts = [encoded(tmp_path / "0.h264", [stripe(k) for k in range(8)], *LOSSLESS),
             interlaced(tmp_path / "1.h264", 8)]
    found, notes = all_of(videos.Video(joined(parts)))
    assert_alike(found, [*map(stripe, range(8)), *map(stripe, range(0, 16, 2))])
    assert notes == ["8 of 16 frames are interlaced: they were deinterlaced"]
    assert np.array_equal(found[:8], all_of(videos.Video(parts[0]))[0])


def joined(parts):
    """A recording that goes on in another way."""
    path = parts[0].with_name(f"whole{parts[0].suffix}")
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_frames_at_which_the_decoder_begins_anew(tmp_path):
    """Since what it is told of colours changes: the numbers of frames go on."""
    parts = [encoded(tmp_path / f"{k}.h264", [frame(number) for number in range(8)], *LOSSLESS,
                     "-color_range", colours) for k, colours in enumerate(["tv", "pc"])]
    clip = videos.Video(joined(parts))
    assert len(clip.times()) == 16 and numbers_in(clip, [3, 7, 8, 13]) == [3, 7, 0, 5]


def test_interlaced_frames_that_are_to_be_turned(tmp_path):
    path = turned(interlaced(tmp_path / "clip.mp4", 3), 90)
    with pytest.raises(UserError, match=f"{path} is interlaced and flagged to be turned; .* bwdif"):
        videos.Video(path).times()


def test_frames_of_several_sizes(tmp_path):
    clip = videos.Video(joined([
        encoded(tmp_path / f"{size}.h264", [frame(number, size) for number in range(5)])
        for size in (SIZE, (64, 64))]))
    with pytest.raises(UserError, match="changes at frame 5 from 128x96 to 64x64; .*--range"):
        clip.times()
    assert len(clip.times(last=4)) == 5 and numbers_in(clip, range(5)) == list(range(5))


def decoders():
    """The processes of ffmpeg that this one has."""
    return [process for process in psutil.Process().children() if "ffmpeg" in process.name()]


def test_reading_that_ends_early_leaves_no_process(tmp_path):
    clip = videos.Video(write_clip(tmp_path / "clip.mp4", 40))
    frames = clip.read(range(40))
    assert number_of(next(frames)) == 0 and decoders()
    frames.close()
    assert not decoders()
    assert len(clip.times(last=2)) == 3 and not decoders()


@pytest.mark.parametrize(("count", "fps"), [(20, 12), (10, 25)])
def test_frames_that_are_others_the_second_time(tmp_path, count, fps):
    clip = videos.Video(write_clip(tmp_path / "clip.mp4", 20))
    clip.times()
    write_clip(tmp_path / "clip.mp4", count, fps)
    with pytest.raises(UserError, match=f"not read .* as it has checked it: {count} of 20 frames"):
        list(clip.read(range(20)))


def test_the_status_that_ffmpeg_ends_with(tmp_path, monkeypatch):
    wrapper = tmp_path / "ffmpeg"
    wrapper.write_text(f'#!/bin/sh\n"{imageio_ffmpeg.get_ffmpeg_exe()}" "$@"\nexit 3\n')
    wrapper.chmod(0o755)
    clip = videos.Video(write_clip(tmp_path / "clip.mp4", 5))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(wrapper))
    with pytest.raises(UserError, match=r"at about frame 5 \(ffmpeg ended with status 3\)"):
        clip.times()
