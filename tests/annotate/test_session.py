"""Opening the page: from the command line, twice, from a clip, and its end."""

import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from segspn import files
from segspn.annotate import open_pages, session
from segspn.annotate.guards import HEADER
from segspn.data import davis, importing
from segspn.errors import UserError
from tests.support.annotating import write_video
from tests.support.frames import fails_in_one_line
from tests.support.import_clips import write_clip
from tools.bench import sandbox

TOOL = "tools/annotate.py"


@pytest.fixture
def start(project, tmp_path):
    """Starts the tool in a copy of the project; its process, whose first lines are `told`."""
    begun = []

    def started(*options, until="http://"):
        process = subprocess.Popen(
            [sys.executable, project.root / TOOL, *map(str, options), "--no-browser"],
            cwd=project.root, env=sandbox.environment(project.root), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        begun.append(process)
        process.told = []
        while line := process.stdout.readline():
            process.told.append(line.rstrip())
            if until in line:
                break
        return process
    yield started
    for process in begun:
        process.kill()
        process.communicate()


def address_in(process):
    return re.search(r"http\S+", process.told[-1])[0]


def test_from_opening_to_its_end(start, project, data):
    process = start("--data", data.root, "--video", "toy", "--frame", "00002")
    address = address_in(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}#00002", address)
    assert requests.get(address, timeout=20).status_code == 200
    base, token = re.fullmatch(r"(.*)/\?token=(.*)#.*", address).groups()
    video = requests.get(f"{base}/api/video", headers={HEADER: token}, timeout=20).json()
    assert video["video"] == "toy"
    assert requests.get(f"{base}/api/video", timeout=20).status_code == 403

    [noted] = (project.root / "results/annotate").glob("toy-*/address")
    assert stat.S_IMODE(noted.stat().st_mode) == 0o600
    second = start("--data", data.root, "--video", "toy", "--frame", "00003")
    assert second.wait(60) == 0
    assert second.told == [f"toy is open already: {address[:-5]}00003"]

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == f"next: make segment VIDEO=toy DATA={data.root}"
    assert not noted.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ends(start, data, number):
    process = start("--data", data.root, "--video", "toy")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "next: make segment VIDEO=toy" in out


def test_a_clip_is_imported_once(start, project, tmp_path):
    clip = write_clip(tmp_path / "My holiday (1).mp4", 5)
    process = start("--data", tmp_path / "videos", "--clip", clip)
    assert process.told[0] == f"imported {clip} as My-holiday-1: 5 frames"
    data = davis.Davis(tmp_path / "videos")
    assert data.sequences() == ["My-holiday-1"] and data.annotated("My-holiday-1") == {}
    process.kill()
    process.wait()
    again = start("--data", tmp_path / "videos", "--clip", clip)
    assert again.told[0].startswith("My-holiday-1 is imported already: ")


def test_a_clip_without_a_mask(tmp_path):
    clip = write_clip(tmp_path / "clip.avi", 5)
    order = importing.Order(clip, None, "toy", tmp_path / "data")
    made = importing.import_clip(order)
    assert (made.numbers, made.areas, made.colours) == (list(range(5)), {}, ())
    assert order.annotations.is_dir() and not list(order.annotations.iterdir())
    assert importing.import_once(order) is None
    with pytest.raises(UserError, match="exists"):
        importing.import_clip(order)


@pytest.mark.parametrize("name, expected", [
    ("~/holiday.mp4", "holiday"), ("Überfahrt 2.MOV", "berfahrt-2"), ("-a b-.c.mp4", "a-b-.c"),
    ("日本.mp4", "clip"), ("..mp4", "clip"), ("x" * 200 + ".mp4", "x" * 100)])
def test_names_of_clips(name, expected):
    assert importing.name_of(name) == expected == davis.checked_sequence(expected)


@pytest.mark.parametrize("options, words", [
    ([], ["which video?"]), (["--video", "nosuch"], ["'nosuch' has no frames", "there are: toy"]),
    (["--video", "toy", "--frame", "../x"], ["toy has no frame '../x'"]),
    (["--video", "toy", "--port", "0"], ["--port", "from 1 to 65535"]),
    (["--clip", "nosuch.mp4"], ["nosuch.mp4"])])
def test_refusals(run, data, options, words):
    result = run(TOOL, "--data", data.root, *options, "--no-browser")
    assert fails_in_one_line(result, *words)


def test_ports():
    with session.bound(None) as first:
        host, port = first.getsockname()
        assert host == "127.0.0.1"
        with session.bound(None) as second:  # where it is taken, another one
            assert second.getsockname()[1] not in (port, session.PORT)
        with pytest.raises(UserError, match=f"port {port} cannot be had"):
            session.bound(port)


def test_pages_that_are_open(tmp_path, monkeypatch):
    monkeypatch.setattr(open_pages, "FOLDER", tmp_path)
    data = write_video(tmp_path / "data").root
    assert open_pages.address_of(data, "toy") is None
    with open_pages.opened(data, "toy") as note:
        assert open_pages.address_of(data, "toy") is None  # not yet
        note("http://here/?token=x")
        assert open_pages.address_of(data / "../data", "toy") == "http://here/?token=x"
        leading, = [open_pages.leading_to(data, "toy", 'http://here/?token=x#"')]
        path = Path(leading.removeprefix("file://"))
        assert 'url=http://here/?token=x#&quot;">' in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        with open_pages.opened(data, "toy") as second:
            assert second is None
        with open_pages.opened(data, "other") as third:
            assert third is not None
    assert open_pages.address_of(data, "toy") is None and not path.exists()
    assert open_pages.at_frame("http://here/?token=x", "00003") == "http://here/?token=x#00003"
    assert open_pages.at_frame("http://here/?token=x", None) == "http://here/?token=x"


def test_the_address_of_a_killed_page_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(open_pages, "FOLDER", tmp_path)
    with open_pages.opened("data", "toy") as note:
        note("http://here")
        [address] = tmp_path.glob("*/address")
        text = address.read_text()
    files.write_text(address, text)
    assert open_pages.address_of("data", "toy") is None
