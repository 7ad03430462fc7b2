"""Downloads against a real server: whole, dropped, changed, refused."""

import json
import socket
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from segspn.data import download
from segspn.data.download import Unreachable
from segspn.errors import UserError
from tests.support import file_server
from tests.support.frames import names_in

DATA = np.random.default_rng(3).integers(0, 256, 300_000, np.uint8).tobytes()
OTHER = np.random.default_rng(4).integers(0, 256, 250_000, np.uint8).tobytes()


@pytest.fixture
def server():
    with file_server.running() as server:
        server.files["a.zip"] = DATA
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new/a.zip"


@pytest.fixture
def fetch(server, target):
    def fetch_here(name="a.zip", **options):
        download.download(f"{server.url}/{name}", target,
                          **{"tries": 4, "pause": 0.01, "timeout": 5, **options})
        assert names_in(target.parent) == [target.name]
        return target.read_bytes()
    return fetch_here


@pytest.fixture
def part(server, target, fetch):
    """The first 100000 bytes have come, and the connection has dropped; the path of the part."""
    server.drops = [100_000]
    with pytest.raises(UserError, match="run the same command again to go on"):
        fetch(tries=1)
    server.asked.clear()
    server.sent = 0
    path = target.with_name("a.zip.part")
    assert path.read_bytes() == DATA[:100_000] and not target.exists()
    return path


def refusal(fetch, kind=UserError, **options):
    """The one line of the error that a download ends on."""
    with pytest.raises(kind) as error:
        fetch(**options)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_a_whole_file_takes_one_request(server, fetch):
    assert fetch() == DATA
    assert server.asked == [("/a.zip", None, None)]


def test_a_dropped_connection_goes_on_with_the_rest(server, fetch):
    server.drops = [100_000, 50_000]
    assert fetch() == DATA
    assert server.asked == [("/a.zip", None, None), ("/a.zip", "bytes=100000-", '"1"'),
                            ("/a.zip", "bytes=150000-", '"1"')]
    assert server.sent == len(DATA)


def test_a_later_call_asks_for_the_rest(server, fetch, part):
    assert fetch() == DATA
    assert server.ranges_asked() == ["bytes=100000-"] and server.sent == len(DATA) - 100_000


def test_it_gives_up_and_keeps_what_has_come(server, target, fetch):
    server.drops = [100_000] + [10] * 10
    message = refusal(fetch)
    assert "the connection ended" in message and "0.1 MB have come" in message
    assert len(server.asked) == 4
    assert target.with_name("a.zip.part").read_bytes() == DATA[:100_030]
    assert json.loads(target.with_name("a.zip.part.json").read_text())["validator"] == '"1"'


def test_a_server_without_ranges_is_asked_for_all(server, fetch, part):
    server.ranges = False
    assert fetch() == DATA
    assert server.ranges_asked() == ["bytes=100000-"] and server.sent == len(DATA)


@pytest.mark.parametrize("size", [250_000, 100_000, 60_000])
def test_a_file_that_changed_is_begun_anew(server, fetch, part, size):
    server.files["a.zip"], server.validators = OTHER[:size], {"ETag": '"2"'}
    assert fetch() == OTHER[:size]


@pytest.mark.parametrize("size", [250_000, 60_000])
def test_a_length_that_disagrees_is_begun_anew(server, fetch, part, size):
    """The server says that it is the same file, which cannot be."""
    server.files["a.zip"] = OTHER[:size]
    assert fetch() == OTHER[:size]
    assert server.ranges_asked() == ["bytes=100000-", None]


@pytest.mark.parametrize(("validators", "if_range"), [
    ({"Last-Modified": "Sat, 01 Jul 2017 10:00:00 GMT"}, "Sat, 01 Jul 2017 10:00:00 GMT"),
    ({"ETag": 'W/"1"', "Last-Modified": "Sat, 01 Jul 2017 10:00:00 GMT"},
     "Sat, 01 Jul 2017 10:00:00 GMT"),
    ({"ETag": 'W/"1"'}, None), ({}, None)])
def test_only_what_is_surely_the_same_is_continued(server, fetch, validators, if_range):
    server.validators, server.drops = validators, [100_000]
    assert fetch() == DATA
    assert server.asked[1] == ("/a.zip", if_range and "bytes=100000-", if_range)


def test_another_address_is_begun_anew(server, fetch, part):
    server.files["b.zip"] = OTHER
    assert fetch("b.zip") == OTHER
    assert server.asked == [("/b.zip", None, None)]


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"url": 3}', None])
def test_a_part_of_unknown_origin_is_begun_anew(server, target, fetch, part, note):
    note_path = target.with_name("a.zip.part.json")
    note_path.unlink()
    if note is not None:
        note_path.write_text(note)
    assert fetch() == DATA
    assert server.ranges_asked() == [None]


def test_a_part_that_is_whole_needs_no_request(server, fetch, part):
    part.write_bytes(DATA)
    assert fetch() == DATA
    assert server.asked == []


def test_a_part_that_is_too_long_is_begun_anew(server, fetch, part):
    part.write_bytes(DATA + b"more")
    assert fetch() == DATA


def test_a_length_that_is_not_known(server, fetch):
    server.length = None
    assert fetch() == DATA


def test_more_than_the_length_is_left_out(server, fetch):
    server.extra = b"more"
    server.length = str(len(DATA))
    assert fetch() == DATA


def test_less_than_the_length_is_not_the_file(server, target, fetch):
    server.length, server.ranges = str(len(DATA) + 7), False
    assert "the connection ended 7 bytes before the file" in refusal(fetch)
    assert not target.exists()


def test_a_web_page_does_not_replace_what_has_come(server, fetch, part):
    server.ranges, server.kind = False, "text/html; charset=utf-8"
    assert "wrong file, the server answers with a web page" in refusal(fetch, Unreachable)
    assert part.read_bytes() == DATA[:100_000] and len(server.asked) == 1
    server.ranges, server.kind = True, "application/zip"
    assert fetch() == DATA and server.ranges_asked()[-1] == "bytes=100000-"


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_file_that_is_not_there_is_not_asked_for_again(server, fetch, status):
    server.answers = [status]
    assert f"the server answers {status} " in refusal(fetch, Unreachable)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [503, 500, 429])
def test_a_busy_server_is_asked_again(server, fetch, part, status):
    server.answers = [status] * 3
    assert fetch() == DATA
    server.answers = [status] * 9
    assert f"the server answers {status} " in refusal(fetch, Unreachable)
    assert len(server.asked) == 8


def test_no_server(target, fetch, part, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match="connection refused"):
        download.download(f"http://127.0.0.1:{port}/a.zip", target)

    def resolve(*arguments, **keywords):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Unreachable, match="its name is not resolved"):
        download.download("http://nowhere.invalid/a.zip", target)
    assert part.read_bytes() == DATA[:100_000]


def test_a_server_that_says_nothing(server, fetch):
    server.silent = True
    assert "no answer in time" in refusal(fetch, Unreachable, timeout=0.2, tries=2)
    assert len(server.asked) == 2


def test_a_server_that_stops_sending(target):
    """It sends a part, and keeps the connection open; then there is no server any more."""
    listening, done = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def answer():
        connection, _ = listening.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: \"x\"\r\n\r\n12345")
            done.wait(10)

    thread = threading.Thread(target=answer)
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/a.zip"
    with pytest.raises(UserError, match="no answer in time; 5 bytes have come"):
        download.download(url, target, timeout=0.3, tries=1)
    done.set()
    thread.join()
    listening.close()
    assert target.with_name("a.zip.part").read_bytes() == b"12345"


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/a.zip", "file:///etc/passwd", "a.zip", "",
                                     "http://[/a.zip", "http://127.0.0.1:1/a b.zip",
                                     "http://127.0.0.1:port/a.zip"])
def test_addresses_that_are_none(target, address):
    with pytest.raises(UserError, match="address"):
        download.download(address, target, pause=0.01)
    assert not target.parent.exists()


def test_a_disk_that_is_too_small(server, target, fetch, monkeypatch):
    def disk(free):
        monkeypatch.setattr(download.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))

    disk(299_999)
    assert "0.3 MB are needed and 0.3 MB free; make room" in refusal(fetch)
    assert server.sent < len(DATA) and not target.exists()
    disk(599_999)
    assert "0.6 MB are needed" in refusal(fetch, also_needed=lambda length: length)
    server.drops = [100_000]
    disk(300_000)
    with pytest.raises(UserError, match="have come"):
        fetch(tries=1)
    disk(200_000)  # the rest still fits
    assert fetch() == DATA
