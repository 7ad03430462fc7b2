"""Speed of the region filter, arbitration and recovery: frames a second on one core.

Frames of 480 x 854 with three objects: as score maps are, with a false region
each; noisy, with hundreds of regions; with a region at nearly every pixel; and
noisy where every object is lost, so that all maps are searched for all objects,
in vain or not.

Example:
    python tools/benchmark_regions.py --repeat 5
"""

import functools
import statistics

import cv2
import numpy as np

import benchmark
from benchmark_parts import timed
from ResNetF import WORKING_SIZE
from segspn.errors import script
from segspn.method import craf
from segspn.method.craf import label_frame

OBJECTS = [1, 2, 3]


def noise(rng, size, sigma):
    """Scores, uint8, H x W, above 30 at a third of the pixels; `sigma` is their smoothness, px."""
    plane = rng.standard_normal(size, np.float32)
    if sigma:
        plane = cv2.GaussianBlur(plane, (0, 0), sigma)
    return np.clip(60 * plane / plane.std(), 0, 255).astype(np.uint8)


def disks(size, moved=0):
    """Labels, uint8, H x W, of three disks beside each other; `moved` to the right, px."""
    labels = np.zeros(size, np.uint8)
    for k in OBJECTS:
        centre = (k * size[1] // 4 + moved, size[0] // 2)
        cv2.circle(labels, centre, size[0] // 6, k, -1)
    return labels


def plain_maps(size):
    """A disk an object, with soft borders, and faintly that of the next."""
    labels = disks(size, moved=size[1] // 100)
    planes = [255 * (labels == k) + 80 * (labels == k % len(OBJECTS) + 1) for k in OBJECTS]
    return np.stack([cv2.GaussianBlur(plane.astype(np.uint8), (0, 0), 3) for plane in planes])


def cases(size):
    """(name, score maps, uint8, n x H x W) of each case."""
    rng = np.random.default_rng(0)
    plain = plain_maps(size)
    noisy = np.stack([noise(rng, size, 2) for _ in OBJECTS])
    finest = np.stack([noise(rng, size, 0) for _ in OBJECTS])
    near = cv2.GaussianBlur(plain.max(0), (0, 0), 9) > 0
    return [("plain", plain), ("noisy", np.maximum(plain, noisy)),
            ("a region at every pixel", np.maximum(plain, finest)),
            ("noisy, all lost", noisy),
            ("noisy, all recovered", np.where(near, plain // 16, noisy))]


def rows(size, repeat):
    """A row a case, as it is measured: its name, regions of its first map, frames a second."""
    before, foreground = disks(size), np.ones(size, bool)
    for name, maps in cases(size):
        count = len(craf.regions_of(maps[0] > craf.Thresholds.region_score).areas)
        seconds = statistics.median(timed(
            functools.partial(label_frame, maps, OBJECTS, before, foreground), repeat))
        yield {"case": name, "regions": count, "frames_per_second": 1 / seconds}


def table(measured, size):
    """The rows as a Markdown table."""
    lines = [f"| labels of {size[0]}x{size[1]}, 3 objects | regions a map | frames/s |",
             "|---|---:|---:|"]
    lines += [f"| {row['case']} | {row['regions']} | {row['frames_per_second']:.1f} |"
              for row in measured]
    return "\n".join(lines)


@script
def main():
    args = benchmark.parser(__doc__, 15, "small frames: does it run?",
                            "benchmark_regions").parse_args()
    benchmark.check_repeat(args)
    about = benchmark.machine()
    size = (48, 86) if args.quick else WORKING_SIZE
    measured = list(rows(size, args.repeat))
    text = (f"{table(measured, size)}\n\nOn one core. Medians of {args.repeat} after a warm-up. "
            f"{benchmark.load_before(about)}")
    benchmark.write(args.output, "benchmark_regions", text,
                    {"machine": about, "size": list(size), "rows": measured})


if __name__ == "__main__":
    main()
