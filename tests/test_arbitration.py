"""Arbitration between score maps, and the labels of a video that come of it."""

import os

import numpy as np
import pytest
from conftest import names_in
from PIL import Image

from segspn import davis, files, segmentation
from segspn.arbitration import arbitrate
from segspn.errors import UserError

SIZE = (12, 17)


def literal(score_maps, foreground):
    """The rule a pixel at a time: the best object, if it reaches 100, inside the foreground."""
    labels = np.zeros(foreground.shape, np.uint8)
    for y, x in np.ndindex(*foreground.shape):
        best, winner = -1, 0
        for o in range(1, len(score_maps) + 1):
            if int(score_maps[o - 1][y, x]) > best:  # not >=: the lowest among equals
                best, winner = int(score_maps[o - 1][y, x]), o
        labels[y, x] = winner if best >= 100 and foreground[y, x] else 0
    return labels


@pytest.mark.parametrize("objects", [1, 2, 3, 7])
@pytest.mark.parametrize("values", [(0, 256), (97, 104), (99, 101), (0, 2)])
def test_arbitration_is_the_literal_rule(objects, values):
    """With few values there are ties at most pixels; around 100 the threshold matters."""
    rng = np.random.default_rng([objects, *values])
    for _ in range(20):
        score_maps = rng.integers(*values, (objects, *SIZE), np.uint8)
        foreground = rng.random(SIZE) < 0.8
        labels = arbitrate(score_maps, foreground)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, literal(score_maps, foreground))


def test_ties_thresholds_and_foreground():
    scores = np.array([[[99, 100, 100, 255, 0, 120]], [[99, 99, 100, 255, 0, 130]],
                       [[98, 0, 100, 255, 255, 130]]], np.uint8)
    inside = np.ones((1, 6), bool)
    assert arbitrate(scores, inside).tolist() == [[0, 1, 1, 1, 3, 2]]
    inside[0, [2, 5]] = False
    assert arbitrate(scores, inside).tolist() == [[0, 1, 0, 1, 3, 0]]
    assert not arbitrate(scores, np.zeros((1, 6), bool)).any()


def test_inputs_are_left_as_they_are():
    rng = np.random.default_rng(0)
    score_maps, foreground = rng.integers(0, 256, (2, *SIZE), np.uint8), rng.random(SIZE) < 0.5
    copies = score_maps.copy(), foreground.copy()
    arbitrate(score_maps, foreground)
    np.testing.assert_array_equal(score_maps, copies[0])
    np.testing.assert_array_equal(foreground, copies[1])


# ------------------------------------------------------------------- a video

class Video:
    """Random score maps and foreground of four frames with objects 1 and 3, on disk."""

    frames = ["00000", "00001", "00002", "00003"]

    def __init__(self, folder):
        self.folder, rng = folder, np.random.default_rng(0)
        self.annotation = rng.choice(np.array([0, 1, 3, 255], np.uint8), SIZE)
        davis.write_labels(folder / "00000.png", self.annotation)
        self.scores, self.masks = {}, {}
        for frame in self.frames[1:]:
            self.masks[frame] = rng.random(SIZE) < 0.7
            files.write_image(folder / f"fgbg/{frame}.png",
                              self.masks[frame].astype(np.uint8) * 255)
            for k in (1, 3):
                self.scores[frame, k] = rng.integers(60, 160, SIZE, np.uint8)
                files.write_image(self.path(frame, k), self.scores[frame, k])
        self.output = folder / "labels"
        self.task = segmentation.Segmentation(
            frames=self.frames, scores=folder / "scores", foreground=folder / "fgbg",
            annotation=folder / "00000.png", output=self.output)

    def path(self, frame, k):
        return self.folder / f"scores/{frame}_{k}.png"

    def expected(self, frame):
        if frame == "00000":
            return np.where(self.annotation == 255, 0, self.annotation)
        absent = np.zeros(SIZE, np.uint8)  # no object 2 is in the annotation
        return literal([self.scores[frame, 1], absent, self.scores[frame, 3]], self.masks[frame])

    def times(self):
        return {name.removesuffix(".png"): (self.output / name).stat().st_mtime_ns
                for name in names_in(self.output)}


@pytest.fixture
def video(tmp_path):
    return Video(tmp_path)


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def test_labels_of_a_video(video):
    assert video.task.run() == 4
    assert names_in(video.output) == [f"{f}.png" for f in video.frames]
    for frame in video.frames:
        np.testing.assert_array_equal(pixels(video.output / f"{frame}.png"), video.expected(frame))
    assert set(np.unique(pixels(video.output / "00001.png"))) == {0, 1, 3}


def test_labels_are_indexed_with_the_davis_palette(video):
    video.task.run()
    first_colours = [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128),
        (0, 128, 128), (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0)]
    for frame in video.frames:
        with Image.open(video.output / f"{frame}.png") as image:
            assert image.format == "PNG" and image.mode == "P"
            palette = np.array(image.getpalette()).reshape(-1, 3)
            colours = np.array(image.convert("RGB"))
        np.testing.assert_array_equal(palette[:12], first_colours)
        np.testing.assert_array_equal(colours, np.array(first_colours)[video.expected(frame)])
    assert tuple(davis.palette()[255]) == (224, 224, 192)


@pytest.mark.parametrize("kind", ["score map", "foreground mask"])
def test_missing_input_is_named_and_earlier_frames_stay(video, kind):
    missing = video.path("00002", 3) if kind == "score map" else video.folder / "fgbg/00002.png"
    missing.unlink()
    with pytest.raises(UserError, match=f"{kind} {missing} is missing; make it with infer_test_"):
        video.task.run()
    assert sorted(video.times()) == ["00000", "00001"]


def test_second_run_does_what_is_missing_or_outdated(video):
    video.task.run()
    first = video.times()
    assert video.task.run() == 0 and video.times() == first

    (video.output / "00002.png").unlink()
    assert video.task.run() == 1
    second = video.times()
    assert {f for f in video.frames if second[f] != first[f]} == {"00002"}

    # A score map that is made anew, a foreground that is, and the annotation.
    changes = {"00001": video.path("00001", 3), "00003": video.folder / "fgbg/00003.png"}
    video.scores["00001", 3] = np.full(SIZE, 200, np.uint8)
    files.write_image(changes["00001"], video.scores["00001", 3])
    for path in changes.values():
        os.utime(path, ns=(0, max(second.values()) + 10**9))
    assert video.task.run() == 2
    np.testing.assert_array_equal(pixels(video.output / "00001.png"), video.expected("00001"))
    os.utime(video.folder / "00000.png", ns=(0, max(video.times().values()) + 2 * 10**9))
    assert video.task.run() == 4
    assert video.task.run(force=True) == 4


def test_video_without_objects_is_refused(video):
    davis.write_labels(video.folder / "00000.png", np.full(SIZE, 255, np.uint8))
    with pytest.raises(UserError, match="00000.png is empty: it has no object"):
        video.task.run()
    assert not video.output.exists()
