"""Synthetic videos: exact labels, the same for the same seed, and a set that is made whole."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.synthetic import data_set, scenes
from segspn.synthetic import parts as parts
from segspn.synthetic.actors import Actor, draw, outline
from tests.support.frames import fails_in_one_line, names_in

SIZE = (96, 128)
SETTINGS = ("--size", "48x64", "--frames", 3, "--count", 2, "--seed", 5)


def contrasty(figure, scale=30.0, middle=(64.0, 48.0)):
    """A white, still actor."""
    skin = np.full((64, 64, 3), 255, np.uint8)
    return Actor(figure, (skin, skin), scale, middle, (0, 0), (0, 0, 0, 0), (0, 0, 0, 0), 0.0, 0.0,
                 0.0, False, (0, 0, 0), (0, 0, 0))


def near_border(labels, width):
    """Where another label is within `width` px."""
    kernel = np.ones((2 * width + 1,) * 2, np.uint8)
    return cv2.erode(labels, kernel) != cv2.dilate(labels, kernel)


def test_a_frame_depends_on_seed_index_and_number_alone():
    forward = [scenes.Scene(3, 1, SIZE).frame(k) for k in (0, 5)]
    scene = scenes.Scene(3, 1, SIZE)
    for number, (image, labels) in ((5, forward[1]), (0, forward[0])):
        for frame in scene.frame(number), scenes.frame(3, 1, number, SIZE):
            np.testing.assert_array_equal(frame[0], image)
            np.testing.assert_array_equal(frame[1], labels)
    for other in scenes.frame(4, 1, 0, SIZE), scenes.frame(3, 2, 0, SIZE):
        assert (other[0] != forward[0][0]).mean() > 0.5
        assert (other[1] != forward[0][1]).mean() > 0.01


@pytest.mark.parametrize("size, objects", [((32, 32), 1), ((33, 57), 6), ((120, 40), 3),
                                           ((96, 128), 20), ((240, 427), 2)])
def test_every_object_is_there_in_frame_0_at_any_size(size, objects):
    for index in range(2):
        image, labels = scenes.frame(1, index, 0, size, objects)
        assert image.shape == (*size, 3) and image.dtype == np.uint8
        assert labels.shape == size and labels.dtype == np.uint8
        areas = np.bincount(labels.ravel(), minlength=objects + 1)
        assert len(areas) == objects + 1
        assert (areas[1:] >= scenes.LEAST_AREA * labels.size).all(), areas


def test_labels_at_a_finer_grid_differ_at_borders_alone():
    for index in range(3):
        scene = scenes.Scene(2, index, SIZE, 3)
        coarse, fine = (scene.frame(4, supersampling)[1] for supersampling in (4, 12))
        differs = coarse != fine
        assert differs.mean() < 0.01
        assert near_border(fine, 1)[differs].all()


def test_coverage_of_a_disc_is_its_area_and_colour_follows_it():
    disc = [parts.Blob((0, 0), (1, 1), (255, 128, 0))]
    image = np.zeros((*SIZE, 3), np.float32)
    (left, top, right, bottom), cover = draw(image, contrasty(disc), 0, 8)
    assert abs(cover.sum() / (np.pi * 30 ** 2) - 1) < 0.02
    np.testing.assert_allclose(image[top:bottom, left:right, 1], 255 * cover, atol=0.01)
    rows, columns = np.indices(SIZE) + 0.5
    distance = np.hypot(columns - 64, rows - 48)
    mask = outline(contrasty(disc), SIZE)
    assert mask[distance < 29.5].all() and not mask[distance > 30.5].any()


def test_hole_shows_what_is_behind():
    ring = [parts.Blob((0, 0), (1, 1), (255, 128, 0)), parts.Blob((0, 0), (0.5, 0.5), parts.HOLE)]
    image = np.full((*SIZE, 3), 40, np.float32)
    draw(image, contrasty(ring), 0)
    assert (image[48, 64] == 40).all() and (image[48, 64 + 22] == 255).all()
    mask = outline(contrasty(ring), SIZE)
    assert not mask[48, 64] and mask[48, 64 + 22] and mask[48, 64 - 22]


def test_labels_end_where_the_image_of_a_contrasty_object_does():
    scene = scenes.Scene(0, 0, SIZE, 2)
    scene._background[:] = 20
    scene.passers = []
    for actor in scene.actors:
        actor.skins[0][:] = actor.skins[1][:] = 250
    scene.actors = [replace(actor, light=(0, 0, 0), shadow=(0, 0, 0))
                    for actor in scene.actors]
    image, labels = scene.frame(0)
    objects = (labels > 0).astype(np.uint8)
    bright = image.mean(axis=2)
    inside = cv2.erode(objects, np.ones((5, 5))) > 0
    outside = cv2.dilate(objects, np.ones((5, 5))) == 0
    assert inside.sum() > 50 and bright[inside].min() > bright[outside].max() + 30
    threshold = (np.median(bright[inside]) + np.median(bright[outside])) / 2
    wrong = (bright > threshold) != (objects > 0)
    assert wrong.mean() < 0.02 and near_border(objects, 2)[wrong].all()


def test_front_object_hides_the_one_behind():
    scene = scenes.Scene(6, 0, SIZE, 2)
    front, back = scene.actors
    scene.actors = [front, replace(back, middle=front.middle, travel=front.travel,
                                   lag=front.lag)]
    labels = scene.frame(0)[1]
    own = outline(front, SIZE)
    assert (labels[own] == scene.identities[0]).all()
    others = outline(scene.actors[1], SIZE)
    assert (others & own).sum() > 20
    others &= ~own
    assert (labels[others] == scene.identities[1]).all()


def test_objects_background_and_light_move():
    moved = 0
    for index in range(4):
        (before, first), (after, last) = (scenes.frame(8, index, k, SIZE) for k in (0, 6))
        moved += all(((first == k) != (last == k)).sum() > 0.1 * (first == k).sum()
                     for k in (1, 2))
        background = (first == 0) & (last == 0)
        change = np.abs(before[background].astype(int) - after[background])
        assert change.mean() > 1
        near = scenes.frame(8, index, 1, SIZE)[1]
        assert (near != first).mean() < 0.15  # a frame later, it is still the same scene
    assert moved >= 3


def test_backgrounds_have_edges_that_are_no_borders():
    inner = []
    for index in range(4):
        image, labels = scenes.frame(9, index, 0, (120, 213))
        smooth = cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.float32).mean(axis=2)
        slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
        border = near_border(labels, 2)
        inner.append((slope[~border] > np.median(slope[border])).sum() / border.sum())
    assert np.median(inner) > 0.5, inner


@pytest.fixture
def made(run, tmp_path):
    """The folder of a small set and how to make it again."""
    root = tmp_path / "made"

    def make(*arguments):
        return run("tools/synthetic.py", "--data", root, *SETTINGS, *arguments)
    result = make()
    assert result.returncode == 0, result.stderr
    assert "overlay.py --frames" in result.stdout.splitlines()[-1]
    return root, make


def test_a_killed_run_goes_on_to_the_same_set(made, tmp_path):
    root, make = made
    data = davis.Davis(root)
    assert data.sequences() == ["synthetic-0000", "synthetic-0001"]
    assert len(data.listed("ImageSets/2017/train.txt")) == 6
    for frame, annotation in data.listed("ImageSets/2017/train.txt"):
        image, labels = data.pair(frame, annotation)
        index, number = int(frame.parent.name[-4:]), int(frame.stem)
        exact, exact_labels = scenes.frame(5, index, number, (48, 64))
        np.testing.assert_array_equal(labels, exact_labels)
        assert np.abs(image.astype(int) - exact).mean() < 6
    whole = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    kept = root / "JPEGImages/480p/synthetic-0000/00000.jpg"
    written = kept.stat().st_mtime_ns
    (root / "JPEGImages/480p/synthetic-0000/00002.jpg").unlink()
    shutil.rmtree(root / "Annotations/480p/synthetic-0001")
    (root / "ImageSets/2017/train.txt").unlink()
    assert make().returncode == 0
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == whole
    assert kept.stat().st_mtime_ns == written


def test_more_sequences_are_added_and_other_settings_refused(made):
    root, make = made
    before = (root / "JPEGImages/480p/synthetic-0000/00001.jpg").read_bytes()
    assert fails_in_one_line(make("--seed", 6), root, "other settings", '"seed": 5')
    assert make("--count", 3).returncode == 0
    assert names_in(root / "JPEGImages/480p") == [f"synthetic-000{k}" for k in range(3)]
    assert (root / "JPEGImages/480p/synthetic-0000/00001.jpg").read_bytes() == before
    assert json.loads((root / data_set.STAMP).read_text())["size"] == [48, 64]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    files.write_text(tmp_path / "JPEGImages/480p/lions/notes.txt", "mine")
    with pytest.raises(UserError, match="not of a synthetic set"):
        data_set.claim(tmp_path, data_set.Recipe())
    with pytest.raises(UserError, match="not a folder"):
        data_set.claim(tmp_path / "JPEGImages/480p/lions/notes.txt", data_set.Recipe())
    assert names_in(tmp_path) == ["JPEGImages"]


@pytest.mark.parametrize("settings, words", [
    ({"size": (31, 64)}, "31x64"), ({"size": (64, 5000)}, "4096"), ({"objects": 0}, "1 to 20"),
    ({"objects": 21}, "1 to 20"), ({"frames": 0}, "frames"), ({"seed": -1}, "seed"),
    ({"names": "../out"}, "plain folder name"), ({"listing": "a/b"}, "plain folder name")])
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        data_set.Recipe(**settings)


def test_bad_arguments_end_in_one_line(run, tmp_path):
    result = run("tools/synthetic.py", "--data", tmp_path / "x", "--objects", 21)
    assert fails_in_one_line(result, "objects", "1 to 20")
    assert not (tmp_path / "x").exists()
