"""The log of a training: a CSV row an iteration, running averages, a curve as PNG."""

import csv
import io
import logging
import os

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
        self._window = window
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
                    self.rows.append(row)

    def add(self, iteration, seconds, values):
        """Adds an iteration; `values` in the order of the names."""
        self.rows.append([iteration, seconds, *map(float, values)])

    def averages(self):
        """{name: running average}."""
        recent = np.array(self.rows[-self._window:], float)[:, 2:]
        return dict(zip(self.names, running_means(recent, self._window)[-1]))

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
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not that HOME is read-only
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
        defined = np.isfinite(values)
        if np.count_nonzero(defined) < len(values) / 2:  # what is measured now and then
            axis.plot(rows[defined, 0], values[defined], "o-", markersize=4, label=name)
            return
        line, = axis.plot(rows[:, 0], running_means(values, self._window), label=name)
        axis.plot(rows[:, 0], values, color=line.get_color(), alpha=0.25, linewidth=0.7)


def running_means(values, window):
    """At each place along the first axis, the mean of the last `window` values that are defined."""
    defined = np.isfinite(values)
    sums, counts = np.cumsum([np.where(defined, values, 0), defined], 1)
    for totals in (sums, counts):
        totals[window:] -= totals[:-window].copy()
    return sums / np.maximum(counts, 1)
