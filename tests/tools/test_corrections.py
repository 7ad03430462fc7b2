"""tools/corrections.py: which frame is corrected next, and what its table tells."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from segspn.data import davis
from segspn.errors import UserError
from segspn.runs import figures, settings
from tests.support.workflows import SIZE, Project
from tools import corrections

OBJECTS = {"1": {"00001": (0.9, 0.8), "00002": (0.2, 0.3), "00003": (0.6, 0.5)},
           "2": {"00001": (0.1, 0.1), "00002": (0.9, 0.9), "00003": (0.05, 0.2)}}


def test_the_worst_frame_is_that_of_the_lowest_mean_j():
    order = [f"{number:05}" for number in range(5)]
    assert corrections.worst(OBJECTS, order, ["00000"]) == "00003"
    assert corrections.worst({"1": OBJECTS["1"]}, order, ["00000"]) == "00002"
    assert corrections.worst({"1": OBJECTS["1"]}, order, ["00000"], apart=3) == "00003"
    with pytest.raises(UserError, match="no frame is 3 frames from all that are annotated"):
        corrections.worst(OBJECTS, order, ["00000", "00004"], apart=3)


def test_figures_are_of_frames_that_are_annotated_in_no_run():
    j, f, both, lost = corrections.row(OBJECTS, {"00003"})
    np.testing.assert_allclose([j, f, both, lost], [52.5, 52.5, 52.5, 0])
    assert corrections.row(OBJECTS, ())[3] == pytest.approx(100 / 6)


def test_a_video_without_truth_is_refused(data_set, monkeypatch):
    (davis.Davis(data_set).annotations / "toy/00001.png").unlink()
    monkeypatch.setattr(sys, "argv", ["corrections.py", "--data", str(data_set), "--video", "toy"])
    with pytest.raises(SystemExit) as end:
        corrections.main()
    assert end.value.code == 1


@pytest.mark.slow
def test_a_video_is_corrected_twice(tmp_path, monkeypatch):
    project = Project(tmp_path / "project")
    status = project.start(command=[
        project.root / "tools/corrections.py", "--data", project.data, "--video", "toy", "--",
        "--iterations", 2, "--size", "x".join(map(str, SIZE)), "--threads", 1])
    output, errors = status.communicate(timeout=240)
    assert status.returncode == 0, errors
    monkeypatch.setattr(settings, "RUNS", project.root / "results/runs")
    run = settings.Run.read(settings.RUNS / "corrections-toy")
    frames, values = run.annotated["toy"][""], figures.by_frame(run)["toy"]
    table = (project.root / "results/corrections/toy.md").read_text()
    assert table in output
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:5]]
    chosen = [row[0].split(", ") for row in rows]
    assert [len(row) for row in chosen] == [1, 2, 3] and sorted(chosen[2]) == sorted(frames)
    assert chosen[0] == ["00000"] and chosen[2][:2] == chosen[1]
    # Of the five frames the first, the last, and two that were annotated are left out.
    left, = values["1"]
    assert left not in frames
    assert float(rows[2][1]) == pytest.approx(
        np.mean([100 * values[k][left][0] for k in ("1", "2")]), abs=0.06)
    assert all(re.fullmatch(r"\d+ s|\d+ min \d+ s", row[5]) for row in rows)


def test_bad_figures_are_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "RUNS", tmp_path)
    run = SimpleNamespace(folder=tmp_path, split=None, name="a")
    with pytest.raises(UserError, match="evaluation .* does not exist"):
        figures.by_frame(run)
