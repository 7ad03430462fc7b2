"""Masks of a first frame, as painting programs and annotation tools write them, to object ids."""

import io
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segspn import files
from segspn.data import davis, soft_edges
from segspn.errors import UserError, count

MOST_IDS = 254  # 0 is background, 255 void
MANY_OBJECTS = 10  # each has a net of its own to be trained
FEW_PIXELS = 16
MANY_THIN = 10  # values without a 3 x 3 block, as soft edges have them
MOST_OF_BORDER = 0.75  # what has more of an image's border may be its background
MOST_COLOURS = 1 << 16  # of soft edges; photographs have more, and take long
RIM = 0.05  # of the height: a rim of void goes no further from its objects
COLOURED, GREY = ("RGB", "RGBA", "LA"), ("L", "1")  # modes of Pillow
CLEAR = -1  # the value of what is transparent
NOTHING = "none"  # as void
# 0xRRGGBB of the DAVIS palette, and their ids.
KNOWN = {int.from_bytes(colour.tobytes(), "big"): k for k, colour in enumerate(davis.palette())}


@dataclass(frozen=True)
class Mask:
    """Object ids of a mask file, uint8, H x W, 255 void; colours: [(RGB, id)] of those given."""

    path: Path
    ids: np.ndarray
    colours: tuple = ()
    notes: tuple = ()  # for the user, a line each


@dataclass(frozen=True)
class Values:
    """What a mask has at its pixels, int, H x W: ids, or colours as 0xRRGGBB; CLEAR."""

    path: Path
    plane: np.ndarray
    are_colours: bool
    is_grey: bool

    def found(self):
        """The values that occur, CLEAR apart, as they appear, row by row."""
        found, at = np.unique(self.plane, return_index=True)
        return [value for value in found[np.argsort(at)].tolist() if value != CLEAR]

    def name(self, value):
        """A value as --background and --void take it, on a command line."""
        if value == CLEAR:
            return "transparent"
        return (shlex.quote(hexadecimal(value.to_bytes(3, "big"))) if self.are_colours
                else str(value))

    def named(self, text, option):
        """The value that an option names.  Raises UserError where the mask has none such."""
        kind = "#[0-9a-fA-F]{6}" if self.are_colours else "[0-9]{1,3}"
        if not re.fullmatch(kind, text):
            raise UserError(f"{option} of mask {self.path} must be "
                            + ("a colour, as '#ffffff'" if self.are_colours else "an id, as 255")
                            + f", not {text!r}")
        value = int(text[1:], 16) if self.are_colours else int(text)
        if value not in (0, *self.found()):
            has = ", ".join(map(self.name, sorted(self.found())[:20]))
            raise UserError(f"{option} {self.name(value)} is not in mask {self.path}, which has "
                            f"{has}")
        return value


def read_mask(path, background=None, void=None):
    """The Mask of a PNG: ids, if indexed or grey; else a colour an object.

    Of ids, 0 is background and 255 void; grey ones of 0 and 255 alone have one object.
    Of coloured masks, and of indexed ones whose index 0 is neither black nor
    transparent, black is background; colours of the DAVIS palette have its ids; where
    there are others, ids are 1, 2, … as colours appear, row by row.  What is transparent
    is background.  Soft edges are read as hard ones (segspn.data.soft_edges).

    background, void: the id ("255") or colour ("#ffffff") that is it instead; void may be
    NOTHING.  Raises UserError for another kind of file, for soft edges that may be
    objects, for what may be background or void and is not named, and for a mask
    without objects.
    """
    path = Path(path)
    values, notes = _values(path, _opened(path), [background, void])
    ground = 0 if background is None else values.named(background, "--background")
    if background is None:
        _check_border(values)
    left_out = _void(values, void, ground)
    id_of = _id_of(values, ground, left_out)
    ids = np.zeros(values.plane.shape, np.uint8)
    for value, k in id_of.items():
        ids[values.plane == value] = k
    if not davis.objects_of(ids):
        raise UserError(f"mask {path} has no object: all of it is background (0, black, "
                        "transparent) or void (255)")
    objects, colours = [(value, k) for value, k in id_of.items() if k not in (0, davis.VOID)], ()
    if values.are_colours and any(KNOWN.get(value) != k for value, k in objects):
        colours = tuple((tuple(value.to_bytes(3, "big")), k) for value, k in objects)
    elif not values.are_colours and len(objects) > 1:
        notes += [f"object {k} has the value {value} in the mask" for value, k in objects
                  if k != value]
    return Mask(path, ids, colours, tuple(notes))


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
    if image.mode not in (*COLOURED, *GREY, "P"):
        raise UserError(f"mask {path} is neither indexed, nor 8-bit grey, nor in colours "
                        f"({image.mode}); save it as one of these")
    return image.convert("L") if image.mode == "1" else image


def _values(path, image, options):
    """(Values of an image, without soft edges, notes); options: the texts that name values."""
    named = [text for text in options if text not in (None, NOTHING)]
    are_colours = image.mode in COLOURED or image.mode == "P" and (
        any(text.startswith("#") for text in named) or not named and not _is_ground(image))
    rgba = np.array(image.convert("RGBA")).astype(np.int64)
    clear = rgba[..., 3] == 0
    rgba[clear] = 0
    codes = rgba @ (1 << 16, 1 << 8, 1, 1 << 24) if are_colours else np.where(
        clear, CLEAR, np.array(image).astype(int))
    found, at, numbers = np.unique(codes, return_index=True, return_inverse=True)
    if len(found) > MOST_COLOURS:
        raise UserError(f"mask {path} has {len(found)} colours, as a photograph has; draw a mask, "
                        "one colour an object")
    numbers = numbers.reshape(clear.shape)
    light = rgba.reshape(-1, 4)[at].astype(float)
    light[:, :3] *= light[:, 3:] / 255  # so what is half transparent is half way to nothing
    light[:, 3] *= 2  # of rims, alpha tells more than a colour, which may have been black before
    spaces = [light] if are_colours else [np.maximum(found, 0)[:, None].astype(float)]
    spaces += [light] if image.mode == "P" and not are_colours else []
    values = np.where(found == 0, CLEAR, found & 0xffffff) if are_colours else found
    soft = Values(path, values[numbers], are_colours, image.mode == "L")
    numbers, notes = _hardened(path, numbers, spaces, lambda n: soft.name(int(values[n])))
    return replace(soft, plane=values[numbers]), notes


def _is_ground(image):
    """Whether index 0 of an indexed image is black or transparent."""
    first = Image.new("P", (1, 1))
    first.putpalette(image.getpalette("RGB"))
    first.info = image.info
    *colour, alpha = first.convert("RGBA").getpixel((0, 0))
    return alpha == 0 or not any(colour)


def _hardened(path, numbers, spaces, name):
    """(numbers without soft edges, notes).  Raises UserError where that is not all of them.

    spaces: floats, numbers x channels, in which edges may lie between their sides.
    """
    found = np.unique(numbers)
    notes = []
    for space in spaces:
        hard, between = soft_edges.hardened(numbers, space)
        changed = hard != numbers
        if changed.any():
            names = list(dict.fromkeys(map(name, between)))
            values = count(len(np.unique(numbers[changed])), "value")
            where = (f"between {', '.join(names[:-1])} and {names[-1]} were given to the nearest "
                     "of these" if len(names) > 1 else f"around {names[0]} were given to it")
            notes.append(f"soft edges: {np.count_nonzero(changed)} px of {values} {where}")
        numbers = hard
    left = np.unique(numbers)
    thin = np.setdiff1d(left, numbers[soft_edges.blocks(numbers)])
    if len(left) > MOST_IDS + 1 or (notes and len(thin)) or (
            len(thin) > MANY_THIN and 2 * len(thin) > len(left)):
        small = np.count_nonzero(np.bincount(numbers.ravel())[left] < FEW_PIXELS)
        raise UserError(
            f"mask {path} has {len(found)} colours, {small} of them on fewer than {FEW_PIXELS} "
            f"px, {len(thin)} nowhere 3 px wide: these are soft edges; save it without "
            "antialiasing, drawn with a hard brush, one colour an object")
    return numbers, notes


def _check_border(values):
    """Raises UserError where nearly all of the border is of a value other than 0."""
    plane = values.plane
    border = np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])
    found, counts = np.unique(border, return_counts=True)
    value, share = int(found[counts.argmax()]), counts.max() / len(border)
    if value not in (0, CLEAR) and share > MOST_OF_BORDER:
        name = values.name(value)
        raise UserError(
            f"{name} has {share:.0%} of the border of mask {values.path}, as a background has: "
            f"if it is that, give --background {name}; if it is an object, "
            f"--background {values.name(0)}")


def _void(values, wanted, ground):
    """The value that is void, or None.  Raises UserError where it may be an object."""
    if wanted is not None:
        return None if wanted == NOTHING else values.named(wanted, "--void")
    found = set(values.found())
    if values.is_grey and found <= {0, davis.VOID}:
        return None
    void = int.from_bytes(davis.palette()[davis.VOID].tobytes(), "big")
    void = davis.VOID if not values.are_colours else void if found <= set(KNOWN) else None
    if void not in found - {ground}:
        return None
    _check_void(values, void, ground)
    return void


def _check_void(values, void, ground):
    """Raises UserError where void is not a rim of objects, but may be one."""
    is_void = (values.plane == void)
    objects = ~is_void & (values.plane != ground) & (values.plane != CLEAR)
    far = np.inf
    if objects.any():
        distances = cv2.distanceTransform((~objects).astype(np.uint8), cv2.DIST_L2, 5)
        number, parts = cv2.connectedComponents(is_void.astype(np.uint8))
        apart = [n for n in range(1, number) if distances[parts == n].min() >= 2]
        far = np.inf if apart else distances[is_void].max()
    if far > RIM * len(values.plane):
        name = values.name(void)
        raise UserError(
            f"mask {values.path} has {np.count_nonzero(is_void)} px of {name} that are no rim of "
            f"objects, as void is: give --void {name} if they count for nothing, "
            f"--void {NOTHING} if they are an object")


def _id_of(values, ground, void):
    """{value: id} of all values that occur."""
    found = values.found()
    if not values.are_colours:
        id_of = {value: value for value in found}
    elif set(found) <= set(KNOWN):
        id_of = {value: KNOWN[value] for value in found}
    else:
        id_of = dict.fromkeys(found, 0)
    id_of.update({ground: 0, void: davis.VOID} if void is not None else {ground: 0})
    homeless = [value for value in found if value not in (ground, void)
                and id_of[value] in (0, davis.VOID)]
    free = sorted(set(range(1, davis.VOID)) - {id_of[value] for value in found})
    if len(homeless) > len(free):
        raise UserError(f"mask {values.path} has more than {MOST_IDS} objects")
    return {**id_of, **dict(zip(homeless, free))}


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
    edges = [0, *ids]
    gaps = [f"{a + 1}" if b - a == 2 else f"{a + 1}–{b - 1}"
            for a, b in zip(edges, edges[1:]) if b - a > 1]
    if gaps:
        lines.append(f"the ids have gaps: no object {', '.join(gaps)}")
    if len(ids) > MANY_OBJECTS:
        lines.append(f"{len(ids)} objects: each has a net of its own to be trained")
    lines += [f"object {k} has no more than {px} px: too few to learn from, or a soft edge?"
              for k, px in areas.items() if px < FEW_PIXELS]
    return lines


def hexadecimal(rgb):
    """RGB as in CSS: "#e5483c"."""
    return "#" + bytes(map(int, rgb)).hex()
