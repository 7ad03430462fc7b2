"""Score maps and foreground masks on disk, checked against the size of their frame."""

from segspn import files
from segspn.errors import UserError

SCORE_MAKER, FOREGROUND_MAKER = "infer_test_perobj.py", "infer_test_fgbg.py"


def read_score_map(folder, frame, k, shape, maker=SCORE_MAKER):
    """uint8, H x W: <frame>_<k>.png, the score of object k, 0 to 255.

    maker: the script that makes it, for the error message.  Raises UserError
    where it is missing, not 8-bit grey, or not of `shape`.
    """
    path = folder / f"{frame}_{k}.png"
    if not path.is_file():
        raise UserError(f"score map {path} is missing; make it with {maker}")
    return of_shape(files.read_plane(path, "score map", grey=True), shape, path)


def read_foreground(folder, frame, shape, maker=FOREGROUND_MAKER):
    """bool, H x W: <frame>.png, not 0 in the foreground.  Raises UserError as read_score_map."""
    path = folder / f"{frame}.png"
    if not path.is_file():
        raise UserError(f"foreground mask {path} is missing; make it with {maker}")
    return of_shape(files.read_plane(path, "foreground mask"), shape, path) > 0


def of_shape(plane, shape, path):
    """`plane`, if it is of this (height, width).  Raises UserError, which names `path`."""
    if plane.shape != tuple(shape):
        raise UserError(f"{path} is {plane.shape[1]}x{plane.shape[0]}, "
                        f"its video {shape[1]}x{shape[0]}; they must be of one size")
    return plane
