"""The annotated frames of a video: which are learned from, and what each says of which object.

Annotations/480p/<video>/ holds PNGs of object ids for some of the frames, as in YouTube-VOS (Xu
et al., arXiv 1809.03327).  One may hold some objects only: an id's first PNG is where it appears,
later ones correct it.  Of an object that it does not hold, a PNG says nothing, unless complete.txt
beside the PNGs names its frame (a line each): there, what is not drawn is not there.  objects.txt
may give the objects names, as "1 rider", a line each.
"""

import re
from dataclasses import dataclass

from segspn import files
from segspn.data import davis
from segspn.errors import UserError

FIRST, ALL = "first", "all"  # choices of annotated frames, beside a list of their names
COMPLETE, NAMES = "complete.txt", "objects.txt"
LONGEST_NAME = 60  # letters of an object's name


def complete(data, video):
    """Names of the frames that complete.txt of a video has, in order; () without the file."""
    path = data.annotations / davis.checked_sequence(video) / COMPLETE
    return tuple(dict.fromkeys(davis.read_list(path))) if path.is_file() else ()


def write_complete(data, video, frames):
    """Writes complete.txt; removes it where there are no frames."""
    _write_lines(data.annotations / davis.checked_sequence(video) / COMPLETE, sorted(frames))


def names(data, video):
    """{object id: name} of objects.txt; {} without the file.  Raises UserError."""
    path = data.annotations / davis.checked_sequence(video) / NAMES
    lines = davis.read_list(path) if path.is_file() else []
    found = [re.fullmatch(r"(\d{1,3})\s+(\S.*)", line) for line in lines]
    for line, match in zip(lines, found):
        if not match or not 0 < int(match[1]) < davis.VOID:
            raise UserError(f"{path}: a line is an id from 1 to 254 and a name, not {line!r}")
    return {int(match[1]): match[2][:LONGEST_NAME] for match in found}


def write_names(data, video, names_of):
    """Writes objects.txt of {object id: name}; removes it where there are none."""
    _write_lines(data.annotations / davis.checked_sequence(video) / NAMES,
                 [f"{k} {' '.join(name.split())[:LONGEST_NAME]}"
                  for k, name in sorted(names_of.items()) if name.strip()])


def _write_lines(path, lines):
    if lines:
        files.write_text(path, "".join(f"{line}\n" for line in lines))
    else:
        path.unlink(missing_ok=True)


def chosen(data, video, choice=FIRST):
    """Names of the annotated frames that a choice stands for, in order.

    choice: FIRST, the first frame, ALL that have a PNG, or a list of names.  Raises UserError
    where one of them has no frame or no PNG.
    """
    there, stems = data.annotated(video), [path.stem for path in data.frames(video)]
    folder = data.annotations / video
    if choice == FIRST:
        return stems[:1]
    if other := sorted(set(there) - set(stems)):
        raise UserError(f"annotation {there[other[0]]} is of no frame of {video}; move it away")
    wanted = list(there) if choice == ALL else list(choice)
    for stem in wanted:
        if stem not in there:
            raise UserError(f"frame {stem} of {video} is to be learned from, but "
                            f"{folder / stem}.png does not exist; there are: "
                            f"{', '.join(there) or 'none'}")
    if not wanted:
        raise UserError(f"no frame of {video} is annotated: {folder} has no PNG; draw one with "
                        f"make annotate VIDEO={video}")
    return [stem for stem in stems if stem in wanted]


@dataclass(frozen=True)
class Annotations:
    """What the annotated frames of a video say.

    ids       {frame: object ids, uint8 H x W, 255 void}, in order of the frames
    complete  frames of which all is drawn that is there
    """

    ids: dict
    complete: frozenset = frozenset()

    @classmethod
    def read(cls, data, video, choice=FIRST):
        """Those of a choice, each checked to be of its frame's size; they have an object.

        Raises UserError.
        """
        frames = {path.stem: path for path in data.frames(video)}
        if choice == FIRST:
            ids = data.first_frame(video)[1]
            data.first_objects(video)  # checked to have one
            return cls({next(iter(frames)): ids})
        is_complete, ids = frozenset(complete(data, video)), {}
        if other := sorted(is_complete - set(frames)):
            raise UserError(f"{data.annotations / video / COMPLETE} names {other[0]}, which is no "
                            f"frame of {video}")
        for stem in chosen(data, video, choice):
            path = data.annotation(video, stem)
            ids[stem] = data.pair(frames[stem], path)[1]
            if not davis.objects_of(ids[stem]) and stem not in is_complete:
                raise UserError(f"annotation {path} is empty: it has no object (no id above 0); "
                                f"delete it, or name {stem} in {COMPLETE} beside it where no "
                                "object is to be seen")
        found = cls(ids, is_complete)
        if not found.objects:
            raise UserError(f"the annotations of {video} have no object (no id above 0)")
        return found

    @property
    def frames(self):
        """Their names, in order."""
        return tuple(self.ids)

    @property
    def objects(self):
        """Ids of all objects, in ascending order."""
        return sorted({k for ids in self.ids.values() for k in davis.objects_of(ids)})

    def drawing(self, k=None):
        """Frames in which an object, or any of them, is drawn, in order."""
        return [stem for stem, ids in self.ids.items()
                if (davis.objects_of(ids) if k is None else (ids == k).any())]

    def first(self, k=None):
        """The first of these."""
        return self.drawing(k)[0]

    def saying(self, k):
        """Frames that say where an object is, or that it is not there, in order."""
        return [stem for stem, ids in self.ids.items()
                if stem in self.complete or (ids == k).any()]

    def is_ground_known(self, stem):
        """Whether what has no id in a frame is background, for all objects.

        It is in a complete frame, and in one that has all objects that were drawn so far.
        """
        until = self.frames[:self.frames.index(stem) + 1]
        drawn = {k for other in until for k in davis.objects_of(self.ids[other])}
        return stem in self.complete or drawn == set(davis.objects_of(self.ids[stem]))


def notes(data, video, objects):
    """What to know of the ids of a video that are drawn, a line each, for the user."""
    lines = []
    if undrawn := sorted(set(names(data, video)) - set(objects)):
        lines.append(f"{NAMES} names {', '.join(map(str, undrawn))}, drawn in no frame that is "
                     "learned from")
    if gaps := sorted(set(range(1, max(objects) + 1)) - set(objects)):
        lines.append(f"its ids go up to {max(objects)}, without {', '.join(map(str, gaps))}")
    return lines


def check_object(data, video, k, alone=False):
    """Raises UserError where no annotation of a video has this object.

    alone: also where the first that has it has others.
    """
    there = data.annotated(video)
    first = data.first_objects(video) if davis.FRAME_0 in there else []
    drawn = (davis.objects_of(davis.read_annotation(path)) for path in there.values())
    together = first if k in first else next((ids for ids in drawn if k in ids), None)
    if together is None:
        raise UserError(f"object {k} is in no annotation of {video}; the first has "
                        f"{first or 'no object'}")
    if alone and together != [k]:
        raise UserError(f"{video} has objects {', '.join(map(str, together))}: its foreground has "
                        "a net of its own, whose masks infer_test_fgbg.py makes")
