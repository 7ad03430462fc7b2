"""Which frames of a video are annotated, and what each says of which object."""

import numpy as np
import pytest

from segspn import cli, files
from segspn.data import annotations, davis
from segspn.data.annotations import ALL, FIRST, Annotations
from segspn.errors import UserError
from tests.support.frames import fails_in_one_line

SIZE = (20, 30)


def drawn(*objects):
    """Ids of a frame in which each of these objects is a square of its own."""
    ids = np.zeros(SIZE, np.uint8)
    for k in objects:
        ids[2:8, 8 * (k - 1) + 1:8 * k - 1] = k
    return ids


@pytest.fixture
def toy(tmp_path):
    """A function: {number of a frame: ids} to a data set of a video `toy` of six frames."""
    def make(said):
        for index in range(6):
            files.write_image(tmp_path / f"JPEGImages/480p/toy/{index:05}.png",
                              np.full((*SIZE, 3), 40 * index, np.uint8))
        for index, ids in said.items():
            davis.write_labels(tmp_path / f"Annotations/480p/toy/{index:05}.png", ids)
        return davis.Davis(tmp_path)
    return make


def test_choices_of_frames(toy):
    data = toy({0: drawn(1, 2), 3: drawn(2), 4: drawn(3)})
    assert annotations.chosen(data, "toy", FIRST) == ["00000"]
    assert annotations.chosen(data, "toy", ALL) == ["00000", "00003", "00004"]
    assert annotations.chosen(data, "toy", ["00004", "00000"]) == ["00000", "00004"]
    assert cli.annotated("all") == ALL and cli.annotated("first") == FIRST
    assert cli.annotated("00004,00000,00004") == ["00004", "00000"]


def test_what_frames_say_of_objects(toy):
    data = toy({0: drawn(1, 2), 3: drawn(2), 4: drawn(3), 5: drawn(1, 2, 3)})
    said = Annotations.read(data, "toy", ALL)
    assert said.objects == [1, 2, 3] and said.frames == ("00000", "00003", "00004", "00005")
    assert said.saying(1) == ["00000", "00005"]
    assert said.saying(2) == ["00000", "00003", "00005"]
    assert said.saying(3) == ["00004", "00005"]
    assert [said.first(k) for k in (None, 1, 2, 3)] == ["00000", "00000", "00000", "00004"]
    # Objects 1 and 2 are drawn before frame 3, which has 2 alone; 3 appears later.
    assert [said.is_ground_known(stem) for stem in said.frames] == [True, False, False, True]


def test_of_a_complete_frame_what_is_not_drawn_is_not_there(toy):
    data = toy({0: drawn(1, 2), 3: drawn(2), 5: drawn()})
    annotations.write_complete(data, "toy", ["00005", "00003"])
    assert annotations.complete(data, "toy") == ("00003", "00005")
    said = Annotations.read(data, "toy", ALL)
    assert said.saying(1) == ["00000", "00003", "00005"] == said.saying(2)
    assert all(map(said.is_ground_known, said.frames))
    annotations.write_complete(data, "toy", [])
    assert annotations.complete(data, "toy") == ()
    with pytest.raises(UserError, match="00005.png is empty: it has no object .* complete.txt"):
        Annotations.read(data, "toy", ALL)


def test_the_first_frame_alone_is_as_it_is_read(toy):
    data = toy({0: drawn(1, 2), 3: drawn(3)})
    annotations.write_complete(data, "toy", ["00003"])
    said = Annotations.read(data, "toy")
    assert said.frames == ("00000",) and said.objects == [1, 2] and not said.complete
    np.testing.assert_array_equal(said.ids["00000"], data.first_frame("toy")[1])


def test_a_first_annotation_without_objects_is_refused(toy, project):
    data = toy({0: drawn()})
    with pytest.raises(UserError, match="00000.png is empty: it has no object"):
        Annotations.read(data, "toy")
    for script in (("ResNetF/write_prototxts.py", "--videos", "toy"),
                   ("python_scripts/refine_spn.py", "5", "toy")):
        result = project.run(*script, "--data", data.root)
        assert fails_in_one_line(result, "00000.png is empty: it has no object")


def test_names_of_objects(toy):
    data = toy({0: drawn(1, 2)})
    assert annotations.names(data, "toy") == {}
    annotations.write_names(data, "toy", {2: " the\nbicycle ", 1: "rider", 3: " "})
    assert annotations.names(data, "toy") == {1: "rider", 2: "the bicycle"}
    assert (data.annotations / "toy/objects.txt").read_text() == "1 rider\n2 the bicycle\n"
    annotations.write_names(data, "toy", {})
    assert not (data.annotations / "toy/objects.txt").exists()
    for line in ("rider", "0 rider", "255 rider", "1"):
        files.write_text(data.annotations / "toy/objects.txt", line + "\n")
        with pytest.raises(UserError, match="a line is an id from 1 to 254 and a name"):
            annotations.names(data, "toy")


def test_ids_that_are_missing_are_told(toy):
    data = toy({0: drawn(1), 3: drawn(3)})
    assert annotations.notes(data, "toy", [1]) == []
    assert annotations.notes(data, "toy", [1, 3]) == ["its ids go up to 3, without 2"]
    annotations.write_names(data, "toy", {1: "rider", 2: "bicycle"})
    assert annotations.notes(data, "toy", [1]) == [
        "objects.txt names 2, drawn in no frame that is learned from"]


def test_what_does_not_fit_is_refused(toy):
    data = toy({0: drawn(1), 3: drawn(2)})
    with pytest.raises(UserError, match="frame 00002 of toy is .* there are: 00000, 00003"):
        Annotations.read(data, "toy", ["00000", "00002"])
    annotations.write_complete(data, "toy", ["00009"])
    with pytest.raises(UserError, match="complete.txt names 00009, which is no frame of toy"):
        Annotations.read(data, "toy", ALL)
    annotations.write_complete(data, "toy", [])
    davis.write_labels(data.annotations / "toy/00004.png", drawn(1)[:-1])
    with pytest.raises(UserError, match="00004.png is 30x19, its frame 30x20"):
        Annotations.read(data, "toy", ALL)
    (data.annotations / "toy/00004.png").rename(data.annotations / "toy/00007.png")
    with pytest.raises(UserError, match="00007.png is of no frame of toy"):
        Annotations.read(data, "toy", ALL)
    for path in (data.annotations / "toy").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="no frame of toy is annotated: .* make annotate VIDEO=toy"):
        Annotations.read(data, "toy", ALL)


def test_objects_of_a_video(toy):
    data = toy({0: drawn(1), 3: drawn(2)})
    annotations.check_object(data, "toy", 1)
    annotations.check_object(data, "toy", 2)
    for k in (0, 3, 255, -1):
        with pytest.raises(UserError, match=f"object {k} is in no annotation of toy"):
            annotations.check_object(data, "toy", k)
    annotations.check_object(data, "toy", 2, alone=True)  # there, it is
    davis.write_labels(data.annotations / "toy/00003.png", drawn(1, 2))
    annotations.check_object(data, "toy", 1, alone=True)
    with pytest.raises(UserError, match="toy has objects 1, 2: .* infer_test_fgbg.py"):
        annotations.check_object(data, "toy", 2, alone=True)


@pytest.mark.parametrize("text", ["", "a/b", "../00000", "00000,,00001", ".hidden"])
def test_bad_names_of_frames(text):
    with pytest.raises(cli.ArgumentTypeError, match="must be first, all, or frames"):
        cli.annotated(text)
