"""What reports are made from in tests, and what is in a page."""

import io
import json
import re

import cv2
import numpy as np
from PIL import Image

from segspn import files
from segspn.data import davis
from segspn.report import document
from segspn.synthetic import scenes

SIZE, FRAMES, OBJECTS = (120, 160), 8, 2


def write_results(root, name, frames=FRAMES):
    """A sequence with all that a report can show; its labels get worse from frame to frame."""
    for number in range(frames):
        image, truth = scenes.frame(3, 0, number, size=SIZE, objects=OBJECTS)
        stem = f"{number:05}"
        labels = np.roll(truth, number, axis=1)
        files.write_image(root / f"data/JPEGImages/480p/{name}/{stem}.jpg", image)
        davis.write_labels(root / f"data/Annotations/480p/{name}/{stem}.png", truth)
        davis.write_labels(root / f"labels/{name}/{stem}.png", labels)
        files.write_image(root / f"foreground/{name}/{stem}.png", (labels > 0) * np.uint8(255))
        for k in (1, 2):
            mask = (labels == k) * np.uint8(255)
            files.write_image(root / f"refined/{name}/{stem}_{k}.png", mask)
            files.write_image(root / f"scores/{name}/{stem}_{k}.png",
                              cv2.GaussianBlur(mask, (0, 0), 6))
    rows = [f"{i},0.5,{0.9 - 0.8 / i},{0.7 / i if i != 3 else 'nan'}" for i in range(1, 41)]
    for training in ("fgbg", "obj_1"):
        files.write_text(root / f"models/{name}/{name}_{training}_log.csv",
                         "\n".join(["iteration,seconds,accuracy,loss", *rows, ""]))


def sources(root, **changes):
    folders = {name: root / name for name in ("labels", "scores", "refined", "foreground",
                                              "models")}
    return document.Sources(davis.Davis(root / "data"), **{**folders, **changes})


def rgba(png):
    """The pixels of a PNG as a browser sees them: H x W x 4."""
    return np.array(Image.open(io.BytesIO(png)).convert("RGBA"))


def facts_of(page):
    """What a page knows, and its pictures of the first sequence."""
    blocks = dict(re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>',
                             page.read_text()))
    return json.loads(blocks["facts"]), json.loads(blocks["pictures-0"])


def write_page(root):
    """A report of all layers of the sequence `toy`; its path."""
    path = root / "out/report.html"
    document.write(path, "A report", sources(root), ["toy"], [("train", 61.0), ("infer", 4.25)],
                   [("train", "python solve.py 'a b'")])
    return path
