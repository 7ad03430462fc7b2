"""Ours on the CPU beside the same nets in a PyTorch that you have: time and memory.

Both take turns in one run, with the same threads. PyTorch is no part of this project: give
the Python that has it (the net is in tools/bench/torch_twin.py).
"""

import multiprocessing
import os
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

from ResNetF import nets
from segspn import cli, files
from segspn.errors import UserError
from tools.bench import cases, common
from tools.bench.cases import Case

REPEAT = 5
QUICK = 5  # --quick divides height and width by this
TWIN = Path(__file__).with_name("torch_twin.py")
HEADS = ["what", "net", "threads", "ours", "PyTorch", "ratio", "peak MB", "PyTorch MB",
         "MB ratio"]
_run = None  # in a process of Ours


def add_arguments(parser):
    parser.add_argument("--python", type=cli.path, required=True, metavar="PATH",
                        help="a Python that has PyTorch")
    parser.add_argument("--net", choices=list(nets.BACKBONES), nargs="+",
                        default=list(nets.BACKBONES), help="backbones (all)")
    parser.add_argument("--threads", type=cli.whole(), nargs="+", default=[1, common.cores()],
                        help="of both (1, and one a core)")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch's other layout")


def environment(threads):
    """The variables by which both have this many threads."""
    return {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}


class Twin:
    """A process of PyTorch.  Raises UserError where it does not begin."""

    def __init__(self, python, case, threads, *layout):
        command = [python, TWIN, case.work, case.net, *map(str, case.size), *layout]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, **environment(threads)})
        except OSError as error:
            raise UserError(f"--python {python} does not run: {error}") from error
        line = self._process.stdout.readline().split()
        if not line:
            raise UserError(f"--python {python}: its words above say why it does not compute")
        self.parameters, self.version = int(line[0]), line[1]

    def seconds(self):
        """Of one more pass."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self):
        """Peak MB."""
        return float(self._process.communicate()[0])


class Ours:
    """A process of ours, of the same interface."""

    def __init__(self, case, threads, data):
        os.environ.update(environment(threads))  # the process starts with them
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self.parameters = self._pool.submit(_prepare, case, data).result()

    def seconds(self):
        return self._pool.submit(_pass).result()

    def end(self):
        _, peak = self._pool.submit(common.with_peak, int).result()
        self._pool.shutdown()
        return peak


def _prepare(case, data):
    """Makes what _pass runs; the number of its parameters."""
    global _run
    if case.work == "train":
        solver = cases.make_solver(case, data)
        net, _run = solver.net, lambda: solver.step(1)
    else:
        net = cases.make_net(case, data)
        _run = net.forward
    return sum(blob.count for name, blobs in net.params.items() for blob in blobs
               if not name.startswith("scale_res"))  # the head's fixed factors


def _pass():
    return common.timed(_run, 1, warm=False)[0]


def measured(case, threads, data, args):
    """A row of numbers: both take turns, after a pass that does not count."""
    twin = Twin(args.python, case, threads, *["channels_last"] * args.channels_last)
    ours = Ours(case, threads, data)
    if twin.parameters != ours.parameters:
        raise UserError(f"{case}: {twin.parameters} parameters in PyTorch, {ours.parameters} here")
    seconds = [(ours.seconds(), twin.seconds()) for _ in range(args.repeat + 1)][1:]
    mine, theirs = (common.summary(values) for values in zip(*seconds))
    return {"what": {"train": "training iteration", "infer": "inference"}[case.work],
            "net": case.net, "size": list(case.size), "threads": threads, "ours": mine,
            "torch": theirs, "ratio": mine["median"] / theirs["median"],
            "peak_mb": ours.end(), "torch_peak_mb": twin.end(), "version": twin.version}


def line(row):
    """A row's cells."""
    return [row["what"], row["net"], row["threads"],
            *(f"{row[whose]['median']:.3f} s ({row[whose]['min']:.3f}–{row[whose]['max']:.3f})"
              for whose in ("ours", "torch")),
            f"{row['ratio']:.2f}", f"{row['peak_mb']:.0f}", f"{row['torch_peak_mb']:.0f}",
            f"{row['peak_mb'] / row['torch_peak_mb']:.2f}"]


def run(args):
    if not cases.THIN_WEIGHTS.is_file():
        thin = files.MODELS / cases.THIN_WEIGHTS.name
        raise UserError(f"weights {thin} do not exist; run make weights")
    wanted = [length // QUICK if args.quick else length for length in nets.WORKING_SIZE]
    every = [(Case(work, net, nets.valid_size(nets.BACKBONES[net], *wanted)), threads)
             for net in args.net for work in ("infer", "train")
             for threads in dict.fromkeys(args.threads)]
    rows = []
    with tempfile.TemporaryDirectory() as data, tqdm(every, dynamic_ncols=True) as bar:
        cases.write_data_set(Path(data))
        for case, threads in bar:
            bar.set_description(str(case))
            rows.append(measured(case, threads, data, args))
    layout = ", channels last" if args.channels_last else ""
    return (f"{common.table(HEADS, map(line, rows), names=3)}\n\nMedians of {args.repeat}, both in "
            f"turn, ranges in brackets, at {cli.size_text(every[0][0].size)}; ratio = ours / "
            f"PyTorch {rows[0]['version']} eager{layout}, BatchNorm with fixed statistics, the "
            "projected head, or the thin net's.", {"rows": rows})
