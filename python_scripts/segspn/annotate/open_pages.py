"""Local pages that are open: one a video, and where.

A page holds the lock of its video while it is served, and beside it a file has its address,
which is its key as well: nobody else may read it.
"""

import hashlib
import html
import os
from contextlib import contextmanager
from pathlib import Path

from segspn import files, locks

FOLDER = files.RESULTS / "annotate"
LEADING = "open.html"


def _folder(data, video):
    """Of the page of a video in the data set at `data`."""
    digest = hashlib.sha256(os.path.realpath(data).encode()).hexdigest()[:8]
    return FOLDER / f"{video}-{digest}"


def address_of(data, video):
    """The address of the page that is open for a video, or None."""
    folder = _folder(data, video)
    if not (folder / "address").is_file():
        return None
    with locks.try_lock(folder / "lock") as descriptor:
        return None if descriptor is not None else _text(folder / "address")


def _text(path):
    try:
        return path.read_text().strip() or None
    except OSError:  # the page has just been closed
        return None


@contextmanager
def opened(data, video):
    """While it is entered, this process has the page of a video; None where another has it.

    Gives a function that notes the page's address.
    """
    folder = _folder(data, video)
    with locks.try_lock(folder / "lock") as descriptor:
        if descriptor is None:
            yield None
            return
        path = folder / "address"
        path.unlink(missing_ok=True)
        try:
            yield lambda address: _write_for_owner(path, address)
        finally:
            for known in (path, folder / LEADING):
                known.unlink(missing_ok=True)


def leading_to(data, video, address):
    """The URI of a file that leads a browser to an address.

    Its command line has that, then, and not the key, which other users could read there.
    """
    path = _folder(data, video) / LEADING
    target = html.escape(address, quote=True)
    _write_for_owner(path, f'<!doctype html><meta http-equiv="refresh" content="0; url={target}">')
    return path.absolute().as_uri()


def _write_for_owner(path: Path, text):
    with files.whole_file(path) as temporary:
        temporary.chmod(0o600)
        temporary.write_text(text + "\n")


def at_frame(address, frame):
    """The address of a page at one of its frames, by name; None: at none in particular."""
    return f"{address}#{frame}" if frame else address
