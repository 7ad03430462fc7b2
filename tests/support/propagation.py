"""The propagation layer's reference in float64, from the formulas; nets of it, run."""

import itertools

import caffe
import numpy as np
import pytest
from google.protobuf import text_format

from segspn.caffenet import prototxt

DIRECTIONS = ("LEFT_TO_RIGHT", "RIGHT_TO_LEFT", "TOP_TO_BOTTOM", "BOTTOM_TO_TOP")
KINDS = ("ABS_SUM", "CONVEX", "NONE")
every_scan = pytest.mark.parametrize("direction, kind", list(itertools.product(DIRECTIONS, KINDS)))


# ---------------------------------------------------------------- reference
# x, h: (N, C, H, W); gates: (3, M, C, H, W) with M = N or 1.

def turned(a, direction):
    """`a` with the scan along its last axis, forwards; a copy."""
    a = a.swapaxes(-1, -2) if direction in DIRECTIONS[2:] else a
    return np.array(a[..., ::-1] if direction in DIRECTIONS[1::2] else a)


def turned_back(a, direction):
    a = a[..., ::-1] if direction in DIRECTIONS[1::2] else a
    return np.array(a.swapaxes(-1, -2) if direction in DIRECTIONS[2:] else a)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def normalized(g, kind):
    if kind == "ABS_SUM":
        total = np.abs(g).sum(0)
        return g / np.where(total > 0, total, 1)
    if kind == "CONVEX":
        return sigmoid(g) / np.maximum(1, sigmoid(g).sum(0))
    return g


def normalized_backward(g, kind, d):
    """What reaches the gates, from `d`, what reaches the normalized ones."""
    if kind == "ABS_SUM":
        total = np.abs(g).sum(0)
        safe = np.where(total > 0, total, 1)
        through_total = (d * g / safe).sum(0) * np.sign(g)
        return np.where(total > 0, (d - through_total) / safe, 0)
    if kind == "CONVEX":
        s = sigmoid(g)
        total = s.sum(0)
        divisor = np.maximum(1, total)
        through_total = np.where(total > 1, (d * s / divisor).sum(0), 0)
        return (d - through_total) / divisor * s * (1 - s)
    return d


def inside(e):
    """Gates whose neighbour lies outside the image count as 0."""
    e = e.copy()
    e[0, ..., 0, :] = e[2, ..., -1, :] = e[..., 0] = 0
    return e


def neighbours(line):
    """The elements y - 1, y and y + 1 of a line, for every y."""
    padded = np.pad(line, [(0, 0)] * (line.ndim - 1) + [(1, 1)])
    return np.stack([padded[..., :-2], line, padded[..., 2:]])


def scan_forward(x, e):
    h = x.copy()  # the first step has no neighbours
    for t in range(1, x.shape[-1]):
        g = e[..., t]
        h[..., t] = (1 - g.sum(0)) * x[..., t] + (g * neighbours(h[..., t - 1])).sum(0)
    return h


def scan_backward(x, e, h, top):
    """The gradients of x and of the gates `e`."""
    dx, de = np.empty_like(x), np.zeros_like(e)
    flows_back = np.zeros(x.shape[:-1])
    for t in reversed(range(x.shape[-1])):
        delta = top[..., t] + flows_back
        dx[..., t] = (1 - e[..., t].sum(0)) * delta
        if t:
            de[..., t] = delta * (neighbours(h[..., t - 1]) - x[..., t])
        handed = e[..., t] * delta
        flows_back = handed[1].copy()
        flows_back[..., :-1] += handed[0, ..., 1:]
        flows_back[..., 1:] += handed[2, ..., :-1]
    return dx, inside(de)


def reference(x, gates, top, direction, kind):
    """h, and the gradients of x and of the gates, all float64."""
    x, gates, top = (turned(np.asarray(a, np.float64), direction) for a in (x, gates, top))
    served = np.broadcast_to(gates, (3, *x.shape))
    e = inside(normalized(served, kind))
    h = scan_forward(x, e)
    dx, de = scan_backward(x, e, h, top)
    dgates = normalized_backward(served, kind, de)
    if gates.shape[1] < x.shape[0]:
        dgates = dgates.sum(1, keepdims=True)
    return tuple(turned_back(a, direction) for a in (h, dx, dgates))


# -------------------------------------------------------------------- layer

def net_of(text):
    message = text_format.Parse(text, caffe.proto.caffe_pb2.NetParameter())
    message.force_backward = True
    return prototxt.build(caffe.Net, message, caffe.TEST)


def inputs(**shapes):
    return "".join(f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{'
                   f'{"".join(f" dim: {size}" for size in shape)} }} }} }}\n'
                   for name, shape in shapes.items())


def layer(kind, bottoms, top, parameter=""):
    return (f'layer {{ name: "{top}" type: "{kind}" top: "{top}" '
            f'{" ".join(f"""bottom: "{name}" """ for name in bottoms)} {parameter} }}\n')


def propagation(bottoms, direction, kind):
    return layer("SpatialPropagation", bottoms, "h", "spatial_propagation_param { "
                 f"direction: {direction} normalization: {kind} }}")


def gate_names(blobs):
    return ["g"] if blobs == 1 else ["g1", "g2", "g3"]


def layer_net(shape, direction, kind, gate_num=None, blobs=1):
    """A net of one layer on x and one blob of gates, or three."""
    gate_shape = (gate_num or shape[0], shape[1] * 3 // blobs, *shape[2:])
    names = gate_names(blobs)
    return net_of(inputs(x=shape, **dict.fromkeys(names, gate_shape))
                  + propagation(["x", *names], direction, kind))


def run(net, x, gates, top):
    """h, and the gradients of x and of the gates, from a net with the blobs x, g… and h."""
    names = gate_names(1 if "g" in net.blobs else 3)
    net.blobs["x"].data[...] = x
    joined = np.moveaxis(gates, 0, 1).reshape(gates.shape[1], -1, *gates.shape[3:])
    for name, part in zip(names, np.split(joined, len(names), 1)):
        net.blobs[name].data[...] = part
    net.forward()
    net.blobs["h"].diff[...] = top
    net.backward()
    dgates = np.concatenate([net.blobs[name].diff for name in names], 1)
    dgates = np.moveaxis(dgates.reshape(gates.shape[1], 3, *gates.shape[2:]), 1, 0)
    return net.blobs["h"].data.copy(), net.blobs["x"].diff.copy(), dgates.copy()


def values(shape, gate_num=None, scale=1., seed=0):
    """x, gates and the gradient of h, as Caffe's float32."""
    rng = np.random.default_rng(seed)
    gate_shape = (3, gate_num or shape[0], *shape[1:])
    return [rng.normal(0, size, s).astype(np.float32)
            for size, s in ((1, shape), (scale, gate_shape), (1, shape))]


def scale_of(kind):
    return 0.3 if kind == "NONE" else 1.  # sums of gates above 1 make h grow
