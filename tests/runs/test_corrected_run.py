"""Runs of a video of which more and more frames are annotated."""

import numpy as np
import pytest

from segspn.caffenet import weights
from segspn.data import davis
from tests.support.frames import draw_frame
from tests.support.workflows import FRAMES, SIZE, Project, labels_of

ITERATIONS = 4


class Own(Project):
    """A video of one's own, `own`, and a run over it."""

    def __init__(self, root):
        super().__init__(root)
        self.folder = root / "results/runs/own"
        frames = self.data / "JPEGImages/480p"
        (frames / "toy").rename(frames / "own")
        self.said = self.data / "Annotations/480p/own"

    def start(self, *options, **keywords):
        command = [self.root / "tools/run.py", "--data", self.data, "--videos", "own",
                   "--annotated", "all", "--size", "x".join(map(str, SIZE)),
                   "--iterations", ITERATIONS, "--threads", 1, "--craf", "--backward", *options]
        return super().start(command=command, **keywords)

    def say(self, index, *objects):
        """Annotates these objects in a frame."""
        labels = draw_frame(index, SIZE)[1]
        labels[~np.isin(labels, objects)] = 0
        davis.write_labels(self.said / f"{index:05}.png", labels)

    def path(self, what):
        return self.root / f"models/own/own_{what}.caffemodel"

    def model(self, what):
        return weights.read_caffemodel(self.path(what))

    def written(self):
        """{name: time of change} of all models, and of the score maps of object 1."""
        maps = self.root / f"results/ResNetF_perobj_{ITERATIONS}/own"
        return {path.name: path.stat().st_mtime_ns
                for path in (*self.path("").parent.glob("*model"), *maps.glob("*_1.png"))}


def same(ours, theirs):
    return all(a.tobytes() == b.tobytes() for layer in ours
               for a, b in zip(ours[layer], theirs[layer], strict=True))


@pytest.mark.slow
def test_what_depends_on_a_correction_is_done_anew_and_no_more(tmp_path):
    own = Own(tmp_path / "ours")
    own.say(1, 1)
    output = own.succeed()
    assert "own: learns from 1 annotated frame: 00001" in output
    labels = labels_of(own, "own")
    np.testing.assert_array_equal(labels[1] == 1, draw_frame(1, SIZE)[1] == 1)

    # An object that is drawn in another frame first: the other one's model stays.
    before, models = own.states(), own.written()
    own.say(2, 2)
    own.succeed()
    begun = own.begun_since(before)
    assert {"train_object/own/2", "train_foreground/own", "train_foreground_corrected/own",
            "infer_object/own/2", "label/own"} <= begun
    assert "train_object/own/1" not in begun
    assert len(models) == 1 + FRAMES and models.items() < own.written().items()
    labels = labels_of(own, "own")
    for index, k in ((1, 1), (2, 2)):
        np.testing.assert_array_equal(labels[index] == k, draw_frame(index, SIZE)[1] == k)

    # A correction of object 2: object 1 has nothing to do with it.
    before, models = own.states(), own.written()
    own.say(FRAMES - 1, 2)
    output = own.succeed()
    assert "own: learns from 3 annotated frames: 00001, 00002, 00004" in output
    begun = own.begun_since(before)
    assert {"train_object_corrected/own/2", "train_foreground_corrected/own",
            "infer_object/own/2", "refine/own", "label/own", "report/own"} <= begun
    assert not begun & {"train_object/own/1", "train_object/own/2", "train_foreground/own",
                        "infer_object/own/1", "train_object_corrected/own/1"}
    of_before = {name for name, time in models.items() if own.written()[name] == time}
    assert of_before == {"own_obj_1_iter_4.caffemodel", "own_obj_2_iter_4.caffemodel",
                         "own_fgbg_iter_4.caffemodel", *(f"{n:05}_1.png" for n in range(FRAMES))}
    corrected = own.model("obj_2_corrected_iter_2")
    assert not same(corrected, own.model("obj_2_iter_4"))
    own.check()

    # All at once, in another place: the order in which frames were drawn does not count.
    other = Own(tmp_path / "theirs")
    for index, k in ((4, 2), (2, 2), (1, 1)):
        other.say(index, k)
    other.succeed()
    assert same(other.model("obj_2_corrected_iter_2"), corrected)
    assert same(other.model("fgbg_corrected_iter_2"), own.model("fgbg_corrected_iter_2"))
    np.testing.assert_array_equal(labels_of(other, "own"), labels_of(own, "own"))
