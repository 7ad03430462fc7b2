"""Clips, frame by frame: video files as OpenCV reads them, and folders of images."""

import os
import re
import subprocess
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from tqdm import tqdm

from segspn import files
from segspn.data import frame_order
from segspn.errors import UserError

# FFmpeg inside OpenCV would print its findings on stderr; Video.times() tells them.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

STAMP = re.compile(r"<(-?\d+) (\d+)/(\d+)>\n")  # a frame: its time, and the unit of it, s


def open_clip(path, leave_out=None):
    """The Video or ImageFolder at `path`; leave_out: a file of the folder that is no frame.

    Raises UserError where it is neither.
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


class Video:
    """A video file.  Raises UserError where OpenCV cannot read it."""

    def __init__(self, path):
        self.path, self.notes = files.existing_file(path, "video"), []
        with closing_capture(self.path) as video:
            count = video.get(cv2.CAP_PROP_FRAME_COUNT)  # often an estimate, or nonsense
        self._estimate = int(count) if 0 < count < 1e8 else None

    def times(self, last=None):
        """Seconds of all frames up to number `last`.

        The bundled ffmpeg decodes them, since OpenCV passes over damage in silence.
        Raises UserError where the video is damaged, or ends early.
        """
        times, total = [], self._estimate if last is None else last + 1
        with (tqdm(desc="check", unit="frame", total=total) as bar,
              closing(decoded(self.path)) as reports):
            for seconds, finding in reports:
                if finding:
                    raise UserError(
                        f"video {self.path} is cut off or damaged at about frame {len(times)} "
                        f"({finding}); take frames well before that with --range, or mend it: "
                        "ffmpeg -i VIDEO mended.mp4")
                times.append(seconds)
                bar.update()
                if last is not None and len(times) > last:
                    break
        return times

    def read(self, numbers):
        """Yields the frames of these numbers, which rise: uint8, H x W x 3 BGR, turned upright.

        Raises UserError where the video ends before.
        """
        at = -1
        with closing_capture(self.path) as video:
            for number in numbers:
                image = None
                while at < number and video.grab():
                    at += 1
                if at == number:
                    _, image = video.retrieve()
                if image is None:
                    raise UserError(f"OpenCV reads {self.path} only up to frame {at}, not "
                                    f"{number}; run make setup for the pinned OpenCV")
                yield image


@contextmanager
def closing_capture(path):
    """OpenCV's reader of a video file, released in the end.  Raises UserError."""
    log = cv2.utils.logging
    level = log.setLogLevel(log.LOG_LEVEL_SILENT)  # what is wrong is said below
    try:
        # Absolute: a name like "a:b" would be taken for a protocol.
        video = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    finally:
        log.setLogLevel(level)
    try:
        if not video.isOpened():
            raise UserError(f"{path} is not a video that OpenCV can read, or is cut off; "
                            "give an mp4, mov, avi, webm or gif, or a folder of images")
        yield video
    finally:
        video.release()


def decoded(path):
    """Has ffmpeg decode a video: yields (seconds, None) a frame, (None, text) where it is damaged.

    Raises UserError where there is no ffmpeg.
    """
    # Frames and findings come by one pipe, so that they are in order.
    command = ["-nostdin", "-nostats", "-v", "error", "-xerror", "-i", os.path.abspath(path),
               "-map", "0:v:0", "-fps_mode", "passthrough", "-stats_enc_pre", "pipe:2",
               "-stats_enc_pre_fmt", "<{pts} {tb}>", "-f", "null", "-"]
    try:
        process = subprocess.Popen([imageio_ffmpeg.get_ffmpeg_exe(), *command],
                                   stderr=subprocess.PIPE, text=True, errors="replace")
    except (OSError, RuntimeError) as error:
        raise UserError(f"ffmpeg does not run: {error}; run make setup") from error
    try:
        text = ""
        for line in process.stderr:
            if stamp := STAMP.search(line):
                text += line[:stamp.start()]  # of a finding that it came in the middle of
                ticks, numerator, denominator = map(int, stamp.groups())
                yield ticks * numerator / denominator, None
                continue
            finding, text = (text + line).strip(), ""
            # Not of the video is what the output "null" says: it wants no two frames at one time.
            if finding and not finding.startswith("[null "):
                yield None, re.sub(r"^(\[[^]]*\] )+", "", finding)
        if process.wait():
            yield None, f"ffmpeg ended with status {process.returncode}"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
