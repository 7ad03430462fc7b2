"""Plans of runs: hours, critical path and disk, by list scheduling of jobs with expected costs.

Everything here is a function of the jobs and their costs; nothing runs, and nothing is
read but what segspn.runs.costs reads of videos.
"""

import heapq
import math
from collections import Counter
from dataclasses import dataclass

from segspn.runs import costs, steps


@dataclass(frozen=True)
class Plan:
    """What is expected of a run.

    seconds      {job: seconds}, without Snakemake's own
    times        {job: (begin, end)}, seconds from the start, with Snakemake's own
    path         jobs of the critical path, in order
    path_seconds of these, with Snakemake's own: no number of machines is faster
    peak_gb      of disk, at most, while it runs
    final_gb     of disk that it leaves
    """

    seconds: dict
    times: dict
    path: list
    path_seconds: float
    peak_gb: float
    final_gb: float

    @property
    def work_seconds(self):
        """Of all jobs together."""
        return sum(self.seconds.values())

    @property
    def wall_seconds(self):
        return max((end for _, end in self.times.values()), default=0)

    def seconds_of(self, step):
        return sum(seconds for job, seconds in self.seconds.items() if job[0] == step)


def schedule(jobs, needs, seconds, slots, gpus=0, on_gpu=()):
    """{job: (begin, end)} by list scheduling: what is ready begins as soon as there is room.

    jobs     in the order in which they are preferred; each after those that it needs
    needs    {job: jobs}; those that are not in `jobs` are done
    seconds  {job: seconds}
    slots    jobs at a time, at least 1
    gpus     of these, how many with a GPU; at least 1 where on_gpu has a job
    on_gpu   jobs that take a GPU beside their slot
    """
    waiting = {job: set(needs[job]) & set(jobs) for job in jobs}
    followers = {job: [] for job in jobs}
    for job in jobs:
        for needed in waiting[job]:
            followers[needed].append(job)
    rank = {job: position for position, job in enumerate(jobs)}
    ready = [[], []]  # heaps of ranks: jobs without and with a GPU
    free = [slots, gpus]
    running, times, now = [], {}, 0.0

    def add(job):
        heapq.heappush(ready[job in on_gpu], rank[job])

    for job in jobs:
        if not waiting[job]:
            add(job)
    while running or any(ready):
        while free[0] and (ready[0] or (ready[1] and free[1])):
            able = [kind for kind in (0, 1) if ready[kind] and (kind == 0 or free[1])]
            kind = min(able, key=lambda kind: ready[kind][0])
            job = jobs[heapq.heappop(ready[kind])]
            times[job] = now, now + seconds[job]
            heapq.heappush(running, (times[job][1], rank[job]))
            free[0], free[1] = free[0] - 1, free[1] - kind
        if not running:
            raise ValueError("jobs that take a GPU, and no GPU")
        now = running[0][0]
        while running and running[0][0] == now:
            job = jobs[heapq.heappop(running)[1]]
            free[0], free[1] = free[0] + 1, free[1] + (job in on_gpu)
            for follower in followers[job]:
                waiting[follower].remove(job)
                if not waiting[follower]:
                    add(follower)
    return times


def critical_path(jobs, needs, seconds):
    """(seconds, jobs) of the longest chain of jobs that need each other; (0, []) of none.

    jobs: each after those that it needs; needs: {job: jobs}; seconds: {job: seconds}.
    """
    ends, before = {}, {}
    for job in jobs:
        before[job] = max((needed for needed in needs[job] if needed in ends),
                          key=ends.get, default=None)
        ends[job] = seconds[job] + ends.get(before[job], 0)
    path = [max(ends, key=ends.get)] if ends else []
    while path and before[path[-1]] is not None:
        path.append(before[path[-1]])
    return (ends[path[0]] if path else 0), path[::-1]


def peak(times, working, left):
    """The most that jobs have at a time: working[job] while they run, left[job] afterwards.

    times: {job: (begin, end)}.
    """
    changes = [(begin, working[job]) for job, (begin, _) in times.items()]
    changes += [(end, left[job] - working[job]) for job, (_, end) in times.items()]
    most = now = 0
    # Sorted, what becomes less comes first: a job ends before another begins.
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def plan(run, pending, known, slots, gpus=0):
    """The Plan of the jobs that are to be done.

    run      a settings.Run
    pending  its jobs to do, [(step, whose)], in the order of steps.jobs()
    known    costs.Costs
    slots    jobs at a time, on all machines together
    gpus     on all machines together
    """
    needs = {(step, whose): steps.STEPS[step].needs(run, *whose) for step, whose in pending}
    seconds = {job: known.seconds(run, *job) for job in pending}
    with_start = {job: value + known.job_seconds for job, value in seconds.items()}
    on_gpu = {job for job in pending if costs.on_gpu(run, job[0])}
    times = schedule(pending, needs, with_start, slots, gpus, on_gpu)
    path_seconds, path = critical_path(pending, needs, with_start)
    start = known.start_seconds if pending else 0
    left = {job: known.disk_mb(run, *job) for job in pending}
    most = peak(times, {job: known.working_mb(run, *job) for job in pending}, left)
    return Plan(seconds, {job: (begin + start, end + start) for job, (begin, end) in times.items()},
                path, path_seconds + start if pending else 0, most / 1e3, sum(left.values()) / 1e3)


def time_text(seconds):
    """Seconds as one reads them: "42 s", "35 min", "13.2 h"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def number(count, what):
    """So many of something: "1 job", "2 jobs"."""
    return f"{count} {what}{'s' * (count != 1)}"


def markdown(rows):
    """Rows of words as a Markdown table with aligned columns; the first is the head, and all
    columns but the first are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [" | ".join(cell.ljust(width) if n == 0 else cell.rjust(width)
                        for n, (cell, width) in enumerate(zip(row, widths))) for row in rows]
    rule = "|".join("-" * (width + 1) + ("-" if n == 0 else ":") for n, width in enumerate(widths))
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def path_text(path):
    """A critical path in words, its run of steps: "prototxts lions → train object lions 1 → …"."""
    return " → ".join(steps.describe(*job) for job in path)


def step_rows(run, pending, known, expected):
    """A row a step: jobs of the run, of these to do, and their time; * marks a prediction."""
    everything = Counter(step for step, _ in steps.jobs(run))
    to_do = Counter(step for step, _ in pending)
    rows = [["step", "jobs", "to do", "time"]]
    for step in (name for name in steps.STEPS if everything[name]):
        mark = "*" if to_do[step] and known.is_predicted(run, step) else ""
        rows.append([step.replace("_", " "), str(everything[step]), str(to_do[step]),
                     time_text(expected.seconds_of(step)) + mark])
    mark = "*" if any(known.is_predicted(run, step) for step in to_do) else ""
    return [*rows, ["all", str(everything.total()), str(to_do.total()),
                    time_text(expected.work_seconds) + mark]]


def table(run, pending, known, jobs):
    """What a run would do now, for people to read: a Markdown table, and sentences under it.

    run      a settings.Run; on this machine, or on a cluster where every job that wants has a GPU
    pending  its jobs to do, as tools/workflow.py's pending() gives them
    known    costs.Costs
    jobs     at a time
    """
    if not pending:
        return f"nothing to do: all {len(steps.jobs(run))} jobs are done and up to date"
    expected = plan(run, pending, known, jobs, jobs if run.cluster else len(run.gpus))
    star = "*" if any(known.is_predicted(run, step) for step, _ in pending) else ""
    where = [f"{number(jobs, 'job')} at a time", f"{number(run.threads, 'thread')} each"]
    if run.gpus and not run.cluster:
        where.append(number(len(run.gpus), "GPU"))
    free = math.ceil(10 * expected.peak_gb) / 10
    return "\n".join([
        markdown(step_rows(run, pending, known, expected)), "",
        f"Wall time, {', '.join(where)}: {time_text(expected.wall_seconds)}{star}; however many, "
        f"not less than {time_text(expected.path_seconds)}{star} ({path_text(expected.path)}).",
        f"Disk: {free:.1f} GB at most while it runs, {expected.final_gb:.1f} GB at the end.",
        f"Seconds: {known.source()}. A training that goes on from a snapshot counts in full.",
        *(f"* {sentence}" for sentence in known.caveats(run))])
