"""The DAVIS layout on disk: its paths, its lists, its annotations, and what names may be."""

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segspn import files
from segspn.errors import UserError

# Folders of a data set: <sequence>/<frame>.jpg or .png, <sequence>/<frame>.png, <list>.txt.
IMAGES, ANNOTATIONS, LISTS = "JPEGImages/480p", "Annotations/480p", "ImageSets/2017"
NUMBER = re.compile("[0-9]{5}")  # the name of a frame
FRAME_0 = "00000"  # that of the first
VOID = 255  # annotation value of pixels that count for nothing

TRAIN_LISTS = (f"{LISTS}/train.txt", f"{LISTS}/val.txt")  # of the generic training
# Objects a sequence of DAVIS 2017 test-challenge.
TEST_CHALLENGE = {
    "bike-trial": 2, "boxing": 3, "burnout": 1, "choreography": 7, "demolition": 3, "dive-in": 1,
    "dog-control": 5, "dolphins": 6, "e-bike": 2, "grass-chopper": 4, "hurdles": 3,
    "inflatable": 3, "juggle": 4, "kart-turn": 4, "kids-turning": 2, "lions": 3,
    "mbike-santa": 2, "monkeys": 2, "ocean-birds": 2, "pole-vault": 2, "running": 2, "selfie": 5,
    "skydive": 3, "speed-skating": 3, "swing-boy": 2, "tackle": 3, "turtle": 1,
    "varanus-tree": 2, "vietnam": 7, "wings-turn": 3}


def checked_sequence(name, what="video"):
    """`name`, if files can have it and a command line can, anywhere.  Raises UserError."""
    if not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
        raise UserError(f"{what} name {name!r} must be a plain folder name of at most 100 letters, "
                        "digits, '.', '_' and '-' (of ASCII), not beginning with '.' or '-'")
    return name


def list_path(root, name):
    """The file of a list of the data set at `root`.  Raises UserError for a bad name."""
    return Path(root) / LISTS / f"{checked_sequence(name, 'list')}.txt"


def read_list(path):
    """The lines of a list, without empty ones and comments (#).  Raises UserError for no text."""
    try:
        lines = files.read_text(files.existing_file(path, "list")).splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"list {path} is not UTF-8 text") from error
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def listed_sequences(root, name):
    """The sequences that a list of the data set at `root` names.  Raises UserError."""
    path = list_path(root, name)
    return [checked_sequence(line, f"list {path}: sequence")
            for line in dict.fromkeys(read_list(path))]


def palette():
    """The DAVIS palette (that of PASCAL VOC): uint8, 256 x 3, RGB, a row an object id."""
    ids = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            is_set = (ids >> (3 * bit + channel)) & 1
            colours[:, channel] |= (is_set << (7 - bit)).astype(np.uint8)
    return colours


def read_annotation(path):
    """Object ids of an annotation PNG, uint8, H x W; 255 is void.  Raises UserError.

    A grey PNG of nothing but 0 and 255, as those of DAVIS 2016 are, has object 1 at 255.
    """
    ids = files.read_plane(path, "annotation")
    with Image.open(path) as image:
        if image.mode == "L" and np.isin(ids, (0, VOID)).all():
            ids = (ids == VOID).astype(np.uint8)
    return ids


def are_masks(paths, ids=None):
    """Whether the annotations of a sequence are masks, as those of DAVIS 2016: object 1 at 255.

    paths: all of its annotations; ids: what occurs in them, read from them where None.
    They are where nothing but 0 and 255 occurs, and a grey file has 255; in a
    sequence with other ids, a frame of 255 alone is void.
    """
    paths = list(paths)
    ids = ids or (k for path in paths for k in np.unique(files.read_plane(path, "annotation")))
    return all(k in (0, VOID) for k in ids) and any(objects_of(read_annotation(path))
                                                    for path in paths)


def read_ids(path, is_mask):
    """Object ids of an annotation, uint8, H x W.  is_mask: are_masks() of its sequence."""
    return read_annotation(path) if is_mask else files.read_plane(path, "annotation")


def write_labels(path, labels):
    """Writes object ids (uint8, H x W) as an indexed PNG with the DAVIS palette."""
    image = Image.fromarray(labels)
    image.putpalette(palette().tobytes())
    with files.whole_file(path) as temporary:
        image.save(temporary, format="PNG")


def objects_of(annotation):
    """The object ids that an annotation has, in order, void apart; [] for an empty one."""
    return [int(k) for k in np.unique(annotation) if k not in (0, VOID)]


def void_notes(annotation):
    """[how many pixels of an annotation are void], a line for the user; [] for none."""
    void = np.count_nonzero(annotation == VOID)
    return [f"void ({VOID}): {void} px are left out"] if void else []


def number_of_objects(first):
    """How many objects a sequence has, by its first annotation: the greatest id but 255."""
    return max(objects_of(first), default=0)


@dataclass(frozen=True)
class Davis:
    """A data set in DAVIS layout at `root`."""

    root: Path

    def __post_init__(self):
        object.__setattr__(self, "root", Path(self.root))
        files.check_link(self.images)
        if not self.images.is_dir():
            raise UserError(f"{self.root} is not a data set in DAVIS layout: "
                            f"{self.images} is missing; give the folder with --data")

    @property
    def images(self):
        return self.root / IMAGES

    @property
    def annotations(self):
        return self.root / ANNOTATIONS

    def sequences(self):
        """Names of all sequences, sorted."""
        return sorted(p.name for p in self.images.iterdir()
                      if p.is_dir() and not files.is_hidden(p))

    def frames(self, sequence):
        """Paths of the frames of a sequence, in order.  Raises UserError where it has none."""
        folder = self.images / checked_sequence(sequence)
        frames = files.one_a_stem(files.images_in(folder))
        if not frames and folder.is_dir():
            raise UserError(f"video {sequence!r} has no frames ({', '.join(files.IMAGES)}) "
                            f"in {folder}")
        if not frames:
            names = ", ".join(self.sequences())
            raise UserError(f"video {sequence!r} has no frames in {self.images}; "
                            f"there are: {names if len(names) < 400 else names[:400] + '…'}")
        odd = [path for path in frames if not NUMBER.fullmatch(path.stem)]
        if odd and len(odd) < len(frames):  # where all are, they are of a layout of their own
            raise UserError(f"{odd[0]} is not named as the frames beside it, 00000.jpg, "
                            "00001.jpg, …; move it to another folder")
        return frames

    def annotated(self, sequence):
        """{frame: path} of the annotations of a sequence, in order.  Raises UserError."""
        folder = self.annotations / checked_sequence(sequence)
        return {path.stem: path for path in files.one_a_stem(files.images_in(folder, ".png"))}

    def annotation(self, sequence, frame=FRAME_0):
        """Path of the annotation of a frame, also where it is not there.  Raises UserError."""
        return self.annotated(sequence).get(frame, self.annotations / sequence / f"{frame}.png")

    def first_frame(self, sequence):
        """(frame, annotation) of frame 0: uint8 H x W x 3 BGR and uint8 H x W ids.

        Raises UserError where one is missing, unreadable, or of another size.
        """
        first = self.frames(sequence)[0]
        if first.stem != FRAME_0:
            raise UserError(
                f"frame 0 of {sequence} is missing: {first.parent / '00000.jpg'} (the first is "
                f"{first.name}; tools/import_video.py brings a folder of images into this layout)")
        return self.pair(first, self.annotation(sequence))

    @staticmethod
    def pair(frame_path, annotation_path):
        """(frame, annotation) of two files, checked to be of one size."""
        return of_one_size(frame_path, annotation_path, read_annotation(annotation_path))

    def first_objects(self, sequence):
        """Object ids of the first annotation.  Raises UserError where there is none."""
        path = self.annotation(sequence)
        objects = objects_of(read_annotation(path))
        if not objects:
            raise UserError(f"annotation {path} is empty: it has no object (no id above 0)")
        return objects

    def listed(self, name):
        """(frame, annotation) paths of a list file, relative to the root.

        A line is a sequence (DAVIS 2017) or a frame and its annotation (DAVIS
        2016).  Raises UserError for a missing list, and for a sequence or a
        file that is not there.
        """
        path, pairs = self.root / name, []
        for line in read_list(path):
            fields = line.split()
            if len(fields) == 1:
                there, folder = self.annotated(fields[0]), self.annotations / fields[0]
                pairs += [(frame, there.get(frame.stem, folder / f"{frame.stem}.png"))
                          for frame in self.frames(fields[0])]
            elif len(fields) == 2:
                pairs.append(tuple(self.root / field.lstrip("/") for field in fields))
            else:
                raise UserError(f"list {path}: not a sequence or two paths: {line!r}")
        missing = next((p for pair in pairs for p in pair if not p.is_file()), None)
        if missing or not pairs:
            raise UserError(f"{path} names {missing}, which does not exist" if missing
                            else f"list {path} is empty")
        return pairs


def of_one_size(frame_path, annotation_path, annotation):
    """(frame, annotation), read and checked to be of one size.  Raises UserError."""
    frame = files.read_image(frame_path)
    if frame.shape[:2] != annotation.shape:
        raise UserError(
            f"annotation {annotation_path} is {annotation.shape[1]}x{annotation.shape[0]}, "
            f"its frame {frame.shape[1]}x{frame.shape[0]}; they must be of one size")
    return frame, annotation


def resized(image, size):
    """`image` at (height, width): area-averaged when it shrinks, else bilinear; same if equal."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    shrinks = height < image.shape[0] and width < image.shape[1]
    return cv2.resize(image, (width, height),
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
