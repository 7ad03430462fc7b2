"""ResNetF in PyTorch, for `tools.bench torch`; runs in the Python that has PyTorch.

python torch_twin.py infer|train BACKBONE HEIGHT WIDTH [channels_last]

Prints the number of its parameters, then for each line that it reads does one pass or one
iteration and prints its seconds; at the end of its input, the peak of its memory in MB.
"""

import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

# As in ResNetF/nets.py: blocks and width of the first stage, bias of convolutions.
BACKBONES = {"resnet101": ((3, 4, 23, 3), 64, False), "resnet50_thin": ((3, 4, 6, 3), 32, True)}


class ConvNorm(nn.Module):
    """Convolution, then BatchNorm with fixed statistics."""

    def __init__(self, channels, outputs, kernel, stride, bias):
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, kernel, stride, kernel // 2, bias=bias)
        self.norm = nn.BatchNorm2d(outputs).eval()

    def forward(self, x):
        return self.norm(self.conv(x))


class Bottleneck(nn.Module):
    def __init__(self, channels, width, stride, project, bias):
        super().__init__()
        self.shortcut = ConvNorm(channels, 4 * width, 1, stride, bias) if project else None
        self.a = ConvNorm(channels, width, 1, stride, bias)
        self.b = ConvNorm(width, width, 3, 1, bias)
        self.c = ConvNorm(width, 4 * width, 1, 1, bias)

    def forward(self, x):
        shortcut = self.shortcut(x) if self.shortcut else x
        return F.relu(shortcut + self.c(F.relu(self.b(F.relu(self.a(x))))))


def cropped(x, like, offset):
    return x[..., offset:offset + like.shape[2], offset:offset + like.shape[3]]


def upsampling(channels, factor):
    """Fixed upsampling, channel by channel."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, groups=channels, bias=False)
    return layer.requires_grad_(False)


class Linear(nn.Module):
    """The projected head of the paper, of the stages at strides 8, 16 and 32."""

    OFFSETS = 2, 0, 8

    def __init__(self, channels):
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(count, 128, 1, bias=index == 0)
                                     for index, count in enumerate(channels[1:]))
        self.up = nn.ModuleList(upsampling(128, 2) for _ in range(2))
        self.score = nn.Conv2d(128, 2, 1)
        self.up_score = upsampling(2, 8)

    def forward(self, stages, image):
        _, res3, res4, res5 = stages
        up5 = self.up[0](self.project[2](res5))
        sum4 = self.project[1](0.2 * res4)
        sum4 = sum4 + cropped(up5, sum4, self.OFFSETS[0])
        sum3 = self.project[0](0.2 * res3)
        sum3 = sum3 + cropped(self.up[1](sum4), sum3, self.OFFSETS[1])
        return cropped(self.up_score(self.score(sum3)), image, self.OFFSETS[2])


class Decoder(nn.Module):
    """The head of the thin net, of all stages."""

    OFFSETS = 1, 2, 1, 2

    def __init__(self, channels, width=64):
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.decode = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.up = nn.ModuleList(upsampling(width, 2) for _ in channels[1:])
        self.score = nn.Conv2d(width, 2, 1)
        self.up_score = upsampling(2, 4)

    def forward(self, stages, image):
        top = None
        for index in reversed(range(len(stages))):
            part = self.project[index](stages[index])
            if top is not None:
                part = part + cropped(self.up[index](top), part, self.OFFSETS[2 - index])
            top = F.relu(self.decode[index](part))
        return cropped(self.up_score(self.score(top)), image, self.OFFSETS[3])


class ResNetF(nn.Module):
    """Image, N x 3 x H x W, to scores, N x 2 x H x W."""

    def __init__(self, name):
        super().__init__()
        blocks, width, bias = BACKBONES[name]
        self.stem = ConvNorm(3, 64, 7, 2, bias)
        self.stages, inputs = nn.ModuleList(), 64
        for stage, count in enumerate(blocks):
            layers = []
            for block in range(count):
                layers.append(Bottleneck(inputs, width << stage, 1 + (stage > 0 == block),
                                         block == 0, bias))
                inputs = 4 * width << stage
            self.stages.append(nn.Sequential(*layers))
        self.head = {"resnet101": Linear, "resnet50_thin": Decoder}[name](
            [4 * width << stage for stage in range(4)])

    def forward(self, image):
        x = F.max_pool2d(F.relu(self.stem(image)), 3, 2, ceil_mode=True)
        tops = []
        for stage in self.stages:
            x = stage(x)
            tops.append(x)
        return self.head(tops, image)


def inference(net, image):
    def run():
        with torch.no_grad():
            return F.softmax(net(image), 1)
    return run


def training(net, image):
    solver = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 1e-4, 0.9,
                             weight_decay=5e-4)
    label = torch.zeros(1, *image.shape[2:], dtype=torch.long)
    label[:, 100:200, 100:300] = 1
    weight = torch.where(label == 1, 0.9, 0.1)

    def run():
        solver.zero_grad()
        (F.cross_entropy(net(image), label, reduction="none") * weight).mean().backward()
        solver.step()
    return run


def main(work, backbone, height, width, layout=""):
    torch.manual_seed(0)
    net = ResNetF(backbone)
    image = torch.randn(1, 3, int(height), int(width))
    if layout == "channels_last":
        net, image = (x.to(memory_format=torch.channels_last) for x in (net, image))
    # ResNetF.nets counts a BatchNorm's mean, variance and factor as well.
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    print(sum(p.numel() for p in net.parameters()) + sum(2 * m.num_features + 1 for m in norms),
          torch.__version__, torch.get_num_threads(), flush=True)
    run = {"infer": inference, "train": training}[work](net, image)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        print(time.perf_counter() - begin, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:])
