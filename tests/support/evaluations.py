"""A small data set with results to evaluate, and the evaluation as it is written."""

import itertools

import numpy as np
import pytest

from segspn.data import davis
from segspn.errors import UserError
from segspn.evaluation import davis2017, metrics

SIZE = (24, 31)
COLUMNS = ["J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay"]


def blobs(rng, objects, count):
    """Labels of frames with a rectangle an object, and some void: uint8, n x H x W."""
    labels = np.zeros((count, *SIZE), np.uint8)
    for frame, k in itertools.product(range(count), objects):
        y, x = rng.integers(0, 14, 2)
        labels[frame, y:y + rng.integers(3, 12), x:x + rng.integers(3, 16)] = k
    labels[:, 20:, 25:] = 255
    return labels


def near(rng, labels):
    """Results like the annotations: moved, without void, with pixels at random."""
    moved = np.roll(np.where(labels == 255, 0, labels), rng.integers(-2, 3), 2)
    return np.where(rng.random(labels.shape) < 0.02, 1, moved).astype(np.uint8)


class Set:
    """A data set and results on disk; annotations and results by sequence, to compare with."""

    def __init__(self, folder):
        self.davis, self.results = folder / "davis", folder / "results"
        self.truth, self.found = {}, {}
        (self.davis / "ImageSets/2017").mkdir(parents=True)
        self.results.mkdir()

    def add(self, name, truth, found):
        """Adds a sequence; results, as real ones, have no last frame and no first."""
        self.truth[name], self.found[name] = truth, found
        for n, labels in enumerate(truth):
            davis.write_labels(self.annotation(name, n), labels)
        for n, labels in list(enumerate(found))[1:-1]:
            davis.write_labels(self.result(name, n), labels)
        (self.davis / "ImageSets/2017/tiny.txt").write_text("\n".join(self.truth) + "\n\n")

    def annotation(self, name, n):
        return self.davis / f"Annotations/480p/{name}/{n:05}.png"

    def result(self, name, n):
        return self.results / name / f"{n:05}.png"

    def evaluate(self, *names, **options):
        return davis2017.evaluate(self.results, self.davis, names or self.truth,
                                  **{"processes": 1, **options})

    def refuses(self, *names):
        """The message of the error that an evaluation ends on."""
        with pytest.raises(UserError) as caught:
            self.evaluate(*names)
        assert "\n" not in str(caught.value)
        return str(caught.value)


def tiny_set(folder):
    """`b` has objects 1 to 3, 20 frames; `a` one object; `c` objects 1 and 2, a late
    object 3, which does not count, and 4 frames."""
    rng = np.random.default_rng(0)
    made = Set(folder)
    for name, objects, count in (("b", (1, 2, 3), 20), ("a", (1,), 7)):
        truth = blobs(rng, objects, count)
        made.add(name, truth, near(rng, truth))
    late = blobs(rng, (3, 1, 2), 4)
    late[:2][late[:2] == 3] = 0
    made.add("c", late, near(rng, np.where(late == 3, 0, late)))
    return made


def square(k=1, at=5, size=SIZE):
    labels = np.zeros(size, np.uint8)
    labels[at:at + 6, at:at + 6] = k
    return labels


def literal(truth, found, void=False):
    """{object: ([J], [F])}, a frame and an object at a time."""
    objects = 0
    for value in truth[0].ravel().tolist():
        if value != 255 and value > objects:
            objects = value
    values = {}
    for k in range(1, objects + 1):
        values[k] = [], []
        for n in range(len(truth)):
            if n in (0, len(truth) - 1):
                continue
            masks = truth[n] == k, found[n] == k, truth[n] == 255 if void else None
            values[k][0].append(metrics.jaccard(*masks))
            values[k][1].append(metrics.boundary_f(*masks))
    return values


def literal_summary(made):
    """The figures of COLUMNS over all objects, none weighted by its sequence."""
    sums, count = [0] * 6, 0
    for name in made.truth:
        for j, f in literal(made.truth[name], made.found[name]).values():
            count += 1
            for n, value in enumerate([*metrics.statistics(j), *metrics.statistics(f)]):
                sums[n] += value
    means = [value / count for value in sums]
    return [(means[0] + means[3]) / 2, *means]
