"""The whole pipeline on a real video: fetch, fine-tune, infer, refine, label, show.

Fine-tunes the thin backbone on the first frame of a clip of Big Buck Bunny, for
its foreground and for each of two objects, and segments the other frames, by the
run that a video of one's own gets; its folder is results/runs/demo.  Then labels the
coarse score maps as well, and draws both.  Each step is a command line that a user
would type; it is printed.  A demo that was stopped goes on where it was.

Example:
    python -m tools.setup.demo
"""

from ResNetF import nets
from segspn import cli, files
from segspn.data import davis
from segspn.errors import script
from segspn.runs import command_lines, settings
from tools.setup import demo_data
from tools.setup.demo_data import DEMO, SEQUENCE

OUTPUT = files.RESULTS / "demo"
NAME = "demo"
ITERATIONS = nets.RESNET50_THIN.solver["max_iter"]


def commands():
    """(what, command line) of every step; from python_scripts/."""
    data, output = files.from_scripts(DEMO), files.from_scripts(OUTPUT)
    labels = files.from_scripts(settings.RUNS / NAME / "labels" / SEQUENCE)
    return [
        ("pipeline", ["../tools/run.py", "--data", data, "--videos", SEQUENCE, "--name", NAME,
                      "--backbone", nets.RESNET50_THIN.name, "--iterations", str(ITERATIONS)]),
        ("labels of the coarse maps", [
            "segment_instances.py", "--video", SEQUENCE, "--iterations", str(ITERATIONS),
            "--data", data, "--coarse", "--output", f"{output}/coarse"]),
        ("overlay", [
            "../tools/overlay.py", "--frames", f"{data}/{davis.IMAGES}/{SEQUENCE}",
            "--labels", labels, "--beside", f"{output}/coarse/{SEQUENCE}", "--output", output])]


def parse_arguments(argv=None):
    return cli.parser(__doc__).parse_args(argv)


@script
def main():
    parse_arguments()
    demo_data.make()
    seconds = sum(command_lines.run(what, command, "make demo") for what, command in commands())
    report = settings.RUNS / NAME / "report" / SEQUENCE / "report.html"
    print(f"\n{seconds:.0f} seconds; the report has those of each step")
    print(f"look at {report}, {OUTPUT / 'overlay.mp4'} and {OUTPUT / 'contact_sheet.png'}")
    print("next: segment a video of your own (README, Your own video)")


if __name__ == "__main__":
    main()
