"""The benchmark of whole runs: one real run of a tiny video, in two ways."""

import json
import math

import benchmark_scale

from segspn import files
from segspn.runs import steps
from tests.support.frames import fails_in_one_line


def test_a_quick_run_measures_both_ways(run, tmp_path):
    result = run("tools/benchmark_scale.py", "--quick", "--output", tmp_path, timeout=600)
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "benchmark_scale.md").read_text()
    assert text in result.stdout
    found = json.loads((tmp_path / "benchmark_scale.json").read_text())
    one, several = found["ways"]
    assert (one["jobs"], several["jobs"]) == (1, 2)
    assert one["threads"] // 2 == several["threads"]
    assert found["ratio"] == several["wall"] / one["wall"]
    for way in (one, several):
        assert 0 < way["rerun"] < way["wall"]
    rows = {row["step"]: row for row in found["steps"]}
    assert set(rows) == {step for step in steps.STEPS if "generic" not in step}
    for row in rows.values():
        assert row["jobs"] == 1 and row["peak_mb"] > 20 and row["mb_per_video"] > 0
        assert len(row["seconds"]) == 2 and all(0 < s < math.inf for s in row["seconds"])
        assert 0 <= row["same"] <= row["files"]
    assert rows["label"]["files"] == 3 and rows["infer_object"]["files"] == 6
    assert rows["prototxts"]["same"] == rows["prototxts"]["files"]
    assert found["models_mb_per_video"] > 40 and found["machine"]["cpu"] in text


def test_files_that_differ_are_told():
    assert benchmark_scale.alike({"files": 4, "same": 4}) == "are the same bit for bit"
    assert benchmark_scale.alike({"files": 4, "same": 1}) == "differ in 3 of 4 files"


def test_products_are_those_of_the_manifests(tmp_path):
    done = tmp_path / "results/runs/val/done"
    for path, name in (("label/a.json", "a"), ("label/b/1.json", "b"), ("labels.json", "c")):
        files.write_text(done / path, json.dumps({name: {"size": 1, "sha256": f"sum {name}"}}))
    assert benchmark_scale.products(tmp_path, "label") == {"a": "sum a", "b": "sum b"}


def test_bad_options_end_in_one_line(run, tmp_path):
    for option, value in (("--jobs", 1), ("--jobs", 10**6), ("--repeat", 0)):
        result = run("tools/benchmark_scale.py", option, value, "--output", tmp_path)
        assert fails_in_one_line(result, option, value)
    assert not list(tmp_path.iterdir())
