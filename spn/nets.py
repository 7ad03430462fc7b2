"""The refinement nets: an image and the coarse map of an object to a sharp map.

A guidance branch sees the image alone and gives, for every pixel at half the
size, the gates of four directional scans; a propagation branch sends features of
the coarse map through the scans, twice, with the element-wise maximum of the
four directions (Liu et al., arXiv 1710.01020, section 4).  Guidance is computed
once an image: coarse maps of all its objects are the batch of the propagation
branch, and share the gates.
"""

import re
from dataclasses import dataclass

import caffe
from caffe import layers as L
from caffe import params as P

from ResNetF import nets as resnetf
from ResNetF.nets import FIXED, RESNET50_THIN, relu, resnet50_thin

STRIDE = 32  # heights and widths are multiples of it
DIRECTIONS = ("LEFT_TO_RIGHT", "RIGHT_TO_LEFT", "TOP_TO_BOTTOM", "BOTTOM_TO_TOP")
NORMALIZATIONS = ("ABS_SUM", "CONVEX", "NONE")
ROUNDS = 2
LAYER = "RefinementCrops"
WIDTH = 16  # channels of the features of refine_small
THIN_BLOCKS = (3, 2)  # of the stages of the thin ResNet-50 that guide refine_small


@dataclass(frozen=True)
class Refinement:
    """A refinement net, and the training that suits it.

    channels       of the propagation
    normalization  of the gates; see SpatialPropagation
    gate_bias      range of the gates' initial values, a value a channel and direction: scans
                   of various reach
    gate_std       of the weights that the gates begin with
    weights        what the training starts from, from python_scripts/, or "none"
    batch          crops an iteration
    """

    name: str
    channels: int
    normalization: str
    gate_bias: tuple
    gate_std: float
    weights: str
    batch: int
    solver: dict


REFINE_VGG = Refinement(
    name="refine_vgg", channels=32, normalization="ABS_SUM", gate_bias=(0, 0), gate_std=0.01,
    weights="../models/vgg16_hed.caffemodel", batch=40,
    solver={"type": "SGD", "base_lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-3,
            "lr_policy": "poly", "power": 0.5, "clip_gradients": 1000, "max_iter": 60000,
            "snapshot": 5000, "average_loss": 100})
REFINE_SMALL = Refinement(
    name="refine_small", channels=8, normalization="CONVEX", gate_bias=(-4, -0.8), gate_std=0.02,
    weights=RESNET50_THIN.pretrained, batch=8,
    solver={"type": "Adam", "base_lr": 2e-3, "momentum": 0.9, "momentum2": 0.999,
            "weight_decay": 1e-4, "lr_policy": "poly", "power": 0.9, "clip_gradients": 10,
            "max_iter": 8000, "snapshot": 1000, "average_loss": 100})
NETS = {net.name: net for net in (REFINE_VGG, REFINE_SMALL)}


def net_of(layer_names):
    """The net that layers of these names belong to, or None."""
    names = set(layer_names)
    landmarks = {"guide8": REFINE_SMALL, "conv5_3": REFINE_VGG}
    return next((net for name, net in landmarks.items() if name in names and "gates" in names),
                None)


# ----------------------------------------------------------------- guidance

def conv(bottom, num_output, kernel=3, stride=1, pad=1, std=None, bias=(0, 0)):
    """A convolution with bias.

    Weights: He initialisation, or normal with a deviation of `std`; biases:
    uniform in the range `bias`.
    """
    return L.Convolution(
        bottom, num_output=num_output, kernel_size=kernel, stride=stride, pad=pad,
        weight_filler={"type": "gaussian", "std": std} if std else {"type": "msra"},
        bias_filler={"type": "uniform", "min": bias[0], "max": bias[1]},
        param=[{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}])


def conv_relu(n, bottom, name, num_output, **geometry):
    n[name] = conv(bottom, num_output, **geometry)
    return relu(n, n[name], f"{name}_relu")


def max_pool(n, bottom, name, kernel):
    n[name] = L.Pooling(bottom, pool=P.Pooling.MAX, kernel_size=kernel, stride=2)
    return n[name]


def upsample(n, bottom, name, channels):
    """Fixed bilinear upsampling to twice the size, centred."""
    n[name] = resnetf.upsample(bottom, channels, 2, dense=False, pad=1)
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
    """The beginning of the thin ResNet-50, and a decoder of 32 to 64 channels."""
    stage0, stage1 = resnet50_thin(n, THIN_BLOCKS)
    top = conv_relu(n, stage1, "guide8", 64, kernel=1, pad=0)
    deep = conv_relu(n, max_pool(n, top, "pool8", 2), "guide16", 32)
    skips = [("guide8", top, 64)]
    for name, features, width in (("guide4", stage0, 32), ("guide2", n.relu_1, 32)):
        skips.append((name, conv_relu(n, features, name, width, kernel=1, pad=0), width))
    return decode(n, deep, 32, skips)[0]


def frozen(message):
    """A net whose layers of the thin ResNet-50 are not trained, nor reached by gradients."""
    blobs = {"Convolution": 2, "BatchNorm": 3, "Scale": 2}
    for layer in message.layer:
        if re.match(r"(conv|bn|scale)_(1$|stage)", layer.name):
            del layer.param[:]
            for _ in range(blobs[layer.type]):
                layer.param.add(**FIXED)
    return message


# -------------------------------------------------------------- propagation

def scan(n, name, bottom, gates, direction, normalization):
    """One directional scan."""
    n[name] = L.SpatialPropagation(bottom, gates, spatial_propagation_param={
        "direction": DIRECTIONS.index(direction),
        "normalization": NORMALIZATIONS.index(normalization)})
    return n[name]


def propagate(n, bottom, gates, normalization, name):
    """One round: four directional scans, and their element-wise maximum."""
    scans = [scan(n, f"{name}_{direction.lower()}", bottom, gate, direction, normalization)
             for direction, gate in zip(DIRECTIONS, gates)]
    n[name] = L.Eltwise(*scans, operation=P.Eltwise.MAX)
    return n[name]


def gates_of(n, net, guidance):
    """The gates of the four directions, N x 3C x H x W each."""
    n.gates = conv(guidance, len(DIRECTIONS) * 3 * net.channels,
                   std=net.gate_std, bias=net.gate_bias)
    gates = L.Slice(n.gates, ntop=len(DIRECTIONS), axis=1)
    for direction, gate in zip(DIRECTIONS, gates):
        n[f"gates_{direction.lower()}"] = gate
    return gates


def propagate_rounds(n, net, top, gates):
    for index in range(ROUNDS):
        top = propagate(n, top, gates, net.normalization, f"round{index + 1}")
    return top


def vgg_score(n, net, objects):
    """The NIPS architecture: what is propagated comes from the coarse map alone."""
    gates = gates_of(n, net, vgg_guidance(n))
    n.mask = conv(n.coarse, net.channels, kernel=4, stride=2)
    top = propagate_rounds(n, net, n.mask, gates)
    n.score = conv(conv_relu(n, upsample(n, top, "up_mask", net.channels), "refined", 64), 2)
    return n.score


def small_score(n, net, objects):
    """As vgg_score, but image and coarse map meet before the scans, and the head sees both sides.

    With 30 real images to learn from, propagation of the coarse map alone
    learned too little (spn/README.md).  The part of the image is computed once;
    the classes are told apart before the upsampling: a quarter of the work.
    """
    guidance = small_guidance(n)
    gates = gates_of(n, net, guidance)
    n.meet_image = conv(guidance, WIDTH)
    n.meet_images = L.Tile(n.meet_image, axis=0, tiles=objects)
    n.mask = conv(n.coarse, net.channels, kernel=4, stride=2)
    n.meet_mask = conv(n.mask, WIDTH)
    n.meet = L.Eltwise(n.meet_images, n.meet_mask)
    features = conv_relu(n, relu(n, n.meet, "meet_relu"), "features", WIDTH)
    n.scanned = conv(features, net.channels, kernel=1, pad=0)
    top = propagate_rounds(n, net, n.scanned, gates)
    n.joined = L.Concat(features, top)
    n.score_half = conv(conv_relu(n, n.joined, "refined", WIDTH), 2)
    return upsample(n, n.score_half, "up_score", 2)


def score(n, net, objects=1):
    """Both branches on top of n.data and n.coarse; the scores, N x 2 x H x W.

    objects: coarse maps an image.
    """
    return {"refine_vgg": vgg_score, "refine_small": small_score}[net.name](n, net, objects)


# --------------------------------------------------------------------- nets

def deploy(net, objects=1, size=(480, 864)):
    """The net for inference: data (1 x 3 x H x W) and coarse (objects x 1 x H x W) to prob."""
    n = caffe.NetSpec()
    n.data = L.Input(input_param={"shape": {"dim": [1, 3, *size]}})
    n.coarse = L.Input(input_param={"shape": {"dim": [objects, 1, *size]}})
    n.prob = L.Softmax(score(n, net, objects))
    return n.to_proto()


def train(net, **parameters):
    """The net for training, fed by the Python layer segspn.layers.RefinementCrops."""
    n = caffe.NetSpec()
    n.data, n.coarse, n.label = L.Python(
        module="segspn.layers", layer=LAYER, param_str=repr(parameters), ntop=3)
    top = score(n, net)
    n.loss = L.SoftmaxWithLoss(top, n.label, loss_param={"ignore_label": 255})
    n.accuracy = L.Accuracy(top, n.label, ignore_label=255)
    return frozen(n.to_proto())
