"""The overview of a run: a page with a contact sheet, figures and a report of each video."""

import csv

from segspn import files
from segspn.report.html_page import PAGES, STYLES, joined
from segspn.runs import settings, steps


def figures(run):
    """{sequence: (mean J, mean F) over its objects} and (J, F) of all; ({}, None) without truth."""
    if not run.evaluated:
        return {}, None
    overall, per_object, _ = steps.evaluation_tables(run)
    rows = {}
    with per_object.open(newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["Sequence"].rpartition("_")[0], []).append(
                (float(row["J-Mean"]), float(row["F-Mean"])))
    with overall.open(newline="") as file:
        total = next(csv.DictReader(file))
    means = {name: tuple(sum(column) / len(column) for column in zip(*values))
             for name, values in rows.items()}
    return means, (float(total["J-Mean"]), float(total["F-Mean"]))


def hours(run, sequence=None):
    """Hours of computing of a sequence's jobs, or of all jobs of the run."""
    jobs = [job for job in steps.jobs(run) if sequence is None or job[1][:1] == (sequence,)]
    return sum(settings.state(run, steps.job_path(*job)).get("seconds", 0) for job in jobs) / 3600


def cells(objects, frames, values, spent):
    """The figures of a row, as texts; J, F and their mean are in per cent, or empty."""
    shown = [f"{100 * value:.1f}" for value in (*values, sum(values) / 2)] if values else [""] * 3
    return [objects, frames, *shown, f"{spent:.2f}"]


def page(run):
    """The page's HTML; its links and pictures are of the run's folder."""
    means, total = figures(run)
    videos = {name: cells(len(objects), len(steps.frames(run, name)), means.get(name),
                          hours(run, name)) for name, objects in run.videos.items()}
    return PAGES.get_template("overview.html").render(
        run=run, style=joined(STYLES), videos=videos, hours=f"{hours(run):.2f}",
        total=total and cells("", "", total, hours(run)))


def write(run):
    """Writes overview.html into the folder of the run, and returns its path."""
    path = run.folder / "overview.html"
    files.write_text(path, page(run))
    return path
