"""Two data sets with a video of one name: whose models/<video> is, and what is the same."""

import os
import shutil

import pytest

from segspn import files
from segspn.data import davis, owner
from segspn.errors import UserError
from segspn.training import solving
from tests.support.frames import alter


@pytest.fixture
def other(data_set, tmp_path, monkeypatch):
    """A copy of the data set, in which the video has one frame more."""
    monkeypatch.setattr(files, "MODELS", tmp_path / "models")
    root = shutil.copytree(data_set, tmp_path / "other")
    frames = root / "JPEGImages/480p/toy"
    shutil.copy(frames / "00000.jpg", frames / "00004.jpg")
    return davis.Davis(root)


def is_refused(own, other, action, *arguments, **options):
    with pytest.raises(UserError) as error:
        action(*arguments, **options)
    for word in (files.MODELS / "toy", f"the video toy in {own}", other, "rename the video"):
        assert str(word) in str(error.value)
    return True


def test_what_is_the_same_is_never_refused(data_set, other, tmp_path):
    own, note = davis.Davis(data_set), files.MODELS / "toy" / owner.NAME
    owner.check(own, "toy")
    assert not note.exists()
    owner.claim(own, "toy")
    for path in other.root.rglob("*.*"):
        os.utime(path, (1, 1))
    owner.claim(other, "toy")
    owner.check(own, "toy")
    alter(other.root / "JPEGImages/480p/toy/00000.jpg")  # its own frames may change
    owner.claim(other, "toy")
    for damage in (b"", b"[]", b"{", b"\xff"):
        note.write_bytes(damage)
        owner.check(own, "toy")


@pytest.mark.parametrize("name", ["JPEGImages/480p/toy/00002.jpg",
                                  "Annotations/480p/toy/00000.png"])
def test_another_frame_or_first_annotation_is_another_video(data_set, other, name):
    owner.claim(davis.Davis(data_set), "toy")
    if name.endswith(".jpg"):
        alter(other.root / name)
    else:
        davis.write_labels(other.root / name, davis.read_annotation(other.root / name)[::-1])
    assert is_refused(data_set, other.root, owner.claim, other, "toy")


def test_a_training_notes_whose_it_is_and_refuses_another(trainings, data_set, other):
    training = trainings.solver("models", max_iter=1,
                                snapshot_prefix=str(files.MODELS / "toy/toy_obj_1"))
    trainings.solve_here(training)
    assert (files.MODELS / "toy" / owner.NAME).is_file()
    trainings.net.write_text(trainings.net.read_text().replace(str(data_set), str(other.root)))
    alter(other.root / "JPEGImages/480p/toy/00003.jpg")
    for options in ({}, {"resume": True}, {"restart": True}, {"restart_changed": True}):
        assert is_refused(data_set, other.root, solving.Training, trainings.weights,
                          training.solver, **options)


@pytest.mark.parametrize("script, arguments", [
    ("infer_test_fgbg.py", ("{model}", "../results/ResNetF_fgbg", "toy")),
    ("infer_test_perobj.py", (5, "toy", 1)), ("refine_spn.py", (5, "toy")),
    ("segment_instances.py", ("--video", "toy", "--iterations", 5)),
    ("../ResNetF/write_prototxts.py", ("--videos", "toy"))], ids=str)
def test_scripts_refuse_another(refused, tmp_path, monkeypatch, script, arguments):
    monkeypatch.setattr(files, "MODELS", refused.root / "models")
    own = shutil.copytree(refused.data, tmp_path / "own")
    owner.claim(davis.Davis(own), "toy")
    alter(refused.frames / "00002.jpg")
    assert refused(f"python_scripts/{script}", *(
        str(word).format(model=refused.model) for word in arguments),
        words=[refused.root / "models/toy", f"the video toy in {own}", refused.data])
