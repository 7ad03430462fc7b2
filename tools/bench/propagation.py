"""The spatial propagation layer against memory copy; refinement and CRAF of a frame.

Layer: 32 channels at 240 x 427, each direction, forward and backward.  Copy is the time in
which all cores copy as many bytes as the layer reads and writes once.  A frame is 480 x 854
with some objects, refined by the shipped net and labelled on one core.
"""

import functools
from concurrent.futures import ThreadPoolExecutor

import caffe
import cv2
import numpy as np

from ResNetF import WORKING_SIZE
from segspn.caffenet import device, prototxt
from segspn.method import refine
from segspn.method.craf import label_frame
from spn import nets
from tools.bench import common
from tools.bench.common import median_seconds

REPEAT = 7
SHAPE, QUICK_SHAPE = (1, 32, 240, 427), (1, 4, 24, 45)
SIZE, QUICK_SIZE = WORKING_SIZE, (64, 96)
OBJECTS = (1, 2, 5)
NORMALIZATIONS = ("ABS_SUM", "CONVEX")


def add_arguments(parser):
    """It has none of its own."""


def layer_net(direction, normalization, shape):
    """A net of the one layer, with random blobs."""
    n = caffe.NetSpec()
    n.x = caffe.layers.Input(input_param={"shape": {"dim": list(shape)}})
    n.gates = caffe.layers.Input(
        input_param={"shape": {"dim": [shape[0], 3 * shape[1], *shape[2:]]}})
    nets.scan(n, "h", n.x, n.gates, direction, normalization)
    message = n.to_proto()
    message.force_backward = True
    net = prototxt.build(caffe.Net, message, caffe.TEST)
    rng = np.random.default_rng(0)
    for name in ("x", "gates"):
        net.blobs[name].data[...] = rng.standard_normal(net.blobs[name].data.shape, np.float32)
    net.blobs["h"].diff[...] = rng.standard_normal(shape, np.float32)
    return net


def copy_seconds(elements, repeat):
    """Seconds in which all cores copy elements / 2 floats: as many are read and written."""
    cores = common.cores()
    source = np.ones((cores, elements // 2 // cores), np.float32)
    target = np.empty_like(source)
    with ThreadPoolExecutor(cores) as pool:
        return median_seconds(lambda: list(pool.map(np.copyto, target, source)), repeat)


def layer_seconds(net, repeat):
    """Seconds of both passes of the layer."""
    index = list(net._layer_names).index("h")
    return {"forward": median_seconds(lambda: net._forward(index, index), repeat),
            "backward": median_seconds(lambda: net._backward(index, index), repeat)}


def layer_rows(shape, repeat):
    """A row a normalization, direction and pass: seconds of the layer and of copy."""
    count = int(np.prod(shape))
    # x, three gates, h; and with their gradients, h's among them.
    copies = {"forward": copy_seconds(5 * count, repeat),
              "backward": copy_seconds(10 * count, repeat)}
    return [{"normalization": normalization, "direction": direction, "pass": what,
             "seconds": seconds, "copy": copies[what]}
            for normalization in NORMALIZATIONS for direction in nets.DIRECTIONS
            for what, seconds in layer_seconds(
                layer_net(direction, normalization, shape), repeat).items()]


def disks(size, count):
    """Labels, uint8, H x W, of disks beside each other, and their score maps, count x H x W."""
    labels = np.zeros(size, np.uint8)
    for k in range(1, count + 1):
        centre = (k * size[1] // (count + 1), size[0] // 2)
        cv2.circle(labels, centre, size[0] // (2 * count + 2), k, -1)
    planes = (np.uint8(255) * (labels == k) for k in range(1, count + 1))
    return labels, np.stack([cv2.GaussianBlur(plane, (0, 0), 3) for plane in planes])


def frame_row(size, count, repeat):
    """Seconds of each step for a frame of `count` objects."""
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    labels, maps = disks(size, count)
    refiner = refine.Refiner(refine.SHIPPED, size, count)
    craf = functools.partial(label_frame, maps, list(range(1, count + 1)), labels,
                             np.ones(size, bool))
    return {"objects": count, "refinement": median_seconds(lambda: refiner(frame, maps), repeat),
            "craf": median_seconds(craf, repeat)}


def tables(layer, frames):
    """Both tables in Markdown."""
    layer = [[f"{row['normalization']} {row['direction'].lower().replace('_', ' ')}", row["pass"],
              f"{1e3 * row['seconds']:.2f}", f"{row['seconds'] / row['copy']:.2f}"]
             for row in layer]
    frames = [[str(row["objects"]), f"{1e3 * row['refinement']:.0f}", f"{1e3 * row['craf']:.1f}"]
              for row in frames]
    return (common.table(["layer", "pass", "ms", "/ copy"], layer, names=2) + "\n\n"
            + common.table(["objects of a frame", "refinement, ms", "CRAF, ms"], frames))


def run(args):
    device.use(None)
    shape, size = (QUICK_SHAPE, QUICK_SIZE) if args.quick else (SHAPE, SIZE)
    layer = layer_rows(shape, args.repeat)
    frames = [frame_row(size, count, args.repeat) for count in OBJECTS]
    return (f"{tables(layer, frames)}\n\nLayer: {'x'.join(map(str, shape[1:]))}; frames: "
            f"{size[0]}x{size[1]}. Medians of {args.repeat} after a warm-up.",
            {"size": list(size), "layer": layer, "frames": frames})
