"""tools/plan.py: predictions with and without a data set."""

import json

import pytest

from segspn.data import davis
from segspn.runs import costs
from tests.support.frames import fails_in_one_line


def rows_of(text):
    """The cells of the table's lines, below its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def hours(cell):
    value, unit = cell.strip("*").split()
    return float(value) / {"s": 3600, "min": 60, "h": 1}[unit]


def test_the_table_of_test_challenge_needs_no_data(run, tmp_path):
    result = run("tools/plan.py", "--split", "test-challenge", "--markdown")
    assert result.returncode == 0, result.stderr
    rows = rows_of(result.stdout)
    assert [row[0] for row in rows] == [
        "1 machine, CPU", "8 machines, CPU", "1 machine, 1 GPU", "1 machine, 2 GPUs",
        "4 machines, 1 GPU", "1 machine, 8 GPUs"]
    for row in rows:
        work, path, wall = map(hours, row[2:5])
        jobs = int(row[1].split()[0])
        assert max(path, work / jobs) * 0.98 <= wall <= (work / jobs + path) * 1.1
        assert all(cell.endswith("*") for cell in row[2:5]) == ("GPU" in row[0])
    objects = sum(davis.TEST_CHALLENGE.values())
    assert f"30 videos, {objects} objects" in result.stdout and "2180 frames" in result.stdout
    assert "published" in result.stdout and "never measured" in result.stdout
    assert f"{30 * 7 + 2 * objects + 2} jobs" in result.stdout


def test_one_configuration_with_a_gpu_that_is_known(run):
    result = run("tools/plan.py", "--split", "val", "--machines", 2, "--gpus", 2, "--iterations",
                 1000, "--gpu-iteration", 0.5, "--gpu-frame", 0.1)
    assert result.returncode == 0, result.stderr
    steps, machines = (part for part in result.stdout.split("\n\n")
                       if part.startswith("|"))
    by_step = {row[0]: row[1:] for row in rows_of(steps)}
    train = costs.Costs.of_here().table["seconds"]
    train = train[max(train)]["train resnet101"]
    expected = 60 * (1000 * 0.5 + train["start"] + 2 * train["snapshot"]) / 3600
    assert by_step["train object"][0] == "60"
    assert hours(by_step["train object"][2]) == pytest.approx(expected, rel=0.02)
    assert "evaluate" in by_step
    assert [row[0] for row in rows_of(machines)] == ["2 machines, 2 GPUs"]
    assert "as given, at 480x854: 0.5 s an iteration, 0.1 s a frame" in result.stdout


def test_a_data_set_is_taken_as_it_is(run, data_set):
    result = run("tools/plan.py", "--data", data_set, "--split", "train", "--backbone",
                 "resnet50_thin", "--jobs", 1, "--threads", 2)
    assert result.returncode == 0, result.stderr
    assert f"1 videos, 2 objects, 4 frames, as in {data_set}" in result.stdout
    assert "at 96x128" in result.stdout and "*" not in result.stdout
    assert "evaluate" in result.stdout


@pytest.mark.parametrize("options, words", [
    (["--split", "none"], ["none", "--data"]),
    (["--gpus", "-1"], ["--gpus", "-1"]),
    (["--jobs", "0"], ["--jobs", "0"]),
    (["--gpu-frame", "-2"], ["--gpu-frame", "-2"]),
    (["--size", "48"], ["--size", "48"]),
    (["--data", "/none"], ["/none", "--data"])])
def test_bad_options_end_in_one_line(run, options, words):
    assert fails_in_one_line(run("tools/plan.py", *options), *words)


def test_the_shipped_costs_say_what_machine_they_are_of():
    about = json.loads(costs.SHIPPED.read_text())["machine"]
    assert about["cpu"] and about["cores"] >= 1 and about["memory_mb"] > 1000
