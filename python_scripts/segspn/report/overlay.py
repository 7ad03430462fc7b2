"""Pictures of a segmentation: tinted frames, a contact sheet, a video."""

import itertools
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

from segspn import files
from segspn.data import davis, frame_order, morphology
from segspn.errors import UserError

OUTLINE = 2  # px, inside the object, in its full colour
EDGE = 1  # px, white, inside the outline: the palette is dark, and so are many frames
GAP = 4  # px between the tiles of a contact sheet


def tint(frame, labels, strength=0.5):
    """`frame` with its objects tinted and outlined in the DAVIS colours: uint8, H x W x 3, BGR.

    frame: uint8, H x W x 3, BGR.  labels: uint8, H x W, object ids; pixels of
    0 and 255 (void) stay as they are.  strength: share of the colour, 0 to 1.
    Raises UserError where the two do not fit together.
    """
    checked_frame(frame)
    if labels.dtype != np.uint8 or labels.shape != frame.shape[:2]:
        raise UserError(f"labels are {described(labels)}, their frame {described(frame)}; "
                        "they must be 8-bit ids of the frame's size")
    if not 0 <= strength <= 1:
        raise UserError(f"strength of the tint must be from 0 to 1, not {strength}")
    objects = (labels != 0) & (labels != davis.VOID)
    colours = davis.palette()[labels][..., ::-1]  # the palette is RGB
    outline = objects & morphology.near_other(labels, OUTLINE)
    edge = objects & ~outline & morphology.near_other(labels, OUTLINE + EDGE)
    blend = cv2.addWeighted(frame, 1 - strength, np.ascontiguousarray(colours), strength, 0)
    result = np.where(objects[..., None], blend, frame)
    result[edge] = 255
    result[outline] = colours[outline]
    return result


def contact_sheet(images, columns, width, captions=None):
    """A grid of `images`, row by row: uint8, H x `width` x 3, BGR.

    images: uint8, H x W x 3, BGR, all of one size.  columns: tiles a row, at
    most.  width: px of the whole sheet.  captions: a text a tile; the number
    of the image by default.  Raises UserError for no or differing images.
    """
    images = list(images)
    captions = range(len(images)) if captions is None else list(captions)
    if not images or columns < 1:
        raise UserError("a contact sheet needs at least one image and one column")
    if len(captions) != len(images):
        raise UserError(f"{len(captions)} captions for {len(images)} images")
    columns = min(columns, len(images))
    tile_width = (width - GAP * (columns - 1)) // columns
    tile_height = round(tile_width * images[0].shape[0] / images[0].shape[1])
    if min(tile_width, tile_height) < 1:
        raise UserError(f"a contact sheet {width} px wide is too narrow for {columns} columns")
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (tile_height + GAP) - GAP, width, 3), 255, np.uint8)
    for number, (image, caption) in enumerate(zip(images, captions)):
        top = number // columns * (tile_height + GAP)
        left = number % columns * (tile_width + GAP)
        tile = davis.resized(checked_frame(image, images[0]), (tile_height, tile_width)).copy()
        write_caption(tile, str(caption))
        sheet[top:top + tile_height, left:left + tile_width] = tile
    return sheet


def write_caption(image, text):
    """Writes `text` into the lower left corner of `image`, white with a dark rim."""
    scale = max(image.shape[0] / 360, 0.3)
    place = (round(10 * scale), image.shape[0] - round(12 * scale))
    for colour, thickness in ((0, 0, 0), 4), ((255, 255, 255), 1):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour,
                    max(1, round(thickness * scale)), cv2.LINE_AA)


def spread(count, tiles):
    """`tiles` indices, evenly spaced from the first to the last of `count`; all if it is fewer."""
    if tiles < 1:
        raise UserError(f"a contact sheet needs at least one tile, not {tiles}")
    return sorted({round(i) for i in np.linspace(0, count - 1, min(tiles, count))})


def write_video(path, frames, fps):
    """Writes an H.264 mp4 (yuv420p, which every player knows); returns the number of frames.

    frames: an iterable of uint8, H x W x 3, BGR, all of one size; an odd size
    grows by a repeated row or column, since yuv420p has none.  fps: frames a
    second.  Raises UserError for no or differing frames, a name without .mp4,
    or where ffmpeg fails; then `path` stays as it was.
    """
    if Path(path).suffix != ".mp4":
        raise UserError(f"video {path} must be named .mp4")
    if not 0.1 <= fps <= 1000:
        raise UserError(f"a video needs from 0.1 to 1000 frames a second, not {fps:g}")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"video {path} would have no frames")
    with files.whole_file(path) as temporary:
        count = encode(temporary, checked_frame(first), frames, fps)
        check_video(temporary, count)
    return count


def encode(path, first, others, fps):
    """Has ffmpeg write `first` and the `others` to `path`; returns how many.  See write_video."""
    height, width = even(first).shape[:2]
    # macro_block_size 1: by default the frames are rescaled to multiples of 16.
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=fps, codec="libx264", pix_fmt_in="bgr24",
        pix_fmt_out="yuv420p", macro_block_size=1, ffmpeg_log_level="error",
        output_params=["-movflags", "+faststart"])
    try:
        send(writer, None)
        count = 0
        for frame in itertools.chain([first], others):
            send(writer, even(checked_frame(frame, first)))
            count += 1
    finally:
        writer.close()
    return count


def send(writer, frame):
    """Hands `frame` to ffmpeg.  Raises UserError, one line, where it has died or is missing."""
    try:
        writer.send(frame)
    except (OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"ffmpeg failed: {reason}") from error


def check_video(path, count):
    """Raises UserError unless `path` has `count` frames: ffmpeg's exit status is not at hand."""
    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    except RuntimeError:
        written = 0
    if written != count:
        raise UserError(f"ffmpeg wrote {written} of {count} frames; is the disk full?")


def even(frame):
    """`frame`, contiguous, with its last row and column repeated where their number is odd."""
    height, width = frame.shape[:2]
    return cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)


def checked_frame(frame, like=None):
    """`frame`, if it is uint8, H x W x 3, and of the size of `like`.  Raises UserError."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise UserError(f"a frame is {described(frame)}; it must be 8-bit with three channels")
    if like is not None and frame.shape != like.shape:
        raise UserError(f"a frame is {described(frame)}, the first {described(like)}; "
                        "all must be of one size")
    return frame


def described(image):
    """An array in words: "854x480x3 uint8", width first as sizes are named."""
    sides = [image.shape[1], image.shape[0], *image.shape[2:]] if image.ndim > 1 else image.shape
    return f"{'x'.join(map(str, sides))} {image.dtype}"


def paired(frames, labels):
    """[(frame, label)] paths in order: <stem>.jpg or .png of `frames`, <stem>.png of `labels`.

    Raises UserError where there is no frame, or a frame has no label.
    """
    for folder in (frames, labels):
        files.check_link(folder)
    found = {path.stem: path for path in files.one_a_stem(files.images_in(Path(frames)))}
    if not found:
        raise UserError(f"there are no frames ({', '.join(files.IMAGES)}) in {frames}")
    pairs = [(found[name], Path(labels) / f"{name}.png")
             for name in frame_order.in_order(found, frames)]
    missing = [label for _, label in pairs if not label.is_file()]
    if missing:
        raise UserError(f"label {missing[0]} is missing ({len(missing)} of {len(pairs)} are); "
                        "run segment_instances.py on the sequence first")
    return pairs
