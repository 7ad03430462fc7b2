"""Clips, frame by frame: videos, and folders of images."""

from pathlib import Path

import numpy as np

from segspn import files
from segspn.data.videos import Video
from segspn.errors import UserError

IMAGES = (".jpg", ".jpeg", ".png")


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
    """The images of a folder, in natural order: 2.jpg before 10.jpg.

    Raises UserError where there is none, or two are of one name.
    """

    notes = ()  # for the user: nothing is done to images
    stored = None  # size of the files' pixels, where it is another than that of the frames

    def __init__(self, path, leave_out=None):
        self.path = Path(path)
        leave_out = leave_out and Path(leave_out).resolve()
        self._images = sorted(
            (p for p in self.path.iterdir() if p.suffix.lower() in IMAGES
             and not files.is_hidden(p) and p.is_file() and p.resolve() != leave_out),
            key=lambda p: files.natural(p.name))
        if not self._images:
            raise UserError(f"folder {path} has no images ({', '.join(IMAGES)})")
        names = {}
        for image in self._images:
            other = names.setdefault(image.stem, image)
            if other != image:
                raise UserError(f"folder {path} has {other.name} and {image.name}: which one is "
                                "the frame?  Keep masks in another folder")

    def times(self, last=None):
        """None, for each image up to number `last`: when they were taken is not known."""
        return [None] * len(self._images[:None if last is None else last + 1])

    def read(self, numbers):
        """Yields the images of these numbers, uint8, H x W x 3 BGR.  Raises UserError."""
        for number in numbers:
            yield files.read_image(self._images[number])
