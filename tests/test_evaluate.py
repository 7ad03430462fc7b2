"""Evaluation: which frames and objects count, means, what is refused, and the script's tables."""

import csv
import functools
import itertools
import os

import numpy as np
import pytest
from conftest import fails_in_one_line, names_in
from PIL import Image

from segspn import davis, evaluation, metrics
from segspn.errors import UserError

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
        return evaluation.evaluate(self.results, self.davis, names or self.truth,
                                   **{"processes": 1, **options})

    def refuses(self, *names):
        """The message of the error that an evaluation ends on."""
        with pytest.raises(UserError) as caught:
            self.evaluate(*names)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def tiny(tmp_path):
    """`b` has objects 1 to 3, 20 frames; `a` one object; `c` a late object 2, and 4 frames."""
    rng = np.random.default_rng(0)
    made = Set(tmp_path)
    for name, objects, count in (("b", (1, 2, 3), 20), ("a", (1,), 7)):
        truth = blobs(rng, objects, count)
        made.add(name, truth, near(rng, truth))
    late = blobs(rng, (1, 2), 4)
    late[:2][late[:2] == 2] = 0
    made.add("c", late, near(rng, late))
    return made


def square(k=1, at=5, size=SIZE):
    labels = np.zeros(size, np.uint8)
    labels[at:at + 6, at:at + 6] = k
    return labels


# ------------------------------------------------------------------ the literal one

def literal(truth, found, void=False):
    """{object: ([J], [F])}, a frame and an object at a time."""
    objects = 0
    for labels in truth:
        for value in labels.ravel().tolist():
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


@pytest.mark.parametrize("void", [False, True])
def test_every_value_is_as_the_literal_evaluation_has_it(tiny, void):
    found = tiny.evaluate(void=void)
    assert [one.sequence for one in found] == ["b", "a", "c"]
    for one, objects in zip(found, (3, 1, 2)):
        expected = literal(tiny.truth[one.sequence], tiny.found[one.sequence], void)
        count = len(tiny.truth[one.sequence])
        assert one.frames == tuple(f"{n:05}" for n in range(1, count - 1))
        assert one.j.shape == one.f.shape == (objects, count - 2)
        assert one.j.dtype == one.f.dtype == np.float64
        assert one.j.tolist() == [j for j, _ in expected.values()]
        assert one.f.tolist() == [f for _, f in expected.values()]
        assert one.statistics() == [(metrics.statistics(j), metrics.statistics(f))
                                    for j, f in expected.values()]
    assert 0.05 < found[0].j.mean() < 0.95


def test_means_are_over_objects_not_over_sequences_or_frames(tiny):
    figures = evaluation.summary(tiny.evaluate())
    assert list(figures) == COLUMNS
    assert list(figures.values()) == pytest.approx(literal_summary(tiny), rel=0, abs=1e-12)
    assert figures["J&F-Mean"] == pytest.approx((figures["J-Mean"] + figures["F-Mean"]) / 2)


def test_arrays_are_evaluated_as_files_are(tiny):
    for void in False, True:
        for one in tiny.evaluate(void=void):
            same = evaluation.evaluate_arrays(one.sequence, tiny.truth[one.sequence],
                                              list(tiny.found[one.sequence]), void=void)
            assert (same.sequence, same.frames) == (one.sequence, one.frames)
            np.testing.assert_array_equal(same.j, one.j)
            np.testing.assert_array_equal(same.f, one.f)
    named = evaluation.evaluate_arrays("c", tiny.truth["c"], tiny.found["c"], list("wxyz"))
    assert named.frames == ("x", "y")


def test_number_of_processes_does_not_change_a_bit(tiny):
    alone, three = tiny.evaluate(), tiny.evaluate(processes=3)
    for one, other in zip(alone, three, strict=True):
        assert (one.sequence, one.frames) == (other.sequence, other.frames)
        assert one.j.tobytes() == other.j.tobytes() and one.f.tobytes() == other.f.tobytes()


# ------------------------------------------------------------ frames, objects, void

def test_first_and_last_frame_do_not_count():
    truth = [square()] * 5
    wrong = square(at=15)
    result = [wrong, square(), wrong, square(), wrong]
    one = evaluation.evaluate_arrays("s", truth, result)
    assert one.j.tolist() == one.f.tolist() == [[1, 0, 1]]


def test_objects_that_vanish_and_appear_count_in_every_frame():
    """Object 1 is there in the first half, object 3 in the second, object 2 never."""
    nothing = np.zeros(SIZE, np.uint8)
    truth = [square(1), square(1), nothing, square(3), square(3)]
    one = evaluation.evaluate_arrays("s", truth, truth)
    assert one.j.tolist() == one.f.tolist() == [[1, 1, 1]] * 3
    one = evaluation.evaluate_arrays("s", truth, [square(1)] * 5)
    assert one.j.tolist() == one.f.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]
    one = evaluation.evaluate_arrays("s", truth, [square(2)] * 5)
    assert one.j.tolist() == one.f.tolist() == [[0, 1, 1], [0, 0, 0], [1, 1, 0]]


def test_empty_results_count_where_there_is_an_object():
    nothing = np.zeros(SIZE, np.uint8)
    truth = [square(), square(), nothing, square(), square()]
    one = evaluation.evaluate_arrays("s", truth, [nothing] * 5)
    assert one.j.tolist() == one.f.tolist() == [[0, 1, 0]]
    figures = evaluation.summary([one])
    assert figures["J-Mean"] == pytest.approx(1 / 3) and figures["F-Recall"] == pytest.approx(1 / 3)


def test_void_is_ground_unless_it_is_left_out():
    truth = square()
    truth[5:11, 11:17] = 255
    result = square()
    result[5:11, 11:17] = 1
    one = evaluation.evaluate_arrays("s", [truth] * 3, [result] * 3)
    assert one.j.tolist() == [[0.5]] and one.f[0, 0] < 1
    one = evaluation.evaluate_arrays("s", [truth] * 3, [result] * 3, void=True)
    assert one.j.tolist() == one.f.tolist() == [[1]]


def test_means_by_hand():
    """Of a sequence with one object at J 0 and one with three at J 1: 3/4, not 1/2."""
    bad = evaluation.evaluate_arrays("bad", [square()] * 4, [square(at=15)] * 4)
    three = square(1, 1) + square(2, 8) + square(3, 16)
    good = evaluation.evaluate_arrays("good", [three] * 9, [three] * 9)
    assert evaluation.summary([bad, good]) == dict(zip(
        COLUMNS, [0.75, 0.75, 0.75, 0, 0.75, 0.75, 0]))
    assert evaluation.object_rows([bad, good]) == [
        ("bad_1", 0, 0), *((f"good_{k}", 1, 1) for k in (1, 2, 3))]


def test_grey_annotations_of_0_and_255_have_one_object(tiny):
    """As those of DAVIS 2016; but with other ids in the sequence, 255 alone is void."""
    masks = np.stack([square(255, at) for at in (2, 3, 4, 5)])
    tiny.add("d", masks, masks // 255)
    for n, mask in enumerate(masks):
        Image.fromarray(mask).save(tiny.annotation("d", n))
    assert tiny.evaluate("d")[0].j.tolist() == [[1, 1]]
    grey = np.stack([square(1), square(255), square(1)])
    tiny.add("e", grey, np.zeros_like(grey))
    for n, labels in enumerate(grey):
        Image.fromarray(labels).save(tiny.annotation("e", n))
    assert tiny.evaluate("e")[0].j.tolist() == [[1]]


# ---------------------------------------------------------------- what is refused

def test_missing_frames_are_all_counted_and_the_first_named(tiny):
    for n in range(4, 11):
        tiny.result("b", n).unlink()
    tiny.result("a", 2).unlink()
    message = tiny.refuses()
    assert message.startswith("8 problems: (1)") and message.endswith("and 3 more")
    assert all(str(tiny.result("b", n)) in message for n in range(4, 9))
    assert tiny.refuses("a") == f"result {tiny.result('a', 2)} is missing"
    assert len(tiny.evaluate("c")) == 1


def test_missing_sequences_and_annotations_are_named(tiny):
    message = tiny.refuses("a", "nowhere")
    assert "sequence nowhere has no annotations" in message
    for path in tiny.results.glob("a/*"):
        path.unlink()
    (tiny.results / "a").rmdir()
    assert "results of sequence a are missing" in tiny.refuses()
    images = tiny.davis / "JPEGImages/480p/c"
    images.mkdir(parents=True)
    for n in range(6):
        (images / f"{n:05}.jpg").touch()
    message = tiny.refuses("c")
    assert message.startswith("2 problems") and "more" not in message
    assert f"annotation {tiny.annotation('c', 4)} is missing" in message
    with pytest.raises(UserError, match="folder of results .*none does not exist"):
        evaluation.evaluate(tiny.results / "none", tiny.davis, ["b"])
    with pytest.raises(UserError, match="folder of annotations .* does not exist"):
        evaluation.evaluate(tiny.results, tiny.results, ["b"])


@pytest.mark.parametrize("count", [1, 2])
def test_sequences_without_a_frame_to_evaluate(tiny, count):
    tiny.add("short", np.stack([square()] * count), np.stack([square()] * count))
    (tiny.results / "short").mkdir()
    assert f"sequence short has {count} annotated frame" in tiny.refuses()
    with pytest.raises(UserError, match="sequence s has .* none to evaluate"):
        evaluation.evaluate_arrays("s", [square()] * count, [square()] * count)


def test_sequences_without_objects(tiny):
    tiny.add("void", np.stack([square(255)] * 3), np.stack([square(0)] * 3))
    assert tiny.refuses("void") == "annotations of sequence void have no object (no id above 0)"
    with pytest.raises(UserError, match="of sequence s have no object"):
        evaluation.evaluate_arrays("s", [square(255)] * 3, [square(0)] * 3)


@pytest.mark.parametrize("k", [2, 255])
def test_ids_above_the_number_of_objects(tiny, k):
    davis.write_labels(tiny.result("a", 3), square(k))
    assert tiny.refuses() == f"result {tiny.result('a', 3)} has id {k}, but its sequence 1 object"
    with pytest.raises(UserError, match=f"result s 00001 has id {k}, but its sequence 1 object"):
        evaluation.evaluate_arrays("s", [square()] * 3, [square(k)] * 3)


def test_ids_too_high_in_the_first_and_last_frame_do_not_matter(tiny):
    for n in 0, 6:
        davis.write_labels(tiny.result("a", n), square(9))
    assert len(tiny.evaluate()) == 3
    evaluation.evaluate_arrays("s", [square()] * 3, [square(9), square(), square(9)])


def test_sizes_and_kinds_of_files_that_do_not_match(tiny):
    davis.write_labels(tiny.result("b", 3), square(size=(31, 24)))
    expected = f"result {tiny.result('b', 3)} is 24x31, its annotation 31x24"
    assert expected in tiny.refuses()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tiny.result("b", 4))
    tiny.annotation("a", 0).write_bytes(b"no image")
    tiny.result("c", 1).write_bytes(tiny.result("c", 1).read_bytes()[:-20])
    message = tiny.refuses()
    assert message.startswith("4 problems") and expected in message
    assert f"result {tiny.result('b', 4)} is neither indexed nor 8-bit grey (RGB)" in message
    assert f"annotation {tiny.annotation('a', 0)} is corrupt" in message
    assert f"result {tiny.result('c', 1)} is corrupt" in message
    with pytest.raises(UserError, match="result s 00001 is 24x31, its annotation 31x24"):
        evaluation.evaluate_arrays("s", [square()] * 3, [square(size=(31, 24))] * 3)
    with pytest.raises(UserError, match="sequence s has 3 annotations, 1 results"):
        evaluation.evaluate_arrays("s", [square()] * 3, [square()])


def test_problems_are_found_before_anything_is_computed(tiny, monkeypatch):
    def never(*_):
        raise AssertionError
    monkeypatch.setattr(evaluation, "measure", never)
    davis.write_labels(tiny.result("c", 2), square(7))  # of the last sequence
    assert str(tiny.result("c", 2)) in tiny.refuses()


def test_names_that_leave_their_folder_or_come_twice(tiny):
    for name in "../b", "/b", ".", "":
        assert "must be a plain folder name" in tiny.refuses("b", name)
    assert tiny.refuses("b", "a", "b") == "sequence b is named 2 times"
    with pytest.raises(UserError, match="no sequences"):
        evaluation.evaluate(tiny.results, tiny.davis, [])
    with pytest.raises(UserError, match="split name '../tiny'"):
        evaluation.listed_sequences(tiny.davis, "../tiny")
    with pytest.raises(UserError, match=r"list .*other.txt does not exist"):
        evaluation.listed_sequences(tiny.davis, "other")
    (tiny.davis / "ImageSets/2017/bad.txt").write_text("a\n../b\n")
    with pytest.raises(UserError, match="sequence name '../b'"):
        evaluation.listed_sequences(tiny.davis, "bad")
    assert evaluation.listed_sequences(tiny.davis, "tiny") == ["b", "a", "c"]
    with pytest.raises(UserError, match="processes must be at least 1, not 0"):
        tiny.evaluate(processes=0)


# ---------------------------------------------------------------------- the script

def rows_of(path):
    assert b"\r" not in path.read_bytes()
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_script_prints_and_writes_the_tables(tiny, run):
    result = run("tools/evaluate.py", "--results", tiny.results, "--davis", tiny.davis,
                 "--split", "tiny")
    assert result.returncode == 0, result.stderr
    expected = literal_summary(tiny)
    header, values = rows_of(tiny.results / "global_results-tiny.csv")
    assert header == COLUMNS and values == [f"{value:.3f}" for value in expected]
    objects = rows_of(tiny.results / "per-sequence_results-tiny.csv")
    frames = rows_of(tiny.results / "per-frame_results-tiny.csv")
    assert objects.pop(0) == ["Sequence", "J-Mean", "F-Mean"]
    assert frames.pop(0) == ["Sequence", "Object", "Frame", "J", "F"]
    for name in tiny.truth:
        for k, (j, f) in literal(tiny.truth[name], tiny.found[name]).items():
            assert objects.pop(0) == [f"{name}_{k}", f"{np.mean(j):.3f}", f"{np.mean(f):.3f}"]
            for n in range(len(j)):
                row = frames.pop(0)
                assert row[:3] == [name, str(k), f"{n + 1:05}"]
                assert [float(cell) for cell in row[3:]] == [j[n], f[n]]
    assert not objects and not frames
    lines = result.stdout.splitlines()
    tables = [[cell.strip() for cell in line.strip("|").split("|")]
              for line in lines if line.startswith("|")]
    assert tables[0] == COLUMNS and tables[2] == values and tables[3][0] == "Sequence"
    assert tables[5:] == rows_of(tiny.results / "per-sequence_results-tiny.csv")[1:]
    for table in itertools.groupby(lines, key=lambda line: line.startswith("|")):
        assert not table[0] or len({len(line) for line in table[1]}) == 1


def test_script_with_options(tiny, run, tmp_path):
    result = run("tools/evaluate.py", "--results", tiny.results, "--davis", tiny.davis, "--split",
                 "mine", "--sequences", "c", "--output", tmp_path / "new/tables", "--void",
                 "--processes", 1)
    assert result.returncode == 0, result.stderr
    assert names_in(tmp_path / "new/tables") == [
        f"{name}_results-mine.csv" for name in ("global", "per-frame", "per-sequence")]
    assert not list(tiny.results.glob("*.csv"))
    frames = rows_of(tmp_path / "new/tables/per-frame_results-mine.csv")[1:]
    expected = literal(tiny.truth["c"], tiny.found["c"], void=True)
    assert [float(row[3]) for row in frames] == [*expected[1][0], *expected[2][0]]


def test_script_ends_on_bad_input_with_one_line(tiny, run):
    def fails(*options, words):
        result = run("tools/evaluate.py", "--results", tiny.results, "--davis", tiny.davis,
                     *options)
        assert fails_in_one_line(result, *words) and not result.stdout
        assert not list(tiny.results.glob("*.csv"))

    davis.write_labels(tiny.result("a", 3), square(4))
    tiny.result("b", 1).write_bytes(b"")
    fails("--split", "tiny", words=["2 problems", tiny.result("a", 3), tiny.result("b", 1)])
    fails("--split", "x/y", "--sequences", "b", words=["split name 'x/y'"])
    fails("--split", "tiny", "--sequences", "b", "../b", words=["sequence name '../b'"])
    fails(words=["--split"])


def test_a_killed_process_is_one_line(tiny, monkeypatch):
    """Workers that are gone, as where memory runs out."""
    monkeypatch.setattr(evaluation, "_start_worker", functools.partial(os._exit, 9))
    with pytest.raises(UserError, match="a process of the evaluation was killed"):
        tiny.evaluate(processes=2)
