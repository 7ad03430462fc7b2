"""Speed of the contour accuracy F, against plain dilation of the boundaries by a disk.

Both compute the same figure.  Plain dilates the full image, by OpenCV or by
scipy.ndimage; ours looks only along the boundaries.  Masks are rough ellipses.

Example:
    python tools/benchmark_metrics.py
"""

import functools
import math
import statistics

import cv2
import numpy as np
from scipy import ndimage

import benchmark
from benchmark_parts import timed
from ResNetF import WORKING_SIZE
from segspn.errors import UserError, script
from segspn.evaluation import metrics

AREAS = (0.05, 0.1, 0.2)  # of the frame


def ellipse(rng, size, area, shift):
    """bool, H x W: an ellipse with a rough border, `shift` px off the middle."""
    rows, columns = np.indices(size, np.float32)
    noise = cv2.GaussianBlur(rng.standard_normal(size, np.float32), (0, 0), 4)
    radius = math.sqrt(area * size[0] * size[1] / math.pi / 0.6)
    distance = np.hypot((columns - size[1] / 2 - shift) / radius,
                        (rows - size[0] / 2) / (0.6 * radius))
    return (distance - 1) * 0.6 * radius + 6 * noise / noise.std() < 0


def boundary(mask):
    """The boundary pixels of a mask: it differs to the right, below, or diagonally."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    others = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return functools.reduce(np.logical_or, (mask != other for other in others))


def plain_f(annotation, result, dilate):
    """F with the boundaries dilated on the full image; for masks that have some."""
    radius = math.ceil(metrics.TOLERANCE * math.hypot(*annotation.shape))
    rows, columns = np.indices((2 * radius + 1,) * 2) - radius
    disk = rows ** 2 + columns ** 2 <= radius ** 2
    truth, found = boundary(annotation), boundary(result)
    precision = (found & dilate(truth, disk)).sum() / found.sum()
    recall = (truth & dilate(found, disk)).sum() / truth.sum()
    return 2 * precision * recall / (precision + recall)


def by_opencv(mask, disk):
    return cv2.dilate(mask.view(np.uint8), disk.view(np.uint8)).view(bool)


def measure(size, area, repeat):
    """Milliseconds of each way.  Raises UserError where they differ."""
    rng = np.random.default_rng(0)
    masks = ellipse(rng, size, area, 0), ellipse(rng, size, area, size[1] // 100)
    ways = {"ours": functools.partial(metrics.boundary_f, *masks),
            "opencv": functools.partial(plain_f, *masks, by_opencv),
            "scipy": functools.partial(plain_f, *masks, ndimage.binary_dilation)}
    if np.ptp([way() for way in ways.values()]) > 1e-12:
        raise UserError("the ways of computing F differ, so their times mean nothing")
    return {"area": area, **{name: 1e3 * statistics.median(timed(way, repeat))
                             for name, way in ways.items()}}


def table(rows):
    lines = ["| F, masks of | ms | OpenCV / ours | SciPy / ours |", "|---|---:|---:|---:|"]
    lines += [f"| {row['area']:.0%} of the frame | {row['ours']:.2f} | "
              f"{row['opencv'] / row['ours']:.1f} | {row['scipy'] / row['ours']:.0f} |"
              for row in rows]
    return "\n".join(lines)


@script
def main():
    args = benchmark.parser(__doc__, 9, "small masks: does it run?",
                            "benchmark_metrics").parse_args()
    benchmark.check_repeat(args)
    about = benchmark.machine()
    size = (96, 170) if args.quick else WORKING_SIZE
    rows = [measure(size, area, args.repeat) for area in AREAS]
    text = (f"{table(rows)}\n\n{size[1]}x{size[0]}, one core. Medians of {args.repeat} after a "
            f"warm-up. {benchmark.load_before(about)}")
    benchmark.write(args.output, "benchmark_metrics", text,
                    {"machine": about, "size": list(size), "rows": rows})


if __name__ == "__main__":
    main()
