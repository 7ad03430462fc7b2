"""Makes a data set in DAVIS layout of synthetic videos, with exact labels of every frame.

Textured figures with thin parts (animals, hands, trees, bicycles, …) move over
textured backgrounds and cross in front of each other.  What one seed gives is always
the same.  Run again, it makes what is missing; with a greater --count it adds to
the set.

Example:
    python tools/synthetic.py --data data/synthetic --size 240x427 --objects 2 --count 20
"""

from tqdm import tqdm

from segspn import cli, files
from segspn.data import davis
from segspn.errors import script
from segspn.synthetic import data_set, scenes

MOST = 10_000  # videos: their names have four digits


def parse_arguments(argv=None):
    default = data_set.Recipe()
    parser = cli.parser(__doc__)
    cli.add_data(parser, default=None, required=True, help="folder of the data set")
    parser.add_argument("--seed", type=cli.seed, default=default.seed, help="random seed (0)")
    parser.add_argument("--size", type=cli.size, default=default.size, metavar="HEIGHTxWIDTH",
                        help="px (240x427)")
    parser.add_argument("--objects", type=cli.whole(1, scenes.MOST_OBJECTS),
                        default=default.objects, help="objects a video, 1 to 20 (2)")
    parser.add_argument("--frames", type=cli.whole(1, data_set.MOST_FRAMES),
                        default=default.frames, help="frames each (25)")
    parser.add_argument("--count", type=cli.whole(1, MOST), default=4, help="videos (4)")
    parser.add_argument("--names", type=cli.video, default=default.names, metavar="NAME",
                        help="what the videos' names begin with (synthetic)")
    cli.add_split(parser, default=default.listing, help="their list in ImageSets/2017 (train)")
    return parser.parse_args(argv)


def recipe_of(args):
    """The data_set.Recipe that the arguments ask for.  Raises UserError."""
    return data_set.Recipe(args.seed, args.size, args.objects, args.frames, args.names, args.split)


@script
def main():
    args = parse_arguments()
    root, recipe, number = args.data, recipe_of(args), args.count
    for _ in tqdm(data_set.write(root, recipe, number), total=number * recipe.frames,
                  desc="synthetic", unit="frame"):
        pass
    print(f"have {number} videos of {recipe.frames} frames in {root}, listed in "
          f"{davis.list_path(root, recipe.listing)}")
    name = recipe.sequence(0)
    print("next:", cli.command(
        "../tools/overlay.py", "--frames", files.from_scripts(root / davis.IMAGES / name),
        "--labels", files.from_scripts(root / davis.ANNOTATIONS / name),
        "--output", files.from_scripts(files.RESULTS / name)))


if __name__ == "__main__":
    main()
