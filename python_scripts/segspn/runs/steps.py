"""The steps of a run, from prototxts to a submission: their command lines, and what they leave.

A step is of the whole run, of a video, or of an object.  Its commands are command lines
as a user types them in python_scripts/.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from segspn import cli, done, files
from segspn.data import annotations, davis, pairs
from segspn.method import craf_options
from segspn.training import corrections


@dataclass(frozen=True)
class Step:
    """A kind of job.

    per        what there is a job of: "run", "sequence" or "object"
    commands   (run, *whose) -> command lines, each a list: a script of python_scripts/ and its
               arguments; whose: () or (sequence,) or (sequence, object)
    products   (run, *whose) -> paths of the files it leaves
    needs      (run, *whose) -> the jobs that come before, each (step, whose)
    reads      (run, *whose) -> paths of the files it reads that no job makes
    on_gpu     whether its commands take --gpu
    is_quick   whether it takes seconds, and no job of a cluster
    is_alone   whether all others wait for it, so that it has all cores of this machine
    """

    per: str
    commands: Callable
    products: Callable
    needs: Callable
    reads: Callable = lambda run, *whose: []
    on_gpu: bool = False
    is_quick: bool = False
    is_alone: bool = False


def frames(run, sequence):
    """Names of the frames of a sequence, in order."""
    return [path.stem for path in run.data_set.frames(sequence)]


def annotated(run, sequence, k=None):
    """Names of the annotated frames that an object, or all together, are trained on."""
    return run.annotated.get(sequence, {"": [davis.FRAME_0]}).get(str(k or ""), [davis.FRAME_0])


def annotated_options(run, sequence):
    """How a command line names them; not at all where the first frame is the only one."""
    return (["--annotated", ",".join(sorted(annotated(run, sequence)))]
            if sequence in run.annotated else [])


def is_corrected(run, sequence, k=None):
    """Whether there is a second training, of more frames."""
    return len(annotated(run, sequence, k)) > 1


def model(run, sequence, k=None, corrected=False):
    """The model of an object, or of the foreground, when its training is finished.

    corrected: of its second training.
    """
    what = "fgbg" if k is None else f"obj_{k}"
    suffix, count = ((corrections.SUFFIX, corrections.iterations(run.iterations)) if corrected
                     else ("", run.iterations))
    return files.MODELS / sequence / f"{sequence}_{what}{suffix}_iter_{count}.caffemodel"


def generic_model(run):
    return files.MODELS / f"generic/ResNetF_iter_{run.generic['iterations']}.caffemodel"


def start_weights(run):
    """The weights that the trainings of videos begin with, as seen from python_scripts/."""
    return files.from_scripts(generic_model(run)) if run.generic else run.weights


def solver(sequence, k=None, corrected=False):
    """The solver prototxt of an object, or of the foreground."""
    kind, name = ("fgbg", "solver") if k is None else ("per_obj", f"solver_{k}")
    name += corrections.SUFFIX * corrected
    return files.ROOT / f"ResNetF/testnet_{kind}/{sequence}/{name}.prototxt"


def prototxts(run, sequence):
    options = [*(["--base-lr", f"{run.base_lr:g}"] if run.base_lr else []),
               *(["--recipe", run.recipe] if run.recipe else [])]
    return [["../ResNetF/write_prototxts.py", "--data", run.data, "--videos", sequence,
             "--backbone", run.backbone, "--size", run.size, "--iterations", str(run.iterations),
             "--snapshot", str(run.snapshot), *annotated_options(run, sequence), *options]]


def prototxt_files(run, sequence):
    whose = (None, *run.videos[sequence])
    solvers = [*(solver(sequence, k) for k in whose),
               *(solver(sequence, k, True) for k in whose if is_corrected(run, sequence, k))]
    return [*solvers, *(path.with_name(path.name.replace("solver", "train")) for path in solvers)]


def generic_prototxts(run):
    named = [word for option in ("lists", "validation") if run.generic[option]
             for word in (f"--{option}", *run.generic[option])]
    return [["../ResNetF/write_prototxts.py", "--data", run.data, *named, "--generic-only",
             "--backbone", run.backbone, "--size", run.size,
             "--iterations", str(run.generic["iterations"]), "--snapshot", str(run.snapshot)]]


def solve(run, weights, path, anew=False):
    """The command line of a training.  anew: where the earlier one is of other settings."""
    return [["solve.py", weights, files.from_scripts(path),
             "--restart-changed" if run.restart or anew else "--resume",
             *(["--keep-snapshots"] if run.keep else []),
             *([] if run.seed is None else ["--seed", str(run.seed)])]]


def inference_options(run):
    return [*cli.inference_options(files.PYTHON_SCRIPTS / run.data, cli.size(run.size)),
            *(["--flip"] if run.flip else [])]


def only_object(run, sequence):
    """The object of a video whose model is that of the foreground as well, or None (no id is 0).

    Where there is no other object, both have the same samples, first weights and solver, and
    trainings of one seed end with the same weights, bit for bit.
    """
    objects = run.videos[sequence]
    return objects[0] if len(objects) == 1 and not run.train_both else None


def last_training(run, sequence, k=None):
    """The job that trains the model of an object, or of the foreground, last."""
    what, whose = ("foreground", (sequence,)) if k is None else ("object", (sequence, k))
    suffix = corrections.SUFFIX if is_corrected(run, sequence, k) else ""
    return [(f"train_{what}{suffix}", whose)]


def infer_foreground(run, sequence):
    weights = model(run, sequence, corrected=is_corrected(run, sequence))
    return [["infer_test_fgbg.py", files.from_scripts(weights),
             "../results/ResNetF_fgbg", sequence, *inference_options(run)]]


def foreground_masks(run, sequence):
    return [files.RESULTS / "ResNetF_fgbg" / sequence / f"{stem}.png"
            for stem in frames(run, sequence)]


def infer_object(run, sequence, k):
    weights = (["--weights", files.from_scripts(model(run, sequence, k, True))]
               if is_corrected(run, sequence, k) else [])
    masks = ["--masks", "../results/ResNetF_fgbg"] if only_object(run, sequence) else []
    return [["infer_test_perobj.py", str(run.iterations), sequence, str(k), *weights, *masks,
             *inference_options(run)]]


def score_maps(run, sequence, k):
    """Of an only object, the masks of the foreground as well."""
    folder = files.RESULTS / f"ResNetF_perobj_{run.iterations}" / sequence
    maps = [folder / f"{stem}_{k}.{ending}" for stem in frames(run, sequence)
            for ending in ("png", "jpg")]
    return maps + (foreground_masks(run, sequence) if only_object(run, sequence) else [])


def refine(run, sequence):
    return [["refine_spn.py", str(run.iterations), sequence, "--weights", run.refinement,
             *annotated_options(run, sequence), "--data", run.data]]


def refined_maps(run, sequence):
    folder = files.RESULTS / f"SPN_{run.iterations}" / sequence
    return [folder / f"{stem}{ending}.png" for stem in frames(run, sequence)
            for ending in ("", *(f"_{k}" for k in run.videos[sequence]))]


def label(run, sequence):
    return [["segment_instances.py", "--video", sequence, "--iterations", str(run.iterations),
             "--data", run.data, "--output", files.from_scripts(run.folder / "labels"),
             *annotated_options(run, sequence), *run.craf]]


def labels(run, sequence):
    return [run.folder / "labels" / sequence / f"{stem}.png" for stem in frames(run, sequence)]


def draw(run, sequence):
    return [["../tools/overlay.py", "--frames", f"{run.data}/{davis.IMAGES}/{sequence}",
             "--labels", files.from_scripts(run.folder / "labels" / sequence),
             "--output", files.from_scripts(run.folder / "overlay" / sequence)]]


def evaluate(run):
    return [["../tools/evaluate.py", "--results", files.from_scripts(run.folder / "labels"),
             "--data", run.data, "--split", split_name(run), "--videos", *run.evaluated,
             "--output", files.from_scripts(run.folder / "evaluation"),
             # All have the same: of a sequence with truth in all frames, "all" leaves none.
             *annotated_options(run, run.evaluated[0]), "--processes", str(run.threads)]]


def evaluation_tables(run):
    return [run.folder / "evaluation" / f"{kind}_results-{split_name(run)}.csv"
            for kind in ("global", "per-sequence", "per-frame")]


def split_name(run):
    return run.split or run.name


def report(run, sequence):
    """The report of a video; its timings and command lines are written by the job."""
    here = files.from_scripts(run.folder / "report" / sequence)
    return [["../tools/report.py", "--data", run.data, "--videos", sequence,
             "--labels", files.from_scripts(run.folder / "labels"),
             "--scores", f"../results/ResNetF_perobj_{run.iterations}",
             "--refined", f"../results/SPN_{run.iterations}",
             "--foreground", "../results/ResNetF_fgbg", "--models", "../models",
             *annotated_options(run, sequence),
             "--objects", *map(str, run.videos[sequence]),
             "--title", f"{sequence}, {run.backbone}, {run.iterations} iterations",
             "--timings", f"{here}/timings.json", "--commands", f"{here}/commands.json",
             "--output", here]]


def submit(run):
    return [["../tools/submission.py", "--labels", files.from_scripts(run.folder / "labels"),
             "--data", run.data, "--split", run.split,
             "--output", files.from_scripts(run.folder / "submission.zip")]]


def needed_for_report(run, sequence):
    """All that it shows; labels may be the same where the maps have changed."""
    return [*needed_for_refining(run, sequence), ("refine", (sequence,)), ("label", (sequence,))]


def read_by_report(run, sequence):
    return [*video(run, sequence), *truth(run, sequence)]


def survey(run):
    return [["../tools/overview.py", files.from_scripts(run.folder)]]


def needed_for_overview(run):
    return [*((step, (sequence,)) for sequence in run.videos for step in ("overlay", "report")),
            *([("evaluate", ())] if run.evaluated else [])]


def video(run, sequence, k=None):
    """The frames of a sequence, and the annotations that say something of an object, or of any."""
    data, taken = run.data_set, annotated(run, sequence, k)
    complete = data.annotations / sequence / annotations.COMPLETE
    return [*data.frames(sequence), *(data.annotation(sequence, stem) for stem in taken),
            *([complete] if sequence in run.annotated and complete.is_file() else [])]


def truth(run, sequence):
    """All annotations of a sequence, on which only figures depend."""
    return list(run.data_set.annotated(sequence).values())


def generic_images(run):
    """Frames and annotations of the lists of the generic training."""
    images = pairs.images_of(run.data_set, run.generic["lists"])
    return [path for pair in [*images, *pairs.listed(run.data_set, run.generic["validation"])]
            for path in pair]


def needed_for_training(run, sequence, *k):
    return [("prototxts", (sequence,)), *([("train_generic", ())] if run.generic else [])]


def read_by_training(run, sequence, k=None):
    """The weights that no job trains, and the frame in which the object is drawn first."""
    weights = [] if run.generic else [files.PYTHON_SCRIPTS / run.weights]
    data, first = run.data_set, annotated(run, sequence, k)[0]
    return [*data.frames(sequence), data.annotation(sequence, first), *weights]


def train_corrected(run, sequence, k=None):
    """The training that goes on with all annotated frames; it is short, and made anew with them."""
    return solve(run, files.from_scripts(model(run, sequence, k)), solver(sequence, k, True),
                 anew=True)


def needed_for_refining(run, sequence):
    return [*([] if only_object(run, sequence) else [("infer_foreground", (sequence,))]),
            *(("infer_object", (sequence, k)) for k in run.videos[sequence])]


def needed_for_labels(run, sequence):
    """Who makes the score maps and the masks that are taken."""
    if craf_options.COARSE in run.craf:
        return needed_for_refining(run, sequence)
    return [("refine", (sequence,))]


def all_labels(run, sequences):
    return [("label", (sequence,)) for sequence in sequences]


STEPS = {
    "generic_prototxts": Step(
        "run", generic_prototxts,
        lambda run: [files.ROOT / f"ResNetF/generic/{name}.prototxt"
                     for name in ("solver", "train")],
        needs=lambda run: [], reads=generic_images, is_quick=True),
    "train_generic": Step(
        "run", lambda run: solve(run, run.generic["weights"],
                                 files.ROOT / "ResNetF/generic/solver.prototxt"),
        lambda run: [generic_model(run)], needs=lambda run: [("generic_prototxts", ())],
        reads=lambda run: [*generic_images(run), files.PYTHON_SCRIPTS / run.generic["weights"]],
        on_gpu=True, is_alone=True),
    "prototxts": Step("sequence", prototxts, prototxt_files, needs=lambda run, sequence: [],
                      reads=video, is_quick=True),
    "train_foreground": Step(
        "sequence", lambda run, sequence: solve(run, start_weights(run), solver(sequence)),
        lambda run, sequence: [model(run, sequence)], needed_for_training, read_by_training,
        on_gpu=True),
    "train_object": Step(
        "object", lambda run, sequence, k: solve(run, start_weights(run), solver(sequence, k)),
        lambda run, sequence, k: [model(run, sequence, k)], needed_for_training, read_by_training,
        on_gpu=True),
    "train_foreground_corrected": Step(
        "sequence", train_corrected,
        lambda run, sequence: [model(run, sequence, corrected=True)],
        lambda run, sequence: [("prototxts", (sequence,)), ("train_foreground", (sequence,))],
        video, on_gpu=True),
    "train_object_corrected": Step(
        "object", train_corrected,
        lambda run, sequence, k: [model(run, sequence, k, True)],
        lambda run, sequence, k: [("prototxts", (sequence,)), ("train_object", (sequence, k))],
        video, on_gpu=True),
    "infer_foreground": Step(
        "sequence", infer_foreground, foreground_masks, last_training, video, on_gpu=True),
    "infer_object": Step("object", infer_object, score_maps, last_training, video, on_gpu=True),
    "refine": Step(
        "sequence", refine, refined_maps, needed_for_refining,
        lambda run, sequence: [*video(run, sequence), files.PYTHON_SCRIPTS / run.refinement],
        on_gpu=True),
    "label": Step("sequence", label, labels, needed_for_labels, video),
    "overlay": Step(
        "sequence", draw,
        lambda run, sequence: [run.folder / "overlay" / sequence / name
                               for name in ("overlay.mp4", "contact_sheet.png")],
        lambda run, sequence: all_labels(run, [sequence]), video),
    "report": Step(
        "sequence", report,
        lambda run, sequence: [run.folder / "report" / sequence / "report.html"],
        needed_for_report, read_by_report),
    "evaluate": Step(
        "run", evaluate, evaluation_tables, lambda run: all_labels(run, run.evaluated),
        lambda run: [path for sequence in run.evaluated for path in truth(run, sequence)],
        is_quick=True),
    "overview": Step("run", survey, lambda run: [run.folder / "overview.html"],
                     needed_for_overview, is_quick=True),
    "submission": Step("run", submit, lambda run: [run.folder / "submission.zip"],
                       lambda run: all_labels(run, run.videos), is_quick=True)}


def jobs(run):
    """[(step, whose)] of the jobs of a run, in an order in which they could be run.

    All that there can be, or those of the step run.until and what comes before them.
    """
    found = all_jobs(run)
    return found if run.until is None else leading_to(
        run, found, [job for job in found if job[0] == run.until])


def leading_to(run, found, last):
    """Those of the jobs `found`, in their order, that are among `last` or come before these."""
    wanted = set(last)
    for name, whose in reversed(found):
        if (name, whose) in wanted:
            wanted.update(STEPS[name].needs(run, *whose))
    return [job for job in found if job in wanted]


def is_due(run, name, sequence, k=None):
    """Whether there is this job."""
    if name.startswith(("train_foreground", "infer_foreground")) and only_object(run, sequence):
        return False
    return not name.endswith(corrections.SUFFIX) or is_corrected(run, sequence, k)


def all_jobs(run):
    """The jobs of a run that goes to its end."""
    wanted = []
    if run.generic:
        wanted += [("generic_prototxts", ()), ("train_generic", ())]
    for sequence, objects in run.videos.items():
        for name, step in STEPS.items():
            whose = {"sequence": [(sequence,)], "object": [(sequence, k) for k in objects]}
            wanted += [(name, one) for one in whose.get(step.per, ()) if is_due(run, name, *one)]
    return [*wanted, *([("evaluate", ())] if run.evaluated else []),
            *([("overview", ())] if run.videos else []),
            *([("submission", ())] if run.whole and not run.annotated else [])]


def job_path(step, whose):
    """Where the files of a job are in done/, state/ and logs/, without an ending."""
    return "/".join([step, *map(str, whose)])


def describe(step, whose):
    """A job in words: "train object dog 1"."""
    return " ".join([step.replace("_", " "), *map(str, whose)])


def record(run, step, whose, folder=None):
    """The done.Record of a job: what it is to be made from now, and what it has left.

    folder: that of another run, where it was noted.
    Its recipe are the command lines, and what the jobs before it have left.  What lies at a
    path counts, which is in `reads`, and not the path; but prototxts have it in them.
    """
    kind, plain = STEPS[step], dataclasses.replace(run, restart=False, keep=False, threads=1)
    if kind.commands not in (prototxts, generic_prototxts):
        generic = run.generic and {**run.generic, "weights": "weights"}
        plain = dataclasses.replace(plain, data="data", weights="weights", generic=generic,
                                    refinement="refinement")
    needs = [done.Record(record_path(run.folder, *job)).digest(taken(job, step, whose))
             for job in kind.needs(run, *whose)]
    return done.Record(record_path(folder or run.folder, step, whose),
                       {"commands": kind.commands(plain, *whose), "needs": needs},
                       kind.reads(run, *whose))


def taken(job, step, whose):
    """The products of a job that a later step, of a video or an object, takes; None for all."""
    if job[0] != "prototxts":
        return None
    path = solver(*whose, corrected=step.endswith(corrections.SUFFIX))
    return [path, path.with_name(path.name.replace("solver", "train"))]


def record_path(folder, step, whose):
    return folder / "records" / f"{job_path(step, whose)}.jsonl"


def is_done(run, step, whose):
    """Whether a job has nothing to do as long as those before it have nothing to do."""
    return record(run, step, whose).is_done(STEPS[step].products(run, *whose))
