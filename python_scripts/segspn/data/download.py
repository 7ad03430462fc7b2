"""Downloads of large files: an interrupted one goes on where it stopped.

What has come is in <path>.part, and <path>.part.json says of which file it is: its
address, its length, and its ETag or Last-Modified, which the server compares before it
sends the rest (RFC 9110: Range, If-Range).  A file that has changed meanwhile, or that
another server has, is begun anew; so is one of a server that knows no ranges.
A proxy is taken from the environment (http_proxy, https_proxy, no_proxy).
"""

import http.client
import json
import re
import shutil
import socket
import time
import urllib.error
import urllib.request

from tqdm import tqdm

from segspn import files
from segspn.errors import UserError

BLOCK = 1 << 20  # bytes
RETRIED = (408, 425, 429)  # of the 4xx, those that may pass


class Unreachable(UserError):
    """No server gives the file: there is no network, no server, or no such file there."""


class _Dropped(Exception):
    """A connection that ended early, or (not `answered`) never was."""

    def __init__(self, reason, answered=True):
        super().__init__(reason)
        self.answered = answered


def download(url, path, also_needed=lambda length: 0, tries=5, pause=1.0, timeout=30):
    """Downloads `url` to `path`, with a progress bar.

    also_needed: bytes of disk that a file of so many bytes will need beside itself;
    tries: connections before it gives up; pause: seconds before the second of them,
    which double each time; timeout: seconds without a byte that end a connection.
    Raises Unreachable where nothing comes, UserError for a connection that drops
    again and again and where the disk is too small, OSError where it becomes full;
    what has come then stays for the next call.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"address {url!r} must begin with http:// or https://")
    part = _Part(url, path)
    with tqdm(total=part.length, initial=part.size, desc=path.name, unit="B", unit_scale=True,
              dynamic_ncols=True, leave=False) as bar:
        for attempt in range(tries):
            try:
                if not part.is_complete:
                    _receive(part, also_needed, bar, timeout)
                return part.finish()
            except _Dropped as dropped:
                if not dropped.answered and not part.received:
                    raise Unreachable(f"{url}: {dropped}") from dropped
                if isinstance(dropped, _Changed):
                    part.forget()
                reason = dropped
            if attempt < tries - 1:
                time.sleep(pause * 2 ** attempt)
    if not part.received:
        raise Unreachable(f"{url}: {reason}") from reason
    raise UserError(f"{url}: {reason}; {_megabytes(part.size)} have come; "
                    "run the same command again to go on")


class _Changed(_Dropped):
    """What has come is not of the file that the server has now."""

    def __init__(self):
        super().__init__("the file on the server has changed")


class _Part:
    """The part of a file that has come, and what is known of the whole.

    length: of the whole file, in bytes, or None; received: bytes that came in this process.
    """

    def __init__(self, url, path):
        self.url, self.received = url, 0
        self._whole = path
        self.path = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")
        self._validator, self.length = self._noted()

    def _noted(self):
        """(validator, length) of the file whose part it is; (None, None): to be begun anew."""
        try:
            noted = json.loads(self._note.read_text())
            validator, length = noted["validator"], noted["length"]
            of_it = (noted["url"] == self.url and isinstance(validator, str | None)
                     and isinstance(length, int | None))
        except (OSError, ValueError, KeyError, TypeError):
            return None, None
        return (validator, length) if of_it else (None, None)

    @property
    def size(self):
        """Bytes that have come of the file that is noted."""
        known = self.length is not None or self._validator is not None
        return self.path.stat().st_size if known and self.path.is_file() else 0

    @property
    def is_complete(self):
        return self.length is not None and self.size == self.length

    def wish(self):
        """The headers that ask for what is missing; for all of it where nothing is safe."""
        if not self.size or not self._validator:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator}

    def is_continued_by(self, response):
        """Whether a 206 begins where the part ends, and is of a file of the same length."""
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers["Content-Range"] or "")
        return (span is not None and int(span[1]) == self.size
                and span[2] in ("*", str(self.length)))

    def forget(self):
        """Nothing that has come is of use."""
        self._validator = self.length = None
        self._note.unlink(missing_ok=True)

    def begin(self, response):
        """An answer with the whole file, which may be another one than before."""
        self.forget()
        self.path.unlink(missing_ok=True)
        etag = response.headers["ETag"]
        # A weak ETag does not promise the same bytes.
        self._validator = (etag if etag and not etag.startswith("W/")
                           else response.headers["Last-Modified"])
        self.length = response.length
        files.write_text(self._note, json.dumps(
            {"url": self.url, "validator": self._validator, "length": self.length}))

    def append(self, file, block):
        """Writes all of a block to the opened part."""
        rest = memoryview(block)
        while rest:
            written = file.write(rest)
            self.received += written
            rest = rest[written:]

    def finish(self):
        """The file is whole."""
        self.path.replace(self._whole)
        self._note.unlink(missing_ok=True)


def _receive(part, also_needed, bar, timeout):
    """One connection: the rest of the file, or all of it.  Raises _Dropped."""
    with _answer(part.url, part.wish(), timeout) as response:
        if response.status == 206 and not part.is_continued_by(response):
            raise _Changed
        if response.status == 200:
            part.begin(response)
        if part.length is not None:
            check_room(part.path.parent, part.length - part.size + also_needed(part.length))
        size = part.size
        bar.reset(part.length)
        bar.update(size)
        with files.writing(part.path), open(part.path, "ab", buffering=0) as file:
            while part.length is None or size < part.length:
                # No more than the length: some servers send more than they say.
                block = _read(response, BLOCK if part.length is None else part.length - size)
                if not block:
                    break
                part.append(file, block)
                size += len(block)
                bar.update(len(block))
    if part.length is not None and size < part.length:
        raise _Dropped(f"the connection ended {_megabytes(part.length - size)} before the file")


def _answer(url, headers, timeout):
    """The opened response, 200 or 206.  Raises _Dropped and Unreachable."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "segspn", **headers})
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the file is shorter than what has come
            raise _Changed from error
        if error.code in RETRIED or error.code >= 500:
            raise _Dropped(f"the server answers {error.code} {error.reason}") from error
        raise Unreachable(f"{url}: the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Dropped(_plain(error.reason), answered=False) from error
    except (http.client.InvalidURL, ValueError) as error:
        raise UserError(f"address {url!r} is not valid: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(_plain(error)) from error
    page = response.headers.get_content_type() == "text/html"
    if page or response.status not in (200, 206):  # before it replaces what has come
        response.close()
        what = "with a web page" if page else f"{response.status} {response.reason}"
        raise Unreachable(f"{url}: wrong file, the server answers {what}")
    return response


def _read(response, limit):
    """What has come meanwhile, up to min(limit, BLOCK) bytes.  Raises _Dropped."""
    try:
        return response.read1(min(limit, BLOCK))
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(_plain(error)) from error


def check_room(folder, needed):
    """Raises UserError where the disk of a folder has less than so many bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(f"{folder}: {_megabytes(needed)} are needed and {_megabytes(free)} free; "
                        "make room and run the same command again")


def _megabytes(size):
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size} bytes"


def _plain(reason):
    """A few words for an error of the network."""
    if isinstance(reason, socket.gaierror):
        return f"its name is not resolved ({reason.strerror})"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
