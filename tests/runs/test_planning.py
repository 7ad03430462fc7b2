"""Schedules, critical paths and disk, against sums by hand and the bounds of list scheduling."""

import dataclasses

import numpy as np
import pytest

from segspn.runs import costs, planning, steps
from tests.runs.test_costs import RUN, VIDEOS, read
from tests.runs.test_costs import TABLE as COSTS

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []}
SECONDS = {"a": 1, "b": 5, "c": 2, "d": 1, "e": 4}


@pytest.fixture
def known(tmp_path):
    return read(tmp_path, COSTS).assuming(videos=VIDEOS)


def test_one_slot_does_one_after_the_other():
    times = planning.schedule(list(DIAMOND), DIAMOND, SECONDS, 1)
    assert times == {"a": (0, 1), "b": (1, 6), "c": (6, 8), "d": (8, 9), "e": (9, 13)}


def test_two_slots_begin_what_is_ready_in_order():
    times = planning.schedule(list(DIAMOND), DIAMOND, SECONDS, 2)
    assert times == {"a": (0, 1), "e": (0, 4), "b": (1, 6), "c": (4, 6), "d": (6, 7)}


def test_the_critical_path_is_the_longest_chain():
    assert planning.critical_path(list(DIAMOND), DIAMOND, SECONDS) == (7, ["a", "b", "d"])
    assert planning.critical_path([], {}, {}) == (0, [])
    # What is done already is no part of it.
    assert planning.critical_path(["c", "d"], DIAMOND, SECONDS) == (3, ["c", "d"])


def test_a_gpu_is_waited_for_while_others_go_on():
    free = {job: [] for job in "abcd"}
    seconds = {"a": 3, "b": 3, "c": 1, "d": 1}
    times = planning.schedule(list("abcd"), free, seconds, 2, gpus=1, on_gpu={"a", "b"})
    assert times == {"a": (0, 3), "c": (0, 1), "d": (1, 2), "b": (3, 6)}
    with pytest.raises(ValueError, match="no GPU"):
        planning.schedule(list("abcd"), free, seconds, 2, gpus=0, on_gpu={"a"})


@pytest.mark.parametrize("seed", range(20))
def test_random_jobs_keep_the_rules_and_the_bounds(seed):
    rng = np.random.default_rng(seed)
    jobs = list(range(30))
    needs = {job: [int(other) for other in rng.choice(job, min(job, rng.integers(0, 3)), False)]
             for job in jobs}
    seconds = {job: float(rng.uniform(0.1, 9)) for job in jobs}
    slots, gpus = int(rng.integers(1, 6)), int(rng.integers(1, 3))
    on_gpu = {job for job in jobs if seed % 2 and rng.random() < 0.5}
    times = planning.schedule(jobs, needs, seconds, slots, gpus, on_gpu)
    assert set(times) == set(jobs)
    for job, (begin, end) in times.items():
        assert end == pytest.approx(begin + seconds[job])
        assert all(times[other][1] <= begin for other in needs[job])
        running = [other for other, (start, stop) in times.items() if start <= begin < stop]
        assert len(running) <= slots
        assert not on_gpu or len(on_gpu.intersection(running)) <= gpus
    work, (path, chain) = sum(seconds.values()), planning.critical_path(jobs, needs, seconds)
    assert sum(seconds[job] for job in chain) == pytest.approx(path)
    assert all(before in needs[job] for before, job in zip(chain, chain[1:]))
    makespan = max(end for _, end in times.values())
    assert max(path, work / slots) <= makespan + 1e-9
    if not on_gpu:  # Graham, 1966
        assert makespan <= work / slots + (1 - 1 / slots) * path + 1e-9


def test_peak_counts_what_runs_and_what_is_left():
    times = {"a": (0, 2), "b": (1, 3), "c": (3, 4)}
    working, left = {"a": 10, "b": 7, "c": 5}, {"a": 1, "b": 2, "c": 5}
    assert planning.peak(times, working, left) == 17
    assert planning.peak({**times, "b": (2, 3)}, working, left) == 10
    assert planning.peak({}, {}, {}) == 0


def test_a_plan_of_all_jobs_adds_up(known):
    jobs = steps.jobs(RUN)
    plan = planning.plan(RUN, jobs, known, slots=1)
    assert plan.work_seconds == sum(known.seconds(RUN, *job) for job in jobs)
    assert plan.wall_seconds == pytest.approx(plan.work_seconds + 5 + 0.5 * len(jobs))
    trainings = [known.seconds(RUN, "train_object", whose) for step, whose in jobs
                 if step == "train_object"]
    assert plan.seconds_of("train_object") == sum(trainings) and len(trainings) == 4
    many = planning.plan(RUN, jobs, known, slots=len(jobs))
    assert many.wall_seconds == pytest.approx(many.path_seconds) == plan.path_seconds
    assert [step for step, _ in many.path][:2] == ["prototxts", "train_foreground"]
    assert plan.final_gb == many.final_gb <= plan.peak_gb < many.peak_gb


def test_only_what_is_to_do_counts(known):
    pending = [("label", ("short",)), ("submission", ())]
    plan = planning.plan(RUN, pending, known, slots=3)
    assert plan.path == pending
    assert plan.wall_seconds == pytest.approx(sum(
        known.seconds(RUN, *job) for job in pending) + 5 + 2 * 0.5)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_of_a_dry_run(known):
    pending = [job for job in steps.jobs(RUN) if job != ("prototxts", ("short",))]
    text = planning.table(RUN, pending, known, 2)
    rows = {row[0]: row[1:] for row in map(cells, text.splitlines()) if len(row) == 4}
    assert rows["prototxts"][:2] == ["2", "1"]
    assert rows["train object"] == ["4", "4", planning.time_text(4 * (4 + 100 * 9 + 3 * 2))]
    assert rows["all"][:2] == [str(len(pending) + 1), str(len(pending))]
    plan = planning.plan(RUN, pending, known, 2)
    assert f"{planning.time_text(plan.wall_seconds)};" in text
    assert f"{plan.final_gb:.1f} GB at the end" in text
    assert "measured on another machine (abacus, 2 cores)" in text and "*" not in text
    assert "train foreground long → infer foreground long → refine long" in text


def test_predictions_are_marked_in_the_table(known):
    run = dataclasses.replace(RUN, gpus=(0,))
    text = planning.table(run, steps.jobs(run), known, 1)
    starred = {cells(line)[0] for line in text.splitlines() if line.endswith("* |")}
    assert starred == {"train foreground", "train object", "infer foreground", "infer object",
                       "refine", "all"}
    assert "* GPU seconds are a prediction, never measured" in text
    assert "1 job at a time, 1 thread each, 1 GPU:" in text
    on_cluster = dataclasses.replace(run, cluster="slurm", threads=4)
    text = planning.table(on_cluster, steps.jobs(run), known, 50)
    assert "Amdahl" in text and "cluster's machines" in text
    starred = [line for line in text.splitlines() if line.endswith("* |")]
    assert len(starred) == len({step for step, _ in steps.jobs(run)}) + 1


def test_nothing_to_do_is_said(known):
    assert planning.table(RUN, [], known, 2).startswith("nothing to do: all")


def test_times_as_one_reads_them():
    assert [planning.time_text(seconds) for seconds in (0, 99, 120, 5900, 6000, 36000)] == [
        "0 s", "99 s", "2 min", "98 min", "1.7 h", "10.0 h"]


def test_the_markdown_is_aligned():
    lines = planning.markdown([["what", "n"], ["a", "1000"], ["long name", "1"]]).splitlines()
    assert len(set(map(len, lines))) == 1 and len(lines) == 4
    assert lines[1] == "|-----------|-----:|" and lines[3] == "| long name |    1 |"
    assert costs.KINDS.issuperset({"train resnet101", "label"})
