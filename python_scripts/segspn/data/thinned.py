"""A data set in DAVIS layout that is made of links to frames of another."""

import shutil

from segspn import files
from segspn.data import davis


def link(data, split, videos, every, root, prefix):
    """Makes the data set `root` anew: every so many-th frame of some videos, from frame 0 on.

    data: a davis.Davis; split: the list that names them in `root`.  A video's name there begins
    with `prefix`, so that its models and maps are its own; frames are numbered from 0, and have
    the annotations that they had.
    """
    shutil.rmtree(root, ignore_errors=True)
    names = [davis.checked_sequence(prefix + video) for video in videos]
    for video, name in zip(videos, names):
        annotated = data.annotated(video)
        for number, frame in enumerate(data.frames(video)[::every]):
            _link(frame, root / davis.IMAGES / name / f"{number:05}{frame.suffix}")
            if frame.stem in annotated:
                _link(annotated[frame.stem], root / davis.ANNOTATIONS / name / f"{number:05}.png")
    files.write_text(davis.list_path(root, split), "".join(f"{name}\n" for name in names))


def _link(path, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(path.resolve())
