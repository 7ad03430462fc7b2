"""Measures speed and memory, ours against the published layout in the same Caffe, in one run.

Every measurement is a process of its own, so that its peak memory is its own.
The table goes to the terminal, and with all numbers to results/benchmark.md and
results/benchmark.json.

Example:
    python tools/benchmark.py --repeat 5
"""

import ctypes
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import caffe
import cv2
import numpy as np
from tqdm import tqdm

import benchmark_parts
from benchmark_parts import Case
from ResNetF import nets
from segspn import cli, files
from segspn.caffenet import device
from segspn.errors import UserError, script

RESNET101, THIN = nets.RESNET101.name, nets.RESNET50_THIN.name
HALF_SIZE = (240, 427)
SIZES = (HALF_SIZE, (480, 427), (240, 854), nets.WORKING_SIZE, (720, 1280))
QUICK = 5  # --quick divides heights and widths by this


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: a quantity of a case, perhaps beside that of the published head."""

    what: str
    case: Case
    compared: bool = False
    quantity: str = "seconds"

    def cases(self):
        published = dataclasses.replace(self.case, head="published")
        return [self.case, published] if self.compared else [self.case]


def plan(quick):
    """The rows of the table, in order.

    The quick ones compare the two heads of the thin net: those of ResNet-101
    cost seconds and gigabytes at any size, for the published head's weights.
    """
    compared = THIN if quick else RESNET101

    def case(work, net, size=nets.WORKING_SIZE):
        wanted = [round(length / QUICK) for length in size] if quick else size
        return Case(work, net, nets.valid_size(nets.BACKBONES[net], *wanted))

    training = case("train", compared)
    return [
        Row("training iteration", training, compared=True),
        Row("inference", case("infer", compared), compared=True),
        Row("data layer's share of the training iteration", training, quantity="share"),
        Row("making one sample", case("sample", compared)),
        *(Row("training iteration", case("train", THIN, size))
          for size in (nets.WORKING_SIZE, HALF_SIZE)),
        *(Row("inference by size", case("infer", net, size))
          for net in (THIN, RESNET101) for size in SIZES)]


def measure_apart(case, data, repeat):
    """The measurement of a case, by a process of its own.  Raises UserError where that fails."""
    arguments = {**dataclasses.asdict(case), "data": os.fspath(data), "repeat": repeat}
    result = subprocess.run(
        [sys.executable, os.path.abspath(__file__), "--measure", json.dumps(arguments)],
        capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if result.returncode < 0:
            reason = (f"it ended with signal {-result.returncode}; the published training "
                      "needs 10 GB of memory")
        raise UserError(f"the measurement of {case} failed: {reason.removeprefix('error: ')}")
    return json.loads(result.stdout.splitlines()[-1])


def filled(row, measured):
    """A row with its numbers; ratios are ours / published."""
    ours, *published = (measured[case] for case in row.cases())
    result = {"what": row.what, "net": row.case.net, "size": list(row.case.size),
              "quantity": row.quantity, "ours": ours[row.quantity]}
    if row.quantity == "seconds" and row.case.work != "sample":
        median = ours["seconds"]["median"]
        result.update(per_second=1 / median, peak_mb=ours["peak_mb"],
                      seconds_per_megapixel=median * 1e6 / int(np.prod(row.case.size)))
    for other in published:
        result.update(
            published=other[row.quantity], published_peak_mb=other["peak_mb"],
            ratio=ours[row.quantity]["median"] / other[row.quantity]["median"],
            peak_mb_ratio=ours["peak_mb"] / other["peak_mb"])
    return result


def value_text(value, quantity):
    """A median with its unit and range; nothing for None."""
    if value is None:
        return ""
    factor, unit = (100, "%") if quantity == "share" else (1, "s")
    median, low, high = (f"{factor * value[name]:.3g}" for name in ("median", "min", "max"))
    return f"{median} {unit} ({low}–{high})"


def line(row):
    """A row's cells."""
    def number(name, form):
        return format(row[name], form) if name in row else ""

    return [row["what"], row["net"], "{}x{}".format(*row["size"]),
            value_text(row["ours"], row["quantity"]),
            value_text(row.get("published"), row["quantity"]),
            number("ratio", ".2f"), number("per_second", ".3g"),
            number("seconds_per_megapixel", ".3g"), number("peak_mb", ".0f"),
            number("published_peak_mb", ".0f"), number("peak_mb_ratio", ".2f")]


def table(rows):
    """The rows in Markdown."""
    heads = ["what", "net", "size", "ours", "published", "ratio", "a second", "s/megapixel",
             "peak MB", "published MB", "MB ratio"]
    lines = [heads, ["---"] * 3 + ["---:"] * (len(heads) - 3), *map(line, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def blas_threads():
    """Threads of the OpenBLAS that Caffe is linked to, or None where it is another BLAS."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    for path in sorted({line.split(maxsplit=5)[-1] for line in lines if "blas" in line}):
        count = getattr(ctypes.CDLL(path), "openblas_get_num_threads", None)
        if count:  # NumPy's own OpenBLAS has other names
            return count()
    return None


def machine():
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.machine(),
            "cores": len(os.sched_getaffinity(0)), "blas_threads": blas_threads(),
            "caffe": f"{caffe.__version__} ({device.build_info()['mode']} build)",
            "python": platform.python_version(), "numpy": np.__version__,
            "opencv": cv2.__version__, "load_before": os.getloadavg()[0]}


def notes(about, repeat):
    """The lines under the table."""
    return (f"{about['cpu']}, {about['cores']} cores, {about['blas_threads'] or 'unknown'} BLAS "
            f"threads; Caffe {about['caffe']}, Python {about['python']}, NumPy {about['numpy']}, "
            f"OpenCV {about['opencv']}. Load average before the run: {about['load_before']:.2f} "
            "(above 0.5, something else computed and the seconds are too many).\n\n"
            f"Medians of {repeat} after a warm-up, ranges in brackets (samples: of "
            f"{benchmark_parts.SAMPLES * repeat}); ratio = ours / published; size = height x "
            "width. Inference is the forward pass alone, on the CPU. Peak MB is the resident "
            "memory of the process that computes, in 10^6 bytes.")


def parser(documentation, repeat, quick, name):
    """The options that all benchmarks have; `repeat` by default, and what --quick means."""
    options = cli.parser(documentation)
    options.add_argument("--repeat", type=int, default=repeat,
                         help=f"timed calls a case ({repeat})")
    options.add_argument("--quick", action="store_true", help=quick)
    options.add_argument("--output", type=Path, default=files.RESULTS,
                         help=f"folder of {name}.md and {name}.json (results)")
    return options


def check_repeat(args):
    """Raises UserError for no repetitions."""
    if args.repeat < 1:
        raise UserError(f"--repeat must be at least 1, not {args.repeat}")


def write(output, name, text, result):
    """Prints a benchmark's text, and writes it and all its numbers to <name>.md and .json."""
    files.write_text(output / f"{name}.json", json.dumps(result, indent=1) + "\n")
    files.write_text(output / f"{name}.md", text)
    print(text)


def load_before(about):
    """The end of a benchmark's notes: the machine, and what else it did."""
    return (f"{about['cpu']}, {about['cores']} cores; load average before the run: "
            f"{about['load_before']:.2f}.\n")


def run(repeat, output, quick):
    """Measures every case, prints the table, and writes it and all numbers to `output`."""
    rows, about = plan(quick), machine()
    cases = list(dict.fromkeys(case for row in rows for case in row.cases()))
    measured = {}
    with tempfile.TemporaryDirectory() as data, tqdm(cases, dynamic_ncols=True) as bar:
        benchmark_parts.write_data_set(Path(data))
        for case in bar:
            bar.set_description(str(case))
            measured[case] = measure_apart(case, data, repeat)
    result = {"machine": about, "repeat": repeat, "quick": quick,
              "rows": [filled(row, measured) for row in rows]}
    text = f"{table(result['rows'])}\n\n{notes(about, repeat)}\n"
    write(output, "benchmark", text, result)
    print(f"wrote {output / 'benchmark.md'} and {output / 'benchmark.json'}")


@script
def main():
    options = parser(__doc__, 3, "small sizes, the thin net compared, one repetition: does it run?",
                     "benchmark")
    options.add_argument("--measure", type=json.loads, metavar="CASE",
                        help="one measurement, in this process, as JSON; used by the others")
    args = options.parse_args()
    thin = benchmark_parts.THIN_WEIGHTS.resolve()
    if not thin.is_file():
        raise UserError(f"weights {thin} do not exist; run make weights")
    if args.measure:
        print(json.dumps(benchmark_parts.measure(**args.measure)))
        return
    check_repeat(args)
    run(1 if args.quick else args.repeat, args.output, args.quick)


if __name__ == "__main__":
    main()
