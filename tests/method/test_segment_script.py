"""segment_instances.py, in both its forms."""

import shlex

import cv2
import numpy as np
import pytest

from segspn import files
from segspn.data import davis
from tests.support.frames import fails_in_one_line, names_in
from tests.support.refusals import SEGMENT
from tests.support.score_maps import SIZE, Video


@pytest.fixture
def video(tmp_path):
    return Video(tmp_path)


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
        result = refused.run(SEGMENT, "--video", "toy", "--iterations", 5, "--foreground",
                             refused.result, "--data", refused.data, *options)
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
    # What a header tells is found before the first label.
    assert not video.output.exists() or names_in(video.output) == ["00000.png", "00001.png"]
    assert video.output.exists() == (words[0] not in ("is missing", "30x24"))
    assert not list(video.output.glob(".part*"))


@pytest.mark.parametrize("options, words", [
    (["--region-share", "1.5"], ["region-share must be a number from 0 to 1, not 1.5"]),
    (["--region-score", "3.5"], ["--region-score", "3.5"]),
    (["--video", "toy"], ["--scores does not go with --video"]),
    (["--coarse"], ["--scores does not go with", "--coarse"]),
    (["--annotation", "nosuch.png"], ["nosuch.png does not exist"])])
def test_bad_options_end_in_one_line(video, segment, options, words):
    assert fails_in_one_line(segment(*options), *words)
    assert not video.output.exists()


def test_options_that_are_missing_end_in_one_line(run, video):
    for options in ((), ("--video", "toy"), ("--iterations", 5), ("--annotation", "x.png")):
        assert fails_in_one_line(run(SEGMENT, *options), "--video and --iterations", "--scores")
    scores = ("--scores", video.task.scores, "--annotation", video.annotation_path)
    for options in (scores, scores[:2], (*scores, "--no-foreground"), (*scores, "--output", "x")):
        assert fails_in_one_line(run(SEGMENT, *options), "--scores needs --annotation")
