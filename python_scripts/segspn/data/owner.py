"""Whose the files of a video are: models/<video>, and results/*/<video>.

They go by the name of the video alone, as in the 2017 release, and so they are of one data
set at a time.  A training notes in models/<video>/video.json which one, and its frames;
the video of another data set is the same where their frames and first annotations are.
"""

import json
import os

from segspn import done, files
from segspn.errors import UserError

NAME = "video.json"


def _note(data, video):
    """What a video is: its data set, and what its files are, as done.seen() has it."""
    first = data.annotation(video)
    return {"data": os.path.abspath(data.root),
            "annotation": done.seen(first) if first.is_file() else None,
            "frames": {path.stem: done.seen(path) for path in data.frames(video)}}


def _read(video):
    """What is noted; None where nothing is, or it is damaged."""
    try:
        noted = json.loads((files.MODELS / video / NAME).read_bytes())
        return noted if noted.keys() >= {"data", "annotation", "frames"} else None
    except (OSError, ValueError, AttributeError):
        return None


def _is_same(noted, data, video):
    """Whether no frame that both videos have differs, and their first annotations do not."""
    if os.path.realpath(noted["data"]) == os.path.realpath(data.root):
        return True  # it may have changed since, which is not for us to judge
    first = data.annotation(video)
    common = [path for path in data.frames(video) if path.stem in noted["frames"]]
    return bool(common) and all(done.is_as_seen(path, noted["frames"][path.stem])
                                for path in common) and (
        noted["annotation"] is None or not first.is_file()
        or done.is_as_seen(first, noted["annotation"]))


def check(data, video):
    """Raises UserError where files of this name are of the video of another data set.

    data: a davis.Davis.
    """
    noted, folder = _read(video), files.MODELS / video
    if noted and not _is_same(noted, data, video):
        raise UserError(
            f"{folder} is of the video {video} in {noted['data']}, which is another than that in "
            f"{data.root}; rename the video in one of the two, or move {folder} and "
            f"{files.RESULTS}/*/{video} away")


def claim(data, video):
    """Notes that the files of this name are of the video of this data set.  Raises UserError."""
    check(data, video)
    noted = _note(data, video)
    if noted != _read(video):
        files.write_text(files.MODELS / video / NAME, json.dumps(noted) + "\n")
