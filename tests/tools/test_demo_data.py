"""The drawing of the demo's first annotation, without network and without the clip."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ResNetF import WORKING_SIZE
from segspn.data import davis
from segspn.errors import UserError
from tools.setup import demo_data


@pytest.fixture(scope="module")
def drawing():
    return demo_data.read_drawing(demo_data.ANNOTATION)


@pytest.fixture(scope="module")
def labels(drawing):
    return demo_data.rasterised(drawing)


def test_drawing_says_what_it_is(drawing):
    assert "Big Buck Bunny, (c) Blender Foundation, CC-BY 3.0" in drawing["credit"]
    assert [(o["id"], o["name"]) for o in drawing["objects"]] == [(1, "rabbit"), (2, "rocks")]


def test_objects_are_whole_and_of_plausible_area(labels):
    assert labels.shape == WORKING_SIZE and labels.dtype == np.uint8
    assert davis.objects_of(labels) == [1, 2]
    areas = [np.count_nonzero(labels == k) for k in (1, 2)]
    assert 55_000 < areas[0] < 67_000
    assert 14_000 < areas[1] < 17_000
    for k in 1, 2:  # each in one piece, beside the background
        assert cv2.connectedComponents((labels == k).astype(np.uint8))[0] == 2


def test_objects_do_not_overlap(drawing):
    alone = [demo_data.rasterised({**drawing, "objects": [thing]}) > 0
             for thing in drawing["objects"]]
    assert not (alone[0] & alone[1]).any()


def test_landmarks(labels):
    """Belly, fists, ears, toes; the three rocks; the background between them, and other rocks."""
    for label, pixels in enumerate((
            [(255, 86), (284, 388), (190, 280), (435, 303), (640, 260)],
            [(300, 250), (165, 60), (370, 30), (240, 70), (292, 50), (345, 398)],
            [(135, 240), (100, 320), (160, 312)])):
        assert [labels[y, x] for x, y in pixels] == [label] * len(pixels)


def test_the_first_object_is_in_front():
    polygons = [[[0, 0], [9, 0], [9, 9], [0, 9]]], [[[5, 5], [15, 5], [15, 15], [5, 15]]]
    labels = demo_data.rasterised({"size": [20, 20], "objects": [
        {"id": 1, "polygons": polygons[0]}, {"id": 2, "polygons": polygons[1]}]})
    assert (labels[:10, :10] == 1).all() and (labels == 2).sum() == 11 * 11 - 5 * 5


@pytest.mark.parametrize("change", [
    {"frame": 51}, {"size": [480, 854]}, {"objects": []}, {"objects": 3},
    {"objects": [{"id": 2, "name": "x", "polygons": [[[1, 1], [2, 2], [3, 1]]]}]},
    {"objects": [{"id": 1, "name": "x", "polygons": [[[1, 1], [2, 2]]]}]},
    {"objects": [{"id": 1, "name": "x", "polygons": [[[1, 1], [2, 2], [854, 1]]]}]},
    {"objects": [{"id": 1, "name": "x", "polygons": [[[1, 1], [2, 2], [3]]]}]},
    {"objects": [{"id": 1, "name": "x"}]}])
def test_unfit_drawings_are_refused(drawing, tmp_path, change):
    path = tmp_path / "drawing.json"
    path.write_text(json.dumps({**drawing, **change}))
    with pytest.raises(UserError, match=str(path)):
        demo_data.read_drawing(path)


def test_data_set_is_made_once_and_again_after_a_change(tmp_path, monkeypatch):
    root, frame = tmp_path / "demo", np.zeros((720, 1280, 3), np.uint8)
    root.mkdir()
    (root / demo_data.CLIP).write_bytes(b"clip")
    monkeypatch.setattr(demo_data, "CLIP_SHA256",
                        demo_data.pypi.sha256_of(root / demo_data.CLIP))
    monkeypatch.setattr(demo_data.videos, "Video", lambda path: SimpleNamespace(
        read=lambda numbers: (frame for _ in numbers)))
    assert demo_data.fetch(root) and not demo_data.fetch(root)
    data = davis.Davis(root)
    assert (root / "ImageSets/2017/demo.txt").read_text() == "bunny\n"
    assert [p.name for p in data.frames("bunny")] == [f"{i:05d}.jpg" for i in range(41)]
    frame, annotation = data.first_frame("bunny")
    assert frame.shape[:2] == annotation.shape and data.first_objects("bunny") == [1, 2]

    changed = json.loads(demo_data.ANNOTATION.read_text())
    changed["objects"][1]["polygons"] = changed["objects"][1]["polygons"][:1]
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(changed))
    monkeypatch.setattr(demo_data, "ANNOTATION", path)
    assert demo_data.fetch(root) and not demo_data.fetch(root)
    assert (data.first_frame("bunny")[1] == 2).sum() < (annotation == 2).sum()
    data.frames("bunny")[7].unlink()
    assert demo_data.fetch(root)
