"""Training and inference, ours against the published layout in the same Caffe.

Every case is measured by a process of its own, so that its peak memory is its own.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ResNetF import nets
from segspn import cli, files
from segspn.errors import UserError
from tools.bench import cases, common
from tools.bench.cases import Case

REPEAT = 3
RESNET101, THIN = nets.RESNET101.name, nets.RESNET50_THIN.name
HALF_SIZE = (240, 427)
SIZES = (HALF_SIZE, (480, 427), (240, 854), nets.WORKING_SIZE, (720, 1280))
QUICK = 5  # --quick divides heights and widths by this
HEADS = ["what", "net", "size", "ours", "published", "ratio", "a second", "s/megapixel",
         "peak MB", "published MB", "MB ratio"]


def add_arguments(parser):
    """It has none of its own."""


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

    The quick ones compare the two forms of the head on the thin backbone: those of ResNet-101
    cost seconds and gigabytes at any size, for the published head's weights.
    """
    compared = cases.LINEAR if quick else RESNET101

    def case(work, net, size=nets.WORKING_SIZE):
        wanted = [round(length / QUICK) for length in size] if quick else size
        return Case(work, net, nets.valid_size(cases.BACKBONES[net], *wanted))

    training = case("train", compared)
    return [
        Row("training iteration", training, compared=True),
        Row("inference", case("infer", compared), compared=True),
        Row("waiting for samples, of an iteration", training, quantity="waiting"),
        *(Row("training iteration", case("train", THIN, size))
          for size in (nets.WORKING_SIZE, HALF_SIZE)),
        *(Row("inference by size", case("infer", net, size))
          for net in (THIN, RESNET101) for size in SIZES)]


def measure(case, data, repeat):
    """{quantity: summary, "peak_mb"} of a case.  Raises UserError."""
    try:
        measured, peak = common.apart(cases.measure, case, data, repeat)
    except UserError as error:
        raise UserError(f"the measurement of {case} failed: {error}") from error
    return {**measured, "peak_mb": peak}


def filled(row, measured):
    """A row with its numbers; ratios are ours / published."""
    ours, *published = (measured[case] for case in row.cases())
    result = {"what": row.what, "net": row.case.net, "size": list(row.case.size),
              "quantity": row.quantity, "ours": ours[row.quantity]}
    if row.quantity == "seconds":
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
    factor, unit = (1, "s") if quantity == "seconds" else (100, "%")
    median, low, high = (f"{factor * value[name]:.3g}" for name in ("median", "min", "max"))
    return f"{median} {unit} ({low}–{high})"


def line(row):
    """A row's cells."""
    def number(name, form):
        return format(row[name], form) if name in row else ""

    return [row["what"], row["net"], cli.size_text(row["size"]),
            value_text(row["ours"], row["quantity"]),
            value_text(row.get("published"), row["quantity"]),
            number("ratio", ".2f"), number("per_second", ".3g"),
            number("seconds_per_megapixel", ".3g"), number("peak_mb", ".0f"),
            number("published_peak_mb", ".0f"), number("peak_mb_ratio", ".2f")]


def table(rows):
    """The rows in Markdown."""
    return common.table(HEADS, map(line, rows), names=3)


def run(args):
    if not cases.THIN_WEIGHTS.is_file():
        thin = files.MODELS / cases.THIN_WEIGHTS.name
        raise UserError(f"weights {thin} do not exist; run make weights")
    rows, measured = plan(args.quick), {}
    every = dict.fromkeys(case for row in rows for case in row.cases())
    with tempfile.TemporaryDirectory() as data, tqdm(every, dynamic_ncols=True) as bar:
        cases.write_data_set(Path(data))
        for case in bar:
            bar.set_description(str(case))
            measured[case] = measure(case, data, args.repeat)
    rows = [filled(row, measured) for row in rows]
    return (f"{table(rows)}\n\nMedians of {args.repeat} after a warm-up, ranges in brackets; "
            "ratio = ours / published; size = height x width. Inference is the forward pass "
            "alone, on the CPU. Peak MB is the resident memory of the process that computes, in "
            "10^6 bytes; the published training needs 10 GB.", {"rows": rows})
