"""Times what the jobs of a run do, for the hours of its plan: as a program, of a run on stdin.

It is one, since Caffe keeps the memory of a net for as long as its process lives.
"""

import json
import sys
import time

import numpy as np

from ResNetF import nets
from segspn import cli, files
from segspn.caffenet import deploy, device, published_head, weights
from segspn.errors import script
from segspn.method import refine
from segspn.runs import plan, settings
from segspn.training import prototxts


def clocked(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def time_net(run):
    """Of a training iteration, and of the forward pass of the same net."""
    backbone, size = nets.BACKBONES[run.backbone], cli.size(run.size)
    if run.videos:
        backbone = backbone.recipe(run.recipe)
        sequence = next(iter(run.videos))
        source = {"layer": "FirstFrameForeground", "sequence": sequence,
                  "frames": tuple(run.annotated.get(sequence, {"": ()})[""][:1])}
    else:
        backbone = deploy.generic_recipe(backbone)
        source = {"layer": "GenericForeground", "lists": tuple(run.generic["lists"])}
    solver = prototxts.solver_in_memory(backbone, nets.train(
        backbone, data=run.data, size=size, seed=0, **prototxts.seen(backbone, size), **source))
    weights.load(solver.net, plan.first_weights(run))
    published_head.set_bilinear(solver.net)
    solver.step(1)  # the first allocates memory
    return {"train": clocked(lambda: solver.step(1)), "infer": clocked(solver.net.forward)}


def time_refinement(run):
    """Of the first frame of the first video, with its objects."""
    sequence, objects = next(iter(run.videos.items()))
    frame = files.read_image(run.data_set.frames(sequence)[0])
    scores = np.zeros((len(objects), *frame.shape[:2]), np.uint8)
    refiner = refine.Refiner(files.PYTHON_SCRIPTS / run.refinement, frame.shape[:2], len(objects))
    refiner(frame, scores)  # the first allocates memory
    return {"refine": clocked(lambda: refiner(frame, scores))}


@script
def main():
    parser = cli.parser(__doc__)
    parser.add_argument("what", nargs="+", choices=list(plan.TIMED))
    wanted, run = parser.parse_args().what, settings.Run(**json.load(sys.stdin))
    device.use(None)
    # The net last: its Python layers are never freed.
    found = time_refinement(run) if "refine" in wanted else {}
    found |= time_net(run) if {"train", "infer"} & set(wanted) else {}
    print(json.dumps({name: found[name] for name in plan.TIMED if name in wanted}))


if __name__ == "__main__":
    main()
