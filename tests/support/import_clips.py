"""Clips for tests, whose frames carry their number as bars that survive compression."""

import subprocess

import cv2
import imageio_ffmpeg
import numpy as np
from PIL import Image

from segspn import files
from segspn.data import davis

BITS, SIZE = 8, (96, 128)
CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".webm": "VP80"}


def frame(number, size=SIZE):
    """uint8, H x W x 3: the bits of a number as grey bars, the highest on the left."""
    bits = [number >> bit & 1 for bit in reversed(range(BITS))]
    bars = np.repeat(np.array(bits, np.uint8) * 200 + 25, size[1] // BITS)
    return np.dstack([np.tile(bars, (size[0], 1))] * 3)


def number_of(image):
    """The number in a frame, of any size, and with its left side on top as well."""
    rows = [image[:, :, 1].mean(axis=0), image[:, :, 1].mean(axis=1)]
    bars = max(rows, key=np.ptp)
    values = [part.mean() > 128 for part in np.array_split(bars, BITS)]
    return int("".join("01"[int(value)] for value in values), 2)


def numbers_in(clip, numbers):
    """The numbers in these frames of a clip."""
    return [number_of(image) for image in clip.read(numbers)]


def write_clip(path, count=20, fps=25, size=SIZE):
    """A video of `count` frames; a GIF has `fps` milliseconds a frame, or a list of them."""
    images = [frame(number, size) for number in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        first, *others = map(Image.fromarray, images)
        first.save(path, save_all=True, append_images=others, duration=fps, disposal=1)
        return path
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(
        *CODECS[path.suffix]), fps, size[::-1])
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


def ffmpeg(*arguments):
    """Runs the bundled ffmpeg; its last argument, the file that it writes."""
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *map(str, arguments)],
                   check=True, timeout=60)
    return arguments[-1]


def encoded(path, images, *options, fps=25):
    """A video of images, uint8, H x W x 3 BGR, that the bundled ffmpeg codes with these options."""
    height, width = images[0].shape[:2]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo",
                    "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-",
                    *map(str, options), path], input=b"".join(map(bytes, images)), check=True,
                   timeout=60)
    return path


def turned(path, degrees):
    """A copy of a video that is flagged to be turned, as a phone does."""
    return ffmpeg("-display_rotation", degrees, "-i", path, "-c", "copy",
                  path.with_name(f"turned{path.suffix}"))


def write_folder(path, names, size=SIZE):
    """A folder of images with these names, numbered as they stand."""
    for number, name in enumerate(names):
        files.write_image(path / name, frame(number, size))
    return path


def labels(size=SIZE):
    """Object ids: 1 and 2, and void beside 2."""
    plane = np.zeros(size, np.uint8)
    height, width = size
    plane[height // 4:height // 2, width // 4:width // 2] = 1
    plane[height // 2:height * 3 // 4, width // 2:width * 3 // 4] = 2
    plane[height // 2:height * 3 // 4, width * 3 // 4:width * 3 // 4 + 3] = davis.VOID
    return plane


def write_mask(path, size=SIZE):
    davis.write_labels(path, labels(size))
    return path
