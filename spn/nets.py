"""The refinement nets: an image and the coarse map of an object to a sharp map.

A guidance branch sees the image alone and gives, for every pixel at half the
size, the gates of four directional scans; a propagation branch sends features of
the coarse map through the scans, twice, with the element-wise maximum of the
four directions (Liu et al., arXiv 1710.01020, section 4).  Guidance is computed
once an image: coarse maps of all its objects are the batch of the propagation
branch, and share the gates.
"""

from dataclasses import dataclass

import caffe
from caffe import layers as L
from caffe import params as P

from ResNetF.nets import FIXED, relu

STRIDE = 32  # heights and widths are multiples of it
DIRECTIONS = ("LEFT_TO_RIGHT", "RIGHT_TO_LEFT", "TOP_TO_BOTTOM", "BOTTOM_TO_TOP")
ROUNDS = 2
LAYER = "RefinementCrops"


@dataclass(frozen=True)
class Refinement:
    """A refinement net, and the training that suits it.

    channels       of the propagation
    normalization  of the gates; see SpatialPropagation
    gate_bias      the gates' initial value
    weights        what the training starts from, from python_scripts/, or "none"
    batch          crops an iteration
    """

    name: str
    channels: int
    normalization: str
    gate_bias: float
    weights: str
    batch: int
    solver: dict


REFINE_VGG = Refinement(
    name="refine_vgg", channels=32, normalization="ABS_SUM", gate_bias=0,
    weights="../models/VGG_ILSVRC_16_layers.caffemodel", batch=40,
    solver={"type": "SGD", "base_lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-3,
            "lr_policy": "poly", "power": 0.5, "clip_gradients": 1000, "max_iter": 60000,
            "snapshot": 5000})
REFINE_SMALL = Refinement(
    name="refine_small", channels=8, normalization="CONVEX", gate_bias=-2, weights="none", batch=8,
    solver={"type": "Adam", "base_lr": 1e-3, "momentum": 0.9, "momentum2": 0.999,
            "weight_decay": 1e-4, "lr_policy": "poly", "power": 0.9, "clip_gradients": 10,
            "max_iter": 10000, "snapshot": 1000})
NETS = {net.name: net for net in (REFINE_VGG, REFINE_SMALL)}


def net_of(layer_names):
    """The net that layers of these names belong to, or None."""
    names = set(layer_names)
    landmarks = {"guide1": REFINE_SMALL, "conv5_3": REFINE_VGG}
    return next((net for name, net in landmarks.items() if name in names and "gates" in names),
                None)


# ----------------------------------------------------------------- guidance

def conv(bottom, num_output, kernel=3, stride=1, pad=1, std=None, bias=0):
    """A convolution with bias; He initialisation, or normal with a deviation of `std`."""
    weight_filler = {"type": "gaussian", "std": std} if std else {"type": "msra"}
    return L.Convolution(
        bottom, num_output=num_output, kernel_size=kernel, stride=stride, pad=pad,
        weight_filler=weight_filler, bias_filler={"type": "constant", "value": bias},
        param=[{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}])


def conv_relu(n, bottom, name, num_output, **geometry):
    n[name] = conv(bottom, num_output, **geometry)
    return relu(n, n[name], f"{name}_relu")


def max_pool(n, bottom, name, kernel):
    n[name] = L.Pooling(bottom, pool=P.Pooling.MAX, kernel_size=kernel, stride=2)
    return n[name]


def upsample(n, bottom, name, channels):
    """Fixed bilinear upsampling to twice the size."""
    n[name] = L.Deconvolution(bottom, param=[FIXED], convolution_param={
        "num_output": channels, "kernel_size": 4, "stride": 2, "pad": 1, "bias_term": False,
        "group": channels, "weight_filler": {"type": "bilinear"}})
    return n[name]


def decode(n, top, channels, skips):
    """From the coarsest features down the skips: {up x 2, 3x3 convolution, add the skip}.

    skips: (name, features, channels), from coarse to fine.
    """
    for name, features, width in skips:
        top = conv_relu(n, upsample(n, top, f"up_{name}", channels), f"decode_{name}", width)
        n[f"sum_{name}"] = L.Eltwise(top, features)
        top, channels = n[f"sum_{name}"], width
    return top, channels


def vgg_guidance(n):
    """VGG-16, by its public layer names, with 3x3 pools: features at half the size."""
    top, skips = n.data, []
    for stage, (count, width) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for index in range(1, count + 1):
            top = conv_relu(n, top, f"conv{stage}_{index}", width)
        skips.insert(0, (f"conv{stage}", top, width))
        top = max_pool(n, top, f"pool{stage}", 3)
    top, channels = decode(n, top, 512, skips[:3])
    return upsample(n, top, "up_conv2", channels)


def small_guidance(n):
    """16, 32, 64 and 96 channels at strides 2, 4, 8 and 16: features at half the size."""
    n.scaled = L.Power(n.data, scale=1 / 64)
    top, skips = conv_relu(n, n.scaled, "guide1", 16, kernel=4, stride=2), []
    for stage, width in enumerate((16, 32, 64, 96), 1):
        if stage > 1:
            top = conv_relu(n, max_pool(n, top, f"pool{stage}", 2), f"guide{stage}", width)
        top = conv_relu(n, top, f"guide{stage}b", width)
        skips.insert(0, (f"guide{stage}", top, width))
    return decode(n, top, 96, skips[1:])[0]


# -------------------------------------------------------------- propagation

def propagate(n, bottom, gates, normalization, name):
    """One round: four directional scans, and their element-wise maximum."""
    scans = []
    for direction, gate in zip(DIRECTIONS, gates):
        scan = f"{name}_{direction.lower()}"
        n[scan] = L.SpatialPropagation(bottom, gate, spatial_propagation_param={
            "direction": DIRECTIONS.index(direction),
            "normalization": ("ABS_SUM", "CONVEX", "NONE").index(normalization)})
        scans.append(n[scan])
    n[name] = L.Eltwise(*scans, operation=P.Eltwise.MAX)
    return n[name]


def score(n, net):
    """Writes both branches on top of n.data and n.coarse; the result is n.score, N x 2 x H x W."""
    guidance = {"refine_vgg": vgg_guidance, "refine_small": small_guidance}[net.name](n)
    n.gates = conv(guidance, len(DIRECTIONS) * 3 * net.channels, std=0.01, bias=net.gate_bias)
    gates = L.Slice(n.gates, ntop=len(DIRECTIONS), axis=1)
    for direction, gate in zip(DIRECTIONS, gates):
        n[f"gates_{direction.lower()}"] = gate
    n.mask = conv(n.coarse, net.channels, kernel=4, stride=2)
    top = n.mask
    for index in range(ROUNDS):
        top = propagate(n, top, gates, net.normalization, f"round{index + 1}")
    if net is REFINE_VGG:
        top = conv_relu(n, upsample(n, top, "up_mask", net.channels), "refined", 64)
        n.score = conv(top, 2)
    else:  # the classes are told apart before the upsampling: a quarter of the work
        n.score_half = conv(conv_relu(n, top, "refined", 16), 2)
        upsample(n, n.score_half, "up_score", 2)
        n.score = n.up_score


# --------------------------------------------------------------------- nets

def deploy(net, objects=1, size=(480, 864)):
    """The net for inference: data (1 x 3 x H x W) and coarse (objects x 1 x H x W) to prob."""
    n = caffe.NetSpec()
    n.data = L.Input(input_param={"shape": {"dim": [1, 3, *size]}})
    n.coarse = L.Input(input_param={"shape": {"dim": [objects, 1, *size]}})
    score(n, net)
    n.prob = L.Softmax(n.score)
    return n.to_proto()


def train(net, **parameters):
    """The net for training, fed by the Python layer segspn.layers.RefinementCrops."""
    n = caffe.NetSpec()
    n.data, n.coarse, n.label = L.Python(
        module="segspn.layers", layer=LAYER, param_str=repr(parameters), ntop=3)
    score(n, net)
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_param={"ignore_label": 255})
    n.accuracy = L.Accuracy(n.score, n.label, ignore_label=255)
    return n.to_proto()


def solver(net, train_net, snapshot_prefix, **changes):
    """The solver of a train prototxt; paths are relative to python_scripts/."""
    parameter = caffe.proto.caffe_pb2.SolverParameter(
        train_net=train_net, iter_size=1, display=20, average_loss=100,
        snapshot_prefix=snapshot_prefix)
    for name, value in {**net.solver, **changes}.items():
        setattr(parameter, name, value)
    return parameter


if __name__ == "__main__":
    from spn.write_prototxts import main

    main()
