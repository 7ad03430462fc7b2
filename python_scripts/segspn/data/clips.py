"""Clips, frame by frame: videos, and folders of images."""

from functools import cached_property
from pathlib import Path

import numpy as np

from segspn import files
from segspn.data import frame_order
from segspn.data.videos import Video
from segspn.errors import UserError


def open_clip(path, leave_out=None):
    """The Video or ImageFolder at `path`; leave_out: a file of the folder that is no frame.

    Raises UserError where there is neither file nor folder.
    """
    path = Path(path)
    return ImageFolder(path, leave_out) if path.is_dir() else Video(path)


def at_rate(times, fps):
    """Indices of the frames that give `fps` a second, each once: int64, in order.

    times: s, of the frames, in order; at most small steps back.  Chosen are those nearest
    to 0, 1/fps, 2/fps, … s after the first.  Where frames are further apart than
    that, all of them.
    """
    times = np.maximum.accumulate(np.asarray(times, float) - times[0])
    gaps = np.diff(times)
    if not gaps.size or (np.ptp(gaps) < 0.002 and fps * gaps.mean() >= 1):
        return np.arange(len(times))  # constant, but for rounding to ms, and slow enough
    # Half way to the next frame, that one becomes the nearer.
    ends = times + np.append(gaps, gaps[-1]) / 2
    reached = np.floor(ends * fps + 1e-6)
    return np.flatnonzero(np.diff(reached, prepend=-1) > 0)


class ImageFolder:
    """The images of a folder, in natural order (segspn.data.frame_order).

    Raises UserError where there is none, two are of one name, or the order is not clear.
    """

    stored = None  # size of the files' pixels, where it is another than that of the frames

    def __init__(self, path, leave_out=None):
        self.path = Path(path)
        self.notes = []  # for the user, on what was read
        leave_out = leave_out and Path(leave_out).resolve()
        images = {p.stem: p for p in files.one_a_stem([
            p for p in files.images_in(self.path) if p.is_file() and p.resolve() != leave_out])}
        self._images = [images[name] for name in frame_order.in_order(images, self.path)]
        if not self._images:
            raise UserError(f"folder {path} has no images ({', '.join(files.IMAGES)})")

    def times(self, last=None):
        """None, for each image up to number `last`: when they were taken is not known."""
        return [None] * len(self._images[:None if last is None else last + 1])

    def read(self, numbers):
        """Yields the images of these numbers, uint8, H x W x 3 BGR.  Raises UserError."""
        for number in numbers:
            image = files.read_deep_image(self._images[number])
            yield image if image.dtype == np.uint8 else (image >> self._shift).astype(np.uint8)

    @cached_property
    def _shift(self):
        """How far the values of images with 16 bits go down; their greatest says how many count."""
        greatest = max(int(image.max()) for image in map(files.read_deep_image, self._images)
                       if image.dtype == np.uint16)
        bits = next(bits for bits in (8, 10, 12, 14, 16) if greatest < 1 << bits)
        self.notes.append(f"the images have 16 bits, their greatest value is {greatest}: "
                          f"taken as values of {bits} bits")
        return bits - 8
