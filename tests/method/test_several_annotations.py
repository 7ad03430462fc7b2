"""Labels of a video of which several frames are annotated, against the rules written out."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from segspn import files
from segspn.data import davis
from segspn.method import craf, label_video
from tests.support import literal_regions as literal
from tests.support.frames import names_in

SIZE = (24, 32)
FRAMES = [f"{index:05}" for index in range(9)]
LIMITS = {"lost_pixels": Fraction(20), "region_share": Fraction(1, 2)}


def drawn(index):
    """Objects 1, 3 and, from frame 2, 4."""
    labels = np.zeros(SIZE, np.uint8)
    labels[3 + index:10 + index, 2:10] = 1
    labels[6:14, 12 + index:19 + index] = 3
    if index >= 2:
        labels[17:22, 14:22 + index // 2] = 4
    return labels


def only(index, *objects):
    labels = drawn(index)
    return np.where(np.isin(labels, objects), labels, 0).astype(np.uint8)


class Clip:
    """Noisy score maps of all objects in all frames."""

    def __init__(self, folder):
        self.folder, rng = folder, np.random.default_rng(1)
        self.maps, self.masks = {}, {}
        for index, frame in enumerate(FRAMES):
            self.masks[frame] = rng.random(SIZE) < 0.95
            files.write_image(folder / f"masks/{frame}.png",
                              self.masks[frame].astype(np.uint8) * 255)
            for k in (1, 3, 4):
                noise = rng.integers(0, 200, SIZE) * (rng.random(SIZE) < 0.15)
                strength = 50 if (k, index) == (3, 6) else 150 + 10 * k
                scores = np.maximum(strength * (drawn(index) == k), noise)
                if k == 3:  # which covers a part of object 4
                    scores[16:19, 12:20] = 190
                self.maps[frame, k] = scores.astype(np.uint8)
                files.write_image(folder / f"scores/{frame}_{k}.png", self.maps[frame, k])

    def task(self, said, **changes):
        """The Segmentation of {index: ids} of annotated frames."""
        paths = {}
        for index, ids in said.items():
            paths[FRAMES[index]] = self.folder / f"said/{FRAMES[index]}.png"
            davis.write_labels(paths[FRAMES[index]], ids)
        task = label_video.Segmentation(
            frames=FRAMES, scores=self.folder / "scores", foreground=self.folder / "masks",
            annotations=paths, output=self.folder / "labels",
            thresholds=craf.Thresholds(lost_pixels=20, region_share=0.5))
        return replace(task, **changes)

    def hide(self, index, k):
        self.maps[FRAMES[index], k][:] = 0
        files.write_image(self.folder / f"scores/{FRAMES[index]}_{k}.png",
                          self.maps[FRAMES[index], k])

    def labels(self):
        return [davis.read_annotation(self.folder / f"labels/{frame}.png") for frame in FRAMES]

    def passed(self, said, order, complete=()):
        """{index: labels} of the filter along `order`, written out frame by frame."""
        before, found, known = np.zeros(SIZE, np.uint8), {}, set()
        for index in order:
            ids = said.get(index)
            held = set() if ids is None else {1, 3, 4} if index in complete else set(
                davis.objects_of(ids))
            labels, objects = np.zeros(SIZE, np.uint8), sorted(known - held)
            if objects:
                labels = np.array(literal.label_frame(
                    [self.maps[FRAMES[index], k] for k in objects], objects, before,
                    self.masks[FRAMES[index]], LIMITS))
            if ids is not None:
                labels = np.where((ids > 0) & (ids < 255), ids, labels)
                known |= set(davis.objects_of(ids))
            found[index] = before = labels
        return found

    def joined(self, said, backward=False, complete=()):
        """Labels of all frames: of each object from the nearer of its annotations."""
        count = len(FRAMES)
        passes = {1: self.passed(said, range(count), complete),
                  -1: self.passed(said, range(count - 1, -1, -1), complete)}
        whole = []
        for index in range(count):
            labels, best = np.zeros(SIZE, int), np.full(SIZE, -1)
            for k in (1, 3, 4):
                drawn = [i for i, ids in said.items() if (ids == k).any()]
                if not drawn or (index < drawn[0] and not backward):
                    continue
                # Forward from the last frame that says where it is, or that it is not there;
                # backward from the next that has it, where that is nearer.
                last = [i for i in said if i <= index and (i in drawn or i in complete)]
                later = [i for i in drawn if i >= index]
                back = index < drawn[0] or bool(later) and later[0] - index < index - last[-1]
                mask = passes[-1 if back else 1][index] == k
                wins = mask & (self.maps[FRAMES[index], k] > best)
                labels[wins], best[wins] = k, self.maps[FRAMES[index], k][wins]
            whole.append(labels)
        return whole


@pytest.fixture
def clip(tmp_path):
    return Clip(tmp_path)


def test_a_later_object_and_a_correction(clip):
    said = {0: only(0, 1, 3), 2: only(2, 4), 5: only(5, 1)}
    said[5][0, :9] = 255
    clip.hide(2, 1)
    assert clip.task(said).run() == len(FRAMES)
    np.testing.assert_array_equal(clip.labels(), clip.joined(said))
    alone = clip.passed(said, range(9))
    # What differs from the filter that runs forward alone: object 1 in the frames before 5.
    assert [i for i in range(9) if not np.array_equal(alone[i], clip.labels()[i])] == [3, 4]
    assert not any((labels == 4).any() for labels in clip.labels()[:2])
    for index, ids in said.items():
        for k in davis.objects_of(ids):
            np.testing.assert_array_equal(clip.labels()[index] == k, ids == k)
    assert names_in(clip.folder / "labels") == sorted(
        [*(f"{frame}.png" for frame in FRAMES), "backward", "forward"])


def test_objects_that_appear_later_are_followed_forward_alone(clip):
    said = {0: only(0, 1, 3), 2: only(2, 4)}
    assert clip.task(said).run() == len(FRAMES)
    expected = clip.passed(said, range(9))
    np.testing.assert_array_equal(clip.labels(), [expected[i] for i in range(9)])
    assert names_in(clip.folder / "labels") == [f"{frame}.png" for frame in FRAMES]


def test_backward_labels_what_is_before_the_first_annotation(clip):
    said = {4: only(4, 1, 3, 4)}
    assert clip.task(said).run() == len(FRAMES)
    assert not np.any(clip.labels()[:4])
    clip.task(said, backward=True).run()
    np.testing.assert_array_equal(clip.labels(), clip.joined(said, backward=True))
    assert all((labels == k).any() for labels in clip.labels()[2:4] for k in (1, 3, 4))


def test_nothing_else_is_in_a_complete_frame(clip):
    said = {0: only(0, 1, 3), 4: only(4, 3)}
    open_ended = clip.joined(said)
    clip.task(said, complete=frozenset([FRAMES[4]])).run()
    np.testing.assert_array_equal(clip.labels(), clip.joined(said, complete=[4]))
    # Before it, the object is there as it is without that frame; after it, it cannot be followed.
    for index in range(4):
        np.testing.assert_array_equal(clip.labels()[index] == 1, open_ended[index] == 1)
        assert (clip.labels()[index] == 1).any()
    assert not any((labels == 1).any() for labels in clip.labels()[4:])


def test_what_is_done_stays_and_what_depends_on_a_change_is_done_anew(clip):
    said = {0: only(0, 1, 3), 5: only(5, 1)}
    task = clip.task(said)
    assert task.run() == 9 and task.run() == 0
    whole = clip.labels()
    (clip.folder / "labels/forward/00007.png").unlink()
    (clip.folder / "labels/00002.png").unlink()
    assert task.run() == 1  # the others are the same again
    np.testing.assert_array_equal(clip.labels(), whole)
    later = {**said, 7: only(7, 3)}
    assert clip.task(later).run() == 9
    np.testing.assert_array_equal(clip.labels(), clip.joined(later))
    assert clip.task(later).run(force=True) == 9


def test_frames_without_a_need_have_no_maps(clip):
    """None of frame 0, and none of an object before it is drawn."""
    for path in [*(clip.folder / f"scores/00000_{k}.png" for k in (1, 3, 4)),
                 clip.folder / "masks/00000.png", clip.folder / "scores/00001_4.png"]:
        path.unlink()
    clip.task({0: only(0, 1, 3), 2: only(2, 4)}).run()
    assert len(clip.labels()) == 9
