"""From the arguments of tools/run.py to a run: its settings, its share of the cores, its notes."""

import os
import shlex
from pathlib import Path

import caffe
import psutil

from ResNetF import nets
from segspn import cli, files, surroundings
from segspn.caffenet import deploy, prototxt, weights
from segspn.data import annotations, davis, pairs
from segspn.errors import UserError, count
from segspn.method import craf_options, refine
from segspn.runs import checks, plan, settings, steps, workflow
from spn import nets as refinement

DAVIS_ITERATIONS = 3000  # of ResNet-101, a video or object, as in the release
SMALL = (64, 96)  # px, of a net that is made to look at its weights
CLUSTER_JOBS, CLUSTER_THREADS = 100, 4


def run_of(args):
    """The settings.Run that the arguments ask for.  Raises UserError."""
    check_together(args)
    backbone = nets.BACKBONES[args.backbone] if args.backbone else deploy.default_backbone()
    recipe = deploy.with_recipe(backbone, args.recipe)
    data = pairs.data_set(args.data) if args.generic_only else davis.Davis(args.data)
    names, whole = ([], False) if args.generic_only else settings.chosen_videos(
        data, args.split, args.videos)
    generic = generic_training(args, data, backbone)
    name = run_name(args, names, whole)
    objects, annotated = settings.objects_of(data, names, args.annotated)
    run = settings.Run(
        name=name, data=files.from_scripts(data.root), split=args.split,
        videos=objects, whole=whole, annotated=annotated,
        evaluated=settings.evaluated(data, names, annotated), backbone=backbone.name,
        weights=settings.GENERIC if generic else weights_file(args.weights, backbone),
        refinement=refinement_file(args.refinement),
        iterations=args.iterations or default_iterations(recipe), snapshot=args.snapshot,
        size=cli.size_text(working_size(args, backbone, data, names)), base_lr=args.base_lr,
        seed=args.seed, craf=craf_options.words(f"{recipe.craf} {shlex.join(args.craf)}"),
        generic=generic, gpus=tuple(args.gpus), cluster=args.cluster,
        restart=args.restart, keep=args.keep_snapshots, train_both=args.train_both,
        recipe=args.recipe, flip=recipe.flip, until=args.until)
    if run.until and not steps.jobs(run):
        raise UserError(f"--until {run.until}: this run has no such step; it has: " + ", ".join(
            dict.fromkeys(name for name, _ in steps.all_jobs(run))))
    checks.check(run)
    return run


def check_together(args):
    """Raises UserError for arguments that do not go together."""
    if len(set(args.gpus)) != len(args.gpus):
        raise UserError(f"--gpus must be different numbers, not {args.gpus}")
    if args.cluster_options and not args.cluster:
        raise UserError("--cluster-options go with --cluster")
    if args.generic_only and args.weights == settings.GENERIC:
        raise UserError("--generic-only: --weights are those that it begins with, no generic ones")


def default_iterations(backbone):
    return DAVIS_ITERATIONS if backbone is nets.RESNET101 else backbone.solver["max_iter"]


def working_size(args, backbone, data, names):
    """(height, width) that the nets work at.  Raises UserError."""
    is_davis = data.root.resolve() == cli.DEFAULT_DATA.resolve()
    return deploy.checked_size(
        args.size or settings.default_size(backbone, data, names, is_davis), backbone)


def generic_training(args, data, backbone):
    """The settings of the generic training; None where there is to be none.  Raises UserError."""
    is_wanted = args.weights == settings.GENERIC
    if not (args.generic_only or is_wanted):
        return None
    lists, validation = pairs.generic_lists(data, args.lists, args.validation)
    pairs.images_of(data, lists)
    pairs.listed(data, validation)
    begins = None if is_wanted else args.weights
    begins = begins or files.PYTHON_SCRIPTS / backbone.pretrained
    return {"lists": list(lists), "validation": list(validation),
            "weights": weights_file(begins, backbone),
            "iterations": args.generic_iterations
            or deploy.generic_recipe(backbone).solver["max_iter"]}


def weights_file(path, backbone):
    """Weights as seen from python_scripts/, checked to be those of a net.  Raises UserError."""
    path = Path(path) if path else files.PYTHON_SCRIPTS / backbone.weights
    files.check_link(path)
    if not path.is_file():
        raise UserError(f"weights {path} do not exist; make weights fetches those of the thin net "
                        "(BACKBONE=resnet50_thin) and says where the others come from")
    blobs = weights.read_caffemodel(path)
    found = nets.backbone_of(blobs)
    if found is not backbone:
        raise UserError(f"weights {path} are those of {found.name if found else 'another net'}, "
                        f"not of {backbone.name}; give the --backbone that they are of")
    net = nets.deploy(backbone, True, size=SMALL)
    weights.load(prototxt.build(caffe.Net, net, caffe.TEST), path, blobs)  # compares shapes
    return files.from_scripts(path)


def refinement_file(path):
    """Weights of a refinement net, as seen from python_scripts/.  Raises UserError."""
    if refinement.net_of(weights.read_caffemodel(path)) is None:
        raise UserError(f"weights {path} are of no refinement net; train one with "
                        "make train-refine, or leave --refinement out")
    refine.Refiner(path, SMALL, objects=1)  # compares shapes
    return files.from_scripts(path)


def run_name(args, names, whole):
    """The folder's name.  Raises UserError where there is none to take."""
    if args.name:
        return args.name
    if args.generic_only:
        return settings.GENERIC
    if args.split:
        return args.split + ("" if whole else "-part")
    if len(names) == 1:
        return names[0]
    raise UserError("several videos without a list: give the run a --name")


def machine_memory():
    """MB of memory."""
    return psutil.virtual_memory().total / 1e6


def shares(args, run):
    """(jobs at a time, threads of each): jobs x threads is never more than the cores.

    There are no more jobs at a time than trainings, which take most of the time: a run of one
    has all cores for it.
    """
    if args.cluster:
        return args.jobs or CLUSTER_JOBS, args.threads or CLUSTER_THREADS
    cores = len(os.sched_getaffinity(0))
    trainings = sum(name.startswith("train") for name, _ in steps.jobs(run))
    memory = workflow.MEMORY_SHARE * machine_memory()
    jobs = args.jobs or max(1, min(
        len(args.gpus) or cores, cores // (args.threads or 1), max(1, trainings),
        int(memory / plan.memory_mb(run, "train_object"))))
    if jobs * (args.threads or 1) > cores:
        raise UserError(f"{jobs} jobs of {args.threads or 1} threads are more than the {cores} "
                        "cores; give fewer --jobs or --threads")
    threads = args.threads or cores // jobs
    surroundings.check_threads(threads, "give --threads 1")
    return jobs, threads


def notes(run, jobs):
    """What to know of a run before it begins, a line each."""
    lines = [f"{run.name}: {run.backbone}, {run.iterations} iterations a training, at {run.size}; "
             f"{count(len(run.videos), 'video')}, "
             f"{count(sum(map(len, run.videos.values())), 'object')}"]
    partly = [name for name in run.videos if name not in run.evaluated]
    if run.evaluated and partly:
        lines.append(f"note: without an annotation of every frame, not evaluated: "
                     f"{', '.join(partly)}")
    single = [name for name in run.videos if steps.only_object(run, name) is not None]
    if single:
        lines.append("note: of one object, trained once for foreground and object "
                     f"(--train-both: twice): {', '.join(single)}")
    for name in run.videos:
        taken = steps.annotated(run, name)
        if name in run.annotated:
            lines.append(f"{name}: learns from {count(len(taken), 'annotated frame')}: "
                         f"{', '.join(sorted(taken))}")
        lines += [f"note: {name}: {note}" for note in
                  annotations.notes(run.data_set, name, run.videos[name])]
        for stem in taken:
            which = f"annotation {stem}" if name in run.annotated else "first annotation"
            ids = davis.read_annotation(run.data_set.annotation(name, stem))
            lines += [f"note: {which} of {name}: {note}" for note in davis.void_notes(ids)]
    if run.generic:
        seen = {frame.parent.name
                for frame, _ in pairs.images_of(run.data_set, run.generic["lists"])}
        if known := [name for name in run.evaluated if name in seen]:
            lines.append("note: the generic model is trained on videos that are evaluated "
                         f"({', '.join(known)}): figures of them are not of unseen videos")
    if not run.cluster and jobs < len(run.gpus):
        lines.append(f"note: {jobs} jobs at a time, for cores or memory: "
                     f"{len(run.gpus) - jobs} of the GPUs are idle; --jobs sets it")
    return lines
