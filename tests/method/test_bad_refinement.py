"""What refine_spn.py, its training and its tools cannot use ends in one line."""

import shutil
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from segspn import files
from segspn.caffenet import weights
from segspn.data import davis
from segspn.errors import UserError
from segspn.method import refine
from spn import write_prototxts
from tests.support.frames import fails_in_one_line, names_in
from tests.support.refinements import Video, passing_weights
from tests.support.refusals import training_refused

REFINE, COMPARE = "python_scripts/refine_spn.py", "tools/compare_maps.py"


@pytest.fixture
def video(tmp_path):
    return Video(tmp_path)


@pytest.fixture
def refused_refinement(refused):
    """Runs refine_spn.py, which must fail, on maps that it could refine."""
    refused.write_maps()
    passing = passing_weights(refused.folder / "passing.caffemodel")

    def run(*options, name="toy", model=passing, words=()):
        return refused(REFINE, 5, name, "--weights", model, "--foreground", refused.result,
                       *options, words=words)
    return run


# ------------------------------------------------------------------------ maps

def missing_score_map(video):
    video.score("00002", 1).unlink()
    return "score map", video.score("00002", 1), "is missing; make it with infer_test_perobj.py"


def score_map_of_another_size(video):
    files.write_image(video.score("00002", 2), np.zeros((70, 80), np.uint8))
    return video.score("00002", 2), "80x70", "90x70", "must be of one size"


def coloured_score_map(video):
    files.write_image(video.score("00002", 2), np.zeros((*video.size, 3), np.uint8))
    return "score map", video.score("00002", 2), "neither indexed nor 8-bit grey (RGB)"


def sixteen_bit_score_map(video):
    cv2.imwrite(str(video.score("00002", 1)), np.zeros(video.size, np.uint16))
    return "score map", video.score("00002", 1), "neither indexed nor 8-bit grey"


def cut_score_map(video):
    data = video.score("00002", 1).read_bytes()
    video.score("00002", 1).write_bytes(data[:-30])
    return "score map", video.score("00002", 1), "corrupt"


def missing_foreground(video):
    video.mask("00002").unlink()
    return "foreground mask", video.mask("00002"), "is missing; make it with infer_test_fgbg.py"


def foreground_of_another_size(video):
    files.write_image(video.mask("00002"), np.zeros((71, 90), np.uint8))
    return video.mask("00002"), "90x71", "90x70"


def frame_of_another_size(video):
    files.write_image(video.frames[2], np.zeros((70, 91, 3), np.uint8))
    return video.frames[2], "91x70", "90x70"


def cut_frame(video):
    video.frames[2].write_bytes(video.frames[2].read_bytes()[:-200])
    return video.frames[2], "corrupt", "replace the file"


@pytest.mark.parametrize("damage", [
    missing_score_map, score_map_of_another_size, coloured_score_map, sixteen_bit_score_map,
    cut_score_map, missing_foreground, foreground_of_another_size, frame_of_another_size,
    cut_frame], ids=lambda damage: damage.__name__)
def test_damaged_input_is_named_and_earlier_frames_stay(video, damage):
    kept = {path: path.read_bytes() for path in (
        *video.frames, *video.scores.iterdir(), *video.foreground.iterdir())}
    words = damage(video)
    with pytest.raises(UserError) as error:
        video.task().run()
    message = str(error.value)
    assert len(message.splitlines()) == 1 and all(str(word) in message for word in words), message
    done = [f"{stem}{k}.png" for stem in ("00000", "00001") for k in ("", "_1", "_2")]
    assert names_in(video.output) == sorted(done)
    changed = [path for path, data in kept.items()
               if not path.exists() or path.read_bytes() != data]
    for path in changed:
        path.write_bytes(kept[path])
    assert len(changed) == 1 and video.task().run() == 2  # those that were not done


def test_script_refuses_maps_it_cannot_use(refused, refused_refinement):
    (refused.scores / "00000_2.png").unlink()
    assert refused_refinement(words=["00000_2.png is missing", "infer_test_perobj.py"])


@pytest.mark.parametrize("name", ["nosuch", "toy/.."])
def test_unknown_and_unsafe_class_names(refused_refinement, name):
    assert refused_refinement(name=name, words=[
        f"{name!r}", "there are: toy" if name == "nosuch" else "must be a plain folder name"])


# --------------------------------------------------------------------- weights

def test_weights_of_another_net_or_none(refused, refused_refinement):
    assert refused_refinement(model=refused.model, words=[
        refused.model, "of no refinement net", "refine_vgg, refine_small", "its layers are"])
    assert refused_refinement(model="nosuch.caffemodel", words=["nosuch.caffemodel",
                                                                "does not exist"])


def wider(blobs):
    blobs["gates"] = [np.concatenate([array, array]) for array in blobs["gates"]]
    return "layer gates: shapes", "in the file", "in the net"


def without_a_layer(blobs):
    del blobs["mask"]
    return "not those of a trained refine_small", "mask", "solve.py"


def without_biases(blobs):
    del blobs["refined"][1]
    return "layer refined: shapes",


@pytest.mark.parametrize("damage", [wider, without_a_layer, without_biases],
                         ids=lambda damage: damage.__name__)
def test_weights_that_do_not_fit(video, damage):
    blobs = weights.read_caffemodel(video.weights)
    words = damage(blobs)
    weights.write_caffemodel(video.weights, blobs)
    with pytest.raises(UserError) as error:
        refine.Refiner(video.weights, video.size, 2)
    message = str(error.value)
    assert len(message.splitlines()) == 1 and str(video.weights) in message
    assert all(word in message for word in words), message


def test_script_refuses_damaged_weights(refused, refused_refinement):
    path = refused.folder / "damaged.caffemodel"
    path.write_bytes((refused.folder / "passing.caffemodel").read_bytes()[:-1000])
    assert refused_refinement(model=path, words=[path, "truncated or not a .caffemodel"])


# -------------------------------------------------------------------- training

@pytest.fixture
def not_written(tmp_path, data_set, monkeypatch, capsys):
    """Runs spn/write_prototxts.py in this process; it must fail, and write nothing."""
    def run(*arguments, words):
        monkeypatch.setattr(sys, "argv", ["write_prototxts.py", *map(str, arguments)])
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
            patch.setattr(files, "ROOT", tmp_path / "here")
            write_prototxts.main()
        assert fails_in_one_line(SimpleNamespace(
            returncode=end.value.code, stderr=capsys.readouterr().err), *words)
        assert not (tmp_path / "here").exists()
        return True
    return run


@pytest.mark.parametrize("options, words", [
    (("--net", "nosuch"), ["--net", "'nosuch'", "refine_vgg"]),
    (("--batch", 0), ["--batch must be a whole number from 1"]),
    (("--exclude", "toy"), ["is excluded"]),
    (("--coarse", "/nosuch"), ["/nosuch, which is no folder"])])
def test_bad_options_of_a_training(not_written, data_set, options, words):
    assert not_written(data_set, *options, words=words)


def test_sources_that_cannot_be_learnt_from(not_written, project, data_set):
    shutil.rmtree(data_set / "Annotations")
    assert not_written(data_set, words=[data_set, "has no annotated frame"])
    nosuch = data_set / "nosuch"
    assert not_written(data_set, nosuch, words=[data_set, "has no annotated frame"])
    assert not_written(nosuch, words=[nosuch, "is not a data set in DAVIS layout"])
    assert fails_in_one_line(project.run("spn/write_prototxts.py", data_set),
                             "has no annotated frame")


def test_start_from_nothing_and_from_weights_that_are_not_there(trainings):
    trainings.weights = "nonexistent.caffemodel"
    training = trainings.solver("models", max_iter=2)
    assert training_refused(trainings, training, "weights nonexistent.caffemodel does not exist",
                            script=False)
    trainings.weights = "none"
    result = trainings.solve(training)
    assert result.returncode == 0, result.stderr
    assert "all layers begin at their fillers" in result.stdout
    assert set(weights.read_caffemodel(training.model(2))) == {"conv1", "score_ori"}


# --------------------------------------------------------------------- figures

def test_maps_that_cannot_be_compared(video, run):
    folders = ("--data", video.data, "--coarse", video.scores.parent,
               "--refined", video.scores.parent)

    def compared(name, *options):
        return run(COMPARE, *folders, "--videos", name, *options)
    assert fails_in_one_line(compared("../toy"), "'../toy' must be a plain folder name")
    assert fails_in_one_line(compared("toy", "--frames", 9), "has none of these frames")
    davis.write_labels(video.data / "Annotations/480p/toy/00001.png", np.ones((50, 60), np.uint8))
    assert fails_in_one_line(compared("toy"), "90x70", "60x50", "must be of one size")
