"""The benchmarks run, and their tables are whole; how fast anything is, is not tested."""

import json
import math
import os
import sys

import pytest

from ResNetF import nets
from segspn.errors import UserError
from spn.nets import DIRECTIONS
from tests.support.frames import fails_in_one_line
from tools.bench import cases, common, jobs, propagation, pytorch, sandbox
from tools.bench import nets as bench_nets
from tools.bench.__main__ import main, parse_arguments


def numbers_of(value):
    """Every number in a row, however deep."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers_of(part)]
    return [value] if isinstance(value, (int, float)) else []


def table_lines(text):
    """The cells of every line of the tables of a text, heads and rules among them."""
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("|")]


@pytest.fixture
def quick(tmp_path, monkeypatch, capsys):
    """The lines of the tables and the numbers that a quick run of a subcommand writes."""
    def quick_run(name, *options):
        output = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", ["bench", name, "--quick", "--output", str(output),
                                          *map(str, options)])
        main()
        assert sorted(path.name for path in output.iterdir()) == [f"{name}.json", f"{name}.md"]
        text, found = (output / f"{name}.md").read_text(), json.loads(
            (output / f"{name}.json").read_text())
        assert text in capsys.readouterr().out and found["quick"] and found["repeat"] == 1
        for fact in ("cpu", "cores", "blas_threads", "caffe", "python", "numpy"):
            assert found["machine"][fact] and str(found["machine"][fact]) in text, fact
        return table_lines(text), found
    return quick_run


def all_positive(rows):
    return all(math.isfinite(n) and n > 0 for row in rows for n in numbers_of(row))


THIN = nets.RESNET50_THIN.name
# Speaks as torch_twin.py does, without PyTorch.
STUB = """
import sys
print({count}, "2.99", 1, flush=True)
for _ in sys.stdin:
    print(0.5, flush=True)
print(123.0)
"""


def test_layers_tells_of_every_type(quick):
    lines, found = quick("layers", "--net", THIN)
    assert {what.split()[0] for what in found} >= {"infer", "train"}
    for work in ("infer", "train"):
        rows = next(part["rows"] for what, part in found.items() if what.startswith(work))
        by_type = {row["type"]: row for row in rows}
        assert by_type["Convolution"]["number"] == 62 and by_type["BatchNorm"]["number"] == 53
        assert sum(row["share"] for row in rows) == pytest.approx(1)
        assert by_type["Convolution"]["forward"] > 0
        assert (by_type["Convolution"]["backward"] > 0) == (work == "train")
        assert 20 < by_type["Convolution"]["parameters_mb"] < 30
    assert sum(line[0] == "all" for line in lines) == 2


def twin(path, monkeypatch, count):
    path.write_text(STUB.format(count=count))
    monkeypatch.setattr(pytorch, "TWIN", path)


def test_torch_compares_both_in_turn(quick, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what it changes is changed back
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    twin(tmp_path / "twin.py", monkeypatch, 6216695)
    lines, found = quick("torch", "--python", sys.executable, "--net", THIN, "--threads", 1)
    assert [(row["what"], row["threads"]) for row in found["rows"]] == [
        ("inference", 1), ("training iteration", 1)]
    for row in found["rows"]:
        assert row["torch"]["median"] == 0.5 and row["torch_peak_mb"] == 123
        assert row["ratio"] == pytest.approx(row["ours"]["median"] / 0.5) and row["peak_mb"] > 100
    assert len(lines) == 4


@pytest.mark.parametrize("count, message", [
    (7, "7 parameters in PyTorch, [0-9]+ here"), ("nosuch", "says? why it does not compute")])
def test_another_net_in_torch_is_refused(monkeypatch, tmp_path, count, message):
    for name in ("OMP", "OPENBLAS", "MKL"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    twin(tmp_path / "twin.py", monkeypatch, count)
    with pytest.raises(UserError, match=message):
        pytorch.run(parse_arguments(["torch", "--quick", "--python", sys.executable, "--net", THIN,
                                     "--threads", "1"]))


@pytest.mark.slow
def test_nets_gives_the_whole_table(quick, monkeypatch):
    monkeypatch.setattr(bench_nets, "SIZES", bench_nets.SIZES[:1])  # a process each
    lines, found = quick("nets")
    rows, plan = found["rows"], bench_nets.plan(quick=True)
    assert all_positive(rows) and len(rows) == len(plan)
    for row, planned in zip(rows, plan):
        assert (row["what"], row["net"], tuple(row["size"])) == (
            planned.what, planned.case.net, planned.case.size)
        assert ("ratio" in row) == planned.compared
        if planned.compared:
            assert row["ratio"] == row["ours"]["median"] / row["published"]["median"]
            assert row["peak_mb_ratio"] == row["peak_mb"] / row["published_peak_mb"]
        for value in (row["ours"], row.get("published", row["ours"])):
            assert value["min"] <= value["median"] <= value["max"]
    assert lines[0] == bench_nets.HEADS and {len(line) for line in lines} == {len(lines[0])}
    assert [line[0] for line in lines[2:]] == [row.what for row in plan]


def test_the_full_plan_compares_resnet101_at_the_working_size():
    rows = bench_nets.plan(quick=False)
    compared = [row for row in rows if row.compared]
    assert [row.case.work for row in compared] == ["train", "infer"]
    for row in compared:
        ours, published = row.cases()
        assert ours == cases.Case(row.case.work, "resnet101", nets.WORKING_SIZE, "projected")
        assert published == cases.Case(ours.work, ours.net, ours.size, "published")
    for name in nets.BACKBONES:
        sizes = {row.case.size for row in rows if row.case.net == name}
        assert set(bench_nets.SIZES) <= sizes


def test_ratio_is_ours_over_published():
    row = bench_nets.plan(quick=False)[0]
    measured = {case: {"seconds": common.summary(seconds), "peak_mb": peak}
                for case, seconds, peak in zip(row.cases(), ([1, 3, 2], [8, 7, 9]), (100, 400))}
    filled = bench_nets.filled(row, measured)
    assert filled["ratio"] == filled["peak_mb_ratio"] == 0.25
    assert filled["per_second"] == 0.5
    assert filled["seconds_per_megapixel"] == pytest.approx(2 / 0.40992)
    assert table_lines(bench_nets.table([filled]))[2][3:6] == ["2 s (1–3)", "8 s (7–9)", "0.25"]


def test_propagation_of_every_direction_is_measured(quick):
    lines, found = quick("propagation")
    layer, frames = found["layer"], found["frames"]
    assert all_positive(layer + frames)
    measured = [(row["normalization"], row["direction"], row["pass"]) for row in layer]
    assert measured == [(normalization, direction, what)
                        for normalization in propagation.NORMALIZATIONS
                        for direction in DIRECTIONS for what in ("forward", "backward")]
    for row, line in zip(layer, lines[2:]):
        assert line[2:] == [f"{1e3 * row['seconds']:.2f}", f"{row['seconds'] / row['copy']:.2f}"]
    assert [row["objects"] for row in frames] == list(propagation.OBJECTS)
    assert [line[0] for line in lines[-3:]] == ["1", "2", "5"]


def test_jobs_compares_one_with_several(quick, monkeypatch):
    """Of made-up seconds; a run from nothing is of test_run.py."""
    monkeypatch.setattr(common, "cores", lambda: 4)
    monkeypatch.setattr(jobs, "measure", lambda data, scale, jobs, threads, bar: {
        "from_nothing": 12.0 / jobs, "nothing_to_do": 1.26, "peak_mb": 300.4})
    lines, found = quick("jobs")
    assert [(way["jobs"], way["threads"]) for way in found["ways"]] == [(1, 4), (2, 2)]
    assert found["ratio"] == 0.5
    assert lines[2:] == [["1 × 4", "12.0 s", "1.3 s", "300"], ["2 × 2", "6.0 s", "1.3 s", "300"]]


def test_a_run_that_fails_is_named(tmp_path):
    """Its command line is understood: what is missing is the data set."""
    box = sandbox.make(tmp_path / "box")
    with pytest.raises(UserError, match="2 jobs at a time: .*nosuch.* is not a data set"):
        jobs.timed_run(box, tmp_path / "nosuch", jobs.QUICK, 2, 1)


@pytest.mark.parametrize("arguments", [
    ["nets", "--repeat", "0"], ["jobs", "--jobs", "1"], ["jobs", "--jobs", "1000000"]],
    ids=" ".join)
def test_bad_options_end_in_one_line(run, tmp_path, arguments):
    options = ["--output", tmp_path / "out"]
    assert fails_in_one_line(run("tools.bench", *arguments, *options), *arguments[1:])
    assert not list(tmp_path.iterdir())


def test_missing_weights_say_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "THIN_WEIGHTS", tmp_path / "none.caffemodel")
    with pytest.raises(UserError, match="none.caffemodel do not exist; run make weights"):
        bench_nets.run(parse_arguments(["nets", "--quick"]))


def test_a_measurement_that_fails_is_named(tmp_path):
    case = cases.Case("infer", bench_nets.THIN, (64, 72))
    with pytest.raises(UserError, match=f"{case} failed: .*DAVIS layout"):
        bench_nets.measure(case, tmp_path, 1)


def test_a_process_that_is_ended_is_told():
    with pytest.raises(UserError, match="its process was ended"):
        common.apart(os._exit, 1)
