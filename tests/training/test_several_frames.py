"""Samples of a video of which several frames are annotated."""

import numpy as np
import pytest

from segspn import files
from segspn.data import annotations, davis
from segspn.errors import UserError
from segspn.training import augment, corrections, samples
from tests.support.frames import draw_frame

SIZE = (96, 128)
WHOLE = {"augmentation": (0, 0.0, 0, 0.0, 0.0, 0)}  # frames as they are
CROPS = {"crops": {"size": (64, 64)}}


@pytest.fixture
def data(tmp_path):
    """A video `toy`: objects 1 and 2 in frame 0, 2 alone in frame 2, 1 and 2 and 3 in frame 4."""
    for index in range(6):
        frame, labels = draw_frame(index, SIZE)
        files.write_image(tmp_path / f"JPEGImages/480p/toy/{index:05}.png", frame)
        if index == 2:
            labels[labels == 1] = 0
        if index == 4:
            labels[80:90, 5:20] = 3
            labels[0, :7] = 255
        if index in (0, 2, 4):
            davis.write_labels(tmp_path / f"Annotations/480p/toy/{index:05}.png", labels)
    return davis.Davis(tmp_path)


def source(data, kind="FirstFrameForeground", **changes):
    own = {"object": changes.pop("k")} if "k" in changes else {}
    text = {"data": str(data.root), "sequence": "toy", "size": SIZE, **WHOLE, **own, **changes}
    return getattr(samples, kind)(repr(text))


def ids_of(data, stem):
    return davis.read_annotation(data.annotation("toy", stem))


def assert_same(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("how", [WHOLE, CROPS])
def test_the_first_frame_by_its_name_is_the_first_frame(data, how):
    """To the bit, and so is what tells whether a training can go on."""
    for own in ({}, {"k": 2}):
        kind = "FirstFrameObject" if own else "FirstFrameForeground"
        ours = source(data, kind, frames=("00000",), **own, **how)
        theirs = source(data, kind, **own, **how)
        assert ours.fingerprint() == theirs.fingerprint()
        for iteration in range(3):
            assert_same(ours.sample(3, iteration), theirs.sample(3, iteration))


def test_samples_come_from_all_frames_evenly(data):
    ours = source(data, "FirstFrameObject", k=2, frames=("00000", "00002", "00004"))
    for iteration in range(7):
        stem = ("00000", "00002", "00004")[iteration % 3]
        image, label, weight = ours.sample(0, iteration)
        ids = ids_of(data, stem)
        np.testing.assert_array_equal(label, ids == 2)
        np.testing.assert_array_equal(weight, augment.class_balance(ids == 2, ids == 255))
        frame = files.read_image(data.images / f"toy/{stem}.png").astype(np.float32)
        np.testing.assert_allclose(np.diff(image, axis=2),
                                   np.diff(frame.transpose(2, 0, 1), axis=2), atol=1e-4)


def test_crops_come_from_all_frames_evenly(data):
    three = ("00000", "00002", "00004")
    ours = source(data, "FirstFrameObject", k=2, frames=three, **CROPS)
    alone = [source(data, "FirstFrameObject", k=2, frames=(stem,), **CROPS) for stem in three]
    for iteration in range(6):
        assert_same(ours.sample(5, iteration), alone[iteration % 3].sample(5, iteration))


def test_of_the_foreground_what_may_be_an_object_is_left_out(data):
    ours = source(data, frames=("00000", "00002", "00004"))
    for iteration, stem in enumerate(("00000", "00002", "00004")):
        _, label, weight = ours.sample(0, iteration)
        ids = ids_of(data, stem)
        left_out = (ids == 255) | ((ids == 0) & (stem == "00002"))  # object 1 may be there
        np.testing.assert_array_equal(label, (ids > 0) & (ids != 255))
        assert (weight[left_out] == 0).all() and (weight[~left_out] > 0).all()
        if stem != "00002":  # where all that is known is foreground: of the first frame's weight
            np.testing.assert_array_equal(weight, augment.class_balance(label > 0, left_out))
        else:
            share = np.mean(ids_of(data, "00000") > 0)
            assert set(np.unique(weight)) == {0, np.float32(1 - share)}
    annotations.write_complete(data, "toy", ["00002"])
    _, label, weight = source(data, frames=("00000", "00002")).sample(0, 1)
    np.testing.assert_array_equal(weight, augment.class_balance(label > 0, np.zeros(SIZE, bool)))


def test_a_complete_frame_without_an_object_is_all_background_to_it(data):
    with pytest.raises(UserError, match="object 1 is not in annotation 00002 of toy; it has .2."):
        source(data, "FirstFrameObject", k=1, frames=("00000", "00002"))
    annotations.write_complete(data, "toy", ["00002"])
    ours = source(data, "FirstFrameObject", k=1, frames=("00000", "00002"), **CROPS)
    _, label, weight = ours.sample(0, 1)
    assert not label.any() and (weight == 1).all()
    # Of a whole frame, with the weight that background has in the first one.
    _, label, weight = source(data, "FirstFrameObject", k=1, frames=("00000", "00002")).sample(0, 1)
    assert not label.any()
    assert np.unique(weight) == [np.float32(np.mean(ids_of(data, "00000") == 1))]


def test_frames_of_each_training(data):
    said = annotations.Annotations.read(data, "toy", annotations.ALL)
    assert corrections.frames_of(said) == {
        None: ["00000", "00002", "00004"], 1: ["00000", "00004"],
        2: ["00000", "00002", "00004"], 3: ["00004"]}
    # The frame that is complete without an object is no first one of it.
    annotations.write_complete(data, "toy", ["00000", "00002"])
    said = annotations.Annotations.read(data, "toy", annotations.ALL)
    assert corrections.frames_of(said)[3] == ["00004", "00000", "00002"]


def test_solver_of_a_correction():
    fields = {"base_lr": 1e-3, "max_iter": 150, "snapshot": 150}
    assert corrections.solver(fields) == {**fields, "max_iter": 75, "snapshot": 75}
    assert corrections.solver({"max_iter": 1, "snapshot": 500}) == {"max_iter": 1, "snapshot": 1}
