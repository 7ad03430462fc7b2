"""Manifests: what a job left, and whether it is still that."""

import json
import os

import pytest

from segspn import files
from segspn.errors import UserError
from segspn.runs import manifest


@pytest.fixture
def products(tmp_path, monkeypatch):
    """Two files of a project."""
    monkeypatch.setattr(files, "ROOT", tmp_path)
    for name in ("b", "a"):
        files.write_text(tmp_path / f"results/{name}.txt", f"content of {name}")
    return [tmp_path / "results/b.txt", tmp_path / "results/a.txt"]


@pytest.fixture
def written(products, tmp_path):
    path = tmp_path / "done/job.json"
    manifest.write(path, products)
    return path


def test_a_manifest_names_its_products_with_their_sums(written, products):
    entries = json.loads(written.read_text())
    assert list(entries) == ["results/a.txt", "results/b.txt"]
    # sha256sum of "content of a"
    assert entries["results/a.txt"] == {"size": 12, "sha256": (
        "8e56b639882ef91f67c597965dfb451cbd2e4b41d1a8cd9b01dd3241aa518796")}
    assert set(manifest.read(written)) == set(products)
    assert manifest.fault(written) is None


def test_the_same_products_give_the_same_manifest(written, products):
    before = written.read_bytes()
    for path in products:
        os.utime(path, (1, 1))
    manifest.write(written, products[::-1])
    assert written.read_bytes() == before


def test_a_missing_product_is_an_error_and_leaves_no_manifest(products, tmp_path):
    path = tmp_path / "done/job.json"
    with pytest.raises(UserError, match="product of this step .*c.txt does not exist"):
        manifest.write(path, [*products, tmp_path / "results/c.txt"])
    assert not path.exists()


@pytest.mark.parametrize("change, words", [
    (lambda path: path.unlink(), "is missing"),
    (lambda path: path.write_text("short"), "is another than was written"),
    (lambda path: path.write_text("content of X"), "is another than was written"),
    (lambda path: (path.unlink(), path.mkdir()), "is missing")])
def test_faults(written, products, change, words):
    change(products[0])
    newer(products[0], written)
    assert manifest.fault(written) == f"{products[0]} {words}"


def newer(path, other):
    """Makes a file newer than another one, where it is there."""
    if path.exists():
        moment = other.stat().st_mtime_ns + 10**9
        os.utime(path, ns=(moment, moment))


def test_a_product_that_is_newer_but_the_same_is_no_fault(written, products):
    newer(products[0], written)
    assert manifest.fault(written) is None


@pytest.mark.parametrize("text", [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": 1}', b'{"a": {"size": 1}}',
    b'{"a": {"size": "x", "sha256": ""}}', b'{"a": {"size": null, "sha256": ""}}'])
def test_a_damaged_manifest_is_a_fault_and_no_crash(written, text):
    written.write_bytes(text)
    assert manifest.fault(written) == f"{written} is no manifest; delete it"
    with pytest.raises(UserError, match="is no manifest"):
        manifest.read(written)


def test_no_manifest(tmp_path):
    assert "does not exist" in manifest.fault(tmp_path / "none.json")
