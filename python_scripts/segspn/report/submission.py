"""Results as the DAVIS challenge takes them: a zip of <sequence>/<frame>.png, indexed PNGs."""

import zipfile

import numpy as np
from PIL import Image
from tqdm import tqdm

from segspn import files
from segspn.data import davis, planes
from segspn.errors import UserError

DATE = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same labels give the same file


def checked(path, shape, objects):
    """The bytes of a label PNG, checked to be indexed, of this shape, and of these objects."""
    ids = planes.of_shape(files.read_plane(path, "labels"), shape, path)
    with Image.open(path) as image:
        if image.mode != "P":
            raise UserError(f"labels {path} are not an indexed PNG ({image.mode}); "
                            "write them with segment_instances.py")
    other = [int(k) for k in np.unique(ids) if k and k not in objects]
    if other:
        raise UserError(f"labels {path} have the ids {other}, the first annotation {objects}")
    return path.read_bytes()


def write(archive, labels, data, sequences):
    """Writes the zip of all frames of these sequences.  Returns how many there are.

    labels: folder of <sequence>/<frame>.png; data: a davis.Davis.  Raises UserError for what
    is missing or does not fit; the archive is then not written.
    """
    with files.whole_file(archive) as temporary, zipfile.ZipFile(temporary, "w") as package:
        for sequence in tqdm(sequences, unit="video", dynamic_ncols=True, desc=archive.name):
            _, first = data.first_frame(sequence)
            for frame in data.frames(sequence):
                name = f"{sequence}/{frame.stem}.png"
                entry = zipfile.ZipInfo(name, DATE)
                entry.external_attr = 0o644 << 16  # else nobody may read what unzip makes
                package.writestr(entry, checked(labels / name, first.shape,
                                                davis.objects_of(first)))
        return len(package.namelist())
