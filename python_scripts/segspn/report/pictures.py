"""Pictures of a report, as small files: a frame, and layers to lay over it.

Layers are indexed PNGs whose palette has colour and opacity, so a browser only
has to draw them over the frame.  All arrays are uint8, H x W unless said.
"""

import io

import cv2
import numpy as np
from PIL import Image

from segspn.data import davis, morphology
from segspn.errors import UserError
from segspn.report import overlay

SHORT_SIDE = 480  # px at most, of the pictures in the page
QUALITY = 80  # of the frames' JPEG
LEVELS = 32  # of a score map
TINT = 110  # opacity of an object's colour over the frame, of 255
ERRORS = [("false positive", (255, 84, 44)), ("false negative", (52, 130, 255)),
          ("wrong object", (255, 205, 40)), ("void", (128, 128, 128))]
SHADE = 200  # opacity of the background in a foreground mask, of 255

# In hue as davis.palette(), but bright enough for a dark page, and dark enough for a white one.
COLOURS = [(229, 72, 60), (52, 164, 84), (196, 154, 20), (66, 124, 236), (178, 88, 208),
           (22, 160, 164), (236, 124, 40), (222, 88, 150), (146, 104, 66), (112, 190, 60)]


def colour(k):
    """RGB of object k, 1, 2, …; ten colours, then again from the first."""
    return COLOURS[(k - 1) % len(COLOURS)]


def hexadecimal(rgb):
    """RGB as in CSS: "#e5483c"."""
    return "#" + bytes(map(int, rgb)).hex()


def shown_size(shape):
    """(height, width) in the page of frames of (height, width): no short side above SHORT_SIDE."""
    scale = min(1, SHORT_SIDE / min(shape))
    return tuple(max(1, round(scale * length)) for length in shape)


def frame_jpeg(frame, size):
    """JPEG of a frame (H x W x 3, BGR), at (height, width)."""
    encoded, data = cv2.imencode(".jpg", davis.resized(frame, size), [
        cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    if not encoded:
        raise UserError("could not encode a frame as JPEG")
    return data.tobytes()


def indexed_png(plane, palette):
    """PNG of indices with their RGBA, a row (0 to 255 each) an index, at most 256."""
    palette = np.asarray(palette, np.uint8)
    image = Image.fromarray(plane).convert("P")
    image.putpalette(palette[:, :3].tobytes())
    file = io.BytesIO()
    bits = next(bits for bits in (1, 2, 4, 8) if len(palette) <= 1 << bits)
    image.save(file, format="PNG", bits=bits, transparency=palette[:, 3].tobytes(),
               compress_level=9)
    return file.getvalue()


def nearest(plane, size):
    """A plane of ids at (height, width)."""
    return plane if plane.shape == tuple(size) else cv2.resize(
        plane, size[::-1], interpolation=cv2.INTER_NEAREST)


def outlined(ids):
    """bool, H x W: pixels along a border between ids."""
    return morphology.near_other(ids, overlay.OUTLINE)


def labels_png(labels, size):
    """Objects in their colours, with an outline; background and void are clear."""
    labels = nearest(np.where(labels == davis.VOID, 0, labels).astype(np.uint8), size)
    ids = [int(k) for k in np.unique(labels) if k]
    row_of = np.zeros(256, np.uint8)
    row_of[ids] = np.arange(len(ids)) + 1
    plane = row_of[labels]
    palette = [(0, 0, 0, 0), *((*colour(k), TINT) for k in ids)]
    if 2 * len(ids) < 256:
        plane[outlined(labels) & (labels > 0)] += np.uint8(len(ids))
        palette += [(*colour(k), 255) for k in ids]
    return indexed_png(plane, palette)


def errors_png(labels, truth, size):
    """Where labels differ from the ground truth, in the colours of ERRORS; the rest is clear.

    Void is background, as in the figures: an object there is a false positive.
    """
    labels, is_void = np.where(labels == davis.VOID, 0, labels), truth == davis.VOID
    plane = np.select([is_void & (labels == 0), labels == truth, is_void | (truth == 0),
                       labels == 0], [4, 0, 1, 2], 3).astype(np.uint8)
    return indexed_png(nearest(plane, size),
                       [(0, 0, 0, 0), *((*rgb, 190) for _, rgb in ERRORS[:3]),
                        (*ERRORS[3][1], 110)])


def foreground_png(foreground, size):
    """A mask (bool) that darkens the background, with a white outline."""
    mask = nearest(foreground.astype(np.uint8), size)
    return indexed_png(np.where(outlined(mask) & (mask > 0), 2, mask).astype(np.uint8),
                       [(0, 0, 0, SHADE), (0, 0, 0, 0), (255, 255, 255, 255)])


def score_colours():
    """RGB of the LEVELS of a score, 0 to 1: uint8, LEVELS x 3."""
    ramp = np.linspace(0, 255, LEVELS).round().astype(np.uint8)[None]
    return cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)[0, :, ::-1]


def scores_png(scores, size):
    """A score map (0 to 255) in LEVELS colours."""
    steps = np.rint(davis.resized(scores, size) * ((LEVELS - 1) / 255)).astype(np.uint8)
    opaque = np.full((LEVELS, 1), 255, np.uint8)
    return indexed_png(steps, np.hstack([score_colours(), opaque]))


def legend():
    """What the colours mean, for the page."""
    return {"errors": [[text, hexadecimal(rgb)] for text, rgb in ERRORS],
            "scores": [hexadecimal(rgb) for rgb in score_colours()]}


