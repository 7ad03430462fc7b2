"""ResNetF: the one description of the net, from which every prototxt comes.

A ResNet backbone whose stages at strides 8, 16 and 32 are joined by a linear
head into two scores (background, foreground) a pixel; section 3.1 of Cheng et
al., arXiv 1709.04609.

The head is linear after the residual stages, so the 1x1 convolution `feat08`
over the joined stages is the sum of three, one a stage, and each commutes with
the fixed bilinear upsampling.  Two forms of one function are described here:

  projected  project every stage to 128 channels, then upsample and add (ours)
  published  upsample 2048 and 3072 channels, join them, then project (2017)

They have the same scores, gradients and SGD trajectory; the first is several
times cheaper.  segspn.caffenet.published_head converts weights from the second to the first.
"""

import dataclasses
import math
from dataclasses import dataclass, field

import caffe
from caffe import layers as L
from caffe import params as P

from ResNetF import WORKING_SIZE

AUGMENTATION = (3000, 0.05, 5, 0.1, 0.1, 1)
FEATURES = 128  # channels of feat08
DECODER = 64  # channels of the decoder
FIXED = {"lr_mult": 0, "decay_mult": 0}


@dataclass(frozen=True)
class Backbone:
    """A residual backbone, its head's geometry, and the training that suits it.

    stages       channels of the stages at strides 8, 16 and 32
    offsets      Crop offsets after each upsampling, from stride 32 down to that of the score
    landmark     name of a layer that no other backbone has
    weights      that fine-tuning to a video begins with, from python_scripts/
    pretrained   that the generic training begins with, from python_scripts/
    head_lr      learning rate of the head, times the solver's
    normalize    whether the loss is averaged over the pixels
    solver       fields of the solver
    decodes      whether its head is the decoder, with features of stride 4, or the paper's
    crops        that it is trained on (segspn.training.crops); None: whole frames, as in 2017
    craf         options of the labels that suit its score maps (segspn.method.craf_options)
    flip         whether inference averages over each frame and its mirror image
    recipes      {name: {field: value}} of other trainings of it
    """

    name: str
    stages: tuple
    offsets: tuple
    landmark: str
    weights: str
    head_lr: float
    normalize: bool
    solver: dict
    pretrained: str = ""
    decodes: bool = False
    crops: dict | None = None
    craf: str = ""
    flip: bool = False
    recipes: dict = field(default_factory=dict)

    def recipe(self, name):
        """This backbone with another training: a name in `recipes`, or None for its own."""
        return dataclasses.replace(self, **self.recipes[name]) if name else self


POLY = {"lr_policy": "poly", "power": 0.9}
SGD = {"momentum": 0.9, "weight_decay": 5e-4}
CROPS = {"size": (256, 448), "scale": (0.8, 1.25), "angle": 8, "colour": 0.3}
RESNET101 = Backbone(
    name="resnet101", stages=(512, 1024, 2048), offsets=(2, 0, 8), landmark="res2a_branch1",
    weights="../ResNetF/PN_ResNetF.caffemodel", pretrained="../models/resnet101.caffemodel",
    head_lr=1, normalize=False,
    solver={"base_lr": 1e-10, "momentum": 0.99, "weight_decay": 5e-4, "max_iter": 30000,
            "snapshot": 3000},
    recipes={
        "crops": {  # the thin net's, longer; no weights were at hand to judge it by
            "normalize": True, "crops": CROPS,
            "solver": {**SGD, **POLY, "base_lr": 1e-3, "max_iter": 500, "snapshot": 500}}})
RESNET50_THIN = Backbone(
    name="resnet50_thin", stages=(256, 512, 1024), offsets=(1, 2, 1, 2),
    landmark="conv_stage0_block0_branch2a", weights="../models/generic_thin.caffemodel",
    pretrained="../models/resnet50_thin.caffemodel", head_lr=2, normalize=True, decodes=True,
    solver={**SGD, **POLY, "base_lr": 1e-3, "max_iter": 150, "snapshot": 150},
    crops=CROPS,
    craf="--restart-share 0.2",
    recipes={
        "generic": {
            "head_lr": 10,
            "crops": {"size": (320, 320), "batch": 8, "scale": (0.5, 1.5), "angle": 10,
                      "colour": 0.7},
            "solver": {**SGD, **POLY, "base_lr": 3e-3, "max_iter": 2400, "snapshot": 700}},
        "best": {
            "flip": True,
            "solver": {**SGD, **POLY, "base_lr": 1e-3, "max_iter": 500, "snapshot": 500}}})
BACKBONES = {backbone.name: backbone for backbone in (RESNET101, RESNET50_THIN)}


def backbone_of(layer_names):
    """The backbone that layers of these names belong to, or None."""
    names = set(layer_names)
    return next((b for b in BACKBONES.values() if b.landmark in names), None)


def size_is_valid(backbone, height, width):
    """Whether every Crop of the net has enough to cut from, at this input size."""
    def fits(length):
        if length < 32:
            return False
        stride4 = math.ceil((math.ceil(length / 2) - 3) / 2) + 1
        cells, stride = (stride4, 4) if backbone.decodes else (math.ceil(stride4 / 2), 8)
        return stride * (cells + 1) >= length + backbone.offsets[-1]
    return fits(height) and fits(width)


def valid_size(backbone, height, width):
    """The nearest (height, width), not smaller, at which the net is defined."""
    while not size_is_valid(backbone, height, WORKING_SIZE[1]):
        height += 1
    while not size_is_valid(backbone, WORKING_SIZE[0], width):
        width += 1
    return height, width


# ---------------------------------------------------------------- backbones

def multipliers(rate):
    """Of a convolution's weights and bias: times the solver's learning rate and decay."""
    return [{"lr_mult": rate, "decay_mult": 1}, {"lr_mult": 2 * rate, "decay_mult": 0}]


def conv_bn(n, bottom, names, num_output, kernel=1, stride=1, pad=0, bias=False):
    """Convolution, then frozen BatchNorm and Scale in place; `names` of the three layers."""
    conv, norm, scale = names
    n[conv] = L.Convolution(
        bottom, num_output=num_output, kernel_size=kernel, stride=stride, pad=pad,
        bias_term=bias, weight_filler={"type": "msra"}, param=multipliers(1)[:1 + bias])
    n[norm] = L.BatchNorm(n[conv], in_place=True, use_global_stats=True, param=[FIXED] * 3)
    n[scale] = L.Scale(n[norm], in_place=True, bias_term=True)
    return n[scale]


def relu(n, bottom, name):
    n[name] = L.ReLU(bottom, in_place=True)
    return n[name]


def stem(n, names, relu_name, bias):
    """conv1 and pool1: the input at stride 4."""
    n.pool1 = L.Pooling(
        relu(n, conv_bn(n, n.data, names, 64, kernel=7, stride=2, pad=3, bias=bias), relu_name),
        pool=P.Pooling.MAX, kernel_size=3, stride=2)
    return n.pool1


def bottleneck(n, bottom, width, stride, project, names, bias):
    """A residual block; names(part) gives the name, or the three names, of a part of it."""
    shortcut = bottom
    if project:
        shortcut = conv_bn(n, bottom, names("branch1"), 4 * width, stride=stride, bias=bias)
    main = conv_bn(n, bottom, names("branch2a"), width, stride=stride, bias=bias)
    main = relu(n, main, names("branch2a_relu"))
    main = conv_bn(n, main, names("branch2b"), width, kernel=3, pad=1, bias=bias)
    main = relu(n, main, names("branch2b_relu"))
    main = conv_bn(n, main, names("branch2c"), 4 * width, bias=bias)
    n[names("sum")] = L.Eltwise(shortcut, main)
    return relu(n, n[names("sum")], names("sum_relu"))


def resnet101(n):
    """Stages at strides 4, 8, 16 and 32 of ResNet-101, with its public layer names."""
    def namer(block):
        def names(part):
            if part.startswith("sum"):
                return f"res{block}" + part[3:]
            if part.endswith("_relu"):
                return f"res{block}_{part}"
            return f"res{block}_{part}", f"bn{block}_{part}", f"scale{block}_{part}"
        return names

    top = stem(n, ("conv1", "bn_conv1", "scale_conv1"), "conv1_relu", bias=False)
    blocks = {2: ["a", "b", "c"], 3: ["a", "b1", "b2", "b3"],
              4: ["a", *(f"b{i}" for i in range(1, 23))], 5: ["a", "b", "c"]}
    stages = []
    for stage, suffixes in blocks.items():
        for suffix in suffixes:
            first = suffix == "a"
            top = bottleneck(n, top, 2 ** (stage + 4), 2 if first and stage > 2 else 1, first,
                             namer(f"{stage}{suffix}"), bias=False)
        stages.append(top)
    return stages


def resnet50_thin(n, blocks=(3, 4, 6, 3)):
    """Stages at strides 4, 8, 16 and 32 of the half-width ResNet-50 of Yahoo's open NSFW model.

    blocks: how many there are in each stage; fewer give the net's beginning.
    """
    def namer(block):
        def names(part):
            part = part.replace("branch1", "proj_shortcut")
            if part.startswith("sum"):
                return {"sum": "eltwise_", "sum_relu": "relu_"}[part] + block
            if part.endswith("_relu"):
                return f"relu_{block}_{part[:-5]}"
            return tuple(f"{kind}_{block}_{part}" for kind in ("conv", "bn", "scale"))
        return names

    top = stem(n, ("conv_1", "bn_1", "scale_1"), "relu_1", bias=True)
    stages = []
    for stage, count in enumerate(blocks):
        for index in range(count):
            first = index == 0
            top = bottleneck(n, top, 32 * 2 ** stage, 2 if first and stage > 0 else 1, first,
                             namer(f"stage{stage}_block{index}"), bias=True)
        stages.append(top)
    return stages


# --------------------------------------------------------------------- head

def upsample(bottom, channels, factor, dense, **padding):
    """Fixed bilinear upsampling by `factor`; dense as published, else channel by channel."""
    return L.Deconvolution(bottom, param=[FIXED], convolution_param={
        "num_output": channels, "kernel_size": 2 * factor, "stride": factor, "bias_term": False,
        "group": 1 if dense else channels, "weight_filler": {"type": "bilinear"}, **padding})


def classifier(bottom, num_output, head_lr, bias=True):
    """1x1 convolution of the head, with the release's fillers and multipliers."""
    return L.Convolution(
        bottom, num_output=num_output, kernel_size=1, bias_term=bias,
        weight_filler={"type": "gaussian", "std": 0.01}, param=multipliers(head_lr)[:1 + bias])


def fixed_scale(bottom):
    return L.Scale(bottom, bias_term=False, filler={"type": "constant", "value": 0.2},
                   param=[FIXED])


def projected_head(n, backbone, stages):
    """feat08: every stage to 128 channels first, then upsampled and added."""
    res3, res4, res5 = stages
    lr = backbone.head_lr
    n.feat08_res5 = classifier(res5, FEATURES, lr, bias=False)
    n.upsample_res5 = upsample(n.feat08_res5, FEATURES, 2, dense=False)
    n.scale_res4 = fixed_scale(res4)
    n.feat08_res4 = classifier(n.scale_res4, FEATURES, lr, bias=False)
    n.crop_res5 = L.Crop(n.upsample_res5, n.feat08_res4, axis=2, offset=backbone.offsets[0])
    n.sum_res4 = L.Eltwise(n.feat08_res4, n.crop_res5)
    n.upsample_res4 = upsample(n.sum_res4, FEATURES, 2, dense=False)
    n.scale_res3 = fixed_scale(res3)
    n.feat08_res3 = classifier(n.scale_res3, FEATURES, lr)
    n.crop_res4 = L.Crop(n.upsample_res4, n.feat08_res3, axis=2, offset=backbone.offsets[1])
    n.sum_res3 = L.Eltwise(n.crop_res4, n.feat08_res3)
    return n.sum_res3


def published_head(n, backbone, stages):
    """feat08 as in 2017: all channels of all stages upsampled, joined, then projected."""
    res3, res4, res5 = stages
    channels3, channels4, channels5 = backbone.stages
    n.upsample_res5 = upsample(res5, channels5, 2, dense=True)
    n.scale_res4 = fixed_scale(res4)
    n.crop_res5 = L.Crop(n.upsample_res5, n.scale_res4, axis=2, offset=backbone.offsets[0])
    n.concat_res4 = L.Concat(n.scale_res4, n.crop_res5)
    n.upsample_res4 = upsample(n.concat_res4, channels4 + channels5, 2, dense=True)
    n.scale_res3 = fixed_scale(res3)
    n.crop_res4 = L.Crop(n.upsample_res4, n.scale_res3, axis=2, offset=backbone.offsets[1])
    n.concat_res3 = L.Concat(n.crop_res4, n.scale_res3)
    n.feat08 = classifier(n.concat_res3, FEATURES, backbone.head_lr)
    return n.feat08


def decoder(n, backbone, stages):
    """Features at stride 4: {up x 2, add the projected stage, 3x3 convolution, ReLU}, thrice."""
    lr, top = backbone.head_lr, None
    for stride, stage, offset in zip((32, 16, 8, 4), reversed(stages), (0, *backbone.offsets)):
        part = head_conv(stage, DECODER, lr, kernel=1)
        n[f"project{stride}"] = part
        if top is not None:
            n[f"upsample{stride}"] = upsample(top, DECODER, 2, dense=False)
            n[f"crop{stride}"] = L.Crop(n[f"upsample{stride}"], part, axis=2, offset=offset)
            n[f"sum{stride}"] = part = L.Eltwise(part, n[f"crop{stride}"])
        n[f"decode{stride}"] = head_conv(part, DECODER, lr, kernel=3)
        top = relu(n, n[f"decode{stride}"], f"decode{stride}_relu")
    return top


def head_conv(bottom, num_output, head_lr, kernel):
    """Convolution of the thin net's head, He initialisation."""
    return L.Convolution(
        bottom, num_output=num_output, kernel_size=kernel, pad=kernel // 2,
        weight_filler={"type": "msra"}, param=multipliers(head_lr))


def score(n, backbone, head="projected"):
    """Writes backbone and head on top of n.data; the result is n.score_ori, N x 2 x H x W."""
    stages = {"resnet101": resnet101, "resnet50_thin": resnet50_thin}[backbone.name](n)
    if backbone.decodes:
        n.score04 = classifier(decoder(n, backbone, stages), 2, backbone.head_lr)
        n.upscore = upsample(n.score04, 2, 4, dense=False)
    else:
        features = {"projected": projected_head, "published": published_head}[head](
            n, backbone, stages[1:])
        n.score08 = classifier(features, 2, backbone.head_lr)
        n.upscore = upsample(n.score08, 2, 8, dense=head == "published")
    # The release's layer is called `score` and its top `score_ori`.
    n.score_ori = L.Crop(n.upscore, n.data, axis=2, offset=backbone.offsets[-1], name="score")


# --------------------------------------------------------------------- nets

def deploy(backbone, prob, head="projected", size=WORKING_SIZE):
    """The net for inference: data (1 x 3 x H x W) to score_ori, and to prob if wanted."""
    n = caffe.NetSpec()
    n.data = L.Input(input_param={"shape": {"dim": [1, 3, *size]}})
    score(n, backbone, head)
    if prob:
        n.prob = L.Softmax(n.score_ori)
    return n.to_proto()


def train(backbone, layer, head="projected", **parameters):
    """The net for training, fed by the Python layer segspn.layers.<layer>."""
    n = caffe.NetSpec()
    n.data, n.label, n.weight = L.Python(
        module="segspn.layers", layer=layer, param_str=repr(parameters), ntop=3)
    score(n, backbone, head)
    n.score = L.Python(n.score_ori, n.weight, module="segspn.layers", layer="LossWeighting",
                       name="loss_weighting")
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_param={"normalize": backbone.normalize})
    n.accuracy = L.Accuracy(n.score, n.label)
    n.accuracy_fg = L.Accuracy(n.score, n.label, ignore_label=0)
    n.accuracy_bg = L.Accuracy(n.score, n.label, ignore_label=1)
    return n.to_proto()


def solver(kind, net, snapshot_prefix, **changes):
    """The solver of a train prototxt; paths are relative to python_scripts/.

    kind: what is trained, a Backbone or a refinement net; its `solver` has the fields.
    """
    parameter = caffe.proto.caffe_pb2.SolverParameter(
        train_net=net, lr_policy="fixed", iter_size=1, display=20, average_loss=20,
        snapshot_prefix=snapshot_prefix)
    for name, value in {**kind.solver, **changes}.items():
        setattr(parameter, name, value)
    return parameter
