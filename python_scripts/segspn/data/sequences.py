"""The files of a sequence in DAVIS layout: what is in them, and what is wrong with them.

What is wrong is said in faults, a line each: what a later step would fail on.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from segspn import files
from segspn.data import davis
from segspn.errors import UserError, count

ALL_ANNOTATED = {"train", "val"}  # the other lists have first frames annotated
SHOWN = 5  # names that a line has; it counts the others


@dataclass(frozen=True)
class Sequence:
    """What was found of a sequence.

    lists: that name it; frames, annotated: how many files; size: (width, height) of its
    first frame, or None; modes: of its annotations, "P" (indexed) or "L" (grey); objects:
    ids in the first one; void: whether any has 255; later: ids that only others have.
    """

    name: str
    lists: tuple[str, ...]
    frames: int
    annotated: int
    size: tuple[int, int] | None
    modes: tuple[str, ...]
    objects: tuple[int, ...]
    void: bool
    later: tuple[int, ...]
    faults: tuple[str, ...]

    def notes(self):
        """What a later step would not fail on, a line each."""
        notes = []
        if 1 < self.annotated < self.frames and not ALL_ANNOTATED & set(self.lists):
            notes.append(f"{self.name}: {self.annotated} of {self.frames} frames are annotated")
        if self.later and self.objects:
            notes.append(f"{self.name}: ids that are not in the first annotation are not "
                         f"evaluated: {some(self.later)}")
        return notes

    def row(self):
        """[text], as HEADER says."""
        annotated = ("all" if self.annotated == self.frames else
                     "first" if self.annotated == 1 else str(self.annotated))
        return [self.name, ",".join(self.lists), str(self.frames), annotated,
                size_text(self.size) if self.size else "?", "+".join(self.modes) or "?",
                str(len(self.objects)), "yes" if self.void else "no",
                count(len(self.faults), "fault") if self.faults else "ok"]


HEADER = ("Sequence", "list", "frames", "annotated", "size", "mode", "objects", "void", "state")


# --------------------------------------------------------------- what is in a file

@dataclass(frozen=True)
class Look:
    """What was seen in a file: what is wrong with it, or else its (width, height).

    mode, ids: of an annotation, its Pillow mode and the values that occur.
    """

    fault: str | None = None
    size: tuple[int, int] | None = None
    mode: str = ""
    ids: tuple[int, ...] = ()


def look_at(root, path, full=False):
    """The Look of a file of the data set at `root`: an annotation, or a frame; full: decodes it."""
    try:
        is_annotation = path.is_relative_to(root / davis.ANNOTATIONS)
        return _look_at_annotation(path) if is_annotation else _look_at_frame(path, full)
    except UserError as error:
        return Look(str(error).replace(f"{root}/", ""))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None)
        return Look(f"{path.relative_to(root)} "
                    + (f"cannot be read: {reason}" if reason else "is corrupt or not an image"))


def _look_at_frame(path, full):
    with open(path, "rb") as file, Image.open(file) as image:
        is_plain = image.format == "JPEG" and "exif" not in image.info  # which may turn it
        file.seek(max(0, path.stat().st_size - 1024))
        if is_plain and not full and b"\xff\xd9" in file.read():  # the mark of the end
            return Look(size=image.size)
    return Look(size=files.read_image(path).shape[1::-1])


def _look_at_annotation(path):
    ids = np.flatnonzero(np.bincount(files.read_plane(path, "annotation").ravel()))
    with Image.open(path) as image:
        if image.format != "PNG":
            raise UserError(f"{path} is not a PNG but {image.format}")
        return Look(size=image.size, mode=image.mode, ids=tuple(ids.tolist()))


# ----------------------------------------------------------- what is wrong with them

def judged(name, lists, frames, annotations, looks, strict=True, due=(davis.FRAME_0,)):
    """The Sequence of what was seen.

    frames, annotations: paths, in order; looks: {path: Look} of all of them; strict: whether
    names of frames and ids of objects must be without gaps, as those of DAVIS are; due: names
    of the frames that must be annotated.
    """
    good = {path: look for path, look in looks.items() if not look.fault}
    sizes = {path: good[path].size for path in frames if path in good}
    size = next(iter(sizes.values()), None)
    seen = {path: good[path] for path in annotations if path in good}
    values = {k for look in seen.values() for k in look.ids}
    first = seen[annotations[0]].ids if annotations and annotations[0] in seen else None
    is_mask = bool(seen) and davis.are_masks(seen, values)
    objects = tuple(sorted({1 if is_mask else k for k in first or ()
                            if k and (is_mask or k != davis.VOID)}))
    faults = [*_frame_faults(name, lists, frames, strict),
              *(look.fault for look in looks.values() if look.fault),
              *_size_faults(f"{davis.IMAGES}/{name}", sizes, size),
              *_annotation_faults(name, lists, frames, annotations, due),
              *_size_faults(f"{davis.ANNOTATIONS}/{name}",
                            {path: look.size for path, look in seen.items()}, size),
              *([] if first is None or davis.FRAME_0 not in due
                else _object_faults(name, lists, objects, strict))]
    return Sequence(name, lists, len(frames), len(annotations), size,
                    tuple(sorted({look.mode for look in seen.values()})), objects,
                    davis.VOID in values and not is_mask,
                    tuple(sorted(values - {0, davis.VOID, *objects})), tuple(faults))


def _frame_faults(name, lists, frames, strict):
    """What is wrong with the names of the frames."""
    where, faults = f"{davis.IMAGES}/{name}", []
    if not frames:
        return [f"{where} has no frames (listed in {', '.join(lists)})"]
    twins, ending = files.twins(frames), frames[0].suffix
    if twins:
        faults.append(f"{where}: of one frame: {some(twins)}")
    if not strict:
        return faults
    odd = [path.name for path in frames if not davis.NUMBER.fullmatch(path.stem)]
    gaps = [f"{stem}{ending}" for stem in _gaps(frames)]
    if odd:
        faults.append(f"{where}: names must be 00000{ending}, 00001{ending}, …, not {some(odd)}")
    if gaps:
        faults.append(f"{where}: missing: {some(gaps)}")
    return faults


def _gaps(frames):
    """The stems of frames that are missing before the last one."""
    stems = {path.stem for path in frames if davis.NUMBER.fullmatch(path.stem)}
    return [stem for n in range(int(max(stems, default="0"))) if (stem := f"{n:05}") not in stems]


def _annotation_faults(name, lists, frames, annotations, due):
    """What is wrong with the names of the annotations."""
    where, faults, twins = f"{davis.ANNOTATIONS}/{name}", [], files.twins(annotations)
    stems, annotated = {path.stem for path in frames}, {path.stem for path in annotations}
    due = {*due, *(stems if ALL_ANNOTATED & set(lists) else ())}
    missing = [f"{stem}.png" for stem in sorted(due - annotated)]
    extra = [path.name for path in annotations if path.stem not in stems.union(_gaps(frames))]
    if twins:
        faults.append(f"{where}: of one frame: {some(twins)}")
    if missing:
        faults.append(f"{where}: missing: {some(missing)}")
    if extra and frames:
        faults.append(f"{where}: of no frame: {some(extra)}")
    return faults


def _size_faults(where, sizes, expected):
    """Files of another size than the first frame; sizes: {path: (width, height)}."""
    other = [f"{path.name} ({size_text(size)})" for path, size in sizes.items()
             if expected and size != expected]
    return [f"{where}: not of the size of the first frame, {size_text(expected)}: "
            f"{some(other)}"] if other else []


def _object_faults(name, lists, objects, strict):
    """What is wrong with the ids of a first annotation."""
    where = f"{davis.ANNOTATIONS}/{name}/00000.png"
    if not objects:
        return [f"{where} has no object (no id above 0)"]
    if strict and objects != tuple(range(1, len(objects) + 1)):
        return [f"{where}: ids must be 1, 2, …, not {some(objects)}"]
    due = davis.TEST_CHALLENGE.get(name) if "test-challenge" in lists else None
    return [] if due in (None, len(objects)) else [
        f"{where} has {count(len(objects), 'object')}, DAVIS 2017 test-challenge has {due}"]


def some(names):
    """Names or numbers for a line, SHOWN of them."""
    more = len(names) - SHOWN
    return ", ".join(map(str, names[:SHOWN])) + (f" and {more} more" if more > 0 else "")


def size_text(size):
    return f"{size[0]}x{size[1]}"
