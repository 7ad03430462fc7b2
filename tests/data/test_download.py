"""Downloads against a real server: whole, dropped, changed, refused."""

import socket
from types import SimpleNamespace

import numpy as np
import pytest

from segspn.data import download
from segspn.data.download import BLOCK, TRIES, Unreachable
from segspn.errors import UserError
from tests.support import file_server
from tests.support.frames import names_in

DATA = np.random.default_rng(3).integers(0, 256, 300_000, np.uint8).tobytes()
OTHER = np.random.default_rng(4).integers(0, 256, 250_000, np.uint8).tobytes()
COME = 3 * BLOCK


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server.running() as server:
        server.files["a.zip"] = DATA
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new/a.zip"


@pytest.fixture
def fetch(server, target):
    def fetch_here(name="a.zip", **options):
        download.download(f"{server.url}/{name}", target, **options)
        assert names_in(target.parent) == [target.name]
        return target.read_bytes()
    return fetch_here


@pytest.fixture
def part(server, target, fetch):
    """The first COME bytes have come, and the connection drops again and again."""
    server.drops = [COME] + [0] * (TRIES - 1)
    assert "dropped 5 times; run the same command again to go on" in refusal(fetch)
    assert len(server.asked) == TRIES and not target.exists()
    server.asked.clear()
    path = target.with_name("a.zip.part")
    assert path.read_bytes() == DATA[:COME]
    return path


def refusal(fetch, kind=UserError, **options):
    """The one line of the error that a download ends on."""
    with pytest.raises(kind) as error:
        fetch(**options)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_a_dropped_connection_goes_on_with_the_rest(server, fetch):
    server.drops = [COME, BLOCK]
    assert fetch() == DATA
    assert server.asked == [("/a.zip", None, None), ("/a.zip", f"bytes={COME}-", '"1"'),
                            ("/a.zip", f"bytes={COME + BLOCK}-", '"1"')]


def test_a_later_call_asks_for_the_rest(server, fetch, part):
    assert fetch() == DATA and server.ranges_asked() == [f"bytes={COME}-"]


def test_a_part_that_is_whole_needs_no_request(server, fetch, part):
    part.write_bytes(DATA)
    assert fetch() == DATA and server.asked == []


@pytest.mark.parametrize("etag", ['"1"', '"2"'])
@pytest.mark.parametrize("size", [250_000, COME, 60_000])
def test_a_file_that_changed_is_begun_anew(server, fetch, part, size, etag):
    """Also where the server says that it is the same, which another length denies."""
    server.files["a.zip"], server.validators = OTHER[:size], {"ETag": etag}
    assert fetch() == OTHER[:size]


def test_a_server_without_ranges_is_asked_for_all(server, fetch, part):
    server.ranges = False
    assert fetch() == DATA


def test_another_address_is_begun_anew(server, fetch, part):
    server.files["b.zip"] = OTHER
    assert fetch("b.zip") == OTHER and server.asked == [("/b.zip", None, None)]


def test_a_part_of_unknown_origin_is_begun_anew(server, target, fetch, part):
    target.with_name("a.zip.part.json").write_text("{")
    assert fetch() == DATA and server.ranges_asked() == [None]


DATE = {"Last-Modified": "Sat, 01 Jul 2017 10:00:00 GMT"}


@pytest.mark.parametrize(("validators", "if_range"), [
    (DATE, DATE["Last-Modified"]), ({"ETag": 'W/"1"', **DATE}, DATE["Last-Modified"]),
    ({"ETag": 'W/"1"'}, None), ({}, None)])
def test_only_what_is_surely_the_same_is_continued(server, fetch, validators, if_range):
    server.validators, server.drops = validators, [COME]
    assert fetch() == DATA
    assert server.asked[1] == ("/a.zip", if_range and f"bytes={COME}-", if_range)


def test_a_web_page_does_not_replace_what_has_come(server, fetch, part):
    server.ranges, server.kind = False, "text/html; charset=utf-8"
    assert "wrong file, the server answers with a web page" in refusal(fetch, Unreachable)
    server.ranges, server.kind = True, "application/zip"
    assert fetch() == DATA and server.ranges_asked()[-1] == f"bytes={COME}-"


def test_a_busy_server_is_asked_again_but_not_for_what_it_has_not(server, fetch):
    server.answers = [503] * (TRIES - 1)
    assert fetch() == DATA
    server.answers = [503] * TRIES
    assert "the server answers 503 " in refusal(fetch, Unreachable)
    assert len(server.asked) == 2 * TRIES
    assert "the server answers 404 " in refusal(fetch, Unreachable, name="b.zip")
    assert len(server.asked) == 2 * TRIES + 1


def test_no_server(server, target):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match="a.zip: .*Connection refused$"):
        download.download(f"http://127.0.0.1:{port}/a.zip", target)


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/a.zip", "file:///etc/passwd", "a.zip", "",
                                     "http://[/a.zip", "http://127.0.0.1:port/a.zip"])
def test_addresses_that_are_none(target, address):
    with pytest.raises(UserError, match="address .* is none of http"):
        download.download(address, target)


def test_a_disk_that_is_too_small(server, fetch, part, monkeypatch):
    def disk(free):
        monkeypatch.setattr(download.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))

    disk(len(DATA) - COME - 1)
    assert "0.2 MB are needed and 0.2 MB free; make room" in refusal(fetch)
    disk(2 * len(DATA) - COME - 1)
    assert "0.5 MB are needed" in refusal(fetch, room=2)
    disk(len(DATA) - COME)
    assert fetch() == DATA
