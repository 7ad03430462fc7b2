"""Score maps and foreground masks on disk, checked against the size of their frame."""

from PIL import Image

from segspn import files
from segspn.errors import UserError

SCORE_MAKER, FOREGROUND_MAKER = "infer_test_perobj.py", "infer_test_fgbg.py"


def read_score_map(folder, frame, k, shape, maker=SCORE_MAKER):
    """uint8, H x W: <frame>_<k>.png, the score of object k, 0 to 255.

    maker: the script that makes it, for the error message.  Raises UserError
    where it is missing, not 8-bit grey, or not of `shape`.
    """
    path = _existing(folder / f"{frame}_{k}.png", "score map", maker)
    return of_shape(files.read_plane(path, "score map", grey=True), shape, path)


def read_foreground(folder, frame, shape, maker=FOREGROUND_MAKER):
    """bool, H x W: <frame>.png, not 0 in the foreground.  Raises UserError as read_score_map."""
    path = _existing(folder / f"{frame}.png", "foreground mask", maker)
    return of_shape(files.read_plane(path, "foreground mask"), shape, path) > 0


def check_maps(scores, foreground, frame, objects, shape, makers=(SCORE_MAKER, FOREGROUND_MAKER)):
    """Raises UserError where a map of a frame is missing, or not of `shape` by its header.

    scores, foreground: folders, the second may be None; makers: of what is in them.
    """
    paths = [_existing(scores / f"{frame}_{k}.png", "score map", makers[0]) for k in objects]
    if foreground:
        paths.append(_existing(foreground / f"{frame}.png", "foreground mask", makers[1]))
    for path in paths:
        check_size(path, shape)


def _existing(path, what, maker):
    files.check_link(path)
    if not path.is_file():
        raise UserError(f"{what} {path} is missing; make it with {maker}")
    return path


def of_shape(plane, shape, path):
    """`plane`, if it is of this (height, width).  Raises UserError, which names `path`."""
    _compare(plane.shape, shape, path)
    return plane


def size_of(path):
    """(height, width) of an image, upright, by its header.  Raises UserError where it has none."""
    try:
        with Image.open(path) as image:
            if "exif" not in image.info:
                return image.size[::-1]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"image {path} is corrupt or not an image; replace the file") from error
    return files.read_image(path).shape[:2]  # it may be turned


def check_size(path, shape):
    """Raises UserError where an image is not of this (height, width), by its header."""
    _compare(size_of(path), shape, path)


def _compare(found, shape, path):
    if found != tuple(shape):
        raise UserError(f"{path} is {found[1]}x{found[0]}, "
                        f"its video {shape[1]}x{shape[0]}; they must be of one size")
