"""Whole runs over a small synthetic data set: one job at a time against several.

In copies of the project, tools/run.py does everything from nothing: once with one job at
a time, which has all cores, and once with --jobs, which share them.  Told are the wall
times and their ratio, that of a second call that finds nothing to do, disk and memory of
each step, and how many of the files of both runs are the same, bit for bit.

Example:
    python tools/benchmark_scale.py --jobs 2
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

import benchmark
import sandbox
from ResNetF import nets
from segspn.errors import UserError, script
from segspn.runs import planning, steps
from segspn.synthetic import data_set

SPLIT = "val"
THIN = nets.RESNET50_THIN.name


@dataclass(frozen=True)
class Scale:
    """How much there is to do."""

    videos: int
    objects: int
    frames: int
    size: tuple
    iterations: int

    def __str__(self):
        return (f"{self.videos} videos of {self.frames} frames of {'x'.join(map(str, self.size))}, "
                f"{self.objects} objects each, {self.iterations} iterations of {THIN} a training")

    def write(self, root):
        """Writes the synthetic data set."""
        recipe = data_set.Recipe(1, self.size, self.objects, self.frames, "scale", SPLIT)
        data_set.claim(root, recipe)
        for index in range(self.videos):
            for _ in data_set.write_sequence(root, recipe, index):
                pass
        data_set.write_list(root, recipe, self.videos)


FULL = Scale(2, 2, 12, (240, 427), 40)
QUICK = Scale(1, 1, 3, (64, 96), 2)


def timed_run(box, data, scale, jobs, threads):
    """Seconds of a call of tools/run.py in a copy of the project.  Raises UserError."""
    command = [sys.executable, "tools/run.py", "--data", str(data), "--split", SPLIT,
               "--backbone", THIN, "--size", "x".join(map(str, scale.size)),
               "--iterations", str(scale.iterations), "--jobs", str(jobs),
               "--threads", str(threads)]
    begin = time.perf_counter()
    result = subprocess.run(command, cwd=box, env=sandbox.environment(box), capture_output=True,
                            text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"{jobs} jobs at a time: {reason.removeprefix('error: ')}")
    return time.perf_counter() - begin


def states(box):
    """The states of all jobs of the run in a copy of the project."""
    folder = box / "results/runs" / SPLIT / "state"
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))]


def folder_mb(folder):
    """MB of the files in a folder, links apart."""
    return sum(path.stat().st_size for path in folder.rglob("*")
               if path.is_file() and not path.is_symlink()) / 1e6


def products(box, step):
    """{path: sha256} of all that the jobs of a step left, by their manifests."""
    done = box / "results/runs" / SPLIT / "done"
    paths = [done / f"{step}.json", *sorted((done / step).rglob("*.json"))]
    return {name: entry["sha256"] for path in paths if path.is_file()
            for name, entry in json.loads(path.read_text()).items()}


def measure(folder, data, scale, ways, repeat, bar):
    """{(jobs, threads): {"wall": […], "rerun": […]}, "boxes": …} of `repeat` runs each.

    ways: [(jobs, threads)].  Returns (that, {way: the last copy of the project}).
    """
    found, boxes = {way: {"wall": [], "rerun": []} for way in ways}, {}
    for number in range(repeat):
        for jobs, threads in ways:
            bar.set_description(f"{jobs} jobs, {threads} threads each")
            box = boxes[jobs, threads] = sandbox.make(folder / f"jobs{jobs}-{number}")
            for what in ("wall", "rerun"):
                found[jobs, threads][what].append(timed_run(box, data, scale, jobs, threads))
                bar.update()
    return found, boxes


def step_rows(boxes, videos):
    """A row a step: seconds of its jobs each way, memory, disk a video, files that are equal."""
    of_way = {way: states(box) for way, box in boxes.items()}
    rows = []
    for step in steps.STEPS:
        jobs = {way: [state for state in found if state["job"][0] == step]
                for way, found in of_way.items()}
        if not any(jobs.values()):
            continue
        first, *others = (products(box, step) for box in boxes.values())
        same = [name for name in first if all(other.get(name) == first[name] for other in others)]
        flat = [state for found in jobs.values() for state in found]
        rows.append({
            "step": step, "jobs": len(flat) // len(jobs),
            "seconds": [sum(state["seconds"] for state in found) for found in jobs.values()],
            "peak_mb": max(state["peak_mb"] for state in flat),
            "mb_per_video": sum(state["products_mb"] for state in flat) / len(jobs) / videos,
            "files": len(first), "same": len(same)})
    return rows


def tables(result):
    """The two tables, in Markdown."""
    ways = [["jobs × threads", "from nothing", "nothing to do"]]
    ways += [[f"{way['jobs']} × {way['threads']}", f"{way['wall']:.1f} s", f"{way['rerun']:.1f} s"]
             for way in result["ways"]]
    steps = [["step", "jobs", *(f"seconds, {name[0]}" for name in ways[1:]), "peak MB",
              "MB a video", "files", "the same"]]
    steps += [[row["step"].replace("_", " "), str(row["jobs"]),
               *(f"{seconds:.1f}" for seconds in row["seconds"]), f"{row['peak_mb']:.0f}",
               f"{row['mb_per_video']:.2f}", str(row["files"]), str(row["same"])]
              for row in result["steps"]]
    return f"{planning.markdown(ways)}\n\n{planning.markdown(steps)}"


def alike(row):
    """Whether both runs left the same, in words."""
    if row["same"] == row["files"]:
        return "are the same bit for bit"
    return f"differ in {row['files'] - row['same']} of {row['files']} files"


def notes(result):
    """The sentences under the tables."""
    one, several = result["ways"]
    steps = {row["step"]: row for row in result["steps"]}
    return (f"{result['scale']}. With {several['jobs']} jobs at a time a run takes "
            f"{result['ratio']:.2f} of the time that it takes with one. The objects' models of "
            f"both ways {alike(steps['train_object'])}, the labels {alike(steps['label'])}: "
            f"with {one['threads']} and with {several['threads']} BLAS threads sums may be rounded "
            "differently; reports hold times, and are never the same. A video leaves "
            f"{result['models_mb_per_video']:.1f} MB in models and "
            f"{result['results_mb_per_video']:.1f} MB in results. Seconds are of all jobs of a "
            "step together, peak MB of the largest process of a job; medians of "
            f"{result['repeat']}. {benchmark.load_before(result['machine'])}")


def run(scale, jobs, repeat, output):
    """Measures, and writes the text and all numbers to `output`."""
    about = benchmark.machine()
    cores = about["cores"]
    ways = [(1, cores), (jobs, cores // jobs)]
    with (tempfile.TemporaryDirectory(prefix="segspn-scale-") as folder,
          tqdm(total=2 * len(ways) * repeat, unit="run", dynamic_ncols=True) as bar):
        folder = Path(folder)
        scale.write(folder / "data")
        found, boxes = measure(folder, folder / "data", scale, ways, repeat, bar)
        steps = step_rows(boxes, scale.videos)
        box = boxes[ways[-1]]
        disk = {f"{name}_mb_per_video": folder_mb(box / name) / scale.videos
                for name in ("models", "results")}
    ways = [{"jobs": jobs, "threads": threads,
             **{what: statistics.median(seconds) for what, seconds in found[jobs, threads].items()}}
            for jobs, threads in ways]
    result = {"machine": about, "repeat": repeat, "scale": str(scale), "ways": ways,
              "ratio": ways[1]["wall"] / ways[0]["wall"], "steps": steps, **disk}
    benchmark.write(output, "benchmark_scale", f"{tables(result)}\n\n{notes(result)}", result)


@script
def main():
    options = benchmark.parser(__doc__, 1, "one tiny video: does it run?", "benchmark_scale")
    options.add_argument("--jobs", type=int, default=2, help="at a time, against one (2)")
    args = options.parse_args()
    benchmark.check_repeat(args)
    cores = len(os.sched_getaffinity(0))
    if not 2 <= args.jobs <= cores:
        raise UserError(f"--jobs must be from 2 to the number of cores, {cores}, not {args.jobs}")
    run(QUICK if args.quick else FULL, args.jobs, args.repeat, args.output)


if __name__ == "__main__":
    main()
