"""A data set in DAVIS layout of synthetic videos, with the exact labels of every frame."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.synthetic import scenes

STAMP = "synthetic.json"  # what the set is made from
VERSION = 1  # of what one seed gives; count it up with every change of that
QUALITY = 95  # of the JPEGs
MOST_FRAMES = 100_000  # a sequence: its names have five digits


@dataclass(frozen=True)
class Recipe:
    """What a set is made from; sizes in px.  Raises UserError for what cannot be made."""

    seed: int = 0
    size: tuple = (240, 427)
    objects: int = 2
    frames: int = 25
    names: str = "synthetic"
    listing: str = "train"

    def __post_init__(self):
        scenes.check(self.size, self.objects)
        for name, what in (self.names, "sequence"), (self.listing, "list"):
            davis.checked_sequence(name, what)
        if self.seed < 0:
            raise UserError(f"seed must be 0 or more, not {self.seed}")
        if not 1 <= self.frames <= MOST_FRAMES:
            raise UserError(f"frames must be from 1 to {MOST_FRAMES}, not {self.frames}")

    def sequence(self, index):
        """The name of a sequence."""
        return f"{self.names}-{index:04d}"

    def text(self):
        """What the stamp of a set holds."""
        return json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True) + "\n"


def claim(root, recipe):
    """Makes `root` the folder of a recipe.

    Raises UserError where it has files of something else, or was made by another recipe.
    """
    root, stamp = Path(root), Path(root) / STAMP
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is not a folder; give another one")
    if stamp.is_file():
        if stamp.read_text() != recipe.text():
            raise UserError(f"{root} was made with other settings, {stamp.read_text().strip()}; "
                            "give those, or another folder")
    elif root.is_dir() and any(not files.is_hidden(path) for path in root.iterdir()):
        raise UserError(f"{root} has files that are not of a synthetic set (no {STAMP}); "
                        "give another folder")
    else:
        files.write_text(stamp, recipe.text())


def paths_of(root, recipe, index):
    """[(image, annotation)] of the frames of a sequence, as they are to be."""
    name = recipe.sequence(index)
    return [(Path(root) / davis.IMAGES / name / f"{number:05d}.jpg",
             Path(root) / davis.ANNOTATIONS / name / f"{number:05d}.png")
            for number in range(recipe.frames)]


def write_sequence(root, recipe, index):
    """Writes the frames of a sequence that are not there; yields after each frame, made or not."""
    for number, (image_path, label_path) in enumerate(paths_of(root, recipe, index)):
        if not (image_path.is_file() and label_path.is_file()):
            image, labels = scenes.frame(recipe.seed, index, number, recipe.size,
                                         recipe.objects)
            davis.write_labels(label_path, labels)
            files.write_image(image_path, image, cv2.IMWRITE_JPEG_QUALITY, QUALITY)
        yield image_path


def write(root, recipe, sequences):
    """Writes what is missing of the first `sequences` sequences, and their list.

    An iterator over the frames, made or not.  Raises UserError as claim(), at once.
    """
    claim(root, recipe)
    return _written(root, recipe, sequences)


def _written(root, recipe, sequences):
    for index in range(sequences):
        yield from write_sequence(root, recipe, index)
    files.write_text(davis.list_path(root, recipe.listing),
                     "".join(f"{recipe.sequence(k)}\n" for k in range(sequences)))
