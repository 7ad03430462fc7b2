"""Refinement: score maps of a video's objects, made sharp by the image."""

from dataclasses import dataclass
from pathlib import Path

import caffe
import cv2
import numpy as np
from tqdm import tqdm

from segspn import done, files
from segspn.caffenet import deploy, device, prototxt, weights
from segspn.caffenet.net_input import net_input
from segspn.data import morphology, planes
from segspn.errors import UserError
from spn import nets

SHIPPED = files.ROOT / "spn/refine_small.caffemodel"


def dilation_radius(height):
    """px by which the foreground mask is dilated: two cells of a net of stride 8, at 480 rows."""
    return round(height / 30)


def dilated(foreground):
    """A foreground mask (bool, H x W), grown so that it cannot cut a refined border."""
    disk = morphology.disk(dilation_radius(foreground.shape[0]))
    return cv2.dilate(foreground.astype(np.uint8), disk) > 0


class Refiner:
    """A refinement net for frames of one size and a number of objects.

    weights_path  .caffemodel of one of spn.nets.NETS
    shape         (height, width) of the frames
    objects       how many

    Raises UserError where the weights are of no refinement net, or not whole.
    """

    def __init__(self, weights_path, shape, objects):
        blobs = weights.read_caffemodel(weights_path)
        kind = nets.net_of(blobs)
        if kind is None:
            raise UserError(f"weights {weights_path} are of no refinement net "
                            f"({', '.join(nets.NETS)}); its layers are {', '.join(blobs)[:80]}…")
        self._padding = [-length % nets.STRIDE for length in shape]
        self._shape = tuple(shape)
        size = [length + pad for length, pad in zip(shape, self._padding)]
        path = deploy.refinement_path(kind)
        description = prototxt.read_net(path)
        for layer in description.layer:
            if layer.type == "Input":
                layer.input_param.shape[0].dim[2:4] = size
            if layer.name == "coarse":
                layer.input_param.shape[0].dim[0] = objects
            if layer.type == "Tile":
                layer.tile_param.tiles = objects
        self._net = prototxt.build(caffe.Net, prototxt.sharing_memory(description), caffe.TEST,
                                   what=f"net {path}")
        report = weights.load(self._net, weights_path, blobs)
        if report.filler:
            raise UserError(f"weights {weights_path} are not those of a trained {kind.name}: "
                            f"{', '.join(report.filler[:4])} are missing; train it with solve.py")

    def __call__(self, frame, score_maps):
        """Refined probabilities, float32, objects x H x W, in [0, 1].

        frame: uint8, H x W x 3, BGR.  score_maps: uint8, objects x H x W.
        """
        height, width = self._shape
        self._net.blobs["data"].data[0] = net_input(self._padded(frame))
        for target, score_map in zip(self._net.blobs["coarse"].data[:, 0], score_maps):
            target[...] = self._padded(score_map) / np.float32(255)
        return self._net.forward(blobs=["prob"])["prob"][:, 1, :height, :width]

    def _padded(self, image):
        bottom, right = self._padding
        return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT)


@dataclass(frozen=True)
class Refinement:
    """A video whose score maps are to be refined.

    frames      paths of its frames
    objects     ids of its objects
    scores      folder of <frame>_<k>.png, 8-bit grey
    foreground  folder of <frame>.png, 0 outside the foreground; None: all is foreground
    output      folder for the refined <frame>_<k>.png and the dilated <frame>.png
    weights     .caffemodel of a refinement net
    """

    frames: list
    objects: list
    scores: Path
    foreground: Path | None
    output: Path
    weights: Path

    def run(self, gpu=None, force=False):
        """Refines every frame that is not done.  Returns how many were."""
        record = done.Record(self.output / done.NAME, {"objects": self.objects}, [self.weights])
        todo = [frame for frame in self.frames if force or not record.is_done(
            self._outputs(frame), self._made_from(frame))]
        if not todo:
            return 0
        device.use(gpu)
        shape = files.read_image(todo[0]).shape[:2]
        self._inputs(todo[0], shape)  # checked before the net is made
        refiner = Refiner(self.weights, shape, len(self.objects))
        for path in tqdm(todo, unit="frame", dynamic_ncols=True, desc=self.output.name):
            with record.making(self._outputs(path), self._made_from(path)):
                self._refine(refiner, path, shape)
        return len(todo)

    def _outputs(self, path):
        return [*(self.output / f"{path.stem}_{k}.png" for k in self.objects),
                self.output / f"{path.stem}.png"]

    def _made_from(self, path):
        masks = [self.foreground / f"{path.stem}.png"] if self.foreground else []
        return [path, *(self.scores / f"{path.stem}_{k}.png" for k in self.objects), *masks]

    def _inputs(self, path, shape):
        """The score maps, uint8, n x H x W, and the dilated foreground, bool, H x W."""
        score_maps = np.stack([planes.read_score_map(self.scores, path.stem, k, shape)
                               for k in self.objects])
        if self.foreground is None:
            return score_maps, np.ones(shape, bool)
        return score_maps, dilated(planes.read_foreground(self.foreground, path.stem, shape))

    def _refine(self, refiner, path, shape):
        frame = files.read_image(path)
        planes.of_shape(frame[..., 0], shape, path)
        score_maps, foreground = self._inputs(path, shape)
        refined = refiner(frame, score_maps * foreground)
        results = [*np.rint(refined * 255).astype(np.uint8) * foreground,
                   foreground.astype(np.uint8) * 255]
        for output, plane in zip(self._outputs(path), results):
            files.write_image(output, plane)
