"""The log of a training: a CSV row an iteration, running averages, a curve as PNG."""

import csv
import io
import os
from collections import deque

import numpy as np

from segspn import files


class TrainingLog:
    """Rows of (iteration, seconds, values) in a CSV file that a resumed run continues.

    Averages are over the last `window` iterations, as Caffe's average_loss;
    values that are not defined (no pixel of a class) are left out of them.
    """

    def __init__(self, path, names, window):
        self.path = path
        self.names = list(names)
        self.rows = []
        self._recent = deque(maxlen=window)
        self._written = 0

    @classmethod
    def of_file(cls, path, window):
        """The log of a file, with the names that it has; resume() reads its rows."""
        header = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8", errors="replace") as file:
                header = next(csv.reader(file), [])
        return cls(path, header[2:], window)

    def resume(self, iteration):
        """Reads the rows up to `iteration`; later, incomplete and damaged ones are dropped."""
        if not self.path.is_file():
            return
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            for fields in list(csv.reader(file))[1:]:
                try:
                    row = [int(fields[0]), *map(float, fields[1:])]
                except (ValueError, IndexError):
                    continue
                if len(row) == len(self.names) + 2 and row[0] <= iteration:
                    self._append(row)

    def add(self, iteration, seconds, values):
        """Adds an iteration; `values` in the order of the names."""
        self._append([iteration, seconds, *map(float, values)])

    def _append(self, row):
        self.rows.append(row)
        self._recent.append(row[2:])

    def averages(self):
        """{name: running average}."""
        recent = np.array(self._recent)
        counts = np.maximum(np.isfinite(recent).sum(0), 1)
        return dict(zip(self.names, np.nansum(recent, 0) / counts))

    def write(self):
        """Appends new rows to the file; the first call writes it anew, as a whole."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self._written:
            writer.writerow(["iteration", "seconds", *self.names])
        for row in self.rows[self._written:]:
            writer.writerow([row[0], f"{row[1]:.3f}", *(repr(value) for value in row[2:])])
        if not self._written:
            files.write_text(self.path, text.getvalue())
        else:
            with files.writing(self.path), self.path.open("a") as file:
                file.write(text.getvalue())
                os.fsync(file.fileno())
        self._written = len(self.rows)

    def draw(self, path, title):
        """Draws loss (log scale) and accuracies over the iterations as a PNG."""
        from matplotlib.figure import Figure  # slow to import, and only needed here

        rows = np.array(self.rows, float)
        if not len(rows):
            return
        figure = Figure(figsize=(8, 6), dpi=100, layout="constrained")
        losses = [name for name in self.names if "loss" in name]
        groups = [losses, [name for name in self.names if name not in losses]]
        axes = figure.subplots(sum(map(bool, groups)), sharex=True, squeeze=False)[:, 0]
        for axis, group in zip(axes, filter(None, groups)):
            for name in group:
                self._draw_line(axis, rows, name)
            axis.legend(loc="best")
            axis.grid(alpha=0.3)
        if losses and (rows[:, 2 + self.names.index(losses[0])] > 0).all():
            axes[0].set_yscale("log")
        axes[0].set_title(title)
        axes[-1].set_xlabel("iteration")
        with files.whole_file(path) as temporary:
            figure.savefig(temporary)

    def _draw_line(self, axis, rows, name):
        values = rows[:, 2 + self.names.index(name)]
        window = min(self._recent.maxlen, len(values))
        defined = np.isfinite(values)
        sums = np.cumsum(np.where(defined, values, 0))
        counts = np.cumsum(defined)
        sums[window:] -= sums[:-window].copy()
        counts[window:] -= counts[:-window].copy()
        line, = axis.plot(rows[:, 0], sums / np.maximum(counts, 1), label=name)
        axis.plot(rows[:, 0], values, color=line.get_color(), alpha=0.25, linewidth=0.7)
