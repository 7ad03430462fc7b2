"""What a run has reached by J and F, and what it took, by video."""

import csv

import numpy as np

from segspn import files
from segspn.errors import UserError
from segspn.runs import settings, steps

LOST = 0.1  # an object with a lower J is lost in that frame


def by_frame(run):
    """{video: {object: {frame: (J, F)}}} of an evaluated run, 0..1.

    Raises UserError where the evaluation is missing, or its figures are no numbers.
    """
    path = run.folder / "evaluation" / f"per-frame_results-{steps.split_name(run)}.csv"
    found = {}
    try:
        with files.existing_file(path, "evaluation").open(newline="") as file:
            for row in csv.DictReader(file):
                frames = found.setdefault(row["Sequence"], {}).setdefault(row["Object"], {})
                frames[row["Frame"]] = float(row["J"]), float(row["F"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no table of J and F by frame") from error
    if not found or not np.isfinite([pair for objects in found.values() for frames in
                                     objects.values() for pair in frames.values()]).all():
        raise UserError(f"the figures in {path} are not numbers")
    return found


def values(run):
    """{video: [J and F of an object: float64, 2 x frames, 0..1]} of an evaluated run."""
    return {video: [np.array(list(frames.values())).T for frames in objects.values()]
            for video, objects in by_frame(run).items()}


def summary(objects):
    """(J, F, J&F, share of lost), per cent, of objects as values() has them.

    The first three are means over objects, as those of DAVIS; the last is the share of all
    frames, times objects, in which J is below LOST.
    """
    j, f = (100 * float(mean) for mean in np.mean([one.mean(1) for one in objects], 0))
    lost = 100 * float(np.mean(np.concatenate([one[0] for one in objects]) < LOST))
    return j, f, (j + f) / 2, lost


def states(run, video):
    """The states of a video's jobs: those of its labels, and of what comes before them."""
    before = steps.leading_to(run, steps.all_jobs(run), [("label", (video,))])
    found = [settings.state(run, steps.job_path(*job)) for job in before if job[1]]
    return [state for state in found if "seconds" in state]


def seconds(run, video):
    """Seconds that these jobs took, all together, in the runs that have done them."""
    return sum(state["seconds"] for state in states(run, video))
