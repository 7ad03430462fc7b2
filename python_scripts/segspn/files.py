"""Files that are whole or not there, and folders of them."""

import codecs
import io
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from segspn.errors import UserError, dangling

# No thread pool in OpenCV: processes are forked (segspn.caffenet.prototxt), and a pool
# does not survive that.  What we ask of OpenCV takes milliseconds.
cv2.setNumThreads(0)

ROOT = Path(__file__).resolve().parents[2]
PYTHON_SCRIPTS = ROOT / "python_scripts"
MODELS = ROOT / "models"
RESULTS = ROOT / "results"

IMAGES = (".jpg", ".jpeg", ".png")  # endings of frames
# libjpeg's words on damage begin so; the last three are of markers that OpenCV passes over when
# it has all rows.
DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG file", "Unsupported marker", "Bogus",
          "Invalid JPEG file structure")
PART = ".part-"  # names of files that are being written begin so


def check_link(path):
    """Raises UserError where a path, or a folder in it, is a link to what is not there."""
    if found := dangling(path):
        raise UserError(found)


def check_writable(folder):
    """Raises UserError where a folder is none, cannot be made, or may not be written to."""
    check_link(folder)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{folder} cannot be written to: {there} is " + (
            "a folder that you may not write to" if there.is_dir() else "no folder"))


def existing_file(path, what):
    """`path` as a Path.  Raises UserError where it is not a file."""
    path = Path(path)
    check_link(path)
    if not path.is_file():
        raise UserError(f"{what} {path} does not exist" if not path.exists()
                        else f"{what} {path} is not a file")
    return path


def read_text(path):
    """The text of a file that a user wrote: UTF-8, or UTF-16 by its byte order mark.

    Editors of Windows write such a mark, in UTF-8 as well.  Raises UnicodeDecodeError.
    """
    with path.open("rb") as file:
        is_wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return path.read_text("utf-16" if is_wide else "utf-8-sig")


def is_hidden(path):
    """Whether a name starts with a dot: files half-written (whole_file), or the system's own."""
    return path.name.startswith(".")


def images_in(folder, *endings):
    """The files of a folder with these endings (IMAGES), in any case, in order.

    [] where the folder does not exist.
    """
    # Not glob(), which passes over a folder that may not be read.
    found = folder.iterdir() if folder.is_dir() else []
    return sorted(p for p in found
                  if p.suffix.lower() in (endings or IMAGES) and not is_hidden(p))


def twins(paths):
    """["A and B"]: names of files of a folder that differ in nothing but the ending."""
    first = {path.stem: path for path in reversed(paths)}
    return [f"{first[path.stem].name} and {path.name}" for path in paths
            if path != first[path.stem]]


def one_a_stem(paths):
    """`paths`, files of a folder.  Raises UserError where two differ in nothing but the ending."""
    for pair in twins(paths):
        raise UserError(f"folder {paths[0].parent} has {pair}: which one is the frame?  Keep the "
                        "other in another folder")
    return paths


@contextmanager
def writing(path):
    """Gives an OSError the name of this file, where it has none or a temporary one."""
    try:
        yield
    except OSError as error:
        if os.path.basename(str(error.filename or PART)).startswith(PART):
            error.filename = os.fspath(path)
        raise


@contextmanager
def whole_file(path):
    """A temporary path beside `path`, renamed to it on success and removed on failure.

    The temporary name keeps the ending, since writers choose the format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path):
        descriptor, name = tempfile.mkstemp(prefix=f"{PART}{path.stem}-", suffix=path.suffix,
                                            dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            temporary.chmod(0o644)
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path, data):
    """Writes `data` to `path` as a whole file."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path, text):
    write_bytes(path, text.encode())


def write_image(path, image, *options):
    """Writes a uint8 image (H x W grey, H x W x 3 BGR or 4 BGRA) by the ending of `path`."""
    encoded, data = cv2.imencode(Path(path).suffix, image, list(options))
    if not encoded:
        raise UserError(f"could not encode an image for {path}")
    write_bytes(path, data.tobytes())


def read_image(path):
    """uint8 image, H x W x 3, BGR, upright.  Raises UserError where it is not readable."""
    image = read_deep_image(path)
    if image.dtype != np.uint8:
        raise UserError(f"image {path} has 16 bits a channel, not 8; give its folder to "
                        "tools/import_video.py, which makes 8 of them")
    return image


def read_deep_image(path):
    """As read_image, but uint16 where a channel has 16 bits."""
    data = existing_file(path, "image").read_bytes()
    fault, image = _fault(data), None
    if not fault:
        with suppress(cv2.error):  # an empty file, or a header that promises too much
            image = cv2.imdecode(np.frombuffer(data, np.uint8),
                                 cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if image is None or image.dtype not in (np.uint8, np.uint16):
            fault = "is corrupt or not an image; replace the file"
    if fault:
        raise UserError(f"image {path} {fault}")
    return image


def _fault(data):
    """What is wrong with an image, of what OpenCV would decode without a sign; or None."""
    try:
        if data.startswith(b"\xff\xd8"):
            # Reads all of the data, but computes few of the pixels.
            simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8)
        elif data.startswith(b"\x89PNG"):
            with Image.open(io.BytesIO(data)) as image:
                image.verify()
            with Image.open(io.BytesIO(data)) as image:
                if (image.has_transparency_data
                        and image.convert("RGBA").getchannel("A").getextrema()[0] < 255):
                    return "is transparent in places; save it without transparency"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Of a JPEG, no word on an odd header is one of damage.
        if data.startswith(b"\x89PNG") or str(error).startswith(DAMAGE):
            return f"is corrupt ({error}); replace the file, or save it anew if it looks right"
    return None


def read_plane(path, what, grey=False):
    """uint8, H x W: the indices of an indexed PNG, or the values of a grey one.

    grey: the values of an indexed one as well, whose colours must be grey.  Raises
    UserError where the file is missing, corrupt, or not 8 bits a pixel.
    """
    data = existing_file(path, what).read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.verify()  # the checksums, which load() leaves unread
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            if image.mode not in ("P", "L", "1"):
                raise UserError(f"{what} {path} is neither indexed nor 8-bit grey ({image.mode})")
            plane = _grey_values(image) if grey else np.array(image).astype(np.uint8)
            if plane is None:
                raise UserError(f"{what} {path} is not 8-bit grey ({image.mode})")
            return plane
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{what} {path} is corrupt or not an image; replace the file") from error


def _grey_values(image):
    """uint8, H x W, of a Pillow image of 8-bit grey, or of indices of grey colours; else None."""
    if image.mode == "P":
        colours = np.array(image.convert("RGB"))
        return colours[..., 0] if (colours == colours[..., :1]).all() else None
    return np.array(image) if image.mode == "L" else None


def object_model(video, k, iterations):
    """Path of the model of an object of a video, after so many iterations of its training."""
    return MODELS / video / f"{video}_obj_{k}_iter_{iterations}.caffemodel"


def from_scripts(path):
    """A path as it stands in a prototxt: relative to python_scripts/ inside the project."""
    path = Path(os.path.abspath(path))  # links inside the project stay as they are
    for folder in (path, *path.parents):
        if os.path.realpath(folder) == os.path.realpath(ROOT):  # also by a link to the project
            return os.path.relpath(ROOT / path.relative_to(folder), PYTHON_SCRIPTS)
    return str(path)
