"""The overview of a run: a page with a contact sheet, figures and a report of each video."""

import csv
import html

from segspn import files
from segspn.report.html_page import PAGE
from segspn.runs import settings, steps

MORE_STYLE = """
table { border-collapse: collapse; width: 100%; }
th, td { padding: 8px; border-bottom: 1px solid var(--line); text-align: left; }
a { color: var(--accent); }
th.figure, td.figure { text-align: right; font-variant-numeric: tabular-nums; }
td img { display: block; width: 100%; max-width: 760px; border-radius: 6px; }
"""


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


def cell(text):
    return f'<td class="figure">{html.escape(text)}</td>'


def per_cent(values):
    """Cells of J, F and their mean; empty ones where there are no values."""
    if values is None:
        return cell("") * 3
    j, f = values
    return "".join(cell(f"{100 * value:.1f}") for value in (j, f, (j + f) / 2))


def video_row(run, sequence, values):
    """The row of a video; its picture leads to its report."""
    name = html.escape(sequence)
    link = f'href="report/{name}/report.html"'
    return (f'<tr><td><a {link}><img loading="lazy" alt="contact sheet of {name}" '
            f'src="overlay/{name}/contact_sheet.png"></a></td>'
            f'<td><a {link}>{name}</a><p class="note"><a href="overlay/{name}/overlay.mp4">video'
            f"</a></p></td>{cell(str(len(run.videos[sequence])))}"
            f"{cell(str(len(steps.frames(run, sequence))))}{per_cent(values)}"
            f"{cell(f'{hours(run, sequence):.2f}')}</tr>")


def page(run):
    """The page's HTML; its links and pictures are of the run's folder."""
    means, total = figures(run)
    style = (PAGE / "report.css").read_text(encoding="utf-8") + MORE_STYLE
    about = (f"{run.backbone}, {run.iterations} iterations a training, at {run.size}; "
             f"{len(run.videos)} videos, {sum(map(len, run.videos.values()))} objects, "
             f"{hours(run):.2f} hours of computing")
    heads = ["<th></th><th>video</th>", *(f'<th class="figure">{head}</th>' for head in (
        "objects", "frames", "J", "F", "J&amp;F", "hours"))]
    rows = "\n".join(video_row(run, sequence, means.get(sequence)) for sequence in run.videos)
    overall = f"<tr><td></td><td>all objects</td>{cell('')}{cell('')}{per_cent(total)}" \
              f"{cell(f'{hours(run):.2f}')}</tr>" if total else ""
    title = html.escape(f"Run {run.name}")
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{style}</style></head><body><header><h1>{title}</h1>"
            f'<p id="subtitle">{html.escape(about)}</p></header><main class="card"><table><thead>'
            f"<tr>{''.join(heads)}</tr></thead>"
            f"<tbody>\n{overall}\n{rows}\n</tbody></table></main></body></html>\n")


def write(run):
    """Writes overview.html into the folder of the run, and returns its path."""
    path = run.folder / "overview.html"
    files.write_text(path, page(run))
    return path
