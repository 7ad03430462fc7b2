"""What a report tells beside its pictures: trainings, timings, command lines, versions."""

import csv
import json
import math
import platform
import re
import sys
from importlib import metadata

import caffe
import cv2
import numpy as np

from segspn import files
from segspn.caffenet import device
from segspn.errors import UserError
from segspn.report import pictures
from segspn.training.log import TrainingLog

WINDOW = 20  # iterations of a running average
POINTS = 300  # of a curve, at most
GREY = (132, 142, 158)


def read_text(path, what):
    """The text of a file.  Raises UserError where it is missing or no UTF-8."""
    try:
        return files.existing_file(path, what).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} is not UTF-8 text") from error


def read_json(path, text, what):
    """What the text of a file holds as JSON.  Raises UserError where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{what} {path} is not valid JSON: {error}") from error


def timings(path):
    """[(step, seconds)] of JSON {step: seconds}, or of a Markdown table | step | seconds |.

    A total is left out.  Raises UserError where there is neither.
    """
    text = read_text(path, "timings")
    if text.lstrip().startswith("{"):
        rows = list(read_json(path, text, "timings").items())
    else:
        cells = [[cell.strip() for cell in line.strip().strip("|").split("|")]
                 for line in text.splitlines() if line.strip().startswith("|")]
        rows = [row for row in cells if len(row) == 2 and row[0] != "step"
                and not set(row[0]) <= set("-: ")]
    rows = [(what, seconds_of(value, what, path)) for what, value in rows if what != "total"]
    if not rows:
        raise UserError(f"timings {path} have no step; give JSON {{step: seconds}} or a table "
                        "| step | seconds |")
    return rows


def seconds_of(value, what, path):
    """`value` as seconds.  Raises UserError, which names the step."""
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UserError(f"timings {path}: step {what!r} took {value!r}, which are no seconds")
    return seconds


def commands(path):
    """[(what or "", command line)] of a text or JSON file.

    Text: a command a line, "# what" before it.  JSON: {what: command} or
    [command].  Raises UserError for other JSON.
    """
    text = read_text(path, "commands")
    if path.suffix != ".json":
        rows, what = [], ""
        for line in filter(None, map(str.strip, text.splitlines())):
            if line.startswith("#"):
                what = line.strip("# ")
            else:
                rows.append((what, line))
                what = ""
        return rows
    content = read_json(path, text, "commands")
    rows = list(content.items()) if isinstance(content, dict) else content
    rows = [("", row) if isinstance(row, str) else row for row in rows] if isinstance(
        rows, list) else [None]
    if not all(isinstance(row, tuple) and isinstance(row[1], str) for row in rows):
        raise UserError(f"commands {path} must be {{what: command}} or [command], with texts")
    return rows


def versions():
    """[(name, version)] of what the project runs on."""
    return [("segspn", metadata.version("segspn")),
            ("Caffe", f"{caffe.__version__} ({device.build_info()['mode']})"),
            ("Python", platform.python_version()), ("NumPy", np.__version__),
            ("OpenCV", cv2.__version__)]


def trainings(folder, sequence):
    """The loss curves of the CSV logs in a folder, for the page; [] where there are none.

    Raises UserError for a log that is none of solve.py's.
    """
    logs = sorted(folder.glob("*_log.csv")) if folder.is_dir() else []
    found = [training(path, sequence) for path in logs if not files.is_hidden(path)]
    return [one for one in found if one]


def training(path, sequence):
    """The loss of one log: running average and single values, thinned to POINTS; None if empty."""
    log = read_log(path)
    losses = [name for name in log.names if "loss" in name]
    if not log.rows or not losses:
        return None
    rows = np.array(log.rows, float)
    values = rows[:, 2 + log.names.index(losses[0])]
    chosen = np.unique(np.linspace(0, len(rows) - 1, POINTS).round().astype(int))
    name = name_of(path, sequence)
    return {"name": name, "colour": colour_of(name), "iterations": int(rows[-1, 0]),
            "seconds": round(float(rows[:, 1].sum()), 1),
            "xs": rows[chosen, 0].astype(int).tolist(),
            "raw": numbers(values[chosen]), "ys": numbers(running_mean(values)[chosen])}


def read_log(path):
    """The TrainingLog of a file; damaged rows are left out.  Raises UserError for another file."""
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            header = next(csv.reader(file), [])
        if header[:2] != ["iteration", "seconds"]:
            raise UserError(f"training log {path} does not begin with iteration,seconds")
        log = TrainingLog(path, header[2:], WINDOW)
        log.resume(sys.maxsize)
    except csv.Error as error:
        raise UserError(f"training log {path} is no CSV: {error}") from error
    return log


def name_of(path, sequence):
    """Of bunny_obj_1_log.csv, "object 1"; of bunny_fgbg_log.csv, "foreground".

    Of bunny_obj_1_corrected_log.csv, "object 1, corrected".
    """
    name = path.name.removesuffix("_log.csv").removeprefix(f"{sequence}_")
    name = re.sub(r"^obj_(\d+)(?=_corrected$|$)", r"object \1", name)
    return re.sub("^fgbg(?=_corrected$|$)", "foreground", name).replace("_corrected", ", corrected")


def colour_of(name):
    """That of its object for "object 1", grey for others."""
    match = re.fullmatch(r"object (\d{1,3})(, corrected)?", name)
    return pictures.hexadecimal(pictures.colour(int(match[1])) if match else GREY)


def running_mean(values):
    """The mean of the last WINDOW values at each; what is not finite is passed over."""
    finite = np.isfinite(values)
    sums, counts = np.cumsum(np.where(finite, values, 0)), np.cumsum(finite)
    sums[WINDOW:] -= sums[:-WINDOW].copy()
    counts[WINDOW:] -= counts[:-WINDOW].copy()
    return np.where(counts, sums / np.maximum(counts, 1), np.nan)


def numbers(values):
    """Floats with five digits; None for None and what is not finite, as JSON has no NaN."""
    return [None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
            for value in values]
