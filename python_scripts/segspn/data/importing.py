"""Videos of one's own into DAVIS layout: frames, the first annotation, and a list of one."""

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
from tqdm import tqdm

from segspn import files
from segspn.data import clips, davis, first_mask
from segspn.data.staging import Staging
from segspn.errors import UserError, count

HEIGHT = 480  # px, of frames that were higher
SMALLEST, GREATEST = 32, 8192  # px a side; the nets have no smaller input
MOST_FRAMES = 100_000  # their names have five digits
QUALITY = 95  # of the JPEGs
VIDEOS = files.ROOT / "data/videos"


@dataclass(frozen=True)
class Order:
    """What to import.  Raises UserError for what cannot be.

    clip: video, or folder of images; mask: PNG of its objects in frame `first`, None where
    none is drawn yet; name: of the sequence in the data set at `data`; fps: frames a second
    to keep, None for all; size: (height, width), None for HEIGHT at most; first, last: frame
    numbers of the clip, from 0, both included, last None for its end; force: whether a
    sequence of this name is replaced; background, void: as of first_mask.read_mask().
    """

    clip: Path
    mask: Path | None
    name: str
    data: Path = VIDEOS
    fps: float | None = None
    size: tuple | None = None
    first: int = 0
    last: int | None = None
    force: bool = False
    background: str | None = None
    void: str | None = None

    def __post_init__(self):
        davis.checked_sequence(self.name)
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UserError(f"--fps must be above 0 and at most 1000, not {self.fps:g}")
        if self.size and not SMALLEST <= min(self.size) <= max(self.size) <= GREATEST:
            raise UserError(f"--size must be from {SMALLEST} to {GREATEST} px a side, not "
                            f"{self.size[0]}x{self.size[1]}")
        if self.last is not None and self.last < self.first:
            raise UserError(f"--range {self.first}:{self.last} ends before it begins")

    @property
    def frames(self):
        return self.data / davis.IMAGES / self.name

    @property
    def annotations(self):
        return self.data / davis.ANNOTATIONS / self.name

    @property
    def listing(self):
        return davis.list_path(self.data, self.name)


def make_command(target, data, video):
    """The command line of make for a video of the data set at `data`, as a user would type it."""
    path = Path(os.path.normpath(files.PYTHON_SCRIPTS / files.from_scripts(data)))
    shown = path.relative_to(files.ROOT) if path.is_relative_to(files.ROOT) else path
    named = [] if path == VIDEOS else [f"DATA={shown}".replace("$", "$$")]
    return shlex.join(["make", target, f"VIDEO={video}", *named])


@dataclass(frozen=True)
class Imported:
    """What an import made; sizes are (height, width)."""

    numbers: list  # of the clip's frames that were taken
    fps: float | None  # None where the clip has no times
    source: tuple
    size: tuple
    areas: dict  # {object: px}
    colours: tuple  # [(RGB, object)] of a coloured mask
    notes: list  # for the user, a line each


def import_clip(order):
    """Brings the clip of an Order into its data set, all of it or nothing: an Imported.

    Raises UserError.
    """
    check_place(order)
    clip = clips.open_clip(order.clip, leave_out=order.mask)
    mask = order.mask and first_mask.read_mask(order.mask, order.background, order.void)
    times = clip.times(order.last)
    numbers = chosen(order, times)
    first = next(clip.read(numbers[:1]))
    size = order.size or default_size(first.shape[:2], order.clip)
    ids = mask and _fitted(mask, clip.stored, first.shape[:2], size, order.first)
    with Staging([order.annotations, order.listing, order.frames]) as staged:
        check_free(order, order.frames, order.annotations)  # once more: both are restored now
        if mask:
            davis.write_labels(staged[0] / "00000.png", ids)
        else:
            staged[0].mkdir()
        files.write_text(staged[1], f"{order.name}\n")
        write_frames(staged[2], clip, numbers, size, order.name)
    made = Imported(numbers, rate(times, numbers), first.shape[:2], size, {}, (), clip.notes)
    return _with_mask(made, mask, ids) if mask else made


def _fitted(mask, stored, shape, size, number):
    """Ids of a mask that may be drawn on the clip's frames as stored, or as shown."""
    return first_mask.fitted(mask, stored if mask.ids.shape == stored else shape, size, number)


def _with_mask(made, mask, ids):
    areas = first_mask.areas(ids)
    return replace(made, areas=areas, colours=mask.colours, notes=[
        *made.notes, *mask.notes, *davis.void_notes(ids), *first_mask.notes(areas)])


def import_once(order):
    """import_clip(), but None where a sequence of this name is there.  Raises UserError."""
    return None if order.frames.is_dir() and not order.force else import_clip(order)


def name_of(clip):
    """The name that a sequence gets from its clip's file: ~/Holiday 1.mp4 is Holiday-1."""
    stem = Path(os.path.abspath(clip)).stem
    return re.sub("[^A-Za-z0-9_.]+", "-", stem).strip("-.")[:100] or "clip"


def check_place(order):
    """Raises UserError where an Order would overwrite what it may not."""
    files.check_writable(order.data)
    check_free(order, order.frames)
    if order.listing.is_file() and davis.read_list(order.listing) != [order.name]:
        raise UserError(f"{order.listing} is a list of other videos; give another --video")


def check_free(order, *folders):
    there = next((path for path in folders if os.path.lexists(path)), None)
    if there and not order.force:
        raise UserError(f"{there} exists; give another --video, or --force to replace it")


def chosen(order, times):
    """Numbers of the frames that an Order takes of a clip with these times.  Raises UserError."""
    last = len(times) - 1 if order.last is None else order.last
    if max(order.first, last) >= len(times):
        raise UserError(f"--range {order.first}:{'' if order.last is None else order.last} is "
                        f"outside {order.clip}, which has the frames 0 to {len(times) - 1}"
                        if times else f"{order.clip} has no frames that can be decoded")
    numbers = list(range(order.first, last + 1))
    if order.fps is not None:
        times = times[order.first:last + 1]
        if None in times:
            raise UserError(f"the frames of {order.clip} have no times: leave --fps out")
        numbers = [order.first + int(i) for i in clips.at_rate(times, order.fps)]
    if not 2 <= len(numbers) <= MOST_FRAMES:
        raise UserError(f"{count(len(numbers), 'frame')} of {order.clip} would remain; "
                        f"a video has from 2 to {MOST_FRAMES}: change --range or --fps")
    return numbers


def rate(times, numbers):
    """Frames a second of the frames of these numbers; None where they have no times."""
    first, last = times[numbers[0]], times[numbers[-1]]
    if first is None or last is None or last <= first:
        return None
    return (len(numbers) - 1) / (last - first)


def default_size(shape, clip):
    """(height, width) of frames of this shape when nobody says: HEIGHT, or less."""
    height, width = shape
    size = (height, width) if height <= HEIGHT else (HEIGHT, round(width * HEIGHT / height))
    if min(size) < SMALLEST:
        raise UserError(f"frames of {clip}, {width}x{height}, would be {size[1]}x{size[0]}; they "
                        f"must be at least {SMALLEST} px a side: give --size")
    return size


def write_frames(folder, clip, numbers, size, what):
    """Writes the frames of these numbers as 00000.jpg, …  Raises UserError where sizes differ."""
    shape = None
    images = tqdm(clip.read(numbers), desc=what, unit="frame", total=len(numbers))
    for index, image in enumerate(images):
        shape = shape or image.shape
        if image.shape != shape:
            raise UserError(f"frame {numbers[index]} of {clip.path} is "
                            f"{image.shape[1]}x{image.shape[0]}, frame {numbers[0]} "
                            f"{shape[1]}x{shape[0]}; they must be of one size")
        write_frame(folder / f"{index:05d}.jpg", image, size)


def write_frame(path, image, size):
    """Writes a frame of a data set: uint8, H x W x 3 BGR, as a JPEG of (height, width)."""
    files.write_image(path, davis.resized(image, size), cv2.IMWRITE_JPEG_QUALITY, QUALITY)
