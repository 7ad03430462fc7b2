"""Whether a data set in the layout of DAVIS 2017 is whole: lists, frames, annotations.

The layout is that of Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object
Segmentation" (arXiv 1704.00675): ImageSets/2017/<list>.txt names sequences,
JPEGImages/480p/<sequence>/00000.jpg … are its frames, Annotations/480p/<sequence>/00000.png
the object ids of the first, or of all.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from segspn import files
from segspn.data import davis
from segspn.data.sequences import HEADER, Sequence, judged, look_at, some
from segspn.errors import UserError, count, refuse

SEQUENCES = {"train": 60, "val": 30, "test-dev": 30, "test-challenge": 30}  # of DAVIS 2017
FOLDERS = (davis.IMAGES, davis.ANNOTATIONS, davis.LISTS)


@dataclass(frozen=True)
class Report:
    """What was found of a data set.

    faults: what a later step would fail on; notes: what it would not; those of its
    sequences are among them.
    """

    sequences: tuple[Sequence, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    def summary(self):
        """One line."""
        frames, annotated = (sum(getattr(one, field) for one in self.sequences)
                             for field in ("frames", "annotated"))
        faults = count(len(self.faults), "fault") if self.faults else "all is well"
        return (f"{count(len(self.sequences), 'sequence')}, {count(frames, 'frame')}, "
                f"{count(annotated, 'annotation')}: {faults}")

    def table(self):
        """(header, rows), texts; a row a sequence."""
        return HEADER, [one.row() for one in self.sequences]


def check(root, lists=None, full=False):
    """Checks the sequences of some lists (all that there are), with a progress bar: a Report.

    full: decodes every frame, instead of its header.  Raises UserError for a bad name of
    a list; what is wrong with the data set is in the report.
    """
    root = Path(root)
    present = [path.stem for path in files.images_in(root / davis.LISTS, ".txt")
               if path.suffix == ".txt"]
    faults = [f"folder {folder} is missing" for folder in FOLDERS if not (root / folder).is_dir()]
    if not present and lists is None:
        faults.append(f"{davis.LISTS} has no list")
    owners, notes = {}, []
    for name in dict.fromkeys(present if lists is None else lists):
        names, list_faults = _read_list(root, name)
        faults += list_faults
        notes += _length_notes(name, names)
        for sequence in names:
            owners.setdefault(sequence, []).append(name)
    sequences = found(root, owners, full)
    faults += [fault for one in sequences for fault in one.faults]
    notes += [note for one in sequences for note in one.notes()]
    notes += _notes_on_all(root, sequences, present, lists is None)
    return Report(sequences, tuple(faults), tuple(notes))


def check_sequences(data, names, due=None):
    """Raises UserError for what a step would fail on in the files of these sequences.

    data: a davis.Davis; due: {sequence: names of the frames that must be annotated} of those of
    which it is not the first one.  Of a frame only its header and its end are looked at; ids and
    frames may have gaps.
    """
    looked = found(data.root, dict.fromkeys(names, ()), strict=False, due=due)
    refuse([f"{data.root}: {fault}" for one in looked for fault in one.faults])


def check_pairs(data, pairs):
    """The same of (frame, annotation) paths, each pair for itself: those of an image list."""
    paths = list(dict.fromkeys(path for pair in pairs for path in pair))
    looks = dict(zip(paths, _looks(data.root, paths, full=False)))
    faults = [f"{data.root}: {look.fault}" for look in looks.values() if look.fault]
    refuse(faults + [
        f"annotation {annotation} is not of the size of its frame"
        for frame, annotation in dict.fromkeys(pairs)
        if None not in (looks[frame].size, looks[annotation].size)
        and looks[frame].size != looks[annotation].size])


def found(root, owners, full=False, strict=True, due=None):
    """The Sequences of {name: [lists]}, by name.

    full: of check(); strict, due: of judged(), and by name.
    """
    found = {name: (files.images_in(root / davis.IMAGES / name),
                    files.images_in(root / davis.ANNOTATIONS / name, ".png"))
             for name in sorted(owners)}
    paths = [path for frames, annotations in found.values() for path in [*frames, *annotations]]
    looks = iter(_looks(root, paths, full))
    return tuple(judged(name, tuple(owners[name]), frames, annotations,
                        {path: next(looks) for path in [*frames, *annotations]}, strict,
                        (due or {}).get(name, [davis.FRAME_0]))
                 for name, (frames, annotations) in found.items())


def _looks(root, paths, full):
    """[Look] of files, on all cores: decoding and checksums hold no lock of Python's."""
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        return list(tqdm(pool.map(partial(look_at, root, full=full), paths), total=len(paths),
                         desc="check", unit="file", dynamic_ncols=True, leave=False,
                         disable=None))
    finally:
        pool.shutdown(cancel_futures=True)


# ---------------------------------------------------------------------- lists

def _read_list(root, name):
    """(the sequences that a list names, its faults)."""
    path = davis.list_path(root, name)
    where = f"list {davis.LISTS}/{path.name}"
    try:
        lines = davis.read_list(path)
    except UserError as error:
        return [], [str(error).replace(f"{root}/", "")]
    faults, names = [] if lines else [f"{where} is empty"], []
    for line in lines:
        try:
            names.append(davis.checked_sequence(line, "sequence"))
        except UserError as error:
            faults.append(f"{where}: {error}")
    unique = list(dict.fromkeys(names))
    faults += [f"{where}: {sequence} is named {names.count(sequence)} times"
               for sequence in unique if names.count(sequence) > 1]
    if name == "test-challenge":
        faults += [f"{where}: {sequence} is not of DAVIS 2017 test-challenge"
                   for sequence in unique if sequence not in davis.TEST_CHALLENGE]
    return unique, faults


def _length_notes(name, names):
    due = SEQUENCES.get(name, len(names))
    return [f"list {name} has {count(len(names), 'sequence')}, that of DAVIS 2017 {due}"
            ] if names and len(names) != due else []


def _notes_on_all(root, sequences, present, all_lists):
    """Notes on more than one sequence."""
    notes = []
    single = [one.name for one in sequences if one.frames == 1]
    if single:
        notes.append(f"{count(len(single), 'sequence')} of a single frame: {some(single)}")
    absent = [name for name in SEQUENCES if name not in present]
    if absent and all_lists:
        notes.append(f"lists of DAVIS 2017 that are not here: {', '.join(absent)}")
    listed = {name for one in present for name in _read_list(root, one)[0]}
    other = sorted({path.name for folder in FOLDERS[:2] if (root / folder).is_dir()
                    for path in (root / folder).iterdir()
                    if path.is_dir() and not files.is_hidden(path)} - listed)
    if other:
        notes.append(f"{count(len(other), 'folder')} in no list: {some(other)}")
    return notes
