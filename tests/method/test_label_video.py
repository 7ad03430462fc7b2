"""The labels of a video, from score maps on disk."""

import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.method import craf, label_video
from tests.support.frames import alter, names_in
from tests.support.refusals import files_below
from tests.support.score_maps import SIZE, Video


@pytest.fixture
def video(tmp_path):
    return Video(tmp_path)


def test_labels_of_a_video(video):
    assert video.task.run() == 5
    assert names_in(video.output) == [f"{f}.png" for f in video.frames]
    seen = Counter()
    np.testing.assert_array_equal(video.labels(), video.expected(seen=seen))
    assert seen["recovered from its own map"] == 1 and seen["complete"] > 5
    assert all(set(np.unique(labels)) == {0, 1, 3} for labels in video.labels())


@pytest.mark.parametrize("steps", [(False, False), (True, False), (False, True)])
def test_steps_can_be_left_out(video, steps):
    steps = dict(zip(("filtering", "recovery"), steps))
    replace(video.task, **steps).run()
    np.testing.assert_array_equal(video.labels(), video.expected(**steps))
    assert not np.array_equal(video.labels(), video.expected())


def test_labels_without_foreground_masks(video):
    replace(video.task, foreground=None).run()
    np.testing.assert_array_equal(video.labels(), video.expected(masks=False))


def test_labels_are_indexed_with_the_davis_palette(video):
    video.task.run()
    first_colours = [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128),
        (0, 128, 128), (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0)]
    for frame, expected in zip(video.frames, video.expected()):
        with Image.open(video.output / f"{frame}.png") as image:
            assert image.format == "PNG" and image.mode == "P"
            palette = np.array(image.getpalette()).reshape(-1, 3)
            colours = np.array(image.convert("RGB"))
        np.testing.assert_array_equal(palette[:12], first_colours)
        np.testing.assert_array_equal(colours, np.array(first_colours)[expected])
    assert tuple(davis.palette()[255]) == (224, 224, 192)


def test_score_maps_may_be_indexed_with_greys(video):
    """Their values are the colours, in whatever order the palette has them."""
    for frame, k in video.scores:
        image = Image.fromarray(255 - video.scores[frame, k])
        image.putpalette(np.repeat(np.arange(255, -1, -1, np.uint8), 3).tobytes())
        image.save(video.path(frame, k))
    video.task.run()
    np.testing.assert_array_equal(video.labels(), video.expected())


# ------------------------------------------------------------------- going on

@pytest.mark.parametrize("kind", ["score map", "foreground mask"])
def test_going_on_gives_the_uninterrupted_labels(video, kind):
    """A missing input is named before the first label; those before a damaged one stay."""
    whole = video.folder / "whole"
    replace(video.task, output=whole).run()
    missing = video.path("00002", 3) if kind == "score map" else video.mask("00002")
    content = missing.read_bytes()
    missing.unlink()
    with pytest.raises(UserError, match=f"{kind} {missing} is missing; make it with infer_test_"):
        video.task.run()
    assert not video.output.exists()
    missing.write_bytes(content[:-30])
    with pytest.raises(UserError, match=f"{kind} {missing} is corrupt"):
        video.task.run()
    first = video.times()
    assert sorted(first) == ["00000", "00001"]
    missing.write_bytes(content)
    assert video.task.run() == 3
    assert {f: video.times()[f] for f in first} == first
    assert video.contents() == video.contents(whole)


def test_second_run_does_what_is_missing_or_outdated_and_all_after_it(video):
    video.task.run()
    first, contents = video.times(), video.contents()
    assert video.task.run() == 0 and video.times() == first

    (video.output / "00003.png").unlink()
    assert video.task.run() == 2 and video.contents() == contents
    second = video.times()
    assert {f for f in video.frames if second[f] != first[f]} == {"00003", "00004"}

    def changes(path, write):
        """How many frames are done after a file was changed."""
        os.utime(path)
        assert video.task.run() == 0
        write(path)
        done = video.task.run()
        assert video.task.run() == 0
        return done

    def other_ids(path):
        davis.write_labels(path, np.roll(davis.read_annotation(path), 1, axis=1))
    assert changes(video.mask("00004"), alter) == 1 and changes(video.mask("00003"), alter) == 2
    assert changes(video.output / "00002.png", other_ids) == 2  # by hand: they stay
    for stem in ("00003", "00004"):
        alter(video.mask(stem))
    video.task.run()
    assert changes(video.annotation_path, other_ids) == 5
    davis.write_labels(video.annotation_path, np.roll(davis.read_annotation(
        video.annotation_path), -1, axis=1))
    video.task.run()
    video.scores["00001", 3][:] = 0
    assert changes(video.path("00001", 3), lambda path: files.write_image(
        path, video.scores["00001", 3])) == 4
    np.testing.assert_array_equal(video.labels(), video.expected())
    assert video.contents() != contents
    assert video.task.run(force=True) == 5


def test_other_settings_and_frames_are_done_anew(video):
    video.task.run()
    for changes in ({"filtering": False}, {"recovery": False}, {"foreground": None},
                    {"thresholds": craf.Thresholds(lost_pixels=21)}, {}):
        task = replace(video.task, **changes)
        assert task.run() == 5 and task.run() == 0, changes
    # Without frame 2, those after it have another one before them.
    assert replace(video.task, frames=[f for f in video.frames if f != "00002"]).run() == 2


def test_video_without_objects_is_refused(video):
    davis.write_labels(video.annotation_path, np.full(SIZE, 255, np.uint8))
    with pytest.raises(UserError, match="00000.png is empty: it has no object"):
        video.task.run()
    assert not video.output.exists()


def test_labels_are_not_written_over_their_inputs(video):
    for folder in (video.task.scores, video.task.foreground, video.annotation_path.parent):
        before = files_below(video.folder)
        with pytest.raises(UserError, match=f"{folder.name} has the input; .* --output"):
            replace(video.task, output=folder / "../" / folder.name).run()
        assert files_below(video.folder) == before


# ---------------------------------------------------- frames of a folder of maps

def frames_of(folder, names, annotation):
    (folder / "maps").mkdir()
    for name in names:
        (folder / "maps" / name).touch()
    (folder / annotation).touch()
    return label_video.frames_of(folder / "maps", folder / annotation)


@pytest.mark.parametrize("names, annotation, frames", [
    (["00000_1.png", "00001_1.png", "00001_2.png"], "00000.png", ["00000", "00001"]),
    (["00002_1.png", "00001_1.png"], "00000.png", ["00000", "00001", "00002"]),
    (["9_1.png", "10_1.png", "8_1.png"], "8.png", ["8", "9", "10"]),
    (["a_9_2.png", "a_10_1.png", "a_8_1.png"], "a_8.png", ["a_8", "a_9", "a_10"]),
    (["00000_1.png", "00001_1.png"], "first.png", ["00000", "00001"]),
    (["f7_1.png", "f8_1.png"], "00000.png", ["f7", "f8"]),
    (["00000_1.png", "00000.png", "00001_0.png", "x_1.jpg", ".part-3_1.png", "notes.txt",
      "_1.png"], "00000.png", ["00000"])])
def test_frames_are_those_of_the_maps_in_order(tmp_path, names, annotation, frames):
    assert frames_of(tmp_path, names, annotation) == frames


@pytest.mark.parametrize("names, annotation, words", [
    (["00000_1.png", "00001_1.png"], "00001.png", "00001.png is not of the first frame: .* 00000"),
    (["00000_1.png"], "00007.png", "00007.png is not of the first frame: .* 00000"),
    (["a1_1.png", "a2_1.png"], "a2.png", "a2.png is not of the first frame: .* a1"),
    (["00000.png"], "00000.png", "has no score maps <frame>_<k>.png")])
def test_annotations_that_are_not_of_the_first_frame(tmp_path, names, annotation, words):
    with pytest.raises(UserError, match=words):
        frames_of(tmp_path, names, annotation)


def test_folders_and_annotations_that_are_not_there(video):
    with pytest.raises(UserError, match="nosuch, the folder of score maps, does not exist"):
        label_video.frames_of(video.folder / "nosuch", video.annotation_path)
    with pytest.raises(UserError, match="annotation .*nosuch.png does not exist"):
        label_video.frames_of(video.task.scores, video.folder / "nosuch.png")
