"""Writes the train nets and their solvers: of ResNetF, and of the refinement nets.

None of them is tracked: refine_small's, beside its deploy net, made the shipped weights, and
is written no more.  `data` is the path of a data set in DAVIS layout as seen from
python_scripts/, `changes` are fields of the solver that are not the net's own.
"""

import caffe

from ResNetF import nets
from segspn import cli, files
from segspn.caffenet import prototxt
from segspn.data import annotations, davis, owner
from segspn.errors import UserError
from segspn.files import from_scripts
from segspn.training import corrections, refinement_crops
from spn import nets as refinement

CROP = (128, 128)
HOLD_OUT = 20  # of so many videos or pairs one is held out for validation
TRAINED = "../spn/{}.caffemodel"  # that fine-tuning to a video begins with


def write(path, net, kind, prefix, changes):
    """Writes train….prototxt, and solver….prototxt beside it, whose path it returns.

    kind: what is trained, as in nets.solver.
    """
    prototxt.write(path, net)
    solver = path.with_name(path.name.replace("train", "solver"))
    prototxt.write(solver, nets.solver(kind, from_scripts(path), prefix, **changes))
    return solver


def solver_in_memory(kind, net):
    """A caffe solver of a net that is in no file, with the settings of its kind: to be measured.

    It leaves no snapshots and tells nothing.
    """
    parameters = nets.solver(kind, "", "unused", snapshot=0, display=0, random_seed=0)
    parameters.ClearField("train_net")
    parameters.train_net_param.CopyFrom(prototxt.sharing_memory(net))
    return prototxt.build(caffe.get_solver, parameters)


# ------------------------------------------------------------------ ResNetF

def write_resnetf(path, prefix, backbone, layer, size, changes, **parameters):
    """A training of ResNetF.  path: below ResNetF/; parameters: of the layer's param_str."""
    net = nets.train(backbone, layer, size=size, seed=0, **seen(backbone, size), **parameters)
    return write(files.ROOT / "ResNetF" / path, net, backbone, prefix, changes)


def seen(backbone, size):
    """What a training sees of frames at `size`, (height, width), as param_str says it."""
    if backbone.crops is None:
        return {"augmentation": nets.AUGMENTATION}
    # No larger than what they are cut from.
    return {"crops": {**backbone.crops, "size": tuple(map(min, backbone.crops["size"], size))}}


def write_generic(backbone, data, size, lists, changes, validation=()):
    """The generic foreground training, of the images of lists below data/.

    backbone: with its generic recipe; validation: lists that are held out.  Without them, and
    but for the published training, a part of the images is.
    """
    held_out = {"validation": tuple(validation)} if validation else (
        {"hold_out": HOLD_OUT} if backbone.crops else {})
    return write_resnetf(
        "generic/train.prototxt", "../models/generic/ResNetF", backbone, "GenericForeground",
        size, changes, data=data, lists=tuple(lists), **held_out)


def write_sequence(backbone, data, size, sequence, frames_of, changes):
    """The foreground training of a video, and one training an object: the foreground's solver.

    frames_of: of corrections.frames_of().  What has more than one frame has a second training,
    of these all, which begins with the model of the first.
    """
    for k, frames in frames_of.items():
        folder, layer, prefix = (
            ("testnet_fgbg", "FirstFrameForeground", f"{sequence}_fgbg") if k is None else
            ("testnet_per_obj", "FirstFrameObject", f"{sequence}_obj_{k}"))
        common = {"data": data, "sequence": sequence, **({} if k is None else {"object": k})}
        path = f"{folder}/{sequence}/train{'' if k is None else f'_{k}'}"
        alone = {} if frames[:1] == [davis.FRAME_0] else {"frames": tuple(frames[:1])}
        solver = write_resnetf(f"{path}.prototxt", f"../models/{sequence}/{prefix}", backbone,
                               layer, size, changes, **common, **alone)
        if k is None:
            first = solver
        if len(frames) > 1:
            write_resnetf(f"{path}{corrections.SUFFIX}.prototxt",
                          f"../models/{sequence}/{prefix}{corrections.SUFFIX}", backbone, layer,
                          size, corrections.solver({**backbone.solver, **changes}), **common,
                          frames=tuple(frames))
    return first


def write_sequences(backbone, data, size, sequences, changes, choice=annotations.FIRST):
    """The trainings of some sequences of a davis.Davis: the solver of the first's foreground.

    choice: of annotated frames.  Raises UserError where a sequence has no frames, or no object in
    the first annotation.
    """
    if not sequences:
        raise UserError(f"{data.images} has no sequence (no folder of frames)")
    solvers = []
    for sequence in sequences:
        data.frames(sequence)
        owner.check(data, sequence)
        said = annotations.Annotations.read(data, sequence, choice)
        solvers.append(write_sequence(backbone, from_scripts(data.root), size, sequence,
                                      corrections.frames_of(said), changes))
    return solvers[0]


def write_test_challenge(data, changes):
    """All trainings that the 2017 release's command lines need.  The data need not be there."""
    write_generic(nets.RESNET101, data, nets.WORKING_SIZE, davis.TRAIN_LISTS, changes)
    for sequence, count in davis.TEST_CHALLENGE.items():
        write_sequence(nets.RESNET101, data, nets.WORKING_SIZE, sequence,
                       dict.fromkeys((None, *range(1, count + 1)), [davis.FRAME_0]), changes)


# ---------------------------------------------------------- refinement nets

def refinement_parameters(net, sources, exclude=(), coarse=(), video=None, batch=None):
    """The param_str's dict of a refinement net's training, checked against what is on disk.

    sources, coarse: paths.  Raises UserError.
    """
    trained = files.PYTHON_SCRIPTS / TRAINED.format(net.name)
    if video and not trained.is_file():
        raise UserError(f"--video fine-tunes {trained}, which does not exist; train {net.name} "
                        "first, and put its weights there")
    parameters = {
        "sources": tuple(from_scripts(cli.path(source)) for source in sources),
        "exclude": tuple(exclude),
        "coarse": tuple(from_scripts(cli.path(path)) for path in coarse),
        "video": davis.checked_sequence(video) if video else "",
        "size": CROP, "batch": net.batch if batch is None else batch, "seed": 0}
    refinement_crops.RefinementCrops(repr(parameters))
    return parameters


def write_refinement(net, parameters, changes):
    """A training of a refinement net, or its fine-tuning to a video: (first weights, solver)."""
    video = parameters["video"]
    prefix = f"../models/{video}/{video}_spn" if video else f"../models/spn/{net.name}"
    solver = write(files.ROOT / "spn" / net.name / (video or "training") / "train.prototxt",
                   refinement.train(net, **parameters), net, prefix, changes)
    return TRAINED.format(net.name) if video else net.weights, solver
