"""Planes of object ids as they travel between page and server: runs of equal pixels.

Row by row, a run is one little-endian uint32: its length times 256, plus its value.  A stroke of
a mask is some kB, so that a page that is being closed can still send it.
"""

import numpy as np

from segspn.errors import UserError

LONGEST = 1 << 23  # px of a run; longer ones are several


def packed(plane):
    """The bytes of a uint8 plane, H x W."""
    flat = np.ascontiguousarray(plane, np.uint8).ravel()
    starts = np.union1d(np.arange(0, flat.size, LONGEST), np.flatnonzero(np.diff(flat)) + 1)
    lengths = np.diff(np.append(starts, flat.size))
    return (lengths << 8 | flat[starts]).astype("<u4").tobytes()


def unpacked(data, shape):
    """The plane of some bytes, uint8, of shape (height, width).  Raises UserError."""
    height, width = shape
    if len(data) % 4 or len(data) > 4 * height * width:
        raise UserError("what the page sent is no mask; reload it")
    runs = np.frombuffer(data, "<u4")
    lengths = (runs >> 8).astype(np.int64)
    if lengths.sum() != height * width:
        raise UserError(f"the page sent a mask of {lengths.sum()} px, the frame has "
                        f"{width}x{height}; reload the page")
    return np.repeat((runs & 255).astype(np.uint8), lengths).reshape(height, width)
