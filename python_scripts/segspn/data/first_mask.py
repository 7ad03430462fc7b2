"""Masks of a first frame, as painting programs and annotation tools write them, to object ids."""

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segspn import files
from segspn.data import davis
from segspn.errors import UserError

MOST_IDS = 254  # 0 is background, 255 void
MANY_OBJECTS = 10  # each has a net of its own to be trained
FEW_PIXELS = 16
MANY_THIN = 10  # values without a 3 x 3 block, as soft edges have them
COLOURED = ("RGB", "RGBA", "LA", "PA")  # modes of Pillow


@dataclass(frozen=True)
class Mask:
    """Object ids of a mask file, uint8, H x W, 255 void; colours: [(RGB, id)] of those given."""

    path: Path
    ids: np.ndarray
    colours: tuple = ()
    notes: tuple = ()  # for the user, a line each


def read_mask(path):
    """The Mask of a PNG: ids, if indexed or grey; else a colour an object.

    Indexed and grey ones are read as annotations (davis.read_annotation).  Of coloured
    ones, black and transparent are background; colours of the DAVIS palette have its ids;
    where there are others, ids are 1, 2, … as colours appear, row by row.
    Raises UserError for another kind of file, soft edges, and a mask without objects.
    """
    path = Path(path)
    image = _opened(path)
    if image.mode in COLOURED:
        mask = _of_colours(path, np.array(image.convert("RGBA")))
    else:
        mask = Mask(path, davis.read_annotation(path), notes=_palette_notes(image))
        _check_edges(mask.ids, path)
    if not davis.objects_of(mask.ids):
        raise UserError(f"mask {path} has no object: all of it is background (0, black, "
                        "transparent) or void (255)")
    return mask


def _opened(path):
    """The image in a PNG, loaded.  Raises UserError."""
    data = files.existing_file(path, "mask").read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind = image.format
            image.verify()  # the checksums, which load() leaves unread
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"mask {path} is corrupt or not an image; give a PNG") from error
    if kind != "PNG":
        why = ", which changes colours along borders" if kind in ("JPEG", "MPO", "WEBP") else ""
        raise UserError(f"mask {path} is a {kind}{why}; save it as PNG from where it was drawn")
    return image


def _palette_notes(image):
    first = image.mode == "P" and image.getpalette("RGB")[:3]
    if not first or first == [0, 0, 0]:
        return ()
    return (f"index 0 of the mask, which is background, has the colour {hexadecimal(first)}, not "
            "black: see the preview",)


def _of_colours(path, rgba):
    """The Mask of colours, uint8, H x W x 4."""
    red, green, blue, alpha = np.moveaxis(rgba.astype(np.uint32), -1, 0)
    codes = np.where(alpha > 0, red << 16 | green << 8 | blue, 0)
    _check_edges(np.where(alpha > 0, alpha << 24 | codes, 0), path)
    found, at, inverse = np.unique(codes, return_index=True, return_inverse=True)
    known = {int(r) << 16 | int(g) << 8 | int(b): k
             for k, (r, g, b) in enumerate(davis.palette())}
    if all(code in known for code in found.tolist()):
        id_of = known
    else:
        order = [code for code in found[np.argsort(at)].tolist() if code]
        id_of = {0: 0, **{code: k for k, code in enumerate(order, 1)}}
    ids = np.array([id_of[code] for code in found.tolist()], np.uint8)[inverse]
    colours = () if id_of is known else tuple(
        (tuple(code.to_bytes(3, "big")), k) for code, k in id_of.items() if code)
    return Mask(path, ids.reshape(codes.shape), colours)


def _check_edges(values, path):
    """Raises UserError where the values of a plane, H x W, are those of soft edges.

    They are more than there are ids, or mostly such as are nowhere 3 px wide and high.
    """
    found, plane, counts = np.unique(values, return_inverse=True, return_counts=True)
    plane = plane.reshape(values.shape).astype(np.float32)  # exact, and what OpenCV erodes
    block = np.ones((3, 3), np.uint8)
    inside = cv2.erode(plane, block) == cv2.dilate(plane, block)
    thin = len(found) - len(np.unique(plane[inside]))
    if np.count_nonzero(found) > MOST_IDS or (thin > MANY_THIN and 2 * thin > len(found)):
        small = np.count_nonzero(counts < FEW_PIXELS)
        raise UserError(
            f"mask {path} has {len(found)} colours, {small} of them on fewer than {FEW_PIXELS} "
            f"px, {thin} nowhere 3 px wide: these are soft edges; save it without antialiasing, "
            "drawn with a hard brush, one colour an object")


def fitted(mask, source, size, number):
    """Ids of a Mask at `size`, for frame `number` of a clip, of `source`; both (height, width).

    A mask of `size` stays; one of the aspect of `source`, within 1 %, is resized.
    Raises UserError for another one, and where an object is lost.
    """
    height, width = mask.ids.shape
    if (height, width) == size:
        return mask.ids
    if abs(width / height / (source[1] / source[0]) - 1) > 0.01:
        raise UserError(f"mask {mask.path} is {width}x{height}, and frame {number} of the clip, "
                        f"which it must be of, {source[1]}x{source[0]}; give one of this aspect")
    ids = cv2.resize(mask.ids, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    lost = sorted(set(davis.objects_of(mask.ids)) - set(davis.objects_of(ids)))
    if lost:
        raise UserError(f"object {lost[0]} of mask {mask.path} is so small that nothing is left "
                        f"of it at {size[1]}x{size[0]}; remove it, or give a greater --size")
    return ids


def areas(ids):
    """{object: px} of object ids."""
    counts = np.bincount(ids.ravel(), minlength=256)
    return {k: int(counts[k]) for k in davis.objects_of(ids)}


def notes(areas):
    """What is uncommon about objects of these areas, {object: px}: lines for the user."""
    ids, lines = list(areas), []
    gaps = sorted(set(range(1, max(ids))) - set(ids))
    if gaps:
        lines.append(f"the ids have gaps: no object {', '.join(map(str, gaps))}")
    if len(ids) > MANY_OBJECTS:
        lines.append(f"{len(ids)} objects: each has a net of its own to be trained")
    lines += [f"object {k} has no more than {px} px: too few to learn from, or a soft edge?"
              for k, px in areas.items() if px < FEW_PIXELS]
    return lines


def hexadecimal(rgb):
    """RGB as in CSS: "#e5483c"."""
    return "#" + bytes(map(int, rgb)).hex()
