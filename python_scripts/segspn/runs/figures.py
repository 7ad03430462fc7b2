"""What a run has reached by J and F, and what it took, by video."""

import csv

import numpy as np

from segspn import files
from segspn.errors import UserError
from segspn.runs import settings, steps

LOST = 0.1  # an object with a lower J is lost in that frame


def values(run):
    """{video: [J and F of an object: float64, 2 x frames, 0..1]} of an evaluated run.

    Raises UserError where the evaluation is missing, or its figures are no numbers.
    """
    path = run.folder / "evaluation" / f"per-frame_results-{steps.split_name(run)}.csv"
    found = {}
    try:
        with files.existing_file(path, "evaluation").open(newline="") as file:
            for row in csv.DictReader(file):
                objects = found.setdefault(row["Sequence"], {})
                objects.setdefault(row["Object"], []).append((float(row["J"]), float(row["F"])))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no table of J and F by frame") from error
    arrays = {video: [np.array(rows).T for rows in objects.values()]
              for video, objects in found.items()}
    if not arrays or not all(np.isfinite(one).all() for rows in arrays.values() for one in rows):
        raise UserError(f"the figures in {path} are not numbers")
    return arrays


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
