"""Evaluation of results by the rules of DAVIS 2017, semi-supervised.

The rules are those of Pont-Tuset et al., "The 2017 DAVIS Challenge on Video
Object Segmentation" (arXiv 1704.00675), and of its davis2017-evaluation:

- The objects of a sequence are 1 to the greatest id of its first annotation;
  what appears later, with a greater id, is not evaluated.
- 255 is void, no object; its pixels are background, unless they are left out.
- The first frame of a sequence, which is given, and its last are left out.
- An object has J and F (segspn.evaluation.metrics) in every other frame, 1 where neither
  the annotation nor the result has it.  Mean, recall and decay are over its frames.
- Figures of a data set are means over all objects of all sequences.
- An id in a result above the number of objects is an error, and so is whatever
  is missing or does not match: all of it is looked for before the first value.

Where other frames than the first were learned from, they are left out as well, and the
objects are 1 to the greatest id of their annotations.
"""

import csv
import io
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import files
from segspn.data import annotations as annotated_frames
from segspn.data import davis
from segspn.errors import UserError, refuse
from segspn.evaluation import metrics
from segspn.evaluation import result_files as checks

COLUMNS = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """J and F of a sequence: float64, objects x frames; row k - 1 is object k.

    frames: the names of the frames evaluated, in order: those that count.
    """

    sequence: str
    frames: tuple[str, ...]
    j: np.ndarray
    f: np.ndarray

    def statistics(self):
        """[(metrics.Statistics of J, that of F)], an entry an object."""
        return [tuple(map(metrics.statistics, rows)) for rows in zip(self.j, self.f)]


def measure(annotation, result, objects, void=False):
    """J and F of objects 1 to `objects` in a frame: float64, 2 x objects.

    annotation, result: object ids, H x W; void: leave pixels out that are 255
    in the annotation.  Raises UserError where sizes differ.
    """
    left_out = annotation == davis.VOID if void else None
    masks = [(annotation == k, result == k) for k in range(1, objects + 1)]
    return np.array([[score(truth, found, left_out) for truth, found in masks]
                     for score in (metrics.jaccard, metrics.boundary_f)])


def evaluate_arrays(sequence, annotations, results, frames=None, void=False, learned=()):
    """Evaluation of a sequence in memory, whose name is for messages and tables.

    annotations, results: uint8 object ids, n x H x W or n arrays of H x W, of all
    frames (what results have in the first and the last is not looked at); frames:
    their n names (00000 …); void: as of measure(); learned: names of frames that were
    learned from, if not the first alone.  Raises UserError where no frame counts, for no
    objects, sizes that differ, and an id above the number of objects.
    """
    frames = frames or [f"{number:05}" for number in range(len(annotations))]
    if not len(annotations) == len(results) == len(frames):
        raise UserError(f"sequence {sequence} has {len(annotations)} annotations, {len(results)} "
                        f"results and {len(frames)} names of frames")
    objects = max((davis.number_of_objects(annotation) for name, annotation
                   in zip(frames, annotations) if name in (learned or frames[:1])), default=0)
    counting = checks.counting(frames, learned)
    inner = [one for one in zip(frames, annotations, results) if one[0] in counting]
    problems = [checks.too_short(sequence, len(annotations), len(counting)),
                checks.without_objects(sequence, objects, learned)]
    problems += [checks.misfit(f"{sequence} {name}", found.shape, int(found.max(initial=0)),
                               truth.shape, objects, learned) for name, truth, found in inner]
    refuse(problems)
    values = np.stack([measure(truth, found, objects, void) for _, truth, found in inner], 2)
    return Evaluation(sequence, tuple(counting), *values)


def evaluate(results, root, sequences, void=False, processes=None,
             annotated=annotated_frames.FIRST):
    """[Evaluation] of sequences, in their order, with progress bars.

    results: folder of <sequence>/<frame>.png, indexed or grey PNGs of object ids;
    root: data set in DAVIS layout; void: as of measure(); processes: how many to
    use, which changes no value (all cores); annotated: which frames were learned from, as
    of annotations.chosen().  They are spawned, so a script that calls this must do so below
    `if __name__ == "__main__"`.  Raises UserError for whatever is missing or does not
    match, before anything is computed.
    """
    with _workers(processes) as run:
        found = checks.checked_files(
            checks.found_files(Path(results), Path(root), sequences, annotated), run)
        tasks = [(owner, pairs, void) for owner in found for pairs in checks.chunks(owner.pairs())]
        values = {owner.sequence: [] for owner in found}
        with tqdm(total=sum(len(pairs) for _, pairs, _ in tasks), desc="evaluate",
                  unit="frame", dynamic_ncols=True) as bar:
            for (owner, pairs, _), chunk in zip(tasks, run(_measure_files, tasks)):
                values[owner.sequence].append(chunk)
                bar.update(len(pairs))
    return [Evaluation(owner.sequence, tuple(path.stem for path in owner.results),
                       *np.concatenate(values[owner.sequence], 2)) for owner in found]


def summary(evaluations):
    """{column: figure} of COLUMNS: means over all objects of all sequences."""
    rows = [statistics for one in evaluations for statistics in one.statistics()]
    j, f = np.mean(rows, 0)
    return dict(zip(COLUMNS, map(float, ((j[0] + f[0]) / 2, *j, *f))))


def object_rows(evaluations):
    """[("<sequence>_<k>", mean J, mean F)], a row an object."""
    return [(f"{one.sequence}_{k}", j.mean, f.mean)
            for one in evaluations for k, (j, f) in enumerate(one.statistics(), 1)]


def write_tables(folder, split, evaluations):
    """Writes three CSV files into a folder; returns their paths.

    global_results-<split>.csv and per-sequence_results-<split>.csv are as the
    official evaluation has them, with 3 decimals; per-frame_results-<split>.csv
    has every J and F in full.
    """
    folder, split = Path(folder), davis.checked_sequence(split, "split")
    tables = {
        "global": [COLUMNS, [f"{value:.3f}" for value in summary(evaluations).values()]],
        "per-sequence": [("Sequence", "J-Mean", "F-Mean"),
                         *((name, f"{j:.3f}", f"{f:.3f}")
                           for name, j, f in object_rows(evaluations))],
        "per-frame": [("Sequence", "Object", "Frame", "J", "F"),
                      *((one.sequence, k + 1, frame, float(one.j[k, n]), float(one.f[k, n]))
                        for one in evaluations for k in range(len(one.j))
                        for n, frame in enumerate(one.frames))]}
    paths = []
    for name, rows in tables.items():
        paths.append(folder / f"{name}_results-{split}.csv")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        files.write_text(paths[-1], text.getvalue())
    return paths


def _measure_files(task):
    """J and F of a task, (SequenceFiles, its pairs of paths, void): 2 x objects x frames."""
    owner, pairs, void = task
    return np.stack([measure(owner.read_annotation(annotation), files.read_plane(result, "result"),
                             owner.objects, void) for annotation, result in pairs], 2)


@contextmanager
def _workers(processes):
    """A map() that runs in so many spawned processes (all cores), in order; 1: in this one."""
    processes = len(os.sched_getaffinity(0)) if processes is None else processes
    if processes < 1:
        raise UserError(f"the number of processes must be at least 1, not {processes}")
    if processes == 1:
        yield map
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_worker)
    try:
        yield pool.map
    except BrokenProcessPool as error:
        raise UserError("a process of the evaluation was killed; is memory short?  "
                        "Use fewer processes") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker():
    """An interrupt is the parent's to handle, and a worker ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
