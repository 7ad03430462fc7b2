"""DAVIS 2017 at 480p: where its archives are, and how they become one data set.

Nobody publishes a sha256 of these archives that we know of.  What is checked always: that
an archive is a zip of the expected folders, the CRC of every file in it, and the data set
in the end (segspn.data.davis_check).  The sha256 that was seen is kept in
<root>/archives.json, and an archive with another one is then refused.
"""

import hashlib
import json
import re
import shutil
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from segspn import files, locks
from segspn.data import davis, davis_check, download
from segspn.errors import UserError, count

# The addresses of the download page of davischallenge.org.  They were not reachable where
# this was written: only local servers have been tried.
BASE = "https://data.vision.ee.ethz.ch/csergi/share/davis"
# The lists that the archive of a split brings.
LISTS = {"trainval": ("train", "val"), "test-dev": ("test-dev",),
         "test-challenge": ("test-challenge",)}
TOP = "DAVIS"  # the folder that an archive has, and the folders in it
FOLDERS = tuple(folder.split("/")[0] for folder in davis_check.FOLDERS)
LEFT_OUT = re.compile(r"\.[^.].*|__MACOSX|Thumbs\.db|desktop\.ini")  # of the packer's system
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, ValueError)
RECORD = "archives.json"  # in the root of the data set


def archive_name(split):
    return f"DAVIS-2017-{split}-480p.zip"


@dataclass(frozen=True)
class Order:
    """What is to be had, and how.

    root: folder of the data set; splits: keys of LISTS; base: address of the folder of
    the archives; by_hand: folder that has them, no network is used then; keep: downloaded
    archives stay in <root>/.download; sha256: {split: hex} to be enforced;
    accept_changed: take an archive whose sha256 is another than last time.
    """

    root: Path
    splits: tuple[str, ...] = tuple(LISTS)
    base: str = BASE
    by_hand: Path | None = None
    keep: bool = False
    sha256: dict = field(default_factory=dict)
    accept_changed: bool = False

    @property
    def folder(self):
        return self.root / ".download"

    @property
    def scratch(self):
        """The file that is being unpacked."""
        return self.folder / "unpacked"

    def url(self, split):
        return f"{self.base.rstrip('/')}/{archive_name(split)}"

    def path(self, split):
        """Of the archive, once it is there."""
        return (self.by_hand or self.folder) / archive_name(split)


def get(order, say=print):
    """Makes the splits of the data set: what is wrong with them then, [line].

    Those that are there and pass the check stay.  Shows progress bars; say: prints a line.
    Raises download.Unreachable where archives must be had by hand, and UserError for
    whatever else fails, which the same call goes on from.
    """
    wanted = [split for split in dict.fromkeys(order.splits) if not _is_there(order, split, say)]
    missing = [archive_name(split) for split in wanted if not order.path(split).is_file()]
    if order.by_hand and missing:
        raise UserError(f"{order.by_hand} lacks {', '.join(missing)}; put them there, or name "
                        "the splits that you have with --splits")
    if not wanted:
        return []
    faults = []
    with _alone(order):
        for index, split in enumerate(wanted):
            try:
                faults += _get_split(order, split, say)
            except download.Unreachable as error:
                names = ", ".join(map(archive_name, wanted[index:]))
                raise download.Unreachable(f"{error}; run again later, or download {names} by "
                                           f"hand from {order.base} into a folder") from error
    return faults


@contextmanager
def _alone(order):
    """Locks the folder of downloads, which goes in the end where nothing is left in it."""
    lock = order.folder / "lock"
    with locks.alone(lock, f"{order.root} is being made by another process; wait for its end"):
        try:
            yield
        finally:
            order.scratch.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                order.folder.rmdir()
                order.root.rmdir()


def _is_there(order, split, say):
    """Whether the lists of a split are there, and their sequences pass the check."""
    if not all(davis.list_path(order.root, name).is_file() for name in LISTS[split]):
        return False
    report = davis_check.check(order.root, LISTS[split])
    if report.faults:
        say(f"{split} is there with {count(len(report.faults), 'fault')}: {report.faults[0]}")
        return False
    say(f"have {split}: {report.summary()}")
    return True


def _get_split(order, split, say):
    """Downloads, unpacks and checks a split; what is wrong with it, [line]."""
    path = order.path(split)
    if not path.is_file():
        say(f"downloading {order.url(split)}")
        # Images hardly shrink in a zip: unpacked, they need about as much again.
        download.download(order.url(split), path, room=2)
    try:
        with zipfile.ZipFile(path) as package:
            members = _members(package, split)
            record = _checked_record(order, split, say)
            _unpack(package, members, order)
            files.write_text(order.root / RECORD, json.dumps(record, indent=1) + "\n")
    except BROKEN as error:
        if not order.by_hand:
            path.unlink()
        what = "download it anew" if order.by_hand else "it is deleted, run again to have it anew"
        raise UserError(f"{path}: wrong file, it is no zip archive, damaged or cut off ({error}); "
                        f"{what}") from error
    report = davis_check.check(order.root, LISTS[split])
    if report.faults:
        return [f"{split} is unpacked, but has {count(len(report.faults), 'fault')}: "
                f"{report.faults[0]}"]
    say(f"unpacked {split}: {report.summary()}")
    for part in order.folder.glob(f"{path.name}.part*"):  # where it came by hand in the end
        part.unlink()
    if not order.by_hand and not order.keep:
        path.unlink()
    return []


def _members(package, split):
    """{path below the top folder: ZipInfo} of the files of an archive, its lists the last.

    Raises UserError for an archive of something else, and for links, encrypted files and
    names that lead out of their folder.
    """
    found = {}
    for info in package.infolist():
        parts = info.filename.split("/")
        if info.is_dir() or any(map(LEFT_OUT.fullmatch, parts)):
            continue
        if problem := _problem(info, parts):
            raise UserError(f"{package.filename}: wrong file, its member {info.filename!r} "
                            f"{problem}; delete it and get another one")
        found["/".join(parts[1:])] = info
    for name in LISTS[split]:
        if f"{davis.LISTS}/{name}.txt" not in found:
            raise UserError(f"{package.filename}: wrong file, it has no {TOP}/{davis.LISTS}/"
                            f"{name}.txt, so it is not {split}; delete it")
    return dict(sorted(found.items(), key=lambda item: item[0].startswith(davis.LISTS)))


def _problem(info, parts):
    """What is wrong with a member of these parts, or None."""
    if "\\" in info.filename or {"", ".", ".."}.intersection(parts):
        return "leads out of its folder"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link"
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is encrypted or of an unusual compression"
    is_note = len(parts) == 2 and parts[1] not in (*FOLDERS, RECORD)  # README.md, …
    if parts[0] != TOP or not (is_note or len(parts) > 2 and parts[1] in FOLDERS):
        return f"is not of {TOP}/{{{','.join(FOLDERS)}}}"
    return None


def _unpack(package, members, order):
    """Unpacks members into the root, where other archives may have been before.

    Each is written beside the data set, its CRC checked by zipfile, and renamed to its
    place: no half file is ever seen, and no list before its frames.  A file that is there
    with the same CRC stays.
    """
    left = {name: info for name, info in members.items() if not _is_same(order.root / name, info)}
    size = sum(info.file_size for info in left.values())
    download.check_room(order.root, size)
    with tqdm(total=size, desc="unpack", unit="B", unit_scale=True, dynamic_ncols=True,
              leave=False) as bar:
        for name, info in left.items():
            path = order.root / name
            with (files.writing(path), package.open(info) as source,
                  open(order.scratch, "wb") as target):
                shutil.copyfileobj(source, target)
            path.parent.mkdir(parents=True, exist_ok=True)
            order.scratch.replace(path)
            bar.update(info.file_size)


def _is_same(path, info):
    return (path.is_file() and path.stat().st_size == info.file_size
            and zlib.crc32(path.read_bytes()) == info.CRC)


def _checked_record(order, split, say):
    """{file name: sha256} with that of an archive.  Raises UserError where it is not as due."""
    path, record = order.path(split), order.root / RECORD
    with open(path, "rb") as file:
        seen = hashlib.file_digest(file, "sha256").hexdigest()
    say(f"sha256 {seen} {path.name}")
    try:
        known = dict(json.loads(record.read_text())) if record.exists() else {}
    except (ValueError, TypeError) as error:
        raise UserError(f"{record} does not hold the sha256 of archives; delete it") from error
    due, before = order.sha256.get(split), known.get(path.name, seen)
    if due and seen != due:
        raise UserError(f"{path}: wrong file, its sha256 is {seen}, not {due}; delete it and run "
                        "again, or correct --sha256")
    if not due and seen != before and not order.accept_changed:
        raise UserError(f"{path}: its sha256 is {seen}, but was {before} last time ({record}); "
                        "take it with --accept-changed, or delete it")
    return {**known, path.name: seen}
