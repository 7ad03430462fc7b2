"""The fit of costs to measured jobs, and the measurement of one job that is real."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

import cost_runs
import measure_costs
import process_use
from ResNetF import nets
from segspn.errors import UserError
from segspn.runs import costs, steps


def test_constants_are_found_again():
    rows = [{"start": 1, "frame": n, "object": n * k} for n, k in ((3, 1), (9, 1), (9, 3))]
    values = [2 + 0.5 * row["frame"] + 0.1 * row["object"] for row in rows]
    found = measure_costs.fitted(rows, ("start", "frame", "object"), values)
    assert found == pytest.approx({"start": 2, "frame": 0.5, "object": 0.1})
    known = measure_costs.fitted(rows, ("start", "object"), values, {"frame": 0.5})
    assert known == pytest.approx(found)
    noisy = measure_costs.fitted(rows, ("start", "frame"), [5, 4, 4])
    assert noisy["frame"] == 0 and noisy["start"] == pytest.approx(13 / 3)


def pretended(job, threads, rng):
    """The Row of a job whose costs follow simple laws, within 1 %."""
    run, step, whose = job
    shapes = {shape.sequence: shape for shape in cost_runs.SHAPES}

    def video(name):
        return costs.Video(shapes[name].frames, int(np.prod(shapes[name].size)))

    counted = costs.amounts(run, step, whose, video)
    slow = {"resnet101": 4, "resnet50_thin": 1}[run.backbone] / threads
    iteration = slow * (0.1 + 0.6 * counted["net"]) if step.startswith("train_") else None
    seconds = 2 + 0.3 * counted["snapshot"] + counted["iteration"] * (iteration or 0)
    if counted["iteration"] == 1:
        iteration = None
    if step.startswith("infer_"):
        seconds += 0.02 * counted["frame"] + 0.25 * slow * counted["net_frame"]
    elif not step.startswith("train_"):
        grows = {"prototxts": "training", "evaluate": "object", "overview": "video"}
        seconds += 0.1 * counted[grows.get(step, "frame")]
    noise = rng.uniform(0.99, 1.01)
    return cost_runs.Row(costs.kind(run.backbone, step), step, threads, counted, noise * seconds,
                         iteration, noise * (200 + 1000 * counted["net"]),
                         25 if step.startswith("train_") else 0.5 + 0.1 * counted["frame"])


def test_the_plan_of_measurements_suffices_for_all_constants(tmp_path):
    rng = np.random.default_rng(0)
    jobs = {threads: [job for job in measure_costs.jobs(tmp_path, threads) if not callable(job)]
            for threads in (1, 2)}
    rows = [pretended(job, threads, rng) for threads in jobs for job in jobs[threads]]
    assert {row.step for row in rows} == {
        step for step in steps.STEPS if "generic" not in step}
    table = {"machine": {"cpu": "abacus", "cores": 2, "memory_mb": 9000},
             "workflow": {"start": 1, "job": 1}, **measure_costs.tables(rows)}
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(table))
    videos = {shape.sequence: costs.Video(shape.frames, int(np.prod(shape.size)))
              for shape in cost_runs.SHAPES}
    known = costs.Costs.read(path).assuming(videos=videos)
    for threads in jobs:
        for (run, step, whose), row in zip(jobs[threads],
                                           (row for row in rows if row.threads == threads)):
            assert known.seconds(run, step, whose) == pytest.approx(row.seconds, rel=0.06), row
    train = known.table["seconds"][1]["train resnet101"]
    assert train["iteration"] == pytest.approx(0.4) and train["net_iteration"] == pytest.approx(2.4)
    assert train["snapshot"] == pytest.approx(0.3, rel=0.4)
    assert known.table["disk_mb"]["train resnet50_thin"] == {"model": 25}
    said = measure_costs.report(table)
    assert "resnet101, 1 threads a job, 480x854: 2.8 s an iteration, 1.0" in said


def test_the_memory_of_all_processes_of_a_job_is_counted():
    child = "import time; data = bytearray(60_000_000); time.sleep(1)"
    parent = (f"import subprocess, sys, time; data = bytearray(40_000_000); "
              f"subprocess.run([sys.executable, '-c', {child!r}])")
    process = subprocess.Popen([sys.executable, "-c", parent])
    small = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    peak, least = process_use.wait([process, small])
    assert 100 < peak < 180 and least < 40
    assert process_use.high_water_mb(process.pid) == 0 and process_use.children(process.pid) == []


def test_cpu_time_of_others_is_told_apart():
    used = process_use.Used()
    subprocess.run([sys.executable, "-c", "sum(range(2 * 10**7))"], check=True)
    mine = used.share_of_others()
    assert 0 <= mine < 1
    alien = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        used = process_use.Used()
        time.sleep(1)
        assert used.share_of_others() > 0.8  # it has not ended: it does not count as one's own
    finally:
        alien.kill()
        alien.wait()


def test_a_job_is_done_again_while_others_compute(monkeypatch):
    shares = iter([0.5, 0.3, 0.05, 0.01])
    bench = object.__new__(cost_runs.Bench)
    removed = []
    monkeypatch.setattr(process_use, "wait_for_quiet", lambda: None)
    monkeypatch.setattr(bench, "_remove_products", lambda *job: removed.append(job))
    monkeypatch.setattr(bench, "_measure", lambda *job: cost_runs.Row(
        "label", "label", 1, {}, 1, None, 1, 1, next(shares)))
    assert bench.measure("run", "label", (), tries=2).others == 0.3
    assert bench.measure("run", "label", (), tries=5).others == 0.05
    assert removed == [("run", "label", ())]


def test_jobs_beside_each_other_fit_into_the_machine():
    assert cost_runs.beside_each_other(10**6, 1) == 1
    assert cost_runs.beside_each_other(1, 10**9) == 1
    assert 1 <= cost_runs.beside_each_other(1, 1) <= 4


def test_a_job_is_measured_as_a_workflow_runs_it(tmp_path):
    shape = cost_runs.Shape("tiny", (64, 96), 2, 3)
    shape.write(tmp_path / "data")
    bench = cost_runs.Bench(tmp_path, 2, tmp_path / "none.caffemodel")
    run = cost_runs.run_of(tmp_path / "data", shape, nets.RESNET50_THIN.name, 2, 1, (64, 96), 1)
    row = bench.measure(run, "prototxts", (shape.sequence,))
    assert (row.kind, row.threads, row.iteration) == ("prototxts", 1, None)
    assert row.amounts["training"] == 3 and row.seconds > 0.1 and row.peak_mb > 50
    bench._remove_products(run, "prototxts", (shape.sequence,))
    assert not list(tmp_path.glob("box*/ResNetF/testnet_fgbg/*/solver.prototxt"))
    assert bench.measure(run, "prototxts", (shape.sequence,)).products_mb == row.products_mb
    for box in bench.boxes:
        solver, = box.glob("ResNetF/testnet_fgbg/*/solver.prototxt")
        assert "max_iter: 2" in solver.read_text()
    with pytest.raises(UserError, match="infer_object/.*failed.*does not exist"):
        bench.measure(run, "infer_object", (shape.sequence, 1))
