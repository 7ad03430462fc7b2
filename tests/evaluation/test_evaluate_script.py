"""Evaluation: what is refused, and the script with its tables."""

import csv
import functools
import itertools
import os

import numpy as np
import pytest
from PIL import Image

from segspn.data import davis
from segspn.errors import UserError
from segspn.evaluation import davis2017
from tests.support.evaluations import COLUMNS, SIZE, literal, literal_summary, square, tiny_set
from tests.support.frames import fails_in_one_line, names_in


@pytest.fixture
def tiny(tmp_path):
    return tiny_set(tmp_path)


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
        davis2017.evaluate(tiny.results / "none", tiny.davis, ["b"])
    with pytest.raises(UserError, match="folder of annotations .* does not exist"):
        davis2017.evaluate(tiny.results, tiny.results, ["b"])


def test_annotations_may_end_in_capitals(tiny):
    figures = tiny.evaluate("b")
    for path in list(tiny.davis.glob("Annotations/480p/b/*.png")):
        path.rename(path.with_suffix(".PNG"))
    assert repr(tiny.evaluate("b")) == repr(figures)
    tiny.annotation("b", 2).write_bytes(b"")
    assert "annotations 00002.PNG and 00002.png in" in tiny.refuses("b")


@pytest.mark.parametrize("count", [1, 2])
def test_sequences_without_a_frame_to_evaluate(tiny, count):
    tiny.add("short", np.stack([square()] * count), np.stack([square()] * count))
    (tiny.results / "short").mkdir()
    assert f"sequence short has {count} annotated frame" in tiny.refuses()
    with pytest.raises(UserError, match="sequence s has .* none to evaluate"):
        davis2017.evaluate_arrays("s", [square()] * count, [square()] * count)


def test_sequences_without_objects(tiny):
    tiny.add("void", np.stack([square(255)] * 3), np.stack([square(0)] * 3))
    assert tiny.refuses("void") == (
        "the first annotation of sequence void has no object (no id above 0)")
    with pytest.raises(UserError, match="of sequence s has no object"):
        davis2017.evaluate_arrays("s", [square(255)] * 3, [square(0)] * 3)


@pytest.mark.parametrize("k", [2, 255])
def test_ids_above_the_number_of_objects(tiny, k):
    davis.write_labels(tiny.result("a", 3), square(k))
    words = f"has id {k}, but the first annotation of its sequence 1 object"
    assert tiny.refuses() == f"result {tiny.result('a', 3)} {words}"
    with pytest.raises(UserError, match=f"result s 00001 {words}"):
        davis2017.evaluate_arrays("s", [square()] * 3, [square(k)] * 3)


def test_ids_too_high_in_the_first_and_last_frame_do_not_matter(tiny):
    for n in 0, 6:
        davis.write_labels(tiny.result("a", n), square(9))
    assert len(tiny.evaluate()) == 3
    davis2017.evaluate_arrays("s", [square()] * 3, [square(9), square(), square(9)])


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
        davis2017.evaluate_arrays("s", [square()] * 3, [square(size=(31, 24))] * 3)
    with pytest.raises(UserError, match="sequence s has 3 annotations, 1 results"):
        davis2017.evaluate_arrays("s", [square()] * 3, [square()])


def test_problems_are_found_before_anything_is_computed(tiny, monkeypatch):
    def never(*_):
        raise AssertionError
    monkeypatch.setattr(davis2017, "measure", never)
    davis.write_labels(tiny.result("c", 2), square(7))  # of the last sequence
    assert str(tiny.result("c", 2)) in tiny.refuses()


def test_names_that_leave_their_folder_or_come_twice(tiny):
    for name in "../b", "/b", ".", "":
        assert "must be a plain folder name" in tiny.refuses("b", name)
    assert tiny.refuses("b", "a", "b") == "sequence b is named 2 times"
    with pytest.raises(UserError, match="no sequences"):
        davis2017.evaluate(tiny.results, tiny.davis, [])
    with pytest.raises(UserError, match="processes must be at least 1, not 0"):
        tiny.evaluate(processes=0)


# ---------------------------------------------------------------------- the script

def rows_of(path):
    assert b"\r" not in path.read_bytes()
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_script_prints_and_writes_the_tables(tiny, run):
    result = run("tools/evaluate.py", "--results", tiny.results, "--data", tiny.davis,
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
    result = run("tools/evaluate.py", "--results", tiny.results, "--data", tiny.davis, "--split",
                 "mine", "--videos", "c", "--output", tmp_path / "new/tables", "--void",
                 "--processes", 1)
    assert result.returncode == 0, result.stderr
    assert names_in(tmp_path / "new/tables") == [
        f"{name}_results-mine.csv" for name in ("global", "per-frame", "per-sequence")]
    assert not list(tiny.results.glob("*.csv"))
    frames = rows_of(tmp_path / "new/tables/per-frame_results-mine.csv")[1:]
    expected = literal(tiny.truth["c"], tiny.found["c"], void=True)
    assert [float(row[3]) for row in frames] == [*expected[1][0], *expected[2][0]]


def test_script_leaves_out_what_was_learned_from(tiny, run, tmp_path):
    (tiny.davis / "JPEGImages/480p/a").mkdir(parents=True)
    for n in range(7):
        (tiny.davis / f"JPEGImages/480p/a/{n:05}.jpg").touch()
    options = ("tools/evaluate.py", "--results", tiny.results, "--data", tiny.davis, "--split", "x",
               "--videos", "a", "--output", tmp_path / "out", "--processes", 1, "--annotated")
    assert fails_in_one_line(run(*options, "all"), "none to evaluate")
    result = run(*options, "00000,00003")
    assert result.returncode == 0, result.stderr
    frames = rows_of(tmp_path / "out/per-frame_results-x.csv")[1:]
    assert [row[2] for row in frames] == ["00001", "00002", "00004", "00005"]
    j, f = literal(tiny.truth["a"], tiny.found["a"])[1]
    assert [float(row[3]) for row in frames] == j[:2] + j[3:]
    assert rows_of(tmp_path / "out/per-sequence_results-x.csv")[1] == [
        "a_1", f"{np.mean(j[:2] + j[3:]):.3f}", f"{np.mean(f[:2] + f[3:]):.3f}"]


def test_script_ends_on_bad_input_with_one_line(tiny, run):
    def fails(*options, words):
        result = run("tools/evaluate.py", "--results", tiny.results, "--data", tiny.davis,
                     *options)
        assert fails_in_one_line(result, *words) and not result.stdout
        assert not list(tiny.results.glob("*.csv"))

    davis.write_labels(tiny.result("a", 3), square(4))
    tiny.result("b", 1).write_bytes(b"")
    fails("--split", "tiny", words=["2 problems", tiny.result("a", 3), tiny.result("b", 1)])
    fails("--split", "x/y", "--videos", "b", words=["split name 'x/y'"])
    fails("--split", "tiny", "--videos", "b", "../b", words=["video name '../b'"])
    fails(words=["--split"])


def test_a_killed_process_is_one_line(tiny, monkeypatch):
    """Workers that are gone, as where memory runs out."""
    monkeypatch.setattr(davis2017, "_start_worker", functools.partial(os._exit, 9))
    with pytest.raises(UserError, match="a process of the evaluation was killed"):
        tiny.evaluate(processes=2)
