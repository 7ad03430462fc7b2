"""Downloads of large files: an interrupted one goes on where it stopped.

What has come is in <path>.part, and <path>.part.json says of which file it is: its
address, its length, and its ETag or Last-Modified, which the server compares before it
sends the rest (RFC 9110: Range, If-Range).  A file that has changed meanwhile is begun
anew; so is one of a server that says neither, or knows no ranges.
A proxy is taken from the environment (http_proxy, https_proxy, no_proxy).
"""

import json
import shutil
import time

import requests
from requests.adapters import HTTPAdapter, Retry
from requests.exceptions import ChunkedEncodingError
from tqdm import tqdm

from segspn import files
from segspn.errors import UserError

BLOCK = 1 << 15  # bytes; what a dropped connection may lose
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that may be others soon
TRIES, PAUSE = 5, 0.5  # connections, and seconds between them, which double each time
TIMEOUT = 30  # seconds without a byte that end a connection


class Unreachable(UserError):
    """No server gives the file: there is no network, no server, or no such file there."""


def download(url, path, room=1):
    """Downloads `url` to `path`, with a progress bar.

    room: how often the file must fit on the disk, once unpacked for example.  Raises
    Unreachable where no server gives the file, UserError for a bad address, where the disk
    is too small, and for a connection that drops again and again, OSError where the disk
    becomes full; what has come then stays for the next call.
    """
    part, note = (path.with_name(f"{path.name}.part{ending}") for ending in ("", ".json"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with _session() as session:
        for connection in range(TRIES):
            try:
                _receive(session, url, part, note, room)
                break
            except (requests.ConnectionError, ChunkedEncodingError):
                if connection == TRIES - 1:
                    raise UserError(f"{url}: the connection dropped {TRIES} times; run the same "
                                    "command again to go on") from None
                time.sleep(PAUSE * 2 ** connection)
    part.replace(path)
    note.unlink(missing_ok=True)


def check_room(folder, needed):
    """Raises UserError where the disk of a folder has less than so many bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(f"{folder}: {needed / 1e6:.1f} MB are needed and {free / 1e6:.1f} MB "
                        "free; make room and run the same command again")


def _session():
    """Of requests, which asks a server again that is busy or does not answer."""
    session = requests.Session()
    again = Retry(TRIES - 1, connect=2, status_forcelist=BUSY, backoff_factor=PAUSE,
                  raise_on_status=False, respect_retry_after_header=False)
    for scheme in "http://", "https://":
        session.mount(scheme, HTTPAdapter(max_retries=again))
    # A compressed answer would have another length, and other ranges.
    session.headers["Accept-Encoding"] = "identity"
    return session


def _receive(session, url, part, note, room):
    """One connection: the rest of the file, or all of it."""
    length, validator = _noted(note, url)
    size = part.stat().st_size if length and part.is_file() else 0
    if size and size == length:
        return
    rest = {"Range": f"bytes={size}-", "If-Range": validator} if size else {}
    with _answer(session, url, rest) as response:
        if response.status_code == 200:
            size, length = 0, _begin(response, url, part, note)
        elif response.headers.get("Content-Range") != f"bytes {size}-{length - 1}/{length}":
            note.unlink()  # what has come is not of the file that is there now
            _receive(session, url, part, note, room)
            return
        check_room(part.parent, room * (length or 0) - size)
        with (tqdm(total=length, initial=size, desc=part.stem, unit="B", unit_scale=True,
                   dynamic_ncols=True, leave=False) as bar,
              files.writing(part), open(part, "ab") as file):
            for block in response.iter_content(BLOCK):
                file.write(block)
                bar.update(len(block))


def _noted(note, url):
    """(length, validator) of the file whose part it is; (None, None): to be begun anew."""
    try:
        noted = json.loads(note.read_text())
        return (noted["length"], noted["validator"]) if noted["url"] == url else (None, None)
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _answer(session, url, rest):
    """The opened response: 200, or 206 or 416 where a rest is asked for.  Raises UserError."""
    try:
        response = session.get(url, headers=rest, timeout=TIMEOUT, stream=True)
    except ValueError as error:
        raise UserError(f"address {url!r} is none of http:// or https://: {error}") from error
    except requests.RequestException as error:
        # requests wraps what happened; the last words of it say it.
        reason = str(getattr(error.args[0], "reason", error)).rpartition(": ")[2]
        raise Unreachable(f"{url}: {reason}") from error
    if response.status_code not in ((200, 206, 416) if rest else (200,)):
        raise Unreachable(f"{url}: the server answers {response.status_code} {response.reason}")
    if response.status_code == 200 and "text/html" in response.headers.get("Content-Type", ""):
        raise Unreachable(f"{url}: wrong file, the server answers with a web page")
    return response


def _begin(response, url, part, note):
    """Notes of which file a whole answer is, where that can be known; its length, or None."""
    part.unlink(missing_ok=True)
    note.unlink(missing_ok=True)
    etag, length = response.headers.get("ETag"), response.headers.get("Content-Length")
    # A weak ETag does not promise the same bytes.
    validator = (etag if etag and not etag.startswith("W/")
                 else response.headers.get("Last-Modified"))
    if validator and length:
        files.write_text(note, json.dumps(
            {"url": url, "length": int(length), "validator": validator}))
    return length and int(length)
