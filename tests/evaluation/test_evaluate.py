"""Evaluation: its values, which frames and objects count, and means."""

import numpy as np
import pytest
from PIL import Image

from segspn.data import davis
from segspn.errors import UserError
from segspn.evaluation import davis2017, metrics
from tests.support.evaluations import COLUMNS, SIZE, literal, literal_summary, square, tiny_set


@pytest.fixture
def tiny(tmp_path):
    return tiny_set(tmp_path)


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
    figures = davis2017.summary(tiny.evaluate())
    assert list(figures) == COLUMNS
    assert list(figures.values()) == pytest.approx(literal_summary(tiny), rel=0, abs=1e-12)
    assert figures["J&F-Mean"] == pytest.approx((figures["J-Mean"] + figures["F-Mean"]) / 2)


def test_arrays_are_evaluated_as_files_are(tiny):
    for void in False, True:
        for one in tiny.evaluate(void=void):
            same = davis2017.evaluate_arrays(one.sequence, tiny.truth[one.sequence],
                                             list(tiny.found[one.sequence]), void=void)
            assert (same.sequence, same.frames) == (one.sequence, one.frames)
            np.testing.assert_array_equal(same.j, one.j)
            np.testing.assert_array_equal(same.f, one.f)
    named = davis2017.evaluate_arrays("c", tiny.truth["c"], tiny.found["c"], list("wxyz"))
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
    one = davis2017.evaluate_arrays("s", truth, result)
    assert one.j.tolist() == one.f.tolist() == [[1, 0, 1]]


def test_objects_that_vanish_and_appear_count_in_every_frame():
    """Object 1 is there in the first half, object 3 first and last, object 2 never."""
    nothing = np.zeros(SIZE, np.uint8)
    truth = [square(1) + square(3, 15), square(1), nothing, square(3), square(3)]
    one = davis2017.evaluate_arrays("s", truth, truth)
    assert one.j.tolist() == one.f.tolist() == [[1, 1, 1]] * 3
    one = davis2017.evaluate_arrays("s", truth, [square(1)] * 5)
    assert one.j.tolist() == one.f.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]
    one = davis2017.evaluate_arrays("s", truth, [square(2)] * 5)
    assert one.j.tolist() == one.f.tolist() == [[0, 1, 1], [0, 0, 0], [1, 1, 0]]


def test_objects_that_the_first_annotation_lacks_are_not_evaluated(tiny):
    """Object 2, with a later id, neither counts nor may a result have it; 255 is no id."""
    first, late = square(255, 15) + square(1), square(1) + square(2, 15)
    truth, found = np.stack([first, late, late, late]), np.stack([square(1)] * 4)
    tiny.add("late", truth, found)
    on_disk, arrays = tiny.evaluate("late")[0], davis2017.evaluate_arrays("late", truth, found)
    assert on_disk.j.tolist() == arrays.j.tolist() == [[1, 1]]
    tiny.add("late", truth, truth)
    message = f"result {tiny.result('late', 1)} has id 2, but the first annotation of its sequence"
    assert f"(1) {message} 1 object, (2)" in tiny.refuses("late")
    with pytest.raises(UserError, match="s 00001 has id 2, but the first annotation of its seq"):
        davis2017.evaluate_arrays("s", truth, truth)


def with_images(tiny, name):
    """The data set with (empty) frames of a sequence, which tell what there is to annotate."""
    for n in range(len(tiny.truth[name])):
        path = tiny.davis / f"JPEGImages/480p/{name}/{n:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_frames_that_were_learned_from_do_not_count(tiny):
    with_images(tiny, "b")
    plain, = tiny.evaluate("b")
    for n in (0, 4, 9):  # a label of theirs may have any id, or be away
        davis.write_labels(tiny.result("b", n), square(9))
    tiny.result("b", 9).unlink()
    learned = ["00000", "00004", "00009"]
    one, = tiny.evaluate("b", annotated=learned)
    left = [i for i, name in enumerate(plain.frames) if name not in learned]
    assert one.frames == tuple(plain.frames[i] for i in left) and len(left) == 16
    np.testing.assert_array_equal(one.j, plain.j[:, left])
    np.testing.assert_array_equal(one.f, plain.f[:, left])
    arrays = davis2017.evaluate_arrays("b", tiny.truth["b"], tiny.found["b"], learned=learned)
    np.testing.assert_array_equal(arrays.j, one.j)
    assert arrays.frames == one.frames
    assert repr(tiny.evaluate("a", annotated="first")) == repr(tiny.evaluate("a"))


def test_objects_of_later_annotations_that_were_learned_from_are_evaluated(tiny):
    """Object 2 appears in frame 2; before, both have it empty, which is right."""
    truth = np.stack([square(1)] * 2 + [square(1) + square(2, 15)] * 4)
    found = np.array(truth)
    found[4] = square(1)
    tiny.add("late", truth, found)
    with_images(tiny, "late")
    assert "has id 2, but the first annotation of its sequence 1 object" in tiny.refuses("late")
    one, = tiny.evaluate("late", annotated=["00000", "00002"])
    arrays = davis2017.evaluate_arrays("late", truth, found, learned=["00000", "00002"])
    for values in one, arrays:
        assert values.frames == ("00001", "00003", "00004")
        assert values.j.tolist() == values.f.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert [name for name, *_ in davis2017.object_rows([one])] == ["late_1", "late_2"]
    davis.write_labels(tiny.result("late", 3), square(3))
    words = r"00003\S* has id 3, but what was learned from \(00000, 00002\) of its .* 2 objects"
    with pytest.raises(UserError, match=words):
        tiny.evaluate("late", annotated=["00000", "00002"])
    found[3] = square(3)
    with pytest.raises(UserError, match=words):
        davis2017.evaluate_arrays("late", truth, found, learned=["00000", "00002"])


def test_choices_of_annotated_frames_that_leave_nothing(tiny):
    with_images(tiny, "c")
    for choice in "all", ["00001", "00002"]:
        with pytest.raises(UserError, match="those that were learned from there is none to eval"):
            tiny.evaluate("c", annotated=choice)
    with pytest.raises(UserError, match="00007 of c is to be learned from, but .* not exist"):
        tiny.evaluate("c", annotated=["00007"])
    empty = [square(255)] * 4
    with pytest.raises(UserError, match=r"learned from \(00002\) of sequence s has no object"):
        davis2017.evaluate_arrays("s", empty, empty, learned=["00002"])


def test_empty_results_count_where_there_is_an_object():
    nothing = np.zeros(SIZE, np.uint8)
    truth = [square(), square(), nothing, square(), square()]
    one = davis2017.evaluate_arrays("s", truth, [nothing] * 5)
    assert one.j.tolist() == one.f.tolist() == [[0, 1, 0]]
    figures = davis2017.summary([one])
    assert figures["J-Mean"] == pytest.approx(1 / 3) and figures["F-Recall"] == pytest.approx(1 / 3)


def test_void_is_background_unless_it_is_left_out():
    truth = square()
    truth[5:11, 11:17] = 255
    result = square()
    result[5:11, 11:17] = 1
    one = davis2017.evaluate_arrays("s", [truth] * 3, [result] * 3)
    assert one.j.tolist() == [[0.5]] and one.f[0, 0] < 1
    one = davis2017.evaluate_arrays("s", [truth] * 3, [result] * 3, void=True)
    assert one.j.tolist() == one.f.tolist() == [[1]]


def test_means_by_hand():
    """Of a sequence with one object at J 0 and one with three at J 1: 3/4, not 1/2."""
    bad = davis2017.evaluate_arrays("bad", [square()] * 4, [square(at=15)] * 4)
    three = square(1, 1) + square(2, 8) + square(3, 16)
    good = davis2017.evaluate_arrays("good", [three] * 9, [three] * 9)
    assert davis2017.summary([bad, good]) == dict(zip(
        COLUMNS, [0.75, 0.75, 0.75, 0, 0.75, 0.75, 0]))
    assert davis2017.object_rows([bad, good]) == [
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
    assert not davis.are_masks(tiny.annotation("e", n) for n in range(3))
    assert davis.are_masks(tiny.annotation("d", n) for n in range(4))
