"""The labels of a video, from score maps on disk; segment_instances.py in both its forms."""

import os
import shlex
import time
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import cv2
import literal_regions as literal
import numpy as np
import pytest
from conftest import fails_in_one_line, names_in
from PIL import Image
from refusals import SEGMENT, files_below

from segspn import davis, files, regions, segmentation
from segspn.errors import UserError

SIZE = (24, 32)
LIMITS = {"lost_pixels": 20, "region_share": "0.5"}  # the published ones, but for frames so small


class Video:
    """Score maps and foreground of some frames with objects 1 and 3, on disk.

    Objects move, scores are noisy, and object 3 is faint in frame 2: it is lost there,
    and recovered.
    """

    frames = ["00000", "00001", "00002", "00003", "00004"]

    def __init__(self, folder):
        self.folder, rng = folder, np.random.default_rng(0)
        self.annotation_path = folder / "first/00000.png"
        self.annotation = self.drawn(0)
        self.annotation[0:2, 0:9] = 255
        davis.write_labels(self.annotation_path, self.annotation)
        self.scores, self.masks = {}, {}
        for index, frame in enumerate(self.frames[1:], 1):
            self.masks[frame] = rng.random(SIZE) < 0.9
            files.write_image(self.mask(frame), self.masks[frame].astype(np.uint8) * 255)
            for k in (1, 3):
                noise = rng.integers(0, 200, SIZE) * (rng.random(SIZE) < 0.2)
                strength = 60 if (index, k) == (2, 3) else 180
                scores = np.maximum(strength * (self.drawn(index) == k), noise)
                self.scores[frame, k] = scores.astype(np.uint8)
                files.write_image(self.path(frame, k), self.scores[frame, k])
        self.output = folder / "labels"
        self.task = segmentation.Segmentation(
            frames=self.frames, scores=folder / "scores", foreground=folder / "fgbg",
            annotation=self.annotation_path, output=self.output,
            thresholds=regions.Thresholds(lost_pixels=20, region_share=0.5))

    @staticmethod
    def drawn(index):
        labels = np.zeros(SIZE, np.uint8)
        labels[3 + index:12 + index, 4:13] = 1
        labels[8:18, 18 + index:26 + index] = 3
        return labels

    def path(self, frame, k):
        return self.folder / f"scores/{frame}_{k}.png"

    def mask(self, frame):
        return self.folder / f"fgbg/{frame}.png"

    def expected(self, limits=LIMITS, masks=True, seen=None, **steps):
        """Labels of all frames, by the rules as they are written."""
        limits = {name: Fraction(value) for name, value in limits.items()}
        labels = [np.where(self.annotation == 255, 0, self.annotation)]
        for frame in self.frames[1:]:
            inside = self.masks[frame] if masks else np.ones(SIZE, bool)
            labels.append(np.array(literal.label_frame(
                [self.scores[frame, k] for k in (1, 3)], [1, 3], labels[-1], inside, limits,
                seen=seen, **steps)))
        return labels

    def labels(self, output=None):
        return [davis.read_annotation((output or self.output) / f"{f}.png") for f in self.frames]

    def contents(self, output=None):
        """{name: bytes} of the labels."""
        return {name: ((output or self.output) / name).read_bytes()
                for name in names_in(output or self.output)}

    def times(self):
        return {name.removesuffix(".png"): (self.output / name).stat().st_mtime_ns
                for name in names_in(self.output)}


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
    """A missing input is named, earlier frames stay, and the rest comes out the same."""
    whole = video.folder / "whole"
    replace(video.task, output=whole).run()
    missing = video.path("00002", 3) if kind == "score map" else video.mask("00002")
    content = missing.read_bytes()
    missing.unlink()
    with pytest.raises(UserError, match=f"{kind} {missing} is missing; make it with infer_test_"):
        video.task.run()
    first = video.times()
    assert sorted(first) == ["00000", "00001"]
    missing.write_bytes(content)
    set_time(missing, 0)
    assert video.task.run() == 3
    assert {f: video.times()[f] for f in first} == first
    assert video.contents() == video.contents(whole)


def set_time(path, time_ns):
    os.utime(path, ns=(time_ns, time_ns))


def test_second_run_does_what_is_missing_or_outdated_and_all_after_it(video):
    video.task.run()
    first, contents = video.times(), video.contents()
    assert video.task.run() == 0 and video.times() == first

    (video.output / "00003.png").unlink()
    assert video.task.run() == 2 and video.contents() == contents
    second = video.times()
    assert {f for f in video.frames if second[f] != first[f]} == {"00003", "00004"}

    def changes(path):
        """How many frames are done after a file was written, when all others are older."""
        for other in video.folder.rglob("*"):
            set_time(other, other.stat().st_mtime_ns - 10 ** 10)
        set_time(path, time.time_ns() - 5 * 10 ** 9)
        done = video.task.run()
        assert video.task.run() == 0
        return done
    assert changes(video.mask("00004")) == 1 and changes(video.mask("00003")) == 2
    assert changes(video.output / "00002.png") == 2  # labels that were changed by hand
    assert changes(video.annotation_path) == 5
    video.scores["00001", 3][:] = 0
    files.write_image(video.path("00001", 3), video.scores["00001", 3])
    assert changes(video.path("00001", 3)) == 4
    np.testing.assert_array_equal(video.labels(), video.expected())
    assert video.contents() != contents
    assert video.task.run(force=True) == 5


def test_other_settings_and_frames_are_done_anew(video):
    video.task.run()
    for changes in ({"filtering": False}, {"recovery": False}, {"foreground": None},
                    {"thresholds": regions.Thresholds(lost_pixels=21)}, {}):
        task = replace(video.task, **changes)
        assert task.run() == 5 and task.run() == 0, changes
    # Without frame 2, those after it have another one before them.
    assert replace(video.task, frames=[f for f in video.frames if f != "00002"]).run() == 4


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
    return segmentation.frames_of(folder / "maps", folder / annotation)


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
        segmentation.frames_of(video.folder / "nosuch", video.annotation_path)
    with pytest.raises(UserError, match="annotation .*nosuch.png does not exist"):
        segmentation.frames_of(video.task.scores, video.folder / "nosuch.png")


# ------------------------------------------------------------------ the script

@pytest.fixture
def segment(video, run):
    """Runs segment_instances.py on the folders of a video."""
    def segmented(*options, foreground=("--foreground", video.folder / "fgbg")):
        return run(SEGMENT, "--scores", video.folder / "scores", *foreground,
                   "--annotation", video.annotation_path, "--output", video.output, *options)
    return segmented


def test_script_on_any_folder_of_maps(video, segment):
    options = ("--lost-pixels", 20, "--region-share", 0.5)
    result = segment(*options)
    assert result.returncode == 0 and "5 frames done, 0 were there" in result.stdout, result.stderr
    np.testing.assert_array_equal(video.labels(), video.expected())
    command = shlex.split(result.stdout.splitlines()[-1])
    assert command[:3] == ["next:", "python", "../tools/overlay.py"]
    assert command[command.index("--labels") + 1] == str(video.output)
    assert "0 frames done, 5 were there" in segment(*options).stdout
    assert "5 frames done" in segment(*options, "--force").stdout
    (video.output / "00003.png").unlink()
    assert "2 frames done, 3 were there" in segment(*options).stdout
    np.testing.assert_array_equal(video.labels(), video.expected())


def test_script_without_filter_recovery_and_foreground(video, segment):
    for options, steps in ((("--no-filter",), {"filtering": False, "recovery": False}),
                           (("--no-recovery",), {"recovery": False})):
        result = segment(*options, foreground=["--no-foreground"])
        assert "5 frames done" in result.stdout, result.stderr
        np.testing.assert_array_equal(
            video.labels(), video.expected(limits={}, masks=False, **steps))


def test_script_on_the_pipeline_s_folders(refused):
    """A stray region of a score map is filtered away, or not."""
    refused.write_maps()
    stray = np.zeros((96, 128), np.uint8)
    stray[2:8, 2:8] = 255
    path = refused.scores / "00002_1.png"
    files.write_image(path, np.maximum(stray, files.read_plane(path, "map")))
    mask = refused.result / "toy/00002.png"
    files.write_image(mask, np.maximum(stray, files.read_plane(mask, "mask")))
    for options, has_stray in ((), False), (("--no-filter",), True):
        result = refused.run(SEGMENT, "--class", "toy", "--iter", 5, "--foreground", refused.result,
                             "--data", refused.data, *options)
        assert result.returncode == 0 and "4 frames done" in result.stdout, result.stderr
        for index in range(4):
            found = davis.read_annotation(refused.root / f"results/labels/toy/{index:05}.png")
            truth = davis.read_annotation(refused.annotation.parent / f"{index:05}.png")
            if index == 2 and has_stray:
                truth[stray > 0] = 1
            np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("damage, words", [
    (lambda path: path.unlink(), ["is missing"]),
    (lambda path: cv2.imwrite(str(path), np.zeros((24, 30), np.uint8)), ["30x24", "32x24"]),
    (lambda path: cv2.imwrite(str(path), np.zeros(SIZE, np.uint16)), ["8-bit grey (I;16)"]),
    (lambda path: cv2.imwrite(str(path), np.zeros((*SIZE, 3), np.uint8)), ["8-bit grey (RGB)"]),
    (lambda path: davis.write_labels(path, np.ones(SIZE, np.uint8)), ["not 8-bit grey (P)"]),
    (lambda path: path.write_bytes(path.read_bytes()[:-30]), ["corrupt"])],
    ids=["missing", "another size", "16 bits", "coloured", "coloured indices", "cut"])
def test_bad_maps_end_in_one_line(video, segment, damage, words):
    damage(video.path("00002", 3))
    assert fails_in_one_line(segment(), "00002_3.png", *words)
    assert names_in(video.output) == ["00000.png", "00001.png"]
    assert not [path for path in video.output.iterdir() if path.name.startswith(".part")]


@pytest.mark.parametrize("options, words", [
    (["--region-share", "1.5"], ["region-share must be a number from 0 to 1, not 1.5"]),
    (["--lost-share=nan"], ["lost-share must be a number from 0 to 1, not nan"]),
    (["--label-score", "300"], ["label-score must be a whole number from 0 to 255, not 300"]),
    (["--lost-pixels=-1"], ["lost-pixels must be a whole number from 0"]),
    (["--region-score", "3.5"], ["--region-score", "3.5"]),
    (["--region-overlap", "x"], ["--region-overlap", "'x'"]),
    (["--recovery-overlap"], ["--recovery-overlap", "expected one argument"]),
    (["--class", "toy"], ["--scores does not go with --class"]),
    (["--coarse"], ["--scores does not go with", "--coarse"]),
    (["--no-foreground"], ["--no-foreground", "not allowed with", "--foreground"]),
    (["--annotation", "nosuch.png"], ["nosuch.png does not exist"])])
def test_bad_options_end_in_one_line(video, segment, options, words):
    assert fails_in_one_line(segment(*options), *words)
    assert not video.output.exists()


def test_options_that_are_missing_end_in_one_line(run, video):
    for options in ((), ("--class", "toy"), ("--iter", 5), ("--annotation", "x.png")):
        assert fails_in_one_line(run(SEGMENT, *options), "--class and --iter", "--scores")
    scores = ("--scores", video.task.scores, "--annotation", video.annotation_path)
    for options in (scores, scores[:2], (*scores, "--no-foreground"), (*scores, "--output", "x")):
        assert fails_in_one_line(run(SEGMENT, *options), "--scores needs --annotation")


def test_benchmark_of_regions_runs(run):
    result = run("tools/benchmark_regions.py", "--quick", "--repeat", 1)
    assert result.returncode == 0, result.stderr
    rows = [line.strip("| ").split(" | ") for line in result.stdout.splitlines()[2:]]
    assert len(rows) == 5 and all(float(speed) > 0 for *_, speed in rows)
    assert fails_in_one_line(run("tools/benchmark_regions.py", "--repeat", 0), "--repeat")
