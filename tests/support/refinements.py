"""Refinement nets for tests: weights that pass a coarse map on, and a toy video with its maps."""

import caffe
import numpy as np

from segspn import files
from segspn.caffenet import prototxt, weights
from segspn.data import davis
from segspn.method import refine
from spn import nets
from tests.support.frames import THIN, draw_frame

STEEP = 16  # of the log-odds at one half


def load_start(net, kind):
    """What the training of a kind of refinement net starts from, where tests have it."""
    path = files.PYTHON_SCRIPTS / kind.weights
    if path.name == THIN.name:
        weights.load(net, path)


def passing_weights(path, name=nets.REFINE_SMALL.name):
    """A refine_small that gives the coarse map back, but for a blur of about 2 px.

    No gate is open, so that scans pass their input on; one channel carries the map.
    """
    net = prototxt.build(caffe.Net, nets.deploy(nets.REFINE_SMALL, size=(32, 32)), caffe.TEST)
    blobs = {name: [blob.data * (net.layer_dict[name].type == "Deconvolution")
                    for blob in parameters] for name, parameters in net.params.items()}
    for norm in (name for name in blobs if net.layer_dict[name].type == "BatchNorm"):
        blobs[norm][1:] = np.ones_like(blobs[norm][1]), np.ones_like(blobs[norm][2])
    blobs["gates"][1][...] = -50
    blobs["mask"][0][0, 0, 1:3, 1:3] = 1 / 4
    for layer in ("meet_mask", "features", "scanned"):
        middle = blobs[layer][0].shape[-1] // 2
        blobs[layer][0][0, 0, middle, middle] = 1
    blobs["refined"][0][0, -nets.REFINE_SMALL.channels, 1, 1] = 1  # what was scanned comes last
    blobs["score_half"][0][:, 0, 1, 1] = -STEEP / 2, STEEP / 2
    blobs["score_half"][1][...] = STEEP / 4, -STEEP / 4
    weights.write_caffemodel(path, blobs, name)
    return path


class Video:
    """Frames, score maps and foreground masks of two objects, on disk, and their refinement."""

    def __init__(self, folder, size=(70, 90), frames=4):
        self.folder, self.size = folder, size
        self.stems = [f"{index:05}" for index in range(frames)]
        self.data, self.scores = folder / "videos", folder / "scores/toy"
        self.foreground, self.output = folder / "fgbg/toy", folder / "refined/toy"
        self.frames = [self.data / f"JPEGImages/480p/toy/{stem}.jpg" for stem in self.stems]
        self.masks = {}
        for index, frame in enumerate(self.frames):
            image, labels = draw_frame(index, size)
            self.masks[frame.stem] = labels
            files.write_image(frame, image)
            davis.write_labels(self.data / f"Annotations/480p/toy/{frame.stem}.png", labels)
            for k in (1, 2):
                files.write_image(self.score(frame.stem, k), (labels == k).astype(np.uint8) * 250)
            files.write_image(self.mask(frame.stem), (labels > 0).astype(np.uint8) * 255)
        self.weights = passing_weights(folder / "passing.caffemodel")

    def score(self, stem, k):
        return self.scores / f"{stem}_{k}.png"

    def mask(self, stem):
        return self.foreground / f"{stem}.png"

    def task(self, **changes):
        return refine.Refinement(**{
            "frames": self.frames, "objects": [1, 2], "scores": self.scores,
            "foreground": self.foreground, "output": self.output, "weights": self.weights,
            **changes})

    def refined(self, stem, k):
        return files.read_plane(self.output / f"{stem}_{k}.png", "refined map")
