"""tools/davis.py get: from a real server, and from archives that were downloaded by hand."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from segspn import files, locks
from segspn.data import davis_get
from segspn.errors import UserError
from tests.support import davis_trees, file_server
from tests.support.frames import fails_in_one_line
from tests.training.test_no_space import small_files_only

TOOL = "tools/davis.py"
NAMES = {split: archive.name for split, archive in davis_get.ARCHIVES.items()}
TRAINVAL = NAMES["trainval"]


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
def site(tmp_path, packed, run):
    """A server of the archives; `get` runs the tool against it, `root` is the data set."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.lower().endswith("_proxy")}
    with file_server.running() as server:
        server.files.update(packed)

        def get(*options, source=None, **keywords):
            source = source or ["--from", f"{server.url}/"]
            return run(TOOL, "get", "--root", one.root, *source, *options, cwd=tmp_path,
                       **{"env": environment, **keywords})

        one = SimpleNamespace(server=server, get=get, root=tmp_path / "data/DAVIS",
                              environment=environment)
        one.downloads = one.root / ".download"
        one.archive = one.downloads / TRAINVAL
        one.record = one.root / "archives.json"
        yield one


def works(result, *words):
    """Whether a run succeeded, and printed all the words."""
    assert result.returncode == 0, result.stderr
    for word in words:
        assert str(word) in result.stdout, result.stdout
    return True


def whole(site, content, *splits):
    """Whether the data set is that of these splits, without leftovers."""
    found = davis_trees.read(site.root)
    record = json.loads(found.pop("archives.json"))
    assert found == {name: data for split in splits for name, data in content[split].items()}
    assert record == {NAMES[split]: sha256(site.server.files[NAMES[split]]) for split in splits}
    assert not site.downloads.exists()
    return True


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ------------------------------------------------------------------------ it works

def test_all_of_it(site, content, packed):
    result = site.get()
    assert works(result, f"next: python tools/run.py --data {site.root}",
                 *(f"sha256 {sha256(data)} {name}" for name, data in packed.items()),
                 "unpacked trainval: 3 sequences, 12 frames, 12 annotations: all is well",
                 "unpacked test-challenge: 2 sequences, 7 frames, 2 annotations: all is well")
    assert whole(site, content, *content)
    assert site.server.asked == [(f"/{name}", None, None) for name in packed]

    assert works(site.get(), "have trainval", "have test-dev", "have test-challenge")
    assert whole(site, content, *content) and len(site.server.asked) == 3


def test_a_split_after_the_other(site, content):
    assert works(site.get("--splits", "test-challenge"))
    assert whole(site, content, "test-challenge")
    assert works(site.get("--splits", "test-dev", "test-challenge", "test-dev"),
                 "have test-challenge", "unpacked test-dev")
    assert whole(site, content, "test-challenge", "test-dev")
    assert [path for path, _, _ in site.server.asked] == [
        f"/{NAMES['test-challenge']}", f"/{NAMES['test-dev']}"]


def test_what_became_damaged_is_mended(site, content):
    """With --keep, without another download."""
    assert works(site.get("--splits", "trainval", "--keep"))
    assert site.archive.read_bytes() == site.server.files[TRAINVAL]
    frame = site.root / "JPEGImages/480p/bear/00002.jpg"
    frame.unlink()
    (site.root / "Annotations/480p/dog/00000.png").write_bytes(b"")
    assert works(site.get("--splits", "trainval"), "trainval is there with 2 faults:",
                 "JPEGImages/480p/bear: missing: 00002.jpg", "unpacked trainval")
    assert whole(site, content, "trainval") and len(site.server.asked) == 1


def test_archives_downloaded_by_hand(site, content, packed, tmp_path):
    folder = tmp_path / "by hand"
    davis_trees.write(folder, {TRAINVAL: packed[TRAINVAL]})
    source = ["--archives", folder]
    assert fails_in_one_line(site.get(source=source), folder,
                             f"lacks {NAMES['test-dev']}, {NAMES['test-challenge']}", "--splits")
    assert not site.root.exists()
    assert works(site.get("--splits", "trainval", source=source))
    davis_trees.write(folder, packed)
    assert works(site.get(source=source), "have trainval", "unpacked test-dev")
    assert whole(site, content, *content)
    assert davis_trees.read(folder) == packed and site.server.asked == []


def test_a_proxy_of_the_environment(site, content):
    """The server stands in for a proxy: it is asked for the whole address."""
    environment = {**site.environment, "http_proxy": site.server.url}
    result = site.get("--splits", "trainval", source=["--from", "http://davis.invalid"],
                      env=environment)
    assert works(result) and whole(site, content, "trainval")
    assert site.server.asked == [(f"http://davis.invalid/{TRAINVAL}", None, None)]


# ------------------------------------------------------------------ it goes on

def test_a_connection_that_drops(site, content, packed):
    site.server.drops = [3000]
    assert works(site.get("--splits", "trainval"))
    assert whole(site, content, "trainval")
    assert site.server.ranges_asked() == [None, "bytes=3000-"]
    assert site.server.sent == len(packed[TRAINVAL])


def test_a_download_that_is_killed(site, content):
    more = {**content["trainval"], "NOTES.txt": os.urandom(1 << 19)}
    site.server.files[TRAINVAL] = data = davis_trees.zipped(more)
    site.server.pause = 0.05
    part = site.downloads / f"{TRAINVAL}.part"
    command = [sys.executable, files.ROOT / TOOL, "get", "--root", site.root, "--from",
               site.server.url, "--splits", "trainval"]
    with subprocess.Popen(command, env=site.environment, stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not part.exists() or part.stat().st_size < 60_000):
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    come = part.stat().st_size
    assert 60_000 <= come < len(data) and part.read_bytes() == data[:come]

    site.server.pause = 0
    assert works(site.get("--splits", "trainval"))
    assert site.server.ranges_asked() == [None, f"bytes={come}-"]
    assert whole(site, {"trainval": more}, "trainval")


def test_a_disk_that_is_full_while_downloading(site, content, packed):
    result = site.get("--splits", "trainval", preexec_fn=small_files_only(20_000))
    part = site.downloads / f"{TRAINVAL}.part"
    assert fails_in_one_line(result, part, "File too large", "make room")
    assert part.read_bytes() == packed[TRAINVAL][:20_000]
    assert set(davis_trees.read(site.root)) == {f".download/{part.name}",
                                                f".download/{part.name}.json"}
    assert works(site.get("--splits", "trainval")) and whole(site, content, "trainval")
    assert site.server.ranges_asked() == [None, "bytes=20000-"]


def test_a_disk_that_is_full_while_unpacking(site, content):
    """The last file is too large for it, the archive is not."""
    more = {**content["trainval"], "NOTES": bytes(400_000)}
    site.server.files[TRAINVAL] = data = davis_trees.zipped(more)
    assert len(data) < 200_000
    result = site.get("--splits", "trainval", preexec_fn=small_files_only(200_000))
    assert fails_in_one_line(result, "NOTES: File too large", "make room")
    assert davis_trees.read(site.root) == {
        f".download/{TRAINVAL}": data,
        **{f".download/{TRAINVAL}.unpacked/{name}": data
           for name, data in content["trainval"].items()}}
    assert works(site.get("--splits", "trainval")) and len(site.server.asked) == 1
    assert whole(site, {"trainval": more}, "trainval")


def test_one_at_a_time(site):
    with locks.try_lock(site.downloads / "lock") as lock:
        assert lock is not None
        assert fails_in_one_line(site.get(), site.root, "is being made by another process")
    assert site.server.asked == []
    assert works(site.get())


# ------------------------------------------------------------------- it is refused

def test_no_server(site):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/davis"
    result = site.get(source=["--from", address])
    assert fails_in_one_line(
        result, f"{address}/{TRAINVAL}: connection refused", *NAMES.values(), "by hand",
        f"from {address} into a folder and run: python tools/davis.py get --root {site.root} "
        "--archives FOLDER --splits trainval test-dev test-challenge")
    assert not site.root.exists()


def test_a_server_that_goes_away(site, content):
    """What it says to download by hand is what is still missing, and the part stays."""
    assert works(site.get("--splits", "trainval"))
    site.server.files.pop(NAMES["test-dev"])
    result = site.get()
    assert fails_in_one_line(result, f"{NAMES['test-dev']}: the server answers 404",
                             "--archives FOLDER --splits test-dev test-challenge")
    assert TRAINVAL not in result.stderr and whole(site, content, "trainval")


@pytest.mark.parametrize("kind", ["text/html", "application/zip"])
def test_a_web_page_instead_of_the_file(site, content, kind):
    page = b"<!DOCTYPE html><html><body>Gone</body></html>"
    data, site.server.files[TRAINVAL] = site.server.files[TRAINVAL], page
    site.server.kind = kind
    words = (["the server answers with a web page", "by hand"] if kind == "text/html" else
             [site.archive, "it is no zip archive", "<!DOCTYPE html>", "it is deleted", "--from"])
    assert fails_in_one_line(site.get("--splits", "trainval"), "wrong file", *words)
    assert not site.root.exists()
    site.server.files[TRAINVAL], site.server.kind = data, "application/zip"
    assert works(site.get("--splits", "trainval")) and whole(site, content, "trainval")


def test_a_damaged_archive(site, content):
    """Cut off on the server, which says the length that it has; then a bit in a frame."""
    data = site.server.files[TRAINVAL]
    broken = bytearray(data)
    broken[data.index(b"00003.jpg") + 300] ^= 1
    for wrong in data[:-2000], bytes(broken):
        site.server.files[TRAINVAL] = wrong
        result = site.get("--splits", "trainval")
        assert fails_in_one_line(result, site.archive, "is damaged or cut off", "it is deleted")
        assert not site.root.exists()
    site.server.files[TRAINVAL] = data
    assert works(site.get("--splits", "trainval")) and whole(site, content, "trainval")


def test_a_damaged_archive_of_the_users_stays(site, packed, tmp_path):
    davis_trees.write(tmp_path / "mine", {TRAINVAL: packed[TRAINVAL][:-100]})
    result = site.get("--splits", "trainval", source=["--archives", tmp_path / "mine"])
    assert fails_in_one_line(result, tmp_path / "mine" / TRAINVAL, "is damaged or cut off",
                             "download it anew")
    assert davis_trees.read(tmp_path / "mine") == {TRAINVAL: packed[TRAINVAL][:-100]}
    assert not site.root.exists()


def test_archives_that_lead_out_of_the_folder(site, content):
    site.server.files[TRAINVAL] = davis_trees.zipped(
        content["trainval"], members=[("DAVIS/ImageSets/../../../evil.txt", b"evil")])
    assert fails_in_one_line(site.get("--splits", "trainval"), "wrong file", "evil.txt",
                             "leads out of its folder")
    assert set(davis_trees.read(site.root)) == {f".download/{TRAINVAL}"}


@pytest.mark.parametrize(("other", "words"), [
    (lambda packed: packed[NAMES["test-dev"]], "it has no DAVIS/ImageSets/2017/train.txt"),
    (lambda packed: davis_trees.zipped({"a.txt": b"a"}, top="pictures/"), "is not of DAVIS/")])
def test_archives_of_something_else(site, packed, other, words):
    site.server.files[TRAINVAL] = other(packed)
    assert fails_in_one_line(site.get("--splits", "trainval"), site.archive, "wrong file", words)
    assert set(davis_trees.read(site.root)) == {f".download/{TRAINVAL}"}


def test_sha256_that_the_user_gives(site, content, packed):
    right, wrong = sha256(packed[TRAINVAL]), sha256(b"other")
    result = site.get("--splits", "trainval", "--sha256", f"{TRAINVAL}={wrong}")
    assert fails_in_one_line(result, site.archive, f"is {right}, not {wrong}", "correct --sha256")
    assert set(davis_trees.read(site.root)) == {f".download/{TRAINVAL}"}
    assert works(site.get("--splits", "trainval", "--sha256", f"trainval={right.upper()}"))
    assert whole(site, content, "trainval") and len(site.server.asked) == 1


def test_sha256_of_the_table_is_enforced(site, monkeypatch, packed, tmp_path):
    davis_trees.write(tmp_path / "mine", packed)
    table = dict(davis_get.ARCHIVES)
    table["trainval"] = davis_get.Archive(TRAINVAL, ("train", "val"), sha256(b"other"))
    monkeypatch.setattr(davis_get, "ARCHIVES", table)
    order = davis_get.Order(site.root, ("trainval",), by_hand=tmp_path / "mine")
    with pytest.raises(UserError, match=f"its sha256 is .*, not {sha256(b'other')}"):
        davis_get.get(order)
    table["trainval"] = davis_get.Archive(TRAINVAL, ("train", "val"), sha256(packed[TRAINVAL]))
    said = []
    davis_get.get(order, said.append)
    assert said[-1].startswith("unpacked trainval")


def test_an_archive_that_changed_since_last_time(site, content, packed):
    assert works(site.get("--splits", "trainval"))
    before = sha256(packed[TRAINVAL])
    (site.root / "JPEGImages/480p/bear/00001.jpg").unlink()
    site.server.files[TRAINVAL] = davis_trees.zipped({**content["trainval"], "README.md": b"new"})
    now = sha256(site.server.files[TRAINVAL])
    for _ in range(2):  # it is downloaded once
        result = site.get("--splits", "trainval")
        assert fails_in_one_line(result, site.archive, f"is {now}, but was {before} last time",
                                 "--accept-changed")
        assert len(site.server.asked) == 2
        assert (site.root / "README.md").read_bytes() == b"DAVIS\n"
    assert works(site.get("--splits", "trainval", "--accept-changed"))
    assert (site.root / "README.md").read_bytes() == b"new"
    assert json.loads(site.record.read_text()) == {TRAINVAL: now} and len(site.server.asked) == 2


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"a": 3}', '{"a": "x"}'])
def test_a_record_that_is_none(site, text):
    davis_trees.write(site.root, {"archives.json": text.encode()})
    assert fails_in_one_line(site.get("--splits", "trainval"), site.record, "delete it")


def test_a_split_with_faults_does_not_keep_the_others_back(site, content):
    """Its archive stays, so that another run needs no download."""
    wrong = dict(content["trainval"])
    del wrong["JPEGImages/480p/bear/00001.jpg"]
    site.server.files[TRAINVAL] = davis_trees.zipped(wrong)
    for _ in range(2):
        result = site.get()
        assert fails_in_one_line(
            result, "trainval is unpacked, but has 1 fault: JPEGImages/480p/bear: missing: "
            "00001.jpg", f"python tools/davis.py check --root {site.root}")
    assert [path for path, _, _ in site.server.asked] == [f"/{name}" for name in NAMES.values()]
    assert set(content["test-challenge"]) <= set(davis_trees.read(site.root))
    assert site.archive.is_file()


@pytest.mark.parametrize(("options", "words"), [
    (["--splits", "train"], ["invalid choice: 'train'"]),
    (["--sha256", "trainval"], ["--sha256 trainval: must be NAME=HEX"]),
    (["--sha256", "val=" + 64 * "0"], ["must be NAME=HEX", "trainval, test-dev"]),
    (["--sha256", "trainval=123"], ["64 hexadecimal digits"]),
    (["--archives", "."], ["not allowed with argument --from"]),
    (["--from", "ftp://127.0.0.1"], ["must begin with http:// or https://"]),
    (["--from", "somewhere"], ["must begin with http:// or https://"])])
def test_bad_options(site, options, words):
    assert fails_in_one_line(site.get(*options), *words)
    assert not site.root.exists() and site.server.asked == []


def test_a_root_that_is_a_file(site):
    site.root.parent.mkdir()
    site.root.write_text("mine")
    assert fails_in_one_line(site.get(), site.root)
    assert site.root.read_text() == "mine" and site.server.asked == []
