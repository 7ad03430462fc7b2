"""Small data sets in the layout of DAVIS 2017, and archives of them."""

import io
import zipfile

import cv2
import numpy as np

from segspn.data import davis

SIZE = (48, 64)
# split: {list: {sequence: (frames, objects, all annotated)}}
SPLITS = {
    "trainval": {"train": {"bear": (4, 1, True), "tennis": (3, 2, True)},
                 "val": {"dog": (5, 1, True)}},
    "test-dev": {"test-dev": {"aerobatics": (3, 2, False)}},
    "test-challenge": {"test-challenge": {"lions": (4, 3, False), "burnout": (3, 1, False)}}}


def labels_of(objects, index=0, size=SIZE):
    """Object ids, uint8, H x W: a bar an object, that moves with the index."""
    labels = np.zeros(size, np.uint8)
    for k in range(1, objects + 1):
        labels[8 * k:8 * k + 5, 4 + index:24 + index] = k
    return labels


def jpeg(seed, size=SIZE):
    """A JPEG of noise, bytes."""
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


def png(labels, path):
    """The bytes of an indexed PNG; `path` is a file to write and remove."""
    davis.write_labels(path, labels)
    data = path.read_bytes()
    path.unlink()
    return data


def files_of(split, scratch):
    """{path below the root: bytes} of a split."""
    files = {"README.md": b"DAVIS\n"}
    for name, sequences in SPLITS[split].items():
        files[f"ImageSets/2017/{name}.txt"] = "".join(f"{one}\n" for one in sequences).encode()
        for sequence, (frames, objects, whole) in sequences.items():
            for n in range(frames):
                files[f"JPEGImages/480p/{sequence}/{n:05}.jpg"] = jpeg((n, len(sequence)))
                if whole or n == 0:
                    files[f"Annotations/480p/{sequence}/{n:05}.png"] = png(
                        labels_of(objects, n), scratch / "scratch.png")
    return files


def write(root, files):
    """Writes {path: bytes} below a folder."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def read(root):
    """{path: bytes} of all files below a folder, hidden folders too."""
    return {str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*") if path.is_file()}


def zipped(files, top="DAVIS/", compression=zipfile.ZIP_DEFLATED, members=()):
    """A zip archive of {path: bytes} with its folders; members: more (ZipInfo or name, bytes)."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as package:
        folders = {f"{parent}/" for name in files for parent in _parents(f"{top}{name}")}
        for folder in sorted(folders):
            package.writestr(folder, b"")
        for name, data in files.items():
            package.writestr(f"{top}{name}", data)
        for info, data in members:
            package.writestr(info, data)
    return archive.getvalue()


def _parents(name):
    parts = name.split("/")[:-1]
    return ["/".join(parts[:n + 1]) for n in range(len(parts))]
