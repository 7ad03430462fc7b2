"""Speed of spatial propagation: the layer against memory copy and NumPy, and refinement.

Layer: 32 channels at 240 x 427, each direction, forward and backward.  Copy is
the time in which all cores copy as many bytes as the layer reads and writes once.
NumPy is the same computation, float32, a line at a time.  Refinement: a frame of
480 x 854 with some objects, by the shipped net.

Example:
    python tools/benchmark_propagation.py --repeat 5
"""

import functools
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import caffe
import numpy as np

import benchmark
from benchmark_parts import timed
from ResNetF import WORKING_SIZE
from segspn import files
from segspn.caffenet import device, prototxt
from segspn.errors import UserError, script
from segspn.method import refine
from spn import nets

SHAPE = (1, 32, 240, 427)
OBJECTS = (1, 2, 5)
NORMALIZATIONS = ("ABS_SUM", "CONVEX")


def median(function, repeat):
    return statistics.median(timed(function, repeat))


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
    cores = len(os.sched_getaffinity(0))
    source = np.ones((cores, elements // 2 // cores), np.float32)
    target = np.empty_like(source)
    with ThreadPoolExecutor(cores) as pool:
        return median(lambda: list(pool.map(np.copyto, target, source)), repeat)


def normalized(gates, normalization):
    """Gates, float32, 3 x …, as the layer normalizes them."""
    if normalization == "ABS_SUM":
        return gates / np.abs(gates).sum(0)
    sigmoids = 1 / (1 + np.exp(-gates))
    return sigmoids / np.maximum(sigmoids.sum(0), 1)


def shifted(line, by):
    """A line (… x length) moved along its last axis, zeros where nothing comes."""
    result = np.zeros_like(line)
    if by > 0:
        result[..., by:] = line[..., :-by]
    else:
        result[..., :by] = line[..., -by:]
    return result


def numpy_forward(x, gates, normalization):
    """The scan of x (C x H x W) from top to bottom, a line at a time, in float32."""
    e = normalized(gates, normalization)
    h = x.copy()
    for t in range(1, x.shape[1]):
        g0, g1, g2 = e[0, :, t].copy(), e[1, :, t], e[2, :, t].copy()
        g0[:, 0] = g2[:, -1] = 0
        before = h[:, t - 1]
        h[:, t] = ((1 - g0 - g1 - g2) * x[:, t] + g0 * shifted(before, 1) + g1 * before
                   + g2 * shifted(before, -1))
    return h


def numpy_backward(x, gates, normalization, h, dh):
    """Gradients of x and of the normalized gates; the adjoint of numpy_forward."""
    e = normalized(gates, normalization)
    dx, de, flow = np.empty_like(x), np.zeros_like(gates), np.zeros_like(x[:, 0])
    for t in range(x.shape[1] - 1, 0, -1):
        g0, g1, g2 = e[0, :, t].copy(), e[1, :, t], e[2, :, t].copy()
        g0[:, 0] = g2[:, -1] = 0
        delta, before = dh[:, t] + flow, h[:, t - 1]
        dx[:, t] = (1 - g0 - g1 - g2) * delta
        for k, neighbour in enumerate((shifted(before, 1), before, shifted(before, -1))):
            de[k, :, t] = delta * (neighbour - x[:, t])
        flow = shifted(g0 * delta, -1) + g1 * delta + shifted(g2 * delta, 1)
    dx[:, 0] = dh[:, 0] + flow
    return dx, de


def numpy_seconds(net, normalization):
    """Seconds of both passes in NumPy, on the blobs of a net that scans from top to bottom.

    Raises UserError where the net's numbers are others.
    """
    x, h, dh = net.blobs["x"].data[0], net.blobs["h"].data[0], net.blobs["h"].diff[0]
    gates = net.blobs["gates"].data[0].reshape(3, *x.shape)
    check_same(numpy_forward(x, gates, normalization), h)
    check_same(numpy_backward(x, gates, normalization, h, dh)[0], net.blobs["x"].diff[0])
    return {"forward": median(lambda: numpy_forward(x, gates, normalization), 1),
            "backward": median(lambda: numpy_backward(x, gates, normalization, h, dh), 1)}


def layer_seconds(net, repeat):
    """Seconds of both passes of the layer."""
    index = list(net._layer_names).index("h")
    return {"forward": median(lambda: net._forward(index, index), repeat),
            "backward": median(lambda: net._backward(index, index), repeat)}


def layer_rows(repeat, shape):
    """A row a direction, normalization and pass: seconds of the layer, of copy, and of NumPy."""
    count, rows = int(np.prod(shape)), []
    # x, three gates, h; and with their gradients, h's among them.
    copies = {"forward": copy_seconds(5 * count, repeat),
              "backward": copy_seconds(10 * count, repeat)}
    for normalization in NORMALIZATIONS:
        made = {direction: layer_net(direction, normalization, shape)
                for direction in nets.DIRECTIONS}
        measured = {direction: layer_seconds(net, repeat) for direction, net in made.items()}
        plain = numpy_seconds(made["TOP_TO_BOTTOM"], normalization)
        rows += [{"direction": direction, "normalization": normalization, "pass": what,
                  "seconds": seconds[what], "copy": copies[what], "numpy": plain[what]}
                 for direction, seconds in measured.items() for what in seconds]
    return rows


def check_same(ours, theirs):
    """Raises UserError where the two do not compute the same: timings would mean nothing."""
    if not np.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max()):
        raise UserError("the layer and the NumPy version differ")


def refine_rows(repeat, size, weights):
    """A row a number of objects: seconds a frame."""
    rng, rows = np.random.default_rng(0), []
    frame = rng.integers(0, 256, (*size, 3), np.uint8)
    for objects in OBJECTS:
        refiner = refine.Refiner(weights, size, objects)
        maps = rng.integers(0, 256, (objects, *size), np.uint8)
        seconds = timed(functools.partial(refiner, frame, maps), repeat)
        rows.append({"objects": objects, "size": list(size),
                     "seconds": statistics.median(seconds)})
    return rows


def table(layer, refinement):
    lines = ["| layer | pass | ms | / copy | NumPy / layer |", "|---|---|---:|---:|---:|"]
    for row in layer:
        name = f"{row['normalization']} {row['direction'].lower().replace('_', ' ')}"
        lines.append(f"| {name} | {row['pass']} | {1e3 * row['seconds']:.2f} | "
                     f"{row['seconds'] / row['copy']:.2f} | {row['numpy'] / row['seconds']:.1f} |")
    lines += ["", "| refinement, objects | s a frame |", "|---|---:|"]
    lines += [f"| {row['objects']} | {row['seconds']:.3f} |" for row in refinement]
    return "\n".join(lines)


@script
def main():
    parser = benchmark.parser(__doc__, 7, "small sizes: does it run?", "benchmark_propagation")
    parser.add_argument("--weights", type=Path, default=refine.SHIPPED,
                        help="of a refinement net (spn/refine_small.caffemodel)")
    args = parser.parse_args()
    benchmark.check_repeat(args)
    files.existing_file(args.weights, "weights")
    about = benchmark.machine()
    device.use(None)
    shape = (1, 4, 24, 45) if args.quick else SHAPE
    size = (64, 96) if args.quick else WORKING_SIZE
    layer = layer_rows(args.repeat, shape)
    refinement = refine_rows(args.repeat, size, args.weights)
    text = (f"{table(layer, refinement)}\n\nLayer: {'x'.join(map(str, shape[1:]))}; refinement: "
            f"{size[1]}x{size[0]}. Medians of {args.repeat} (NumPy: 1) after a warm-up. "
            f"{benchmark.load_before(about)}")
    benchmark.write(args.output, "benchmark_propagation", text,
                    {"machine": about, "layer": layer, "refinement": refinement})


if __name__ == "__main__":
    main()
