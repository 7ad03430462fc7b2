"""DAVIS 2017 from a real server, and from archives that were downloaded by hand."""

import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile
from types import SimpleNamespace

import pytest

from segspn import files, locks
from segspn.data import davis_get
from segspn.errors import UserError
from tests.support import davis_trees, file_server
from tests.support.frames import fails_in_one_line
from tests.training.test_no_space import small_files_only

TOOL = "tools/davis.py"
NAMES = {split: davis_get.archive_name(split) for split in davis_get.LISTS}
TRAINVAL = NAMES["trainval"]
BEAR = "JPEGImages/480p/bear/00002.jpg"


@pytest.fixture(scope="session")
def content(tmp_path_factory):
    """{split: {path: bytes}}."""
    scratch = tmp_path_factory.mktemp("davis")
    return {split: davis_trees.files_of(split, scratch) for split in davis_trees.SPLITS}


@pytest.fixture(scope="session")
def packed(content):
    """{file name: bytes} of the three archives."""
    return {NAMES[split]: davis_trees.zipped(content[split]) for split in content}


@pytest.fixture
def site(tmp_path, packed, run, monkeypatch):
    """A server of the archives, for a data set at `root`.

    get: of trainval, the lines that it says; tool: the whole tool.
    """
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def get(**options):
        said = []
        order = davis_get.Order(one.root, **{"splits": ("trainval",), "base": one.server.url,
                                             **options})
        one.faults = davis_get.get(order, said.append)
        return "\n".join(said)

    def tool(*options, **keywords):
        return run(TOOL, "get", "--data", one.root, *options, cwd=tmp_path, **keywords)

    root = tmp_path / "data/DAVIS"
    with file_server.running() as server:
        server.files.update(packed)
        one = SimpleNamespace(server=server, get=get, tool=tool, root=root,
                              source=("--from", f"{server.url}/"), folder=root / ".download",
                              archive=root / ".download" / TRAINVAL)
        yield one


def whole(site, content, *splits):
    """Whether the data set is that of these splits, without leftovers."""
    found = davis_trees.read(site.root)
    record = json.loads(found.pop("archives.json"))
    assert found == {name: data for split in splits for name, data in content[split].items()}
    assert record == {NAMES[split]: sha256(site.server.files[NAMES[split]]) for split in splits}
    assert not site.folder.exists()
    return True


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_all_of_it(site, content, packed):
    result = site.tool(*site.source)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert {f"sha256 {sha256(data)} {name}" for name, data in packed.items()} < set(lines)
    assert "unpacked trainval: 3 sequences, 12 frames, 12 annotations: all is well" in lines
    assert lines[-1].startswith(f"next: python tools/run.py --data {site.root}")
    assert whole(site, content, *content)
    assert site.server.asked == [(f"/{name}", None, None) for name in packed]

    assert site.get(splits=tuple(content)).count("have ") == 3
    assert whole(site, content, *content) and len(site.server.asked) == 3


def test_what_became_damaged_is_mended(site, content):
    """From the archive that is kept; what is well stays as it is."""
    site.get(keep=True)
    assert site.archive.read_bytes() == site.server.files[TRAINVAL]
    kept = (site.root / "README.md").stat().st_mtime_ns
    (site.root / BEAR).unlink()
    (site.root / "Annotations/480p/dog/00000.png").write_bytes(b"")
    said = site.get()
    assert f"trainval is there with 2 faults: {os.path.dirname(BEAR)}: missing: 00002.jpg" in said
    assert whole(site, content, "trainval") and len(site.server.asked) == 1
    assert (site.root / "README.md").stat().st_mtime_ns == kept


def test_archives_downloaded_by_hand(site, content, packed, tmp_path):
    folder = tmp_path / "by hand"
    davis_trees.write(folder, {TRAINVAL: packed[TRAINVAL]})
    assert fails_in_one_line(site.tool("--archives", folder), folder,
                             f"lacks {NAMES['test-dev']}, {NAMES['test-challenge']}", "--splits")
    assert not site.root.exists()
    assert site.tool("--archives", folder, "--splits", "trainval").returncode == 0
    davis_trees.write(folder, packed)
    assert "have trainval" in site.get(splits=tuple(content), by_hand=folder)
    assert whole(site, content, *content)
    assert davis_trees.read(folder) == packed and site.server.asked == []


# ------------------------------------------------------------------ it goes on

def test_a_download_that_is_killed(site, content):
    more = {**content["trainval"], "NOTES.txt": os.urandom(1 << 19)}
    site.server.files[TRAINVAL] = data = davis_trees.zipped(more)
    site.server.pause = 0.05
    part = site.folder / f"{TRAINVAL}.part"
    command = [sys.executable, files.ROOT / TOOL, "get", "--data", site.root, *site.source]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not part.exists() or part.stat().st_size < 60_000):
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    come = part.stat().st_size
    assert 60_000 <= come < len(data) and part.read_bytes() == data[:come]

    site.server.pause = 0
    site.get()
    assert site.server.ranges_asked() == [None, f"bytes={come}-"]
    assert whole(site, {"trainval": more}, "trainval")


# Kills itself when it has unpacked so many files, and half of another one.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from segspn.data import davis_get
left = int(sys.argv[3])
def copy(source, target):
    global left
    left -= 1
    data = source.read()
    target.write(data if left >= 0 else data[:len(data) // 2])
    if left < 0:
        target.flush()
        os.kill(os.getpid(), signal.SIGKILL)
shutil.copyfileobj = copy
davis_get.get(davis_get.Order(Path(sys.argv[1]), ("trainval",), by_hand=Path(sys.argv[2])))
"""


@pytest.mark.parametrize("count", [0, 7, 25])
def test_unpacking_that_is_killed_goes_on(site, content, packed, tmp_path, count):
    davis_trees.write(tmp_path / "mine", packed)
    child = subprocess.run([sys.executable, "-c", KILLED, site.root, tmp_path / "mine", str(count)],
                           timeout=60, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    seen = {name: data for name, data in davis_trees.read(site.root).items()
            if not name.startswith(".download")}
    assert len(seen) == count and seen.items() <= content["trainval"].items()
    assert count == 25 or not any(name.startswith("ImageSets") for name in seen)  # the last two
    moments = {name: (site.root / name).stat().st_mtime_ns for name in seen}
    site.get(by_hand=tmp_path / "mine")
    assert whole(site, content, "trainval")
    assert moments == {name: (site.root / name).stat().st_mtime_ns for name in seen}


@pytest.mark.parametrize("size", [20_000, 200_000])
def test_a_disk_that_is_full(site, content, size):
    """While it downloads, and while it unpacks a file that is greater than its archive."""
    more = {**content["trainval"], "NOTES": bytes(400_000)}
    site.server.files[TRAINVAL] = data = davis_trees.zipped(more)
    assert 20_000 < len(data) < 200_000
    result = site.tool(*site.source, preexec_fn=small_files_only(size))
    assert fails_in_one_line(result, "File too large", "make room",
                             f"{site.archive}.part" if size < len(data) else site.root / "NOTES")
    site.get()
    assert whole(site, {"trainval": more}, "trainval")
    assert site.server.ranges_asked() == [None, *(["bytes=20000-"] if size < len(data) else [])]


def test_one_at_a_time(site):
    with locks.try_lock(site.folder / "lock") as lock:
        assert lock is not None
        with pytest.raises(UserError, match=f"{site.root} is being made by another process"):
            site.get()
    assert site.server.asked == []


# ------------------------------------------------------------------- it is refused

def test_no_server(site):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/davis"
    assert fails_in_one_line(
        site.tool("--from", address), f"{address}/{TRAINVAL}: ", "Connection refused; run again",
        f"download {', '.join(NAMES.values())} by hand from {address} into a folder and run: "
        f"python tools/davis.py get --data {site.root} --archives FOLDER --splits trainval ")
    assert not site.root.exists()


def broken(data):
    """A bit of a frame."""
    changed = bytearray(data)
    changed[data.index(b"00003.jpg") + 300] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("damage", [broken, lambda data: data[:-2000], lambda data: b"",
                                    lambda data: b"<!DOCTYPE html><html>Gone</html>"])
def test_a_damaged_archive(site, content, packed, tmp_path, damage):
    """One of the user's stays; another is had anew.  No list comes of either."""
    wrong = damage(packed[TRAINVAL])
    davis_trees.write(tmp_path, {TRAINVAL: wrong})
    site.server.files[TRAINVAL] = wrong
    words = "wrong file, it is no zip archive, damaged or cut off .*"
    with pytest.raises(UserError, match=f"{tmp_path / TRAINVAL}: {words}; download it anew"):
        site.get(by_hand=tmp_path)
    with pytest.raises(UserError, match=f"{site.archive}: {words}; it is deleted"):
        site.get()
    assert (tmp_path / TRAINVAL).read_bytes() == wrong
    assert not (site.root / "ImageSets").exists() and not site.folder.exists()
    site.server.files[TRAINVAL] = packed[TRAINVAL]
    site.get()
    assert whole(site, content, "trainval")


def info(name, kind=stat.S_IFREG):
    one = zipfile.ZipInfo(name)
    one.external_attr = (kind | 0o644) << 16
    return one


@pytest.mark.parametrize(("member", "words"), [
    (info("DAVIS/JPEGImages/../../../evil.txt"), "leads out of its folder"),
    (info("../evil.txt"), "leads out of its folder"),
    (info("/etc/evil.txt"), "leads out of its folder"),
    (info("DAVIS/JPEGImages/..\\..\\evil.txt"), "leads out of its folder"),
    (info("DAVIS/JPEGImages/480p/bear", stat.S_IFLNK), "is a link"),
    (info("DAVIS/archives.json"), "is not of DAVIS/{JPEGImages,Annotations,ImageSets}"),
    (info("DAVIS/JPEGImages"), "is not of DAVIS/"),
    (info("DAVIS/Scribbles/480p/bear/00000.json"), "is not of DAVIS/"),
    (info("README.md"), "is not of DAVIS/")])
def test_members_that_an_archive_may_not_have(site, content, tmp_path, member, words):
    davis_trees.write(tmp_path, {TRAINVAL: davis_trees.zipped(content["trainval"],
                                                              members=[(member, b"x")])})
    with pytest.raises(UserError) as error:
        site.get(by_hand=tmp_path)
    assert f"{tmp_path / TRAINVAL}: wrong file, its member {member.filename!r} {words}" in str(
        error.value)
    assert not site.root.exists()


def test_what_the_packers_system_left_is_left_out(site, content):
    site.server.files[TRAINVAL] = davis_trees.zipped(content["trainval"], members=[
        ("__MACOSX/DAVIS/._README.md", b"x"), ("DAVIS/.DS_Store", b"x")])
    site.get()
    assert whole(site, content, "trainval")


def test_an_archive_of_another_split(site, packed):
    site.server.files[TRAINVAL] = packed[NAMES["test-dev"]]
    with pytest.raises(UserError, match="it has no DAVIS/ImageSets/2017/train.txt, so it is not"):
        site.get()
    assert list(davis_trees.read(site.root)) == [f".download/{TRAINVAL}"]


def test_sha256_that_the_user_gives(site, content, packed):
    right, wrong = sha256(packed[TRAINVAL]), sha256(b"other")
    result = site.tool(*site.source, "--sha256", f"{TRAINVAL}={wrong}")
    assert fails_in_one_line(result, site.archive, f"is {right}, not {wrong}", "correct --sha256")
    assert list(davis_trees.read(site.root)) == [f".download/{TRAINVAL}"]
    result = site.tool("--splits", "trainval", "--sha256", f"trainval={right.upper()}")
    assert result.returncode == 0 and whole(site, content, "trainval")


def test_an_archive_that_changed_since_last_time(site, content, packed):
    site.get()
    (site.root / BEAR).unlink()
    site.server.files[TRAINVAL] = davis_trees.zipped({**content["trainval"], "README.md": b"new"})
    before, now = sha256(packed[TRAINVAL]), sha256(site.server.files[TRAINVAL])
    for _ in range(2):  # it is downloaded once
        with pytest.raises(UserError, match=f"is {now}, but was {before} last .*--accept-changed"):
            site.get()
    assert (site.root / "README.md").read_bytes() == b"DAVIS\n"
    site.get(accept_changed=True)
    assert (site.root / "README.md").read_bytes() == b"new" and len(site.server.asked) == 2
    assert json.loads((site.root / "archives.json").read_text()) == {TRAINVAL: now}
    (site.root / BEAR).unlink()
    (site.root / "archives.json").write_text("{")
    with pytest.raises(UserError, match="archives.json does not hold the sha256 .*; delete it"):
        site.get()


def test_a_split_with_faults_does_not_keep_the_others_back(site, content):
    """Its archive stays, so that another run needs no download."""
    wrong = dict(content["trainval"])
    del wrong[BEAR]
    site.server.files[TRAINVAL] = davis_trees.zipped(wrong)
    fault = ("trainval is unpacked, but has 1 fault: JPEGImages/480p/bear: missing: 00002.jpg")
    assert fails_in_one_line(site.tool(*site.source), fault,
                             f"python tools/davis.py check --data {site.root}")
    site.get(splits=tuple(content))
    assert site.faults == [fault] and len(site.server.asked) == 3
    assert set(content["test-challenge"]) <= set(davis_trees.read(site.root))


@pytest.mark.parametrize(("options", "words"), [
    (["--sha256", "val=" + 64 * "0"], ["must be NAME=HEX", "trainval, test-dev"]),
    (["--sha256", "trainval=123"], ["64 hexadecimal digits"]),
    (["--from", "ftp://127.0.0.1"], ["is none of http:// or https://"])])
def test_bad_options(site, options, words):
    assert fails_in_one_line(site.tool(*options), *words)
    assert not site.root.exists()
