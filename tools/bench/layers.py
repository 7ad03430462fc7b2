"""Where the time of a net goes: seconds and bytes by the type of layers.

Each layer is timed by itself, as Caffe runs it: forward, and in a training backward. On the
CPU a convolution by oneDNN does the work of the BatchNorm, Scale, sum and ReLU behind it,
which then take no time.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ResNetF import nets
from segspn import cli
from tools.bench import cases, common
from tools.bench.cases import Case

REPEAT = 3
QUICK = 5  # --quick divides height and width by this
HEADS = ["layers", "number", "forward s", "backward s", "share", "parameters MB", "tops MB"]


def add_arguments(parser):
    parser.add_argument("--net", choices=list(nets.BACKBONES), nargs="+",
                        default=list(nets.BACKBONES), help="backbones (all)")


def seconds_of(run, number):
    """Seconds of run(i) for each layer i below `number`."""
    seconds = []
    for i in range(number):
        begin = time.perf_counter()
        run(i)
        seconds.append(time.perf_counter() - begin)
    return seconds


def profile(case, data, repeat):
    """[row] of a case, a type of layers each, as HEADS says; seconds are the least of `repeat`."""
    net = (cases.make_net if case.work == "infer" else
           lambda *given: cases.make_solver(*given).net)(case, data)
    number = len(net.layers)
    rounds = []
    for _ in range(repeat + 1):
        forward = seconds_of(lambda i: net._forward(i, i), number)
        backward = [0] * number
        if case.work == "train":
            net.clear_param_diffs()
            backward = seconds_of(lambda i: net._backward(number - 1 - i, number - 1 - i),
                                  number)[::-1]
        rounds.append((forward, backward))
    forward, backward = np.min(rounds[1:], axis=0)
    return rows_by_type(net, forward, backward)


def rows_by_type(net, forward, backward):
    """[row]: the types of a net's layers, the most expensive first."""
    total, rows = forward.sum() + backward.sum(), []
    types = [layer.type for layer in net.layers]
    for kind in set(types):
        mine = [i for i, other in enumerate(types) if other == kind]
        parameters = sum(blob.count for i in mine for blob in net.layers[i].blobs)
        tops = {k for i in mine for k in net._top_ids(i) if k not in net._bottom_ids(i)}
        here = forward[mine].sum() + backward[mine].sum()
        rows.append({"type": kind, "number": len(mine), "forward": forward[mine].sum(),
                     "backward": backward[mine].sum(), "share": here / total,
                     "parameters_mb": 4e-6 * parameters,
                     "tops_mb": 4e-6 * sum(net._blobs[k].count for k in tops)})
    return sorted(rows, key=lambda row: -row["share"])


def table(rows):
    """The rows in Markdown, and their sum."""
    total = {name: sum(row[name] for row in rows) for name in rows[0] if name != "type"}
    return common.table(HEADS, [
        [row["type"], row["number"], f"{row['forward']:.3f}", f"{row['backward']:.3f}",
         f"{100 * row['share']:.1f} %", f"{row['parameters_mb']:.1f}", f"{row['tops_mb']:.0f}"]
        for row in [*rows, {"type": "all", **total}]])


def run(args):
    texts, numbers = [], {}
    wanted = [length // QUICK if args.quick else length for length in nets.WORKING_SIZE]
    every = [Case(work, net, nets.valid_size(nets.BACKBONES[net], *wanted))
             for net in args.net for work in ("infer", "train")]
    with tempfile.TemporaryDirectory() as data, tqdm(every, dynamic_ncols=True) as bar:
        cases.write_data_set(Path(data))
        for case in bar:
            bar.set_description(str(case))
            rows, peak = common.apart(profile, case, data, args.repeat)
            numbers[str(case)] = {"rows": rows, "peak_mb": peak}
            what = {"infer": "a forward pass", "train": "a training iteration"}[case.work]
            texts.append(f"**{case.net}, {cli.size_text(case.size)}, {what}**, peak {peak:.0f} MB"
                         f"\n\n{table(rows)}")
    return "\n\n".join(texts), numbers
