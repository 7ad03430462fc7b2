"""Inference: a trained ResNetF over the frames of a video."""

import caffe
import cv2
import numpy as np
from tqdm import tqdm

from ResNetF import nets
from segspn import done, files
from segspn.caffenet import deploy, device, prototxt, weights
from segspn.caffenet.net_input import net_input
from segspn.data import davis
from segspn.errors import UserError


def working_size(backbone, scale):
    """(height, width) of the net's input: 480 x 854 times `scale`, or the next valid one."""
    height, width = (round(scale * length) for length in nets.WORKING_SIZE)
    return nets.valid_size(backbone, height, width)


def load_net(weights_path, folder, scale=1.0, size=None):
    """The deploy net in ResNetF/<folder> that these weights belong to, with them loaded.

    Its input is 480 x 854 times `scale`, or `size`, (height, width).

    Raises UserError where the weights are of no known backbone, or not whole.
    """
    blobs = weights.read_caffemodel(weights_path)
    backbone = nets.backbone_of(blobs)
    if backbone is None:
        raise UserError(f"weights {weights_path} are of no known backbone "
                        f"({', '.join(nets.BACKBONES)}); its layers are {', '.join(blobs)[:80]}…")
    path = deploy.resnetf_path(backbone, folder)
    description = prototxt.read_net(path)
    shape = description.layer[0].input_param.shape[0]
    shape.dim[2:4] = deploy.checked_size(size, backbone) if size else working_size(backbone, scale)
    net = prototxt.build(caffe.Net, prototxt.sharing_memory(description), caffe.TEST,
                         what=f"net {path}")
    report = weights.load(net, weights_path, blobs)
    if report.filler:
        raise UserError(f"weights {weights_path} are not those of a trained ResNetF: "
                        f"{', '.join(report.filler[:4])} are missing; train it with solve.py")
    return net


class SegmentationNet:
    """A trained ResNetF over frames: all objects, or one, against the background.

    net: a deploy net.  output: of its blobs, the one of two scores.  flip: whether they are the
    mean of those of the frame and of its mirror image.  All results are at the frame's own size.
    """

    def __init__(self, net, output, flip=False):
        self._net, self._output, self._flip = net, output, flip
        self._size = net.blobs["data"].data.shape[2:]

    def _planes(self, frame):
        image = davis.resized(frame, self._size)
        planes = self._forward(image)
        if self._flip:
            return (planes + self._forward(image[:, ::-1])[..., ::-1]) / 2
        return planes

    def _forward(self, image):
        self._net.blobs["data"].data[0] = net_input(image)
        return self._net.forward(blobs=[self._output])[self._output][0].copy()

    def _restore(self, plane, frame):
        height, width = frame.shape[:2]
        if plane.shape == (height, width):
            return plane
        return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)

    def mask(self, frame):
        """bool H x W: where the score of what the net was trained for is above the background's."""
        background, wanted = self._planes(frame)
        return self._restore(wanted - background, frame) > 0

    def probability(self, frame):
        """float32 H x W in [0, 1]: the probability of what the net was trained for."""
        return self._restore(self._planes(frame)[1], frame)


def over_frames(frames, outputs, record, weights_path, folder, process, args):
    """Runs process(SegmentationNet, frame, paths) over the frames that are not done.

    `outputs(frame_path)` gives the paths that a frame leaves, and `record` is the file
    that notes what they are made from (segspn.done).  args: of cli.add_inference; with
    args.force all frames are done again.  Returns the number done.
    """
    how = {"scale": args.scale, "size": args.size, **({"flip": True} if args.flip else {})}
    record = done.Record(record, how, [weights_path])
    todo = [(path, outputs(path)) for path in frames]
    if not args.force:
        todo = [(path, paths) for path, paths in todo if not record.is_done(paths, [path])]
    if not todo:
        return 0
    device.use(args.gpu)
    net = load_net(weights_path, folder, args.scale, args.size)
    net = SegmentationNet(net, "prob" if "prob" in net.blobs else "score_ori", args.flip)
    for path, paths in tqdm(todo, unit="frame", dynamic_ncols=True, desc=todo[0][1][0].parent.name):
        with record.making(paths, [path]):
            process(net, files.read_image(path), paths)
    return len(todo)


def write_mask(net, frame, paths):
    """<frame>.png: 255 in the foreground, 0 elsewhere."""
    files.write_image(paths[0], net.mask(frame).astype(np.uint8) * 255)


def write_score_map(net, frame, paths):
    """<frame>_<k>.png, the probability times 255, and <frame>_<k>.jpg, its argmax times 255."""
    probability = net.probability(frame)
    mask = (probability > 0.5).astype(np.uint8) * 255
    files.write_image(paths[1], mask)
    files.write_image(paths[0], np.rint(probability * 255).astype(np.uint8))
