"""Writes the overview of a run: contact sheets, figures and links to the reports of its videos.

Example:
    python tools/overview.py results/runs/val
"""

from pathlib import Path

from segspn import cli
from segspn.errors import script
from segspn.report import overview
from segspn.runs import settings


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("folder", type=Path, help="of the run, results/runs/<name>")
    return parser.parse_args(argv)


@script
def main():
    path = overview.write(settings.Run.read(parse_arguments().folder))
    print(f"wrote {path}; open it in a browser")


if __name__ == "__main__":
    main()
