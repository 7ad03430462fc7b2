"""Zip archives of data sets: what they may hold, and unpacking that can be killed."""

import shutil
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from tqdm import tqdm

from segspn import files
from segspn.data import download
from segspn.errors import UserError

BLOCK = 1 << 20  # bytes
NOTES = ("", ".md", ".txt", ".pdf")  # endings of files that may lie beside the folders: README, …
LEFT_OUT = ("__MACOSX", "Thumbs.db", "desktop.ini")  # and hidden files: the packer's system's


class Damaged(UserError):
    """A file that is no zip archive, or not as it was packed; to be had anew."""


@dataclass(frozen=True)
class Tree:
    """What an archive holds: files of these folders, all below the folder `top`."""

    top: str
    folders: tuple[str, ...]


def members(path, tree):
    """{path below the top folder: zipfile.ZipInfo} of the files of the archive at `path`.

    Raises Damaged for a file that is no zip, and UserError for one that is not of this
    tree, or has links, encrypted files, or a name that leads out of its folder.
    """
    with _opened(path) as package:
        found = {}
        for info in package.infolist():
            name = _checked(path, info, tree)
            if name is None or info.is_dir():
                continue
            if name in found:
                raise _wrong(path, f"it has {info.filename!r} twice")
            found[name] = info
    if not found:
        raise _wrong(path, "it is empty")
    return found


def unpack(path, tree, root, scratch):
    """Unpacks an archive into the folder `root`, where other archives may have been before.

    scratch: a folder on the same disk.  Every file is first unpacked there, its CRC
    checked; when all are, they are moved to their places, each by a rename: no half file
    is ever seen, a damaged archive changes nothing, and what a killed call has done is
    not done again.  A file of the same CRC stays, another one is replaced.  Raises as
    members(), UserError where the disk is too small, and OSError where it becomes full.
    """
    try:
        _unpack(path, members(path, tree), root, scratch)
    except Damaged:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    shutil.rmtree(scratch, ignore_errors=True)


def _unpack(path, wanted, root, scratch):
    with _bar("compare", wanted.values()) as bar:
        wanted = {name: info for name, info in wanted.items()
                  if not _is_there(root / name, info, bar)}
    root.mkdir(parents=True, exist_ok=True)
    with _bar("unpack", wanted.values()) as bar, _opened(path) as package:
        left = {name: info for name, info in wanted.items()
                if not _is_there(scratch / name, info, bar)}
        download.check_room(root, sum(info.file_size for info in left.values()))
        for name, info in left.items():
            _extract(package, info, scratch / name, bar)
    for name in wanted:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).replace(root / name)


@contextmanager
def _opened(path):
    """The opened archive; raises Damaged for what is found wrong in it."""
    try:
        with zipfile.ZipFile(path) as package:
            yield package
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError,
            ValueError) as error:
        with open(path, "rb") as file:
            start = file.read(40)
        what = ("is damaged or cut off" if start.startswith(b"PK")
                else f"is no zip archive, it begins with {start!r}")
        raise Damaged(f"{path}: wrong file, it {what} ({error})") from error


def _checked(path, info, tree):
    """The PurePosixPath of a member below the top folder, or None for what is left out."""
    parts = info.filename.split("/")
    if info.is_dir():
        parts = parts[:-1]
    kind = stat.S_IFMT(info.external_attr >> 16)
    if "\\" in info.filename or any(part in ("", ".", "..") for part in parts):
        problem = "leads out of its folder"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "is a link or a device"
    elif info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED,
                                                          zipfile.ZIP_DEFLATED):
        problem = "is encrypted or of an unusual compression"
    elif any(part.startswith(".") or part in LEFT_OUT for part in parts):
        return None
    elif not _is_of(tree, parts, info.is_dir()):
        problem = f"is not of {tree.top}/{{{','.join(tree.folders)}}}"
    else:
        return PurePosixPath(*parts[1:])
    raise _wrong(path, f"its member {info.filename!r} {problem}")


def _wrong(path, problem):
    return UserError(f"{path}: wrong file, {problem}; delete it and get another one")


def _is_of(tree, parts, is_dir):
    """Whether a tree may hold a member: in one of its folders, or a note beside them."""
    if parts[0] != tree.top or len(parts) == 1:
        return parts == [tree.top] and is_dir
    if parts[1] in tree.folders:
        return is_dir or len(parts) > 2
    return len(parts) == 2 and not is_dir and PurePosixPath(parts[1]).suffix in NOTES


def _is_there(path, info, bar):
    """Whether the file at `path` is this member; if so, the bar counts it as done."""
    if not path.is_file() or path.stat().st_size != info.file_size:
        return False
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            crc = zlib.crc32(block, crc)
    if crc == info.CRC:
        bar.update(info.file_size)
    return crc == info.CRC


def _extract(package, info, path, bar):
    """Writes a member to `path`, as a whole file; zipfile compares its CRC at its end."""
    with (files.whole_file(path) as temporary, package.open(info) as source,
          open(temporary, "wb") as target):
        while block := source.read(BLOCK):
            target.write(block)
            bar.update(len(block))


def _bar(what, infos):
    return tqdm(total=sum(info.file_size for info in infos), desc=what, unit="B",
                unit_scale=True, dynamic_ncols=True, leave=False)
