"""Trains a net: ResNetF for an object, a video or any foreground, or a refinement net.

Beside the model it leaves a CSV log and a curve.  A run that was stopped, or
killed, goes on with --resume, to the same weights.

A snapshot is a model and the solver's state, which is as large.  It is taken at
the solver's interval, and where a run is stopped; the state of the one before
goes then, and at the last iteration everything but the last model.  A training
that is finished therefore cannot go on to more iterations.
--keep-snapshots keeps every model and every state, also when the run goes on.

Example:
    python solve.py ../ResNetF/PN_ResNetF.caffemodel \\
        ../ResNetF/testnet_per_obj/choreography/solver_1.prototxt
"""

import shlex
import sys
from pathlib import Path

from segspn import cli, files
from segspn.errors import script
from segspn.training import refinement_crops, samples


def parse_arguments(argv=None):
    parser = cli.parser(__doc__)
    parser.add_argument("weights", help=".caffemodel to start from, or the word none")
    parser.add_argument("solver", help="solver prototxt")
    parser.add_argument("--iterations", type=cli.whole(),
                        help="where to stop (the solver's max_iter)")
    parser.add_argument("--gpu", type=cli.gpu, metavar="ID", help="device number (the CPU)")
    parser.add_argument("--resume", action="store_true", help="go on from the latest snapshot")
    parser.add_argument("--restart", action="store_true", help="delete an earlier run's snapshots")
    parser.add_argument("--restart-changed", action="store_true",
                        help="as --resume; delete an earlier run, and train anew, where it is of "
                        "other weights, net, solver, seed or first frame, or has neither the "
                        "model that is asked for nor a state to go on from")
    parser.add_argument("--keep-snapshots", action="store_true",
                        help="keep the models and solver states of all snapshots")
    parser.add_argument("--seed", type=cli.seed, help="of fillers and augmentation (0)")
    return parser.parse_args(argv)


def next_command(source, model):
    """The command line that uses a model trained on a source of segspn.training.sources."""
    given, trained = source.parameters, files.from_scripts(model)
    if isinstance(source, refinement_crops.RefinementCrops):
        root = refinement_crops.davis_root(source.sources[0][0][0])
        command = cli.command("refine_spn.py", "--weights", trained,
                              *(cli.data_options(root) if root else []))
        video = shlex.quote(given["video"]) if given["video"] else "<video>"
        return f"{command} <iterations> {video}"
    if isinstance(source, samples.GenericForeground):
        return (cli.command("solve.py", trained)
                + " ../ResNetF/testnet_per_obj/<video>/solver_<object>.prototxt")
    options = cli.inference_options(source.data.root, source.size)
    if isinstance(source, samples.FirstFrameForeground):
        return cli.command("infer_test_fgbg.py", trained, "../results/ResNetF_fgbg",
                           given["sequence"], *options)
    sequence, k, iterations = given["sequence"], given["object"], Path(model).stem.split("_")[-1]
    usual = files.object_model(sequence, k, iterations)
    return cli.command("infer_test_perobj.py", iterations, sequence, k,
                       *([] if Path(model).resolve() == usual.resolve() else
                         ["--weights", trained]), *options)


@script
def main():
    args = parse_arguments()
    from segspn.training import solving

    training = solving.Training(args.weights, args.solver, args.iterations, args.seed,
                                args.resume, args.restart, args.restart_changed,
                                args.keep_snapshots)
    try:
        model = training.run(args.gpu)
    except InterruptedError as stop:
        print(stop, file=sys.stderr)
        sys.exit(130)
    finally:
        training.close()
    print(f"wrote {model}")
    if training.sources:
        print("next:", next_command(training.sources[0], model))


if __name__ == "__main__":
    main()
