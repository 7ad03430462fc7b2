"""Whether a run can begin: all that it will read, and the places that it will write to.

It is looked at before the first job.  Of a frame that is its header, not whether all of it can
be decoded, which tools/davis.py check --full does; annotations are read whole.
"""

import os
from contextlib import suppress

from segspn import files
from segspn.data import davis_check, owner, pairs
from segspn.errors import UserError
from segspn.runs import settings, steps


def check(run):
    """Raises UserError, one line, where a run would fail, or mix with another data set's."""
    if not run.data.isprintable():
        raise UserError(f"--data {run.data!r}: prototxts cannot have such a path; "
                        "give it by a link")
    check_folder(run)
    for video in run.videos:
        owner.check(run.data_set, video)
    davis_check.check_sequences(run.data_set, run.videos, {
        video: trained[""] for video, trained in run.annotated.items()})
    if run.generic and not steps.is_done(run, "train_generic", ()):
        davis_check.check_pairs(run.data_set, [
            *pairs.images_of(run.data_set, run.generic["lists"]),
            *pairs.listed(run.data_set, run.generic["validation"])])
    check_places(run)


def check_folder(run):
    """Raises UserError where the folder is of a run of another data set, which lacks its videos."""
    earlier = None
    with suppress(UserError):
        earlier = settings.Run.read(run.folder)
    if earlier is None or (os.path.realpath(files.PYTHON_SCRIPTS / earlier.data)
                           == os.path.realpath(run.data_set.root)):
        return
    if lacks := sorted(set(earlier.videos) - set(run.data_set.sequences())):
        raise UserError(f"{run.folder} is of a run of {earlier.data}, of which {lacks[0]} is not "
                        f"in {run.data}; give this run another --name")


def check_places(run):
    """Raises UserError where a folder that jobs write into is none, or may not be written to."""
    folders = {path.parent for name, whose in steps.jobs(run)
               for path in steps.STEPS[name].products(run, *whose)}
    for folder in sorted({run.folder, *folders}):
        files.check_writable(folder)
