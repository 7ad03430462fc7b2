"""Benchmarks: speed and memory, as ratios within one run.

Prints a table, and writes it with all numbers to results/bench/<subcommand>.md and .json.
A subcommand is a module of this folder and an entry of SUBCOMMANDS; it has REPEAT, the timed
calls of a case by default, add_arguments(parser) for options of its own, and run(args), which
returns (tables and notes in Markdown, {all numbers}).

Example:
    python -m tools.bench nets --repeat 5
"""

import json
from pathlib import Path

from segspn import cli, files
from segspn.errors import script
from tools.bench import common, jobs, layers, nets, propagation, pytorch

SUBCOMMANDS = {"nets": nets, "layers": layers, "propagation": propagation, "jobs": jobs,
               "torch": pytorch}


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.prog = "python -m tools.bench"
    commands = parser.add_subparsers(dest="subcommand", required=True)
    for name, module in SUBCOMMANDS.items():
        command = commands.add_parser(name, help=module.__doc__.splitlines()[0],
                                      description=module.__doc__,
                                      formatter_class=parser.formatter_class)
        command.add_argument("--repeat", type=cli.whole(),
                             help=f"timed calls a case ({module.REPEAT}; 1 with --quick)")
        command.add_argument("--quick", action="store_true", help="small sizes: does it run?")
        command.add_argument("--output", type=Path, default=files.RESULTS / "bench",
                             help=f"folder of {name}.md and {name}.json (results/bench)")
        module.add_arguments(command)
    args = parser.parse_args(argv)
    if args.repeat is None:
        args.repeat = 1 if args.quick else SUBCOMMANDS[args.subcommand].REPEAT
    return args


@script
def main():
    args, about = parse_arguments(), common.machine()
    text, numbers = SUBCOMMANDS[args.subcommand].run(args)
    text = f"{text}\n\n{common.machine_text(about)}\n"
    result = {"machine": about, "repeat": args.repeat, "quick": args.quick, **numbers}
    path = args.output / f"{args.subcommand}.md"
    files.write_text(path.with_suffix(".json"), json.dumps(result, indent=1) + "\n")
    files.write_text(path, text)
    print(f"{text}\nwrote {path} and {path.with_suffix('.json')}")


if __name__ == "__main__":
    main()
