"""Bad videos, objects, frames and annotations end in one line."""


import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from tests.support.frames import fails_in_one_line, names_in
from tests.support.refusals import FGBG, NETS, PEROBJ, SEGMENT, training_refused


@pytest.mark.parametrize("name", ["nosuch", "../toys"])
def test_unknown_and_unsafe_names(refused, name):
    word = "toy" if name == "nosuch" else "must be a plain folder name"
    assert refused(SEGMENT, "--video", name, "--iterations", 5, words=[f"{name!r}", word])
    assert refused(FGBG, refused.model, refused.result, name, words=[f"{name!r}", word])
    assert refused(PEROBJ, 5, name, 1, words=[f"{name!r}", word])
    assert refused(NETS, "--videos", name, words=[f"{name!r}", word])


def test_object_that_the_annotation_lacks(refused):
    for k in (0, 3, -1):
        assert refused(PEROBJ, 5, "toy", k, words=[f"object {k} is in no annotation of toy",
                                                   "[1, 2]"])
    assert refused(PEROBJ, 5, "toy", 1, "--masks", refused.result,
                   words=["toy has objects 1, 2", "infer_test_fgbg.py"])


def test_training_of_an_object_that_the_annotation_lacks(trainings):
    text = trainings.net.read_text()
    trainings.net.write_text(text.replace("\\'object\\': 1", "\\'object\\': 3"))
    assert text != trainings.net.read_text()
    training = trainings.solver("models")
    assert training_refused(trainings, training, "object 3", "[1, 2]")


def annotation_of_another_size(refused):
    davis.write_labels(refused.annotation, np.ones((96, 120), np.uint8))
    return ["120x96", "128x96", "must be of one size"]


def missing_frame_0(refused):
    (refused.frames / "00000.jpg").unlink()
    return ["frame 0 of toy is missing", "00000.jpg"]


def missing_annotation(refused):
    refused.annotation.unlink()
    return ["annotation", "00000.png does not exist"]


def no_frames(refused):
    for path in refused.frames.iterdir():
        path.unlink()
    return ["video 'toy' has no frames"]


def corrupt_frame(refused):
    (refused.frames / "00000.jpg").write_bytes(np.random.default_rng(0).bytes(3000))
    return ["00000.jpg is corrupt", "replace the file"]


def truncated_frame(refused):
    path = refused.frames / "00000.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    return ["00000.jpg is corrupt", "replace the file"]


def corrupt_annotation(refused):
    data = bytearray(refused.annotation.read_bytes())
    data[data.index(b"IDAT") + 60] ^= 1
    refused.annotation.write_bytes(data)
    return ["00000.png is corrupt", "replace the file"]


def truncated_annotation(refused):
    data = refused.annotation.read_bytes()
    refused.annotation.write_bytes(data[:len(data) * 2 // 3])
    return ["00000.png is corrupt", "replace the file"]


def annotation_without_objects(refused):
    davis.write_labels(refused.annotation, np.zeros((96, 128), np.uint8))
    return ["it has no object"]


def colour_annotation(refused):
    with Image.open(refused.annotation) as image:
        colours = image.convert("RGB")
    colours.save(refused.annotation)
    return ["00000.png is neither indexed nor 8-bit grey (RGB)"]


DAMAGES = [annotation_of_another_size, missing_frame_0, missing_annotation, no_frames,
           corrupt_frame, truncated_frame, corrupt_annotation, truncated_annotation,
           annotation_without_objects, colour_annotation]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_data_in_training(trainings, data_set, damage):
    trainings.frames = data_set / "JPEGImages/480p/toy"
    trainings.annotation = data_set / "Annotations/480p/toy/00000.png"
    words = damage(trainings)
    script = damage in (annotation_of_another_size, truncated_frame, colour_annotation)
    assert training_refused(trainings, trainings.solver("models"), *words, script=script)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_data_in_segmentation(refused, damage):
    refused.write_maps()
    assert refused.segment(words=damage(refused))


def test_damaged_frame_in_inference(refused):
    """The frames before it are done; it and those after it are not, and nothing is half-made."""
    path = refused.frames / "00002.jpg"
    whole = path.read_bytes()
    for content in (whole[:-300], b"no image", b""):
        path.write_bytes(content)
        result = refused.run(FGBG, refused.model, refused.result, "toy", "--scale", 0.1,
                             "--data", refused.data)
        assert fails_in_one_line(result, "00002.jpg is corrupt", "replace the file")
        assert names_in(refused.result / "toy") == ["00000.png", "00001.png"]
    path.write_bytes(whole)
    result = refused.run(FGBG, refused.model, refused.result, "toy", "--scale", 0.1,
                         "--data", refused.data)
    assert result.returncode == 0 and "2 frames done, 2 were there" in result.stdout


@pytest.mark.parametrize("kind, words", [
    ("scores", ["00002_1.png is missing", "infer_test_perobj.py"]),
    ("foreground", ["00002.png is missing", "infer_test_fgbg.py"])])
def test_missing_and_damaged_maps(refused, kind, words):
    refused.write_maps()
    path = refused.scores / "00002_1.png" if kind == "scores" else refused.result / "toy/00002.png"
    whole = path.read_bytes()
    result = refused.run(SEGMENT, "--video", "toy", "--iterations", 5, "--foreground",
                         refused.result, "--data", refused.data)
    assert result.returncode == 0, result.stderr
    path.unlink()
    assert refused.segment(words=words)
    path.write_bytes(whole[:-40])
    assert refused.segment(words=[path.name, "is corrupt"])
    files.write_image(path, np.zeros((96, 100), np.uint8))
    assert refused.segment(words=[path.name, "100x96", "128x96"])


def test_cut_and_changed_images(data_set):
    """No half of an image and none with a wrong number is taken for a whole one."""
    frame = data_set / "JPEGImages/480p/toy/00000.jpg"
    data = frame.read_bytes()
    for length in [*range(0, len(data), 9), *range(len(data) - 20, len(data))]:
        frame.write_bytes(data[:length])
        with pytest.raises(UserError, match="00000.jpg is corrupt"):
            files.read_image(frame)
    annotation = data_set / "Annotations/480p/toy/00000.png"
    data, labels = annotation.read_bytes(), davis.read_annotation(annotation)
    cuts = [data[:length] for length in range(0, len(data) - 4, 5)]
    changes = [data[:i] + bytes([data[i] ^ (1 << i % 8)]) + data[i + 1:]
               for i in range(0, len(data), 3)]
    refusals = 0
    for content in cuts + changes:
        annotation.write_bytes(content)
        try:
            same = np.array_equal(davis.read_annotation(annotation), labels)
        except UserError as error:
            refusals += 1
            assert "00000.png" in str(error) and len(str(error).splitlines()) == 1
        else:
            assert same  # in a part that says nothing about the pixels
    assert refusals >= len(cuts) + len(changes) - 10


def test_folders_that_are_no_data_set(refused, tmp_path):
    for folder in (tmp_path / "nosuch", tmp_path):
        words = [f"{folder} is not a data set in DAVIS layout", "JPEGImages/480p is missing"]
        assert refused(SEGMENT, "--video", "toy", "--iterations", 5, "--data", folder, data=False,
                       words=words)
        assert refused(NETS, "--data", folder, data=False, words=words)
    (tmp_path / "empty/JPEGImages/480p").mkdir(parents=True)
    assert refused(NETS, "--data", tmp_path / "empty", data=False,
                   words=["empty", "has no sequence"])
