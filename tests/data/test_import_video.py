"""Videos of one's own into DAVIS layout: the right frames, all of it or nothing, clear refusals."""

import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.data import davis, importing, videos
from segspn.errors import UserError
from segspn.report import overlay
from tests.support.frames import fails_in_one_line, names_in
from tests.support.import_clips import (
    SIZE,
    encoded,
    frame,
    labels,
    number_of,
    turned,
    write_clip,
    write_folder,
    write_mask,
)
from tests.support.refusals import files_below
from tests.training.test_no_space import small_files_only
from tools.bench import sandbox

SCRIPT = "tools/import_video.py"


@pytest.fixture
def clip(tmp_path):
    """30 frames of 96 x 128, 25 a second."""
    return write_clip(tmp_path / "in/clip.mp4", 30)


@pytest.fixture
def mask(tmp_path):
    return write_mask(tmp_path / "in/mask.png")


@pytest.fixture
def bring(tmp_path, clip, mask):
    """Imports the clip, or another one, as `toy` into tmp_path / "data"; the Imported."""
    def bring_in(clip=clip, mask=mask, name="toy", **options):
        order = importing.Order(clip, mask, name, tmp_path / "data", **options)
        return importing.import_clip(order)
    return bring_in


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def script(project, clip, mask, data):
    """Runs the script in a copy of the project, on the clip, its mask, and `data`."""
    def run(*options, clip=clip, mask=mask, name="toy", **keywords):
        return project.run(SCRIPT, clip, "--mask", mask, "--video", name, "--data", data, *options,
                           **keywords)
    run.project = project
    return run


def numbers_in(data, name="toy"):
    """The clip's numbers of all frames of a sequence."""
    frames = davis.Davis(data).frames(name)
    assert [path.name for path in frames] == [f"{k:05d}.jpg" for k in range(len(frames))]
    return [number_of(files.read_image(path)) for path in frames]


def test_a_data_set_in_davis_layout(bring, data, tmp_path):
    made = bring()
    assert {str(path.relative_to(data)) for path in files_below(data)} == {
        *(f"JPEGImages/480p/toy/{k:05d}.jpg" for k in range(30)),
        "Annotations/480p/toy/00000.png", "ImageSets/2017/toy.txt"}
    assert all(not files.is_hidden(path) for path in data.rglob("*"))
    assert numbers_in(data) == list(range(30))
    frame, annotation = davis.Davis(data).first_frame("toy")
    np.testing.assert_array_equal(annotation, labels())
    assert davis.Davis(data).first_objects("toy") == [1, 2]
    assert (data / "ImageSets/2017/toy.txt").read_text() == "toy\n"
    with Image.open(data / "Annotations/480p/toy/00000.png") as image:
        assert image.mode == "P" and image.getpalette()[3:6] == [128, 0, 0]
    assert (made.numbers, made.source, made.size) == (list(range(30)), SIZE, SIZE)
    assert made.fps == pytest.approx(25)
    assert made.notes == ["void (255): 72 px are left out"]
    assert made.areas == {1: 24 * 32, 2: 24 * 32}


def test_frames_are_jpegs_of_quality_95(bring, data, clip):
    bring()
    image = next(videos.Video(clip).read([7]))
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    assert (data / "JPEGImages/480p/toy/00007.jpg").read_bytes() == encoded


@pytest.mark.parametrize("ending, options, expected", [
    *((ending, {"fps": 12.5, "first": 3}, range(3, 30, 2)) for ending in (".avi", ".webm", ".gif")),
    *((".mp4", options, expected) for options, expected in [
    ({"first": 4, "last": 9}, range(4, 10)), ({"first": 28}, [28, 29]), ({"last": 2}, range(3)),
    ({"fps": 12.5}, range(0, 30, 2)), ({"fps": 12.5, "first": 3}, range(3, 30, 2)),
    ({"fps": 10, "last": 10}, [0, 2, 5, 7, 10]), ({"fps": 60}, range(30)),
    ({"fps": 5, "first": 3, "last": 24}, range(3, 25, 5))])])
def test_range_and_rate_choose_the_frames(bring, data, tmp_path, ending, options, expected):
    clip = write_clip(tmp_path / f"in/other{ending}", 30, 40 if ending == ".gif" else 25)
    made = bring(clip, **options)
    assert made.numbers == numbers_in(data) == list(expected)
    seconds = (made.numbers[-1] - made.numbers[0]) / 25
    assert made.fps == pytest.approx((len(expected) - 1) / seconds, rel=0.01)


def test_rates_follow_the_times_of_the_frames(bring, data, tmp_path):
    """Frames 0 to 9 are 100 ms apart, those after it 20 ms: 10 a second are all, and each fifth."""
    clip = write_clip(tmp_path / "in/variable.gif", 30, [100] * 10 + [20] * 20)
    bring(clip, fps=10)
    assert numbers_in(data) == [*range(11), 15, 20, 25]


def test_phone_videos_are_upright(bring, data, clip, tmp_path):
    made = bring(turned(clip, 90), write_mask(tmp_path / "in/upright.png", SIZE[::-1]))
    assert made.size == made.source == SIZE[::-1]
    frame, annotation = davis.Davis(data).first_frame("toy")
    assert frame.shape[:2] == annotation.shape == SIZE[::-1]


@pytest.mark.parametrize("drawn", ["as stored", "as seen"])
def test_what_was_done_to_a_video_is_said(script, data, tmp_path, drawn):
    """A broadcast: interlaced, and with pixels that are not square.  Masks are of either size."""
    clip = encoded(tmp_path / "in/broadcast.mp4", [frame(255)] * 3, "-c:v", "libx264",
                   "-flags", "+ildct+ilme", "-vf", "setfield=tff,setsar=16/15")
    seen = (96, 137)
    mask = write_mask(tmp_path / "in/other.png", SIZE if drawn == "as stored" else seen)
    result = script(clip=clip, mask=mask)
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if line.startswith(("made", "note"))] == [
        f"made {data}/JPEGImages/480p/toy: 3 frames of 137x96 px, 25 a second, of the clip's "
        "frames 0 to 2, 137x96 px",
        "note: 3 of 3 frames are interlaced: they were deinterlaced",
        "note: pixels were 16:15: 128x96 became 137x96",
        "note: void (255): 72 px are left out"]
    image, annotation = davis.Davis(data).first_frame("toy")
    assert image.shape[:2] == annotation.shape == seen and image.mean() > 200
    assert annotation[30, 50] == 1 and annotation[60, 85] == 2


def test_closed_stderr(script, data):
    result = script(preexec_fn=lambda: os.close(2))
    assert result.returncode == 0 and result.stdout.startswith(f"made {data}")
    assert numbers_in(data) == list(range(30))


def test_folders_of_images(bring, data, tmp_path):
    folder = write_folder(tmp_path / "in/folder", ["x2.jpg", "x10.png", "x11.JPG", "x12.jpeg"])
    mask = write_mask(folder / "x1.png")
    made = bring(folder, mask, last=2)  # the mask is no frame
    assert numbers_in(data) == [0, 1, 2] and made.fps is None
    with pytest.raises(UserError, match="have no times: leave --fps out"):
        bring(folder, mask, name="other", fps=5)


@pytest.mark.parametrize(("source", "size", "expected"), [
    ((480, 640), None, (480, 640)), ((96, 128), None, (96, 128)), ((600, 808), None, (480, 646)),
    ((720, 400), None, (480, 267)), ((96, 128), (100, 200), (100, 200)),
    ((600, 808), (60, 81), (60, 81))])
def test_sizes(bring, data, tmp_path, source, size, expected):
    folder = write_folder(tmp_path / "in/folder", ["0.png", "1.png"], source)
    made = bring(folder, write_mask(tmp_path / "in/other.png", source), size=size)
    assert (made.source, made.size) == (source, expected)
    frame, annotation = davis.Davis(data).first_frame("toy")
    assert frame.shape[:2] == annotation.shape == expected
    assert davis.objects_of(annotation) == [1, 2]
    at = np.array([0.3, 0.3]) * expected
    assert annotation[tuple(at.astype(int))] == 1
    image = davis.resized(files.read_image(folder / "0.png"), expected)
    assert np.abs(frame.astype(int) - image).mean() < 2


def test_script_says_what_it_did(script, data, tmp_path):
    pixels = np.zeros((2 * SIZE[0], 2 * SIZE[1], 3), np.uint8)
    pixels[20:60, 20:60], pixels[100:106, 100:104] = (255, 0, 10), (0, 200, 0)
    Image.fromarray(pixels).save(tmp_path / "in/paint.png")
    result = script("--range", "3:", "--fps", 12.5, mask=tmp_path / "in/paint.png")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"made {data}/JPEGImages/480p/toy: 14 frames of 128x96 px, 12.5 a second, of the clip's "
        "frames 3 to 29, 128x96 px",
        "mask of frame 3:", "  object 1 (colour #ff000a): 400 px",
        "  object 2 (colour #00c800): 6 px",
        "note: object 2 has no more than 6 px: too few to learn from, or a soft edge?",
        "preview: results/import/toy.png", f"next: make segment VIDEO=toy DATA={data}"]
    assert "toy: 100%" in result.stderr
    assert numbers_in(data) == list(range(3, 30, 2))
    np.testing.assert_array_equal(
        files.read_image(script.project.root / "results/import/toy.png"),
        overlay.tint(*davis.Davis(data).first_frame("toy")))


def test_the_default_data_set_needs_no_mention(script):
    project = script.project
    result = script("--data", project.root / "data/videos")
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("next: make segment VIDEO=toy\n")
    videos = project.root / "data/videos"
    result = project.run(SCRIPT, videos / "JPEGImages/480p/toy", "--video", "again",
                         "--mask", videos / "Annotations/480p/toy/00000.png")
    assert result.returncode == 0, result.stderr
    assert names_in(videos / "JPEGImages/480p") == ["again", "toy"]
    result = script("--data", project.root / "data/two words", "--size", "40x50")
    assert result.stdout.endswith("next: make segment VIDEO=toy 'DATA=data/two words'\n")


def test_a_clip_whose_mask_is_to_be_drawn(project, clip):
    videos = project.root / "data/videos"
    result = project.run(SCRIPT, clip, "--video", "toy", "--range", "0:3", "--data", videos)
    assert result.returncode == 0, result.stderr
    assert "mask" not in result.stdout and "preview" not in result.stdout
    assert result.stdout.endswith("next: make annotate VIDEO=toy\n")
    assert names_in(videos / "Annotations/480p/toy") == []
    assert len(names_in(videos / "JPEGImages/480p/toy")) == 4
    result = project.run(SCRIPT, clip, "--video", "x", "--data", videos, "--void", "255")
    assert fails_in_one_line(result, "--background and --void are of a --mask")


@pytest.mark.parametrize(("option", "words"), [
    ("--fps=0", "--fps must be above 0"), ("--fps=nan", "--fps"),
    ("--size=31x100", "from 32 to 8192"), ("--range=5", "--range must be A:B"),
    ("--range=-1:5", "--range must be A:B"), ("--range=5:4", "ends before it begins"),
    ("--range=30:", "outside {clip}, which has the frames 0 to 29"),
    ("--range=4:4", "1 frame of {clip} would remain; a video has from 2 to 100000"),
    ("--video=../x", "plain folder name"),
    ("--mask=nosuch.png", "mask nosuch.png does not exist"),
    ("--data={clip}", "{clip} is no folder"),
    ("--mask={clip}", "corrupt or not an image")])
def test_bad_options_end_in_one_line(script, clip, tmp_path, option, words):
    before = files_below(tmp_path)
    result = script(option.format(clip=clip))
    assert fails_in_one_line(result, words.format(clip=clip))
    assert files_below(tmp_path) == before and not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [None, b"no video"])
def test_bad_clips_end_in_one_line(script, tmp_path, content):
    path = tmp_path / "in/x.mp4"
    if content:
        path.write_bytes(content)
    result = script(clip=path)
    assert fails_in_one_line(result, path, "not a video" if content else "does not exist")
    assert len(result.stderr.splitlines()) == 1 and not (tmp_path / "data").exists()


def test_a_clip_that_ends_early_leaves_nothing(script, tmp_path):
    clip = write_clip(tmp_path / "in/long.avi", 60)
    data = clip.read_bytes()
    clip.write_bytes(data[:len(data) * 3 // 5])
    assert fails_in_one_line(script(clip=clip), clip, "cut off or damaged at about frame")
    assert not (tmp_path / "data").exists()
    assert script("--range", ":9", clip=clip).returncode == 0


def test_nothing_is_imported_where_the_preview_cannot_be_drawn(project, script, data):
    results = project.root / "results"
    results.symlink_to("gone")
    assert fails_in_one_line(script(), f"{results} is a link to gone, which is not there")
    assert not data.exists()


def test_masks_of_another_aspect_name_both_sizes(script, tmp_path):
    mask = write_mask(tmp_path / "in/other.png", (100, 100))
    assert fails_in_one_line(script("--range=5:", mask=mask), mask, "100x100",
                             "frame 5 of the clip", "128x96")


def test_frames_of_several_sizes_leave_nothing(bring, data, tmp_path):
    folder = write_folder(tmp_path / "in/folder", ["0.png", "1.png"])
    files.write_image(folder / "2.png", np.zeros((96, 100, 3), np.uint8))
    with pytest.raises(UserError, match="frame 2 of .* is 100x96, frame 0 128x96"):
        bring(folder)
    assert files_below(data) == {} and bring(folder, last=1).numbers == [0, 1]


def test_too_many_frames_and_tiny_ones(bring, monkeypatch, tmp_path):
    monkeypatch.setattr(importing, "MOST_FRAMES", 29)
    with pytest.raises(UserError, match="30 frames of .* from 2 to 29"):
        bring()
    folder = write_folder(tmp_path / "in/folder", ["0.png", "1.png"], (1000, 64))
    with pytest.raises(UserError, match="64x1000, would be 31x480; .* --size"):
        bring(folder, write_mask(tmp_path / "in/other.png", (1000, 64)))


def test_an_existing_name_is_refused_or_replaced(script, bring, data, clip):
    bring(last=9)
    davis.write_labels(data / "Annotations/480p/toy/00003.png", labels())
    before = files_below(data)
    assert fails_in_one_line(script(), data / "JPEGImages/480p/toy", "exists", "--force")
    assert files_below(data) == before
    assert fails_in_one_line(script("--force", clip=clip.parent / "nosuch.mp4"), "does not exist")
    assert files_below(data) == before
    assert script("--force", "--range", "20:24").returncode == 0
    assert numbers_in(data) == list(range(20, 25))
    assert names_in(data / "Annotations/480p/toy") == ["00000.png"]
    assert not [path for path in data.rglob("*") if files.is_hidden(path)]


def test_an_annotation_without_frames_is_somebodys_own(bring, data):
    davis.write_labels(data / "Annotations/480p/toy/00000.png", labels())
    before = files_below(data)
    with pytest.raises(UserError, match="Annotations/480p/toy exists"):
        bring()
    assert files_below(data) == before


def test_lists_of_other_videos_stay(bring, data):
    files.write_text(data / "ImageSets/2017/val.txt", "bear\ndog\n")
    for force in (False, True):
        with pytest.raises(UserError, match=r"val.txt is a list of other videos"):
            bring(name="val", force=force)
    files.write_bytes(data / "ImageSets/2017/toy.txt", "toy\r\n".encode("utf-8-sig"))
    assert bring().areas
    assert (data / "ImageSets/2017/val.txt").read_text() == "bear\ndog\n"


def test_no_space(script, bring, data, tmp_path):
    folder = tmp_path / "in/folder"
    for number in range(3):  # the last one is too large
        noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
        files.write_image(folder / f"{number}.png", noise if number == 2 else noise * 0)
    bring(last=5)
    before = files_below(data)
    result = script("--force", clip=folder, preexec_fn=small_files_only(6000))
    assert fails_in_one_line(result, "00002.jpg", "File too large", "make room")
    assert files_below(data) == before
    assert not [path for path in data.rglob("*") if files.is_hidden(path)]


def test_a_killed_run_leaves_nothing_that_counts(script, bring, data, tmp_path):
    folder = write_folder(tmp_path / "in/folder", [f"{k}.png" for k in range(200)], (1080, 1920))
    mask = write_mask(tmp_path / "in/large.png", (1080, 1920))
    bring(name="other")
    process = subprocess.Popen(
        [sys.executable, script.project.root / SCRIPT, folder, "--mask", mask, "--video", "toy",
         "--data", data], stderr=subprocess.DEVNULL,
        env=sandbox.environment(script.project.root))
    staged = data / "JPEGImages/480p/.import-toy/new"
    deadline = time.monotonic() + 60
    while not (staged / "00003.jpg").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    assert fails_in_one_line(script(), "being written by another run")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert staged.is_dir()
    assert davis.Davis(data).sequences() == ["other"]
    assert names_in(data / "ImageSets/2017") == ["other.txt"]
    assert names_in(data / "Annotations/480p") == ["other"]
    assert script("--range", ":3").returncode == 0
    assert numbers_in(data) == [0, 1, 2, 3]
    assert not [path for path in data.rglob("*") if files.is_hidden(path)]
