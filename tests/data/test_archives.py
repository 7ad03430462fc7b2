"""Archives: what is refused, and unpacking that is killed."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import warnings
import zipfile
from types import SimpleNamespace

import pytest

from segspn.data import archives
from segspn.data.davis_get import TREE
from segspn.errors import UserError
from tests.support import davis_trees


@pytest.fixture
def content(tmp_path):
    return davis_trees.files_of("trainval", tmp_path)


@pytest.fixture
def box(tmp_path):
    """An archive's path, and where it is unpacked to; `unpack` writes bytes there and unpacks."""
    def unpack(data=None):
        if data is not None:
            one.path.write_bytes(data)
        archives.unpack(one.path, TREE, one.root, one.scratch)
        assert not one.scratch.exists()

    one = SimpleNamespace(path=tmp_path / "a.zip", root=tmp_path / "root", unpack=unpack,
                          scratch=tmp_path / "root/.download/a.unpacked")
    return one


def refused(box, data, *words, kind=UserError):
    """Whether an archive is refused with a line that has the words, and changes nothing."""
    before = davis_trees.read(box.root)
    with pytest.raises(kind) as error:
        box.unpack(data)
    message = str(error.value)
    assert message.startswith(f"{box.path}: wrong file, ") and len(message.splitlines()) == 1
    assert all(word in message for word in words), message
    assert davis_trees.read(box.root) == before and box.path.read_bytes() == data
    return True


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_all_files_come_out(box, content, compression):
    box.unpack(davis_trees.zipped(content, compression=compression))
    assert davis_trees.read(box.root) == content
    assert stat.S_IMODE((box.root / "README.md").stat().st_mode) == 0o644


def test_archives_are_merged(box, content, tmp_path):
    """What is there already stays, a file that differs is replaced, others are left alone."""
    davis_trees.write(box.root, {"ImageSets/2017/mine.txt": b"mine\n", "README.md": b"davis\n",
                                 "JPEGImages/480p/mine/00000.jpg": b"mine"})
    box.unpack(davis_trees.zipped(content))
    kept = box.root / "JPEGImages/480p/bear/00000.jpg"
    inode = kept.stat().st_ino
    other = davis_trees.files_of("test-dev", tmp_path)
    box.unpack(davis_trees.zipped({**content, **other}))
    assert davis_trees.read(box.root) == {
        **content, **other, "ImageSets/2017/mine.txt": b"mine\n",
        "JPEGImages/480p/mine/00000.jpg": b"mine"}
    assert kept.stat().st_ino == inode


def test_what_the_packers_system_left_is_left_out(box, content):
    box.unpack(davis_trees.zipped(content, members=[
        ("__MACOSX/DAVIS/._README.md", b"x"), ("DAVIS/.DS_Store", b"x"),
        ("DAVIS/JPEGImages/480p/bear/Thumbs.db", b"x")]))
    assert davis_trees.read(box.root) == content


@pytest.mark.parametrize("data", [b"<!DOCTYPE html><html><body>Not found</body></html>", b"",
                                  b"\x89PNG\r\n", b"PK\x03\x04 and nothing of a zip"])
def test_what_is_no_zip(box, data):
    assert refused(box, data, "damaged or cut off" if data[:2] == b"PK" else "no zip archive",
                   kind=archives.Damaged)


@pytest.mark.parametrize("cut", [1, 30, 2000, 10_000])
def test_archives_that_are_cut_off(box, content, cut):
    assert refused(box, davis_trees.zipped(content)[:-cut], "is damaged or cut off",
                   kind=archives.Damaged)


def test_members_that_are_damaged(box, content):
    """A bit of the last file: none of the files before it come to their places either."""
    name = "JPEGImages/480p/dog/00004.jpg"
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = bytearray(davis_trees.zipped(content, compression=compression))
        with zipfile.ZipFile(os.fspath(_written(box, data))) as package:
            data[package.getinfo(f"DAVIS/{name}").header_offset + 200] ^= 4
        assert refused(box, bytes(data), "is damaged or cut off", kind=archives.Damaged)
        assert not box.scratch.exists()


def _written(box, data):
    box.path.write_bytes(data)
    return box.path


def info(name, kind=stat.S_IFREG):
    one = zipfile.ZipInfo(name)
    one.external_attr = (kind | 0o644) << 16
    return one


@pytest.mark.parametrize(("member", "words"), [
    (info("DAVIS/JPEGImages/../../../evil.txt"), "leads out of its folder"),
    (info("../evil.txt"), "leads out of its folder"),
    (info("/etc/evil.txt"), "leads out of its folder"),
    (info("DAVIS//evil.txt"), "leads out of its folder"),
    (info("DAVIS/JPEGImages/..\\..\\evil.txt"), "leads out of its folder"),
    (info("DAVIS/./README"), "leads out of its folder"),
    (info("DAVIS/JPEGImages/480p/bear", stat.S_IFLNK), "is a link"),
    (info("DAVIS/README", stat.S_IFLNK), "is a link"),
    (info("DAVIS/README", stat.S_IFIFO), "is a link or a device"),
    (info("DAVIS/archives.json"), "is not of DAVIS/{JPEGImages,Annotations,ImageSets}"),
    (info("DAVIS/JPEGImages"), "is not of DAVIS/"),
    (info("DAVIS/Scribbles/480p/bear/00000.json"), "is not of DAVIS/"),
    (info("README.md"), "is not of DAVIS/"),
    (info("DAVIS/README.md"), "twice")])
def test_members_that_an_archive_may_not_have(box, content, member, words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        data = davis_trees.zipped(content, members=[(member, b"x")])
    assert refused(box, data, words, member.filename.replace("\\", "\\\\"))
    assert not box.root.exists()


@pytest.mark.parametrize(("data", "words"), [
    (davis_trees.zipped({"bear/00000.jpg": b"x"}, top="other/"), "'other/' is not of DAVIS/"),
    (davis_trees.zipped({}), "it is empty; delete it and get another one"),
    (davis_trees.zipped({"README": b"x"}, compression=zipfile.ZIP_BZIP2), "unusual compression")])
def test_archives_of_something_else(box, data, words):
    assert refused(box, data, words)


def test_members_that_are_encrypted(box):
    data = bytearray(davis_trees.zipped({"README": b"x"}))
    central = data.rindex(b"PK\x01\x02")
    data[central + 8] |= 1
    assert refused(box, bytes(data), "'DAVIS/README' is encrypted")


def test_a_disk_that_is_too_small(box, content, monkeypatch):
    size = sum(map(len, content.values()))
    monkeypatch.setattr(archives.download.shutil, "disk_usage",
                        lambda path: SimpleNamespace(free=size - 1))
    with pytest.raises(UserError, match="are needed and .* free; make room"):
        box.unpack(davis_trees.zipped(content))
    assert davis_trees.read(box.root) == {}
    davis_trees.write(box.root, {"README.md": content["README.md"]})
    box.unpack()  # what is there needs no room
    assert davis_trees.read(box.root) == content


# Kills itself at the nth call of a function that unpack() uses.
KILLED = """
import os, signal, sys
from pathlib import Path
from segspn.data import archives
from segspn.data.davis_get import TREE
owner, name = {"extract": (archives, "_extract"), "move": (Path, "replace")}[sys.argv[1]]
left, whole = int(sys.argv[2]), getattr(owner, name)
def dying(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
setattr(owner, name, dying)
archives.unpack(Path(sys.argv[3]), TREE, Path(sys.argv[4]), Path(sys.argv[5]))
"""


@pytest.mark.parametrize(("where", "count"), [("extract", 0), ("extract", 7), ("move", 0),
                                              ("move", 7)])
def test_unpacking_that_is_killed_goes_on(box, content, monkeypatch, where, count):
    box.path.write_bytes(davis_trees.zipped(content))
    child = subprocess.run([sys.executable, "-c", KILLED, where, str(count), box.path, box.root,
                            box.scratch], timeout=60, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    seen = {name: data for name, data in davis_trees.read(box.root).items()
            if not name.startswith(".download")}
    assert len(seen) == (count if where == "move" else 0)
    assert seen.items() <= content.items()

    extracted, extract = [], archives._extract
    monkeypatch.setattr(archives, "_extract", lambda package, info, *rest: (
        extracted.append(info), extract(package, info, *rest)))
    box.unpack()
    assert davis_trees.read(box.root) == content
    assert len(extracted) == (len(content) - count if where == "extract" else 0)


def test_half_a_file_in_the_scratch_folder_is_not_taken(box, content):
    half = {name: data[:len(data) // 2] for name, data in content.items()}
    wrong = {name: b"\0" * len(data) for name, data in content.items()}
    for files in half, wrong:
        davis_trees.write(box.scratch, files)
        box.unpack(davis_trees.zipped(content))
        assert davis_trees.read(box.root) == content
        shutil.rmtree(box.root)
