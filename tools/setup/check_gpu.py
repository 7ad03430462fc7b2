"""Runs our layers, and whole nets, on a GPU, and compares them with the CPU.

Prints a table: the largest difference that was found, and milliseconds on both (the median
of several calls).  Fails where a difference is above its tolerance, where there is no GPU, and
where Caffe was built for the CPU alone.

Example:
    python -m tools.setup.check_gpu --gpu 0 --repeat 10
"""

import ctypes
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ResNetF import nets as resnetf
from segspn import cli, files
from segspn.caffenet import device, prototxt, published_head, weights
from segspn.errors import UserError, count, script
from segspn.method.refine import SHIPPED
from segspn.training import prototxts
from spn import nets as refinement
from tools.bench import common

import caffe  # isort: skip - after segspn, by which it is quiet
from caffe import layers as L  # isort: skip

# Our layers do the same operations in the same order on both: differences are mistakes.
LAYER = 1e-5  # of the largest magnitude of a blob
# Convolutions add up thousands of products in another order (float32: 6e-8 each).  Through a
# hundred layers that comes to 1e-5; and where an element near 0 passes a ReLU, or a maximum is
# nearly reached twice, on one of them only, all of its gradient is elsewhere.  Adam, of
# refine_small, divides a gradient by its size, also one that is nothing but rounding.  Two
# CPU implementations (oneDNN's and Caffe's) differ by 4e-7 forward, 6e-4 and 4e-3 in a step.
FORWARD, STEP = 1e-4, 2e-2  # of the root mean square of a blob
# Height and width: odd ones, and lines that do not fit in a GPU's shared memory.
SIZES = ((1, 1), (1, 9), (7, 1), (33, 37), (3, 2100), (6200, 2), (240, 427))
CHANNELS = 3
NET_SIZE = resnetf.WORKING_SIZE
CROPS = (8, 128, 128)  # batch, height and width in the training of refine_small


@dataclass(frozen=True)
class Case:
    """What is run on both: run(gpu, repeat) gives ([arrays], [median ms of each of its parts]).

    measure(actual, expected) of two arrays must be at most `tolerance`.
    """

    name: str
    run: Callable
    tolerance: float
    measure: Callable


@dataclass(frozen=True)
class Row:
    """What came of a case; times are in ms."""

    name: str
    error: float
    tolerance: float
    equal: bool
    cpu: list
    gpu: list

    @property
    def failed(self):
        return not self.error <= self.tolerance  # NaN fails


def of_largest(actual, expected):
    """The largest difference, as a part of the largest magnitude."""
    return np.abs(actual - expected).max() / (np.abs(expected).max() or 1)


def of_root_mean_square(actual, expected):
    """The root mean square of the differences, as a part of that of the expected."""
    return np.linalg.norm(actual - expected) / (np.linalg.norm(expected) or 1)


def compare(case, cpu, gpu, repeat):
    """The Row of a case.  cpu, gpu: where it is run, as `gpu` of device.use."""
    expected, cpu_times = case.run(cpu, repeat)
    actual, gpu_times = case.run(gpu, repeat)
    pairs = [(a.astype(np.float64), e.astype(np.float64)) for a, e in zip(actual, expected)]
    if not pairs or len(actual) != len(expected):
        raise UserError(f"{case.name}: {len(actual)} results, and {len(expected)} on the CPU")
    errors = [case.measure(*pair) for pair in pairs]
    return Row(case.name, float(np.max(errors)), case.tolerance,
               all(np.array_equal(*pair) for pair in pairs), cpu_times, gpu_times)


def milliseconds(functions, repeat, gpu):
    """The median of each."""
    wait = (lambda: None) if gpu is None else ctypes.CDLL("libcuda.so.1").cuCtxSynchronize

    def whole(function):
        function()
        wait()
    return [1000 * common.median_seconds(partial(whole, function), repeat)
            for function in functions]


# ------------------------------------------------------------------- layers

def input_of(*shape):
    return L.Input(input_param={"shape": {"dim": list(shape)}})


def layer_net(add, names):
    """A net of one layer, h; add(n, bottoms) gives it.  names: of its inputs."""
    n = caffe.NetSpec()
    for name in names:
        n[name] = input_of(1, 3 * CHANNELS if name == "gates" else CHANNELS, 2, 2)
    n.h = add(n, [n[name] for name in names])
    message = n.to_proto()
    message.force_backward = True
    return prototxt.build(caffe.Net, message, caffe.TEST)


def run_layer(add, names, scale, gpu, repeat):
    """Results and gradients of random inputs of all SIZES, and the times of the last.

    scale: of all inputs but x.
    """
    device.use(gpu)
    net, rng, arrays = layer_net(add, names), np.random.default_rng(0), []
    for size, gate_num in itertools.product(SIZES, (1, 2)):
        for name in names:
            channels = net.blobs[name].shape[1]
            net.blobs[name].reshape(2 if name == "x" else gate_num, channels, *size)
        net.reshape()
        for name in names:
            fill(net.blobs[name].data, rng, 1 if name == "x" else scale)
        net.forward()
        fill(net.blobs["h"].diff, rng, 1)
        net.backward()
        arrays += [net.blobs["h"].data.copy(), *(net.blobs[name].diff.copy() for name in names)]
    return arrays, milliseconds((net.forward, net.backward), repeat, gpu)


def fill(array, rng, scale):
    array[...] = rng.normal(0, scale, array.shape)


def layer_cases():
    """Every scan of SpatialPropagation, and the layers of the NIPS 2017 release."""
    for direction, kind in itertools.product(refinement.DIRECTIONS, refinement.NORMALIZATIONS):
        def scan(n, bottoms, direction=direction, kind=kind):
            return refinement.scan(n, "h", *bottoms, direction, kind)
        yield Case(f"{direction} {kind}", partial(run_layer, scan, ("x", "gates"), scale(kind)),
                   LAYER, of_largest)
    for horizontal, reverse in itertools.product((True, False), repeat=2):
        def published(n, bottoms, horizontal=horizontal, reverse=reverse):
            return L.GateRecurrent2dnoind(*bottoms, gaterecurrent2dnoind_param={
                "horizontal": horizontal, "reverse": reverse})
        yield Case(f"GateRecurrent2dnoind {'horizontal' if horizontal else 'vertical'}"
                   f"{' reverse' if reverse else ''}",
                   partial(run_layer, published, ("x", "g1", "g2", "g3"), scale("NONE")),
                   LAYER, of_largest)
    yield Case("Divide", partial(run_layer, lambda n, bottoms: L.Divide(*bottoms), ("x",), 1),
               LAYER, of_largest)


def scale(kind):
    return 0.3 if kind == "NONE" else 1  # sums of gates above 1 make h grow


# --------------------------------------------------------------------- nets

def without_data_layer(message):
    """The train net with inputs instead of its Python layer that gives samples."""
    samples, *others = message.layer
    batch, *size = CROPS if "coarse" in samples.top else (1, *NET_SIZE)
    n = caffe.NetSpec()
    for name in samples.top:
        n[name] = input_of(batch, 3 if name == "data" else 1, *size)
    net = n.to_proto()
    net.layer.extend(others)
    return net


def feed(net):
    """A smooth picture, and what belongs to it, where the net has an input for it."""
    rng = np.random.default_rng(0)
    data = net.blobs["data"].data
    coarse = rng.normal(0, 60, (*data.shape[:2], *(length // 16 + 1 for length in data.shape[2:])))
    fine = coarse.repeat(16, 2).repeat(16, 3)[..., :data.shape[2], :data.shape[3]]
    data[...] = fine + rng.normal(0, 10, data.shape)
    for name in ("label", "coarse"):
        if name in net.blobs:
            target = net.blobs[name].data
            target[...] = np.broadcast_to(fine[:, :1] > 0, target.shape)
    if "weight" in net.blobs:
        net.blobs["weight"].data[...] = 0.1 + 0.8 * net.blobs["label"].data


def run_forward(message, path, output, gpu, repeat):
    """The outputs of a deploy net, with blobs that share memory, as they are used."""
    device.use(gpu)
    caffe.set_random_seed(1)
    net = prototxt.build(caffe.Net, prototxt.sharing_memory(message), caffe.TEST)
    weights.load(net, path)
    published_head.set_bilinear(net)
    feed(net)
    net.forward()
    return [net.blobs[output].data.copy()], milliseconds((net.forward,), repeat, gpu)


def run_step(kind, message, path, gpu, repeat):
    """The loss of a training's first step, and what it adds to each parameter."""
    device.use(gpu)
    solver = prototxts.solver_in_memory(kind, without_data_layer(message))
    weights.load(solver.net, path)
    published_head.set_bilinear(solver.net)
    feed(solver.net)
    solver.step(1)
    arrays = [solver.net.blobs["loss"].data.copy(), *(
        blob.diff.copy() for blobs in solver.net.params.values() for blob in blobs
        if blob.diff.any())]
    return arrays, milliseconds((partial(solver.step, 1),), repeat, gpu)


def net_cases():
    """The thin ResNetF and refine_small, which ship: inference, and a training step."""
    thin, small = resnetf.RESNET50_THIN, refinement.REFINE_SMALL
    thin_weights = files.PYTHON_SCRIPTS / thin.weights
    small_size = [length + -length % refinement.STRIDE for length in NET_SIZE]
    yield Case("thin ResNetF", partial(
        run_forward, resnetf.deploy(thin, False, size=NET_SIZE), thin_weights, "score_ori"),
        FORWARD, of_root_mean_square)
    yield Case("thin ResNetF, a training step", partial(
        run_step, thin, resnetf.train(thin, "GenericForeground"), thin_weights),
        STEP, of_root_mean_square)
    yield Case("refine_small", partial(
        run_forward, refinement.deploy(small, 2, small_size), SHIPPED, "prob"),
        FORWARD, of_root_mean_square)
    yield Case("refine_small, a training step", partial(
        run_step, small, refinement.train(small), SHIPPED), STEP, of_root_mean_square)


# -------------------------------------------------------------------- table

def table(rows):
    """The rows in Markdown; times are forward / backward, or of the whole step."""
    def times(values):
        return " / ".join(f"{value:.3g}" for value in values)
    return common.table(
        ("what", "", "difference", "tolerance", "to the bit", "CPU, ms", "GPU, ms"),
        [(row.name, "FAILED" if row.failed else "ok", f"{row.error:.1e}", f"{row.tolerance:g}",
          "yes" if row.equal else "no", times(row.cpu), times(row.gpu)) for row in rows], 2)


@script
def main():
    parser = cli.parser(__doc__)
    parser.prog = "python -m tools.setup.check_gpu"
    parser.add_argument("--gpu", type=cli.gpu, default=0, metavar="ID", help="device number (0)")
    parser.add_argument("--repeat", type=cli.whole(), default=5, help="timed calls a case (5)")
    args = parser.parse_args()
    device.check(args.gpu)
    rows = [compare(case, None, args.gpu, args.repeat)
            for case in (*layer_cases(), *net_cases())]
    print(table(rows))
    failed = [row.name for row in rows if row.failed]
    if failed:
        raise UserError(f"the GPU differs from the CPU in {count(len(failed), 'case')}: "
                        f"{', '.join(failed)}")


if __name__ == "__main__":
    main()
