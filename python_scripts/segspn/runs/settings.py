"""A run: what is to be segmented, with which nets, and where its files are.

A run has a folder, results/runs/<name>, with run.json (these settings), a record of what each
job was made from and left (records/), the state of each job (state/) and its log (logs/), and
the products of the whole: labels, evaluation, reports, submission.zip.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from segspn import files
from segspn.data import annotations, davis, pairs
from segspn.errors import UserError
from segspn.training import corrections

RUNS = files.RESULTS / "runs"
GENERIC = "generic"  # the word for weights that a run trains itself
SETTINGS = "run.json"


@dataclass(frozen=True)
class Run:
    """The settings of a run.

    name        of its folder
    data        data set in DAVIS layout, as seen from python_scripts/
    split       list in ImageSets/2017, or None: videos chosen by name
    videos      {sequence: [object ids]}
    whole       whether the videos are all of the split
    evaluated   sequences with ground truth of every frame
    backbone    name in nets.BACKBONES
    weights     that trainings begin with, as seen from python_scripts/, or GENERIC
    refinement  weights of the refinement net, as seen from python_scripts/
    iterations, snapshot, size, base_lr   of the trainings, as ResNetF/write_prototxts.py takes them
    seed        of the trainings; None: solve.py's
    craf        options of segment_instances.py, as craf_options.words() gives them
    generic     {"lists", "validation", "iterations", "weights"} of the generic training, or None
    threads     of a job
    gpus        device numbers; () for the CPU
    cluster     "slurm", or None for this machine
    restart     train anew what was trained with other settings
    keep        keep all snapshots
    recipe      of the trainings of videos, a name in the backbone's, or None: its own
    flip        whether inference averages over each frame and its mirror image
    annotated   {sequence: {object id as text, or "": [frames]}}: the annotated frames that the
                trainings of an object, and of all together, have (segspn.training.corrections);
                none of a sequence of which only the first frame is taken
    train_both  train foreground and object also where a video has one object alone
    until       the last step that is wanted, or None: all
    """

    name: str
    data: str
    split: str | None
    videos: dict
    whole: bool
    evaluated: tuple
    backbone: str
    weights: str
    refinement: str
    iterations: int
    snapshot: int
    size: str
    base_lr: float | None = None
    seed: int | None = None
    craf: tuple = ()
    generic: dict | None = None
    threads: int = 1
    gpus: tuple = ()
    cluster: str | None = None
    restart: bool = False
    keep: bool = False
    train_both: bool = False
    recipe: str | None = None
    flip: bool = False
    annotated: dict = field(default_factory=dict)
    until: str | None = None

    @property
    def folder(self):
        return RUNS / self.name

    @property
    def data_set(self):
        return pairs.data_set(files.PYTHON_SCRIPTS / self.data)

    def with_threads(self, threads):
        return dataclasses.replace(self, threads=threads)

    def write(self):
        """Writes run.json, unless it is there as it would be written."""
        path = self.folder / SETTINGS
        text = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
        if not path.is_file() or path.read_bytes() != text.encode():
            files.write_text(path, text)

    @classmethod
    def read(cls, folder):
        """The run of a folder.  Raises UserError where it has none."""
        path = files.existing_file(Path(folder) / SETTINGS, "settings of a run")
        try:
            settings = json.loads(path.read_text())
            for name in ("evaluated", "gpus", "craf"):
                settings[name] = tuple(settings[name])
            run = cls(**settings)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} does not hold the settings of a run; "
                            "start the run again, which writes it") from error
        if run.folder.resolve() != path.parent.resolve():
            raise UserError(f"{path} is of the run {run.folder}, whose folder alone has its files")
        return run


def state(run, path):
    """What is known of a job, by its steps.job_path(): {} where it never began.

    Else it has at least "state", "begin" and "commands"; one that is damaged is not known.
    """
    try:
        found = json.loads(state_path(run, path).read_bytes())
        kinds = {"state": str, "begin": float, "commands": list,
                 **({"seconds": float, "peak_mb": float} if found["state"] != "running" else {})}
        return found if all(type(found[name]) is kind for name, kind in kinds.items()) else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def state_path(run, path):
    return run.folder / "state" / f"{path}.json"


def chosen_videos(data, split, names):
    """(names of the sequences, whether they are all of the split).  Raises UserError.

    data: a davis.Davis; split: list in ImageSets/2017, or None; names: only these, or [].
    """
    if split is None:
        if not names:
            raise UserError("which videos? Name a list (SPLIT=val) or a video (VIDEO=name); "
                            f"{data.images} has: {', '.join(data.sequences())}")
        listed = names
    else:
        listed = davis.listed_sequences(data.root, split)
        if not listed:
            raise UserError(f"list {split} of {data.root} names no sequence")
    other = [name for name in names if name not in listed]
    if other:
        raise UserError(f"{', '.join(other)}: not in the list {split} of {data.root}, which has "
                        f"{', '.join(listed)}")
    chosen = [davis.checked_sequence(name) for name in dict.fromkeys(names or listed)]
    return chosen, split is not None and set(chosen) == set(listed)


def objects_of(data, sequences, choice=annotations.FIRST):
    """({sequence: [object ids]}, Run.annotated), all annotations that are taken checked.

    choice: of annotated frames.  Raises UserError.
    """
    objects, annotated = {}, {}
    for sequence in sequences:
        said = annotations.Annotations.read(data, sequence, choice)
        objects[sequence] = said.objects
        if said.frames != (davis.FRAME_0,):
            annotated[sequence] = {str(k or ""): frames
                                   for k, frames in corrections.frames_of(said).items()}
    return objects, annotated


def evaluated(data, sequences, annotated=()):
    """Those of the sequences that have an annotation of every frame, and some to be compared with.

    annotated: Run.annotated, whose frames are not.
    """
    frames = {sequence: [path.stem for path in data.frames(sequence)] for sequence in sequences}
    return tuple(
        sequence for sequence, stems in frames.items()
        if set(stems) <= set(data.annotated(sequence))
        and set(stems[1:-1]) - set(annotated[sequence][""] if sequence in annotated else ()))


def default_size(backbone, data, sequences, is_davis):
    """The working size, (height, width), for a data set.

    That of DAVIS for DAVIS; for videos of one's own its area, in the shape of the first frame
    of the first, or that frame's own size where it is smaller.
    """
    from ResNetF import nets  # which loads Caffe; jobs, each a process, do without it

    if is_davis or not sequences:
        return nets.WORKING_SIZE
    height, width = files.read_image(data.frames(sequences[0])[0]).shape[:2]
    area = nets.WORKING_SIZE[0] * nets.WORKING_SIZE[1]
    factor = min(1, (area / (height * width)) ** 0.5)
    return nets.valid_size(backbone, max(32, round(factor * height)),
                           max(32, round(factor * width)))
