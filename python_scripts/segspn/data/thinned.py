"""A data set in DAVIS layout that is made of links to frames of another."""

import shutil

from segspn import files
from segspn.data import davis


def link(data, split, videos, every, root, prefix):
    """Makes the data set `root`: every so many-th frame of some videos, from frame 0 on.

    data: a davis.Davis; split: the list that names them in `root`.  A video's name there begins
    with `prefix`, so that its models and maps are its own; frames are numbered from 0, and have
    the annotations that they had.  Where all is as it would be made, nothing is.
    """
    wanted = {}
    for video in videos:
        name, annotated = davis.checked_sequence(prefix + video), data.annotated(video)
        for number, frame in enumerate(data.frames(video)[::every]):
            wanted[root / davis.IMAGES / name / f"{number:05}{frame.suffix}"] = frame.resolve()
            if frame.stem in annotated:
                wanted[root / davis.ANNOTATIONS / name / f"{number:05}.png"] = annotated[
                    frame.stem].resolve()
    if {path: path.readlink() for path in root.rglob("*") if path.is_symlink()} != wanted:
        shutil.rmtree(root, ignore_errors=True)
        for place, path in wanted.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    files.write_text(davis.list_path(root, split), "".join(f"{prefix}{name}\n" for name in videos))
