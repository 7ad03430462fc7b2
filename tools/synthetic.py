"""Makes a data set in DAVIS layout of synthetic videos, with exact labels of every frame.

Textured figures with thin parts (animals, hands, trees, bicycles, …) move over
textured backgrounds and cross in front of each other.  What one seed gives is always
the same.  Run again, it makes what is missing; with more --sequences it adds to
the set.

Example:
    python tools/synthetic.py data/synthetic --size 240x427 --objects 2 --sequences 20
"""

import re
from pathlib import Path

from tqdm import tqdm

from segspn import cli, files
from segspn.errors import UserError, script
from segspn.synthetic import data_set

MOST_SEQUENCES = 10_000  # their names have four digits


def parse_arguments():
    """(folder, recipe, number of sequences).  Raises UserError."""
    default = data_set.Recipe()
    parser = cli.parser(__doc__)
    parser.add_argument("output", type=Path, help="folder of the data set")
    parser.add_argument("--seed", type=int, default=default.seed, help="random seed (0)")
    parser.add_argument("--size", default="240x427", help="HEIGHTxWIDTH, px (240x427)")
    parser.add_argument("--objects", type=int, default=default.objects,
                        help="objects a sequence, 1 to 20 (2)")
    parser.add_argument("--frames", type=int, default=default.frames, help="frames each (25)")
    parser.add_argument("--sequences", type=int, default=4, help="sequences (4)")
    parser.add_argument("--names", default=default.names,
                        help="what the sequences' names begin with (synthetic)")
    parser.add_argument("--list", default=default.listing,
                        help="name of the list in ImageSets/2017 (train)")
    args = parser.parse_args()
    size = re.fullmatch(r"(\d{1,6})x(\d{1,6})", args.size)
    if not size:
        raise UserError(f"--size must be HEIGHTxWIDTH, as 240x427, not {args.size!r}")
    if not 1 <= args.sequences <= MOST_SEQUENCES:
        raise UserError(f"--sequences must be from 1 to {MOST_SEQUENCES}, not {args.sequences}")
    recipe = data_set.Recipe(args.seed, tuple(map(int, size.groups())), args.objects,
                                   args.frames, args.names, args.list)
    return args.output, recipe, args.sequences


@script
def main():
    root, recipe, sequences = parse_arguments()
    data_set.claim(root, recipe)
    with tqdm(total=sequences * recipe.frames, desc="synthetic", unit="frame") as bar:
        for index in range(sequences):
            for _ in data_set.write_sequence(root, recipe, index):
                bar.update()
    listing = data_set.write_list(root, recipe, sequences)
    print(f"have {sequences} sequences of {recipe.frames} frames in {root}, listed in {listing}")
    name = recipe.sequence(0)
    print("next:", cli.command(
        "../tools/overlay.py", "--frames", files.from_scripts(root / "JPEGImages/480p" / name),
        "--labels", files.from_scripts(root / "Annotations/480p" / name),
        "--output", files.from_scripts(files.RESULTS / name)))


if __name__ == "__main__":
    main()
