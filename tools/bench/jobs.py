"""Whole runs over a small synthetic data set: one job at a time against several.

In a copy of the project, tools/run.py does everything from nothing, and is called again to
find nothing to do: once with one job at a time, which has all cores, and once with --jobs,
which share them.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from tqdm import tqdm

from ResNetF import nets
from segspn import cli
from segspn.errors import UserError
from segspn.synthetic import data_set
from tools.bench import common, sandbox

REPEAT = 1
SPLIT, THIN = "val", nets.RESNET50_THIN.name


def add_arguments(parser):
    parser.add_argument("--jobs", type=cli.whole(2), default=2, help="at a time, against one (2)")


@dataclass(frozen=True)
class Scale:
    """How much there is to do."""

    videos: int
    objects: int
    frames: int
    size: tuple
    iterations: int

    def __str__(self):
        return (f"{self.videos} videos of {self.frames} frames of {cli.size_text(self.size)}, "
                f"{self.objects} objects each, {self.iterations} iterations of {THIN} a training")

    def write(self, root):
        """Writes the synthetic data set."""
        recipe = data_set.Recipe(1, self.size, self.objects, self.frames, "scale", SPLIT)
        for _ in data_set.write(root, recipe, self.videos):
            pass


FULL = Scale(2, 2, 12, (240, 427), 40)
QUICK = Scale(1, 1, 3, (64, 96), 2)


def timed_run(box, data, scale, jobs, threads):
    """Seconds of a call of tools/run.py in a copy of the project.  Raises UserError."""
    command = [sys.executable, "tools/run.py", "--data", str(data), "--split", SPLIT,
               "--backbone", THIN, "--size", cli.size_text(scale.size),
               "--iterations", str(scale.iterations), "--jobs", str(jobs),
               "--threads", str(threads)]
    begin = time.perf_counter()
    result = subprocess.run(command, cwd=box, env=sandbox.environment(box), capture_output=True,
                            text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"{jobs} jobs at a time: {reason.removeprefix('error: ')}")
    return time.perf_counter() - begin


def measure(data, scale, jobs, threads, bar):
    """One run from nothing, and one more: their seconds, and MB of the largest job."""
    bar.set_description(f"{jobs} × {threads}")
    with tempfile.TemporaryDirectory(prefix="segspn-bench-") as folder:
        box, seconds = sandbox.make(folder), {}
        for what in ("from_nothing", "nothing_to_do"):
            seconds[what] = timed_run(box, data, scale, jobs, threads)
            bar.update()
        states = (box / "results/runs" / SPLIT / "state").rglob("*.json")
        peak = max(json.loads(path.read_text())["peak_mb"] for path in states)
    return {**seconds, "peak_mb": peak}


def table(ways):
    rows = [[f"{way['jobs']} × {way['threads']}", f"{way['from_nothing']:.1f} s",
             f"{way['nothing_to_do']:.1f} s", f"{way['peak_mb']:.0f}"] for way in ways]
    return common.table(["jobs × threads", "from nothing", "nothing to do", "MB a job"], rows)


def run(args):
    cores = common.cores()
    if args.jobs > cores:
        raise UserError(f"--jobs must be at most the number of cores, {cores}, not {args.jobs}")
    scale, ways = QUICK if args.quick else FULL, []
    with (tempfile.TemporaryDirectory(prefix="segspn-bench-") as data,
          tqdm(total=4 * args.repeat, unit="run", dynamic_ncols=True) as bar):
        scale.write(data)
        for jobs, threads in ((1, cores), (args.jobs, cores // args.jobs)):
            found = [measure(data, scale, jobs, threads, bar) for _ in range(args.repeat)]
            ways.append({"jobs": jobs, "threads": threads, **{
                what: statistics.median(one[what] for one in found) for what in found[0]}})
    ratio = ways[1]["from_nothing"] / ways[0]["from_nothing"]
    return (f"{table(ways)}\n\n{scale}. With {args.jobs} jobs at a time a run takes {ratio:.2f} of "
            "the time that it takes with one. MB are of the largest process of all jobs; medians "
            f"of {args.repeat}.", {"scale": str(scale), "ways": ways, "ratio": ratio})
