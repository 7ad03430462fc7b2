"""What refinement does: region and boundary figures of coarse and refined score maps.

An object's mask is where its score is above one half.  J is the region
similarity (IoU), F the contour accuracy of DAVIS, in per cent; a line an
object, the mean over its frames, and the mean over all objects.  Frame 0, which
was annotated, is left out.

Example:
    python tools/compare_maps.py --data data/synthetic --videos synthetic-0000 \\
        --coarse results/ResNetF_perobj_200 --refined results/SPN_200
"""

from pathlib import Path

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from segspn import cli, files
from segspn.data import davis, planes
from segspn.errors import UserError, script
from segspn.evaluation import metrics

HALF = 127  # of 255: a greater score is more than one half
HEADER = ("object", "frames", "J coarse", "J refined", "", "F coarse", "F refined", "")
FORMATS = ("", "", ".1f", ".1f", "+.1f", ".1f", ".1f", "+.1f")


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    cli.add_data(parser)
    cli.add_videos(parser, required=True, help="their names")
    parser.add_argument("--coarse", type=Path, required=True, help="folder of <video>/*.png")
    parser.add_argument("--refined", type=Path, required=True, help="folder of <video>/*.png")
    parser.add_argument("--annotations", type=Path,
                        help="folder of <video>/<frame>.png (the data set's)")
    parser.add_argument("--frames", type=cli.whole(0), nargs="+",
                        help="only these (all annotated ones but 0)")
    return parser.parse_args(argv)


def measure(folder, frame, annotation, k):
    """(J, F) of the score map of object k against the annotation."""
    result = planes.read_score_map(folder, frame, k, annotation.shape) > HALF
    void = annotation == davis.VOID
    truth = annotation == k
    return metrics.jaccard(truth, result, void), metrics.boundary_f(truth, result, void)


def figures(args, annotations, sequence):
    """{object: array, frames x 4: J and F of coarse, J and F of refined}."""
    there = files.images_in(annotations / sequence, ".png")
    chosen = {f"{number:05}" for number in args.frames or ()}
    paths = [path for path in there
             if (path.stem in chosen if args.frames else path.stem != davis.FRAME_0)]
    if not paths:
        raise UserError(f"{annotations / sequence} has none of these frames")
    are_masks, values = davis.are_masks(there), {}
    for path in tqdm(paths, unit="frame", dynamic_ncols=True, desc=sequence, leave=False):
        annotation = davis.read_ids(path, are_masks)
        for k in davis.objects_of(annotation):
            row = [value for folder in (args.coarse, args.refined)
                   for value in measure(folder / sequence, path.stem, annotation, k)]
            values.setdefault(k, []).append(row)
    if not values:
        raise UserError(f"the annotations of these frames in {annotations / sequence} "
                        "have no object (no id above 0)")
    return {k: np.array(rows) for k, rows in values.items()}


def row(name, frames, means):
    """The cells of a line; means: J and F of coarse, J and F of refined."""
    j, f, refined_j, refined_f = 100 * means
    return [name, frames, j, refined_j, refined_j - j, f, refined_f, refined_f - f]


@script
def main():
    args = parse_arguments()
    data = davis.Davis(args.data)
    annotations = args.annotations or data.annotations
    lines, means = [], []
    for sequence in args.videos:
        for k, rows in sorted(figures(args, annotations, sequence).items()):
            means.append(rows.mean(0))
            lines.append(row(f"{sequence} {k}", len(rows), means[-1]))
    lines.append(row("mean", None, np.mean(means, 0)))
    print(tabulate(lines, HEADER, "pipe", floatfmt=FORMATS, disable_numparse=[0]))


if __name__ == "__main__":
    main()
