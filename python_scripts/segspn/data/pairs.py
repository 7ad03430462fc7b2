"""Folders of image and mask pairs: images/<name>.jpg or .png, and masks/<name>.png.

A mask is grey: 255 object, 0 background, all between counts for nothing (borders that nobody
drew, soft edges); or indexed, with ids as in DAVIS.  A list in the folder names some of the pairs,
a line each.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segspn import files
from segspn.data import davis
from segspn.errors import UserError

IMAGES, MASKS = "images", "masks"
TRAIN, VALIDATION = "train.txt", "val.txt"  # lists that are taken where none is named


def read_mask(path):
    """Object ids of a mask, uint8, H x W: 0, 1 and 255, which is void; of indexed ones its own.

    Raises UserError, also where nothing is as white as an object is to be.
    """
    plane = files.read_plane(path, "mask")
    with Image.open(path) as image:
        if image.mode == "P":
            return plane
    if 0 < plane.max() < 100:
        raise UserError(f"mask {path} has no value above {plane.max()}: an object is 255, "
                        "background 0, and what lies between counts for nothing")
    ids = np.full(plane.shape, davis.VOID, np.uint8)
    ids[plane == 0], ids[plane == 255] = 0, 1
    return ids


@dataclass(frozen=True)
class Pairs:
    """A folder of pairs at `root`, with what training asks of a davis.Davis."""

    root: Path

    def __post_init__(self):
        object.__setattr__(self, "root", Path(self.root))

    def all(self):
        """[(image, mask)] paths of all pairs, in order of their names.  Raises UserError."""
        images = files.one_a_stem(files.images_in(self.root / IMAGES))
        return self._with_masks(images, self.root / IMAGES)

    def listed(self, name):
        """[(image, mask)] paths of a list file, relative to the root.  Raises UserError."""
        path = self.root / name
        by_name = {image.stem: image for image in
                   files.one_a_stem(files.images_in(self.root / IMAGES))}
        lines = davis.read_list(path)
        missing = next((line for line in lines if line not in by_name), None)
        if missing:
            raise UserError(f"list {path} names {missing}, which is no image in "
                            f"{self.root / IMAGES}")
        return self._with_masks([by_name[line] for line in lines], path)

    def _with_masks(self, images, where):
        pairs = [(image, self.root / MASKS / f"{image.stem}.png") for image in images]
        missing = next((mask for _, mask in pairs if not mask.is_file()), None)
        if missing or not pairs:
            raise UserError(f"{missing} does not exist: every image needs a mask of its name"
                            if missing else f"{where} has no image")
        return pairs

    @staticmethod
    def pair(image_path, mask_path):
        """(image, ids) of two files: uint8 H x W x 3 BGR and uint8 H x W, of one size."""
        return davis.of_one_size(image_path, mask_path, read_mask(mask_path))


def data_set(root):
    """The Pairs, or the davis.Davis, at `root`.  Raises UserError where there is neither."""
    is_pairs = all((Path(root) / name).is_dir() for name in (IMAGES, MASKS))
    return Pairs(root) if is_pairs else davis.Davis(root)


def images_of(data, lists):
    """[(image, annotation)] paths of lists of a data set; of a folder of pairs without any, all.

    Raises UserError.
    """
    if not lists:
        if not isinstance(data, Pairs):
            raise UserError(f"{data.root}: name lists of images to train on")
        return data.all()
    return listed(data, lists)


def listed(data, names):
    """[(image, annotation)] paths of all of these lists of a data set.  Raises UserError."""
    return [pair for name in names for pair in data.listed(name)]


def generic_lists(data, lists=None, validation=None):
    """(lists, validation) of a generic training, where the user names some or none of them."""
    if not isinstance(data, Pairs):
        return tuple(lists or davis.TRAIN_LISTS), tuple(validation or ())
    if lists is None and (data.root / TRAIN).is_file():
        lists = (TRAIN,)
        if validation is None and (data.root / VALIDATION).is_file():
            validation = (VALIDATION,)
    return tuple(lists or ()), tuple(validation or ())
