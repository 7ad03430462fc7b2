"""What a run shares with others: models, score maps and masks, which go by the name of a video.

A job that another run has done, by the same command lines and from the same files, is done in
this one too.  Its record and its state are taken over: nothing is started to find that out, and
its seconds are those that it took.
"""

import dataclasses
import shutil

from segspn import files
from segspn.runs import settings, steps


def take_over(run):
    """The jobs, [(step, whose)], that were not done in this run, but by others; now they are."""
    taken, others = [], others_of(run)
    for job in steps.jobs(run) if others else []:
        if _is_shared(run, job) and not steps.is_done(run, *job):
            other = next((other for other in others if _has_done(run, job, other)), None)
            if other:
                _copy(run, job, other)
                taken.append(job)
    return taken


def others_of(run):
    """The runs that there are beside this one, with this one's settings."""
    return [dataclasses.replace(run, name=path.parent.name)
            for path in sorted(settings.RUNS.glob(f"*/{settings.SETTINGS}"))
            if path.parent.name != run.name]


def _is_shared(run, job):
    """Whether nothing that a job leaves lies in the run's own folder."""
    return not any(path.is_relative_to(run.folder)
                   for path in steps.STEPS[job[0]].products(run, *job[1]))


def _has_done(run, job, other):
    """Whether another run has done a job as this one would do it, and knows its seconds."""
    state = settings.state(other, steps.job_path(*job))
    return state.get("state") == "done" and steps.record(run, *job, other.folder).is_done(
        steps.STEPS[job[0]].products(run, *job[1]))


def _copy(run, job, other):
    """Takes over a job's state and record, whose paths are relative to its own."""
    for path in (settings.state_path(run, steps.job_path(*job)),
                 steps.record_path(run.folder, *job)):
        with files.whole_file(path) as temporary:
            shutil.copyfile(other.folder / path.relative_to(run.folder), temporary)
