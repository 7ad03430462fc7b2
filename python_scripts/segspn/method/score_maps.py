"""Inference: a trained ResNetF over the frames of a video."""

from contextlib import ExitStack

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

SCORES, PROBABILITIES = "score", "prob"  # layers of the deploy nets


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

    net: a deploy net; probabilities are those of testnet_per_obj.  flip: whether results are the
    mean of those of the frame and of its mirror image.  All are at the frame's own size.
    """

    def __init__(self, net, flip=False):
        self._net, self._flip = net, flip
        self._size = net.blobs["data"].data.shape[2:]

    def _planes(self, frame, *layers):
        """What these layers, in the net's order, give for background and object: [2 x h x w]."""
        image = davis.resized(frame, self._size)
        planes = self._forward(image, layers)
        if self._flip:
            mirrored = self._forward(image[:, ::-1], layers)
            planes = [(a + b[..., ::-1]) / 2 for a, b in zip(planes, mirrored, strict=True)]
        return planes

    def _forward(self, image, layers):
        self._net.blobs["data"].data[0] = net_input(image)
        planes = []
        # As far as each at a time: blobs share memory, and only the last one is sure to be whole.
        for start, end in zip((None, *layers), layers, strict=False):
            top, = self._net.top_names[end]
            made = self._net.forward(start=start, end=end)
            planes.append(made[top][0].copy())
        return planes

    def _restore(self, plane, frame):
        height, width = frame.shape[:2]
        if plane.shape == (height, width):
            return plane
        return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)

    def _mask(self, scores, frame):
        background, wanted = scores
        return self._restore(wanted - background, frame) > 0

    def mask(self, frame):
        """bool H x W: where the score of what the net was trained for is above the background's."""
        scores, = self._planes(frame, SCORES)
        return self._mask(scores, frame)

    def probability(self, frame):
        """float32 H x W in [0, 1]: the probability of what the net was trained for."""
        planes, = self._planes(frame, PROBABILITIES)
        return self._restore(planes[1], frame)

    def mask_and_probability(self, frame):
        """Both, of one pass."""
        scores, planes = self._planes(frame, SCORES, PROBABILITIES)
        return self._mask(scores, frame), self._restore(planes[1], frame)


def over_frames(frames, outputs, weights_path, folder, process, args):
    """Runs process(SegmentationNet, frame, *paths) over the frames that are not done.

    outputs: {path of a record: frame_path -> paths that a frame leaves}; a record notes
    what they are made from (segspn.done).  args: of cli.add_inference; with args.force
    all frames are done again.  Returns the number done.
    """
    how = {"scale": args.scale, "size": args.size, **({"flip": True} if args.flip else {})}
    records = [(done.Record(path, how, [weights_path]), leaves) for path, leaves in outputs.items()]
    todo = [(path, [(record, leaves(path)) for record, leaves in records]) for path in frames]
    if not args.force:
        todo = [(path, noted) for path, noted in todo
                if not all(record.is_done(paths, [path]) for record, paths in noted)]
    if not todo:
        return 0
    device.use(args.gpu)
    net = load_net(weights_path, folder, args.scale, args.size)
    net = SegmentationNet(net, args.flip)
    for path, noted in tqdm(todo, unit="frame", dynamic_ncols=True, desc=frames[0].parent.name):
        with ExitStack() as making:
            for record, paths in noted:
                making.enter_context(record.making(paths, [path]))
            process(net, files.read_image(path), *(one for _, paths in noted for one in paths))
    return len(todo)


def write_mask(net, frame, path):
    """<frame>.png: 255 in the foreground, 0 elsewhere."""
    _write_plane(path, net.mask(frame))


def write_score_map(net, frame, score, best):
    """<frame>_<k>.png, the probability times 255, and <frame>_<k>.jpg, its argmax times 255."""
    _write_probability(net.probability(frame), score, best)


def write_score_map_and_mask(net, frame, score, best, mask):
    """The files of write_score_map, and that of write_mask, of one pass."""
    foreground, probability = net.mask_and_probability(frame)
    _write_probability(probability, score, best)
    _write_plane(mask, foreground)


def _write_probability(probability, score, best):
    _write_plane(best, probability > 0.5)
    _write_plane(score, probability)


def _write_plane(path, plane):
    """0 to 1 as 0 to 255."""
    files.write_image(path, np.rint(plane * np.float32(255)).astype(np.uint8))
