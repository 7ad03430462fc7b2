"""DAVIS 2017 at 480p: where its archives are, and how they become one data set.

Nobody publishes a sha256 of these archives that we know of, so ARCHIVES has none.  What
is checked always: that an archive is a zip of the expected folders, the CRC of every
file in it, and the data set in the end (segspn.data.davis_check).  The sha256 that was seen is
kept in <root>/archives.json, and an archive with another one is then refused.
"""

import hashlib
import json
import re
import shlex
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from segspn import cli, files, locks
from segspn.data import archives, davis_check, download
from segspn.data.sequences import count
from segspn.errors import UserError

# The addresses of the download page of davischallenge.org.  They were not reachable where
# this was written: only local servers have been tried.
BASE = "https://data.vision.ee.ethz.ch/csergi/share/davis"
TREE = archives.Tree("DAVIS", ("JPEGImages", "Annotations", "ImageSets"))
RECORD = "archives.json"  # in the root of the data set


@dataclass(frozen=True)
class Archive:
    """An archive: its file name, the lists in ImageSets/2017 that it brings, its sha256."""

    name: str
    lists: tuple[str, ...]
    sha256: str | None = None  # unknown


ARCHIVES = {
    "trainval": Archive("DAVIS-2017-trainval-480p.zip", ("train", "val")),
    "test-dev": Archive("DAVIS-2017-test-dev-480p.zip", ("test-dev",)),
    "test-challenge": Archive("DAVIS-2017-test-challenge-480p.zip", ("test-challenge",))}


@dataclass(frozen=True)
class Order:
    """What is to be had, and how.

    root: folder of the data set; splits: keys of ARCHIVES; base: address of the folder of
    the archives; by_hand: folder that has them, no network is used then; keep: downloaded
    archives stay in <root>/.download; sha256: {split: hex} to be enforced;
    accept_changed: take an archive whose sha256 is another than last time.
    """

    root: Path
    splits: tuple[str, ...] = tuple(ARCHIVES)
    base: str = BASE
    by_hand: Path | None = None
    keep: bool = False
    sha256: dict | None = None
    accept_changed: bool = False

    @property
    def folder(self):
        """Of downloads, and of what is being unpacked."""
        return self.root / ".download"

    def url(self, split):
        return f"{self.base.rstrip('/')}/{ARCHIVES[split].name}"

    def path(self, split):
        """Of the archive, once it is there."""
        return (self.by_hand or self.folder) / ARCHIVES[split].name


def get(order, say=print):
    """Makes the splits of the data set; those that are there and pass the check stay.

    Shows progress bars; say: prints a line.  Raises UserError for whatever fails, which
    the same call goes on from.
    """
    wanted = [split for split in dict.fromkeys(order.splits) if not _is_there(order, split, say)]
    if not wanted:
        return
    if order.by_hand:
        _refuse_missing(order, wanted)
    with _alone(order):
        faulty = [fault for number in range(len(wanted))
                  if (fault := _get_split(order, wanted[number:], say))]
    if faulty:
        raise UserError(f"{'; '.join(faulty)}; see them with: {_tool('check', order)}")


def parse_sha256(texts):
    """{split: hex} of texts "NAME=HEX", NAME a split or a file name.  Raises UserError."""
    names = {archive.name: split for split, archive in ARCHIVES.items()}
    found = {}
    for text in texts:
        name, _, digest = text.partition("=")
        split = names.get(name, name)
        if split not in ARCHIVES or not re.fullmatch("[0-9a-fA-F]{64}", digest):
            raise UserError(f"--sha256 {text}: must be NAME=HEX, NAME one of "
                            f"{', '.join(ARCHIVES)}, HEX 64 hexadecimal digits")
        found[split] = digest.lower()
    return found


@contextmanager
def _alone(order):
    """Locks the folder of downloads, which goes in the end where nothing is left in it."""
    lock = order.folder / "lock"
    with locks.alone(lock, f"{order.root} is being made by another process; wait for its end"):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                order.folder.rmdir()
                order.root.rmdir()


def _is_there(order, split, say):
    """Whether the lists of a split are there, and their sequences pass the check."""
    lists = ARCHIVES[split].lists
    if not all(davis_check.list_path(order.root, name).is_file() for name in lists):
        return False
    report = davis_check.check(order.root, lists)
    if report.faults:
        say(f"{split} is there with {count(len(report.faults), 'fault')}: {report.faults[0]}")
        return False
    say(f"have {split}: {report.summary()}")
    return True


def _refuse_missing(order, wanted):
    missing = [ARCHIVES[split].name for split in wanted if not order.path(split).is_file()]
    if missing:
        raise UserError(f"{order.by_hand} lacks {', '.join(missing)}; put them there, or name "
                        "the splits that you have with --splits")


def _get_split(order, wanted, say):
    """The first of the wanted splits: downloaded, unpacked, checked; its faults, or None."""
    split = wanted[0]
    path = order.path(split)
    if not path.is_file():
        _download(order, wanted, say)
    try:
        _unpack(order, split, say)
    except archives.Damaged as error:
        if order.by_hand:
            raise UserError(f"{error}; download it anew") from error
        path.unlink()
        raise UserError(f"{error}; it is deleted, run again to download it anew, or give "
                        "another address with --from") from error
    report = davis_check.check(order.root, ARCHIVES[split].lists)
    if report.faults:
        return (f"{split} is unpacked, but has {count(len(report.faults), 'fault')}: "
                f"{report.faults[0]}")
    say(f"unpacked {split}: {report.summary()}")
    done = [] if order.by_hand or order.keep else [path]
    for left in [*done, *order.folder.glob(f"{path.name}.part*")]:
        left.unlink()
    return None


def _download(order, wanted, say):
    """Downloads the archive of the first of the wanted splits.  Raises UserError."""
    url = order.url(wanted[0])
    say(f"downloading {url}")
    try:
        # Images hardly shrink in a zip: unpacked, they need about as much again.
        download.download(url, order.path(wanted[0]), also_needed=lambda length: length)
    except download.Unreachable as error:
        names = ", ".join(ARCHIVES[split].name for split in wanted)
        command = _tool("get", order, "--archives", "FOLDER", "--splits", *wanted)
        raise UserError(f"{error}; run again later, or download {names} by hand from "
                        f"{order.base} into a folder and run: {command}") from error


def _unpack(order, split, say):
    """Unpacks the archive of a split, and records its sha256.  Raises as archives.unpack()."""
    path = order.path(split)
    names = set(map(str, archives.members(path, TREE)))
    for name in ARCHIVES[split].lists:
        if f"ImageSets/2017/{name}.txt" not in names:
            raise UserError(f"{path}: wrong file, it has no {TREE.top}/ImageSets/2017/{name}.txt, "
                            f"so it is not {split}; delete it")
    record = order.root / RECORD
    with open(path, "rb") as file:
        seen = hashlib.file_digest(file, "sha256").hexdigest()
    say(f"sha256 {seen} {path.name}")
    known = _read_record(record)
    _refuse_sha256(order, split, seen, known.get(path.name))
    archives.unpack(path, TREE, order.root, order.folder / f"{path.name}.unpacked")
    if known.get(path.name) != seen:
        files.write_text(record, json.dumps({**known, path.name: seen}, indent=1) + "\n")


def _refuse_sha256(order, split, seen, before):
    """Raises UserError where an archive has not the sha256 that is due.

    before: that of last time, or None.
    """
    path = order.path(split)
    due = (order.sha256 or {}).get(split) or ARCHIVES[split].sha256
    if due and seen != due:
        raise UserError(f"{path}: wrong file, its sha256 is {seen}, not {due}; delete it and run "
                        "again, or correct --sha256")
    if not due and before not in (None, seen) and not order.accept_changed:
        raise UserError(f"{path}: its sha256 is {seen}, but was {before} last time "
                        f"({order.root / RECORD}); take it with --accept-changed, or delete it")


def _read_record(path):
    """{file name: sha256} of <root>/archives.json.  Raises UserError where it is none."""
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_text())
        if all(re.fullmatch("[0-9a-f]{64}", digest) for digest in known.values()):
            return known
    except (ValueError, AttributeError, TypeError):
        pass
    raise UserError(f"{path} does not hold the sha256 of archives; delete it")


def _tool(command, order, *words):
    """A command line of tools/davis.py for the same data set, quoted."""
    where = [] if order.root == cli.DEFAULT_DATA else ["--root", order.root]
    return shlex.join(map(str, ["python", "tools/davis.py", command, *where, *words]))

