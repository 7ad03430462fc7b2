"""The benchmarks run, and their tables are whole; how fast anything is, is not tested."""

import json
import math
import sys

import benchmark_propagation
import benchmark_regions
import pytest

import benchmark
import benchmark_parts
from ResNetF import nets
from tests.support.frames import fails_in_one_line
from tests.support.refinements import passing_weights


def numbers_of(value):
    """Every number in a row, however deep."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers_of(part)]
    return [value] if isinstance(value, (int, float)) else []


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_quick_run_gives_the_whole_table(run, tmp_path):
    result = run("tools/benchmark.py", "--quick", "--output", tmp_path)
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "benchmark.md").read_text()
    assert text in result.stdout
    found = json.loads((tmp_path / "benchmark.json").read_text())
    rows, plan = found["rows"], benchmark.plan(quick=True)
    assert len(rows) == len(plan)
    for row, planned in zip(rows, plan):
        assert (row["what"], row["net"], tuple(row["size"])) == (
            planned.what, planned.case.net, planned.case.size)
        assert all(math.isfinite(n) and n > 0 for n in numbers_of(row)), row
        assert ("ratio" in row) == planned.compared
        if planned.compared:
            assert row["ratio"] == row["ours"]["median"] / row["published"]["median"]
            assert row["peak_mb_ratio"] == row["peak_mb"] / row["published_peak_mb"]
        for value in (row["ours"], row.get("published", row["ours"])):
            assert value["min"] <= value["median"] <= value["max"]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(plan) and len({len(cells(line)) for line in lines}) == 1
    assert [cells(line)[0] for line in lines[2:]] == [row.what for row in plan]
    machine = found["machine"]
    for name in ("cpu", "cores", "blas_threads", "caffe", "python", "numpy"):
        assert machine[name] and str(machine[name]) in text, name


def test_the_full_plan_compares_resnet101_at_the_working_size():
    rows = benchmark.plan(quick=False)
    compared = [row for row in rows if row.compared]
    assert [row.case.work for row in compared] == ["train", "infer"]
    for row in compared:
        ours, published = row.cases()
        assert ours == benchmark.Case(row.case.work, "resnet101", nets.WORKING_SIZE, "projected")
        assert published == benchmark.Case(ours.work, ours.net, ours.size, "published")
    for name in nets.BACKBONES:
        sizes = {row.case.size for row in rows if row.case.net == name}
        assert set(benchmark.SIZES) <= sizes


def test_ratio_is_ours_over_published():
    row = benchmark.plan(quick=False)[0]
    measured = {case: {"seconds": benchmark_parts.summary(seconds), "peak_mb": peak}
                for case, seconds, peak in zip(row.cases(), ([1, 3, 2], [8, 7, 9]), (100, 400))}
    filled = benchmark.filled(row, measured)
    assert filled["ratio"] == filled["peak_mb_ratio"] == 0.25
    assert filled["per_second"] == 0.5
    assert filled["seconds_per_megapixel"] == pytest.approx(2 / 0.40992)
    assert "2 s (1–3) | 8 s (7–9) | 0.25" in benchmark.table([filled])


def test_missing_weights_say_what_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_parts, "THIN_WEIGHTS", tmp_path / "none.caffemodel")
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        benchmark.main()
    error = capsys.readouterr().err
    assert end.value.code == 1 and error.count("\n") == 1
    assert error.startswith("error: ") and "run make weights" in error
    assert not list(tmp_path.iterdir())


def test_bad_options_end_in_one_line(run, tmp_path):
    result = run("tools/benchmark.py", "--repeat", "0", "--output", tmp_path)
    assert fails_in_one_line(result, "--repeat", "0")


def test_a_measurement_that_fails_is_named(tmp_path):
    case = benchmark.Case("infer", benchmark.THIN, (64, 72))
    with pytest.raises(benchmark.UserError, match=f"{case} failed: .*DAVIS layout"):
        benchmark.measure_apart(case, tmp_path, 1)


def quick(run, name, output, *options):
    """The text and the numbers that a quick run of a benchmark writes."""
    result = run(f"tools/{name}.py", "--quick", "--repeat", 1, "--output", output, *options)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in output.iterdir()) == [f"{name}.json", f"{name}.md"]
    text = (output / f"{name}.md").read_text()
    assert text in result.stdout
    found = json.loads((output / f"{name}.json").read_text())
    assert found["machine"]["cpu"] and found["machine"]["cpu"] in text
    return text, found


def test_propagation_of_every_direction_is_measured(run, tmp_path):
    weights = passing_weights(tmp_path / "passing.caffemodel")
    text, found = quick(run, "benchmark_propagation", tmp_path / "out", "--weights", weights)
    cases = {(row["direction"], row["normalization"], row["pass"]) for row in found["layer"]}
    assert len(cases) == len(found["layer"]) == 4 * 2 * 2
    assert [row["objects"] for row in found["refinement"]] == list(benchmark_propagation.OBJECTS)
    for row in found["layer"] + found["refinement"]:
        assert all(math.isfinite(n) and n > 0 for n in numbers_of(row)), row
    first = next(cells(line) for line in text.splitlines() if line.startswith("| ABS_SUM"))
    row = found["layer"][0]
    assert first[2:] == [f"{1e3 * row['seconds']:.2f}", f"{row['seconds'] / row['copy']:.2f}",
                         f"{row['numpy'] / row['seconds']:.1f}"]
    assert fails_in_one_line(run("tools/benchmark_propagation.py", "--weights", tmp_path / "none"),
                             tmp_path / "none", "does not exist")


def test_labels_of_every_case_are_measured(run, tmp_path):
    text, found = quick(run, "benchmark_regions", tmp_path / "out")
    assert [row["case"] for row in found["rows"]] == [
        name for name, _ in benchmark_regions.cases((48, 86))]
    for row in found["rows"]:
        assert math.isfinite(row["frames_per_second"]) and row["frames_per_second"] > 0
    plain, noisy, finest = (row["regions"] for row in found["rows"][:3])
    assert 0 < plain < noisy < finest
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")][2:]
    assert lines == [[row["case"], str(row["regions"]), f"{row['frames_per_second']:.1f}"]
                     for row in found["rows"]]
    assert fails_in_one_line(run("tools/benchmark_regions.py", "--repeat", 0, "--output",
                                 tmp_path / "none"), "--repeat")
    assert not (tmp_path / "none").exists()


def test_contour_accuracy_is_measured_against_dilation(run, tmp_path):
    text, found = quick(run, "benchmark_metrics", tmp_path / "out")
    assert [row["area"] for row in found["rows"]] == [0.05, 0.1, 0.2]
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")][2:]
    for row, line in zip(found["rows"], lines, strict=True):
        assert all(math.isfinite(n) and n > 0 for n in numbers_of(row)), row
        assert line[2] == f"{row['opencv'] / row['ours']:.1f}"
