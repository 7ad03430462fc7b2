"""The nets as they are measured: sane weights, a data set of one frame, an iteration, a pass."""

import dataclasses

import caffe
import cv2
import numpy as np

from ResNetF import nets
from segspn import cli, files
from segspn.caffenet import device, prototxt, published_head, weights
from segspn.caffenet.net_input import net_input
from segspn.data import davis
from segspn.errors import UserError
from segspn.training import prototxts
from tools.bench.common import summary, timed

THIN_WEIGHTS = files.PYTHON_SCRIPTS / nets.RESNET50_THIN.weights
# With the paper's head on the thin backbone, whose two forms are quick to compare.
LINEAR = "resnet50_thin_linear"
BACKBONES = {**nets.BACKBONES, LINEAR: dataclasses.replace(
    nets.RESNET50_THIN, decodes=False, offsets=(1, 1, 4), weights=nets.RESNET50_THIN.pretrained)}
DATA_LAYER, SEQUENCE = "FirstFrameObject", "synthetic"


@dataclasses.dataclass(frozen=True)
class Case:
    """What one process measures: `work` is train or infer."""

    work: str
    net: str
    size: tuple
    head: str = "projected"

    def __str__(self):
        return f"{self.work} {self.net} {self.head} {cli.size_text(self.size)}"


def write_data_set(root):
    """A sequence of one textured frame at 480 x 854, with one object, in DAVIS layout."""
    size = nets.WORKING_SIZE
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    frame = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    labels = np.zeros(size, np.uint8)
    cv2.ellipse(labels, (size[1] // 2, size[0] // 2), (size[1] // 6, size[0] // 4), 20, 0, 360, 1,
                -1)
    frame[labels == 1] = frame[labels == 1] // 2 + np.array((20, 40, 120), np.uint8)
    files.write_image(root / davis.IMAGES / SEQUENCE / "00000.jpg", frame)
    davis.write_labels(root / davis.ANNOTATIONS / SEQUENCE / "00000.png", labels)


def initialise(net, case):
    """Weights with which every activation stays in a sane range.

    With fillers alone numbers overflow or become denormal, and those are slower.
    """
    if BACKBONES[case.net].name == nets.RESNET50_THIN.name:
        weights.load(net, files.PYTHON_SCRIPTS / BACKBONES[case.net].weights)
    else:
        for name, blobs in net.params.items():
            if len(blobs) == 3:  # BatchNorm: mean, variance, their common factor
                blobs[1].data[...] = 2
                blobs[2].data[...] = 1
            elif "scale" in name and len(blobs) == 2:
                blobs[0].data[...] = 0.7
    published_head.set_bilinear(net)


def make_solver(case, data):
    """The solver that segspn.training.solving makes of the real net and settings."""
    backbone = BACKBONES[case.net]
    solver = prototxts.solver_in_memory(backbone, nets.train(
        backbone, DATA_LAYER, case.head, data=str(data), sequence=SEQUENCE, object=1,
        size=case.size, augmentation=nets.AUGMENTATION, seed=0))
    initialise(solver.net, case)
    return solver


def make_net(case, data):
    """The deploy net with prob, the frame in it."""
    message = nets.deploy(BACKBONES[case.net], True, case.head, case.size)
    net = prototxt.build(caffe.Net, prototxt.sharing_memory(message), caffe.TEST)
    initialise(net, case)
    frame, _ = davis.Davis(data).first_frame(SEQUENCE)
    net.blobs["data"].data[0] = net_input(davis.resized(frame, case.size))
    return net


def measure_train(case, data, repeat):
    """Seconds of training iterations, and the share of them that waits for samples."""
    solver = make_solver(case, data)
    layer = next(layer for layer in solver.net.layers if hasattr(layer, "seconds"))
    waits = []

    def step():
        before = layer.seconds
        solver.step(1)
        waits.append(layer.seconds - before)

    seconds = timed(step, repeat)
    check_finite(case, solver.net.blobs["loss"].data)
    return {"seconds": seconds,
            "waiting": [wait / second for wait, second in zip(waits[1:], seconds)]}


def measure_infer(case, data, repeat):
    """Seconds of the forward pass."""
    net = make_net(case, data)
    seconds = timed(net.forward, repeat)
    check_finite(case, net.blobs["score_ori"].data)
    return {"seconds": seconds}


def check_finite(case, numbers):
    if not np.isfinite(numbers).all():
        raise UserError(f"{case}: the net's numbers are not finite, so its timing means nothing")


def measure(case, data, repeat):
    """Measures a case in this process, on the CPU: {quantity: summary}."""
    device.use(None)
    function = {"train": measure_train, "infer": measure_infer}[case.work]
    return {name: summary(values) for name, values in function(case, data, repeat).items()}
