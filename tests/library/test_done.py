"""The record of what files are made from: what is made again, and what is not."""

import hashlib
import os
import shutil

import pytest

from segspn import done, files


@pytest.fixture
def frames(tmp_path):
    paths = [tmp_path / f"frames/{index:05}.jpg" for index in range(3)]
    for path in paths:
        files.write_text(path, path.stem)
    return paths


@pytest.fixture
def weights(tmp_path):
    files.write_text(tmp_path / "weights", "weights")
    return tmp_path / "weights"


@pytest.fixture
def made(tmp_path, frames, weights):
    """Makes what is not done, as the scripts do; the frames that were made."""
    def make(recipe, killed_after=3, frames=frames, weights=weights):
        record = done.Record(tmp_path / "made/.record", recipe, [weights])
        outputs = {path: [tmp_path / f"made/{path.stem}.png"] for path in frames}
        todo = [path for path in frames if not record.is_done(outputs[path], [path])]
        for path in todo[:killed_after]:
            with record.making(outputs[path], [path]):
                files.write_text(outputs[path][0], path.read_text())
        return [path.stem for path in todo]
    return make


ALL = ["00000", "00001", "00002"]


def replace(path, text):
    """Another file of the same size and an earlier time, as copying with times gives."""
    before = path.stat()
    files.write_text(path, text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 10**12))


def test_nothing_is_made_twice(made):
    assert made({"size": [1, 2]}) == ALL
    assert made({"size": (1, 2)}) == []
    assert made({"size": (1, 3)}) == ALL


def test_replaced_files_are_noticed_whatever_their_time(made, frames, weights, tmp_path):
    made({})
    replace(frames[1], "other")
    assert made({}) == ["00001"] and made({}) == []
    assert (tmp_path / "made/00001.png").read_text() == "other"
    replace(tmp_path / "made/00002.png", "edits")
    assert made({}) == ["00002"] and made({}) == []
    replace(weights, "WEIGHTS")
    assert made({}) == ALL and made({}) == []


def test_the_same_content_is_the_same_whatever_its_time_and_place(made, frames, weights, tmp_path):
    made({})
    for path in (*frames, weights, *(tmp_path / "made").glob("*.png")):
        os.utime(path, (1, 1))
    assert made({}) == []
    copies = shutil.copytree(tmp_path / "frames", tmp_path / "elsewhere")
    assert made({}, frames=[copies / path.name for path in frames]) == []
    assert made({}, frames=[frames[0], frames[2]]) == []
    shutil.move(weights, tmp_path / "moved")
    assert made({}, weights=tmp_path / "moved") == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_a_killed_run_has_made_counts(made, frames, tmp_path, count):
    assert made({}, killed_after=count) == ALL
    assert made({}, killed_after=count) == ALL[count:]
    for path in frames:
        replace(path, "other")
    made({}, killed_after=count)
    assert made({}) == ALL[count:] and made({}) == []
    assert {path.read_text() for path in (tmp_path / "made").glob("*.png")} == {"other"}


def test_another_recipe_half_way_and_back(made):
    made({"a": 1})
    made({"a": 2}, killed_after=1)
    assert made({"a": 2}) == ALL[1:]
    assert made({"a": 1}) == ALL


@pytest.mark.parametrize("text", [
    "", "[]", "{", "7", "\xff", '{"recipe": {}}', '{"recipe": {}, "inputs": [7]}',
    '{"recipe": {}, "inputs": [["x", 1]]}', '{"products": {}, "inputs": []}'])
def test_a_damaged_record_makes_all_anew(made, tmp_path, text):
    made({})
    (tmp_path / "made/.record").write_bytes(text.encode("latin-1"))
    assert made({}) == ALL and made({}) == []


def test_a_line_that_is_cut_off_does_not_count(made, tmp_path):
    made({})
    record = tmp_path / "made/.record"
    record.write_bytes(record.read_bytes()[:-9])
    assert made({}) == ALL[2:] and made({}) == []


def test_a_product_that_is_not_made_is_not_noted(tmp_path, weights):
    record = done.Record(tmp_path / "record", {}, [weights])
    with pytest.raises(FileNotFoundError), record.making([tmp_path / "product"]):
        pass
    with pytest.raises(ZeroDivisionError), record.making([weights]):
        raise ZeroDivisionError
    assert not record.path.exists()


def test_faults_say_what_is_wrong(made, frames, weights, tmp_path):
    made({})
    record, product = done.Record(tmp_path / "made/.record"), tmp_path / "made/00001.png"
    assert record.fault(product) is None
    assert record.fault(product, [frames[1], frames[2]]) == "is made from other files"
    assert record.fault(tmp_path / "made/none.png") == "is missing"
    assert record.fault(frames[0]).startswith("is not of the last run")
    frames[1].unlink()
    assert record.fault(product) == f"is made from {frames[1]}, which is missing"
    replace(weights, "other")
    assert record.fault(product) == f"is made from {weights}, which has changed since"
    product.write_text("other")
    assert record.fault(product) == "is another than was written"
    assert record.fault(product, edited=True) == f"is made from {weights}, which has changed since"


def test_a_record_of_the_project_may_be_moved_with_it(tmp_path, monkeypatch):
    """What is noted of files elsewhere stays where it is."""
    root, other, product = tmp_path / "project", tmp_path / "other", "results/made.png"
    monkeypatch.setattr(files, "ROOT", root)
    for path in (root / "models/weights", root / product, other):
        files.write_text(path, path.name)
    record = done.Record(root / "results/.record", {})
    with record.making([root / product], [root / "models/weights", other]):
        pass
    assert str(root) not in record.path.read_text()
    root.rename(tmp_path / "moved")
    monkeypatch.setattr(files, "ROOT", tmp_path / "moved")
    record = done.Record(tmp_path / "moved/results/.record")
    assert record.fault(tmp_path / "moved" / product) is None
    assert record.inputs(tmp_path / "moved" / product) == [
        str(tmp_path / "moved/models/weights"), str(other)]
    (tmp_path / "moved/models/weights").write_text("changed")
    assert "moved/models/weights, which has changed since" in record.fault(
        tmp_path / "moved" / product)


def test_the_digest_is_that_of_the_products(made, frames, tmp_path):
    def digest():
        return done.Record(tmp_path / "made/.record").digest()
    assert digest() is None
    made({"a": 1})
    first = digest()
    assert done.Record(tmp_path / "made/.record").products() == {
        tmp_path / f"made/{stem}.png": hashlib.sha256(stem.encode()).hexdigest() for stem in ALL}
    made({"a": 2})
    assert digest() == first
    replace(frames[0], "other")
    made({"a": 2})
    assert digest() != first
