"""The drawings of a video on disk, as the page reads and writes them.

They are the PNGs, complete.txt and objects.txt of segspn.data.annotations.  What is written must
be based on what is there: each PNG has a revision, and who writes names the one that was seen.
"""

import hashlib
import threading
from functools import lru_cache

import cv2
import numpy as np

from segspn import files
from segspn.data import annotations, davis
from segspn.errors import UserError

NONE = "none"  # the revision of a frame without a PNG
THUMBNAIL = 72  # px, its height
KINDS = {".png": "image/png"}  # others are JPEGs


class NotFound(UserError):
    """The video has no such frame, object or result."""


class Conflict(UserError):
    """What is there is not what was seen; `revision` is what is there."""

    def __init__(self, message, revision):
        super().__init__(message)
        self.revision = revision


class Drawings:
    """Those of a video in a data set (davis.Davis).  Raises UserError where it has no frames."""

    def __init__(self, data, video):
        self.data, self.video = data, davis.checked_sequence(video)
        self.frames = {path.stem: path for path in data.frames(video)}
        self.shape = files.read_image(next(iter(self.frames.values()))).shape[:2]
        self._lock = threading.RLock()
        self.shape_of = lru_cache(4096)(self._shape_of)
        self.thumbnail = lru_cache(4096)(self._thumbnail)

    def frame(self, stem):
        """The path of a frame.  Raises NotFound: no other name reaches the disk."""
        if stem not in self.frames:
            raise NotFound(f"{self.video} has no frame {stem!r}")
        return self.frames[stem]

    def image(self, stem):
        """(bytes, content type) of a frame as it is stored."""
        path = self.frame(stem)
        return path.read_bytes(), KINDS.get(path.suffix.lower(), "image/jpeg")

    def _thumbnail(self, stem):
        """The bytes of a small JPEG of a frame."""
        image = files.read_image(self.frame(stem))
        size = THUMBNAIL, max(1, round(image.shape[1] * THUMBNAIL / image.shape[0]))
        return cv2.imencode(".jpg", davis.resized(image, size))[1].tobytes()

    def _shape_of(self, stem):
        """(height, width) of a frame."""
        return files.read_image(self.frame(stem)).shape[:2]

    # ----------------------------------------------------------------------- masks

    def _path(self, stem):
        self.frame(stem)
        return self.data.annotation(self.video, stem)

    def revision(self, stem):
        """A text that another PNG of the frame does not have."""
        path = self._path(stem)
        return (hashlib.sha256(path.read_bytes()).hexdigest()[:24] if path.is_file() else NONE)

    def read(self, stem):
        """(object ids, uint8 H x W, their revision).  Raises UserError for an unfit PNG."""
        with self._lock:
            path, shape = self._path(stem), self.shape_of(stem)
            if not path.is_file():
                return np.zeros(shape, np.uint8), NONE
            ids = davis.read_annotation(path)
            if ids.shape != shape:
                raise UserError(
                    f"{path} is {ids.shape[1]}x{ids.shape[0]}, its frame {shape[1]}x{shape[0]}: "
                    "it is left as it is; move it away, or put one of the frame's size there")
            return ids, self.revision(stem)

    def write(self, stem, ids, seen):
        """Writes the ids of a frame; returns their revision.

        An empty drawing of a frame that is not complete has no PNG.  seen: the revision that
        they are based on.  Raises Conflict where another one is there, UserError for an unfit
        PNG, which stays, OSError.
        """
        with self._lock:
            self._read_seen(stem, seen)
            self._store(stem, ids, stem in self.complete())
            return self.revision(stem)

    def _read_seen(self, stem, seen):
        """What read() gives, where its revision is the one that was seen."""
        ids, there = self.read(stem)
        if seen != there:
            raise Conflict(f"frame {stem} was changed elsewhere, in another tab or by another "
                           "program", there)
        return ids

    def _store(self, stem, ids, is_complete):
        path = self._path(stem)
        if ids.any() or is_complete:
            davis.write_labels(path, ids)
        else:
            path.unlink(missing_ok=True)

    # ------------------------------------------------------- complete.txt, objects.txt

    def complete(self):
        """Names of the complete frames."""
        return annotations.complete(self.data, self.video)

    def set_complete(self, stem, is_complete, seen):
        """Notes whether all is drawn that is there; returns the revision of the frame.

        seen, and what is raised: as in write().
        """
        with self._lock:
            ids = self._read_seen(stem, seen)
            if is_complete or not ids.any():
                self._store(stem, ids, is_complete)
            others = set(self.complete()) - {stem}
            annotations.write_complete(self.data, self.video,
                                       others | ({stem} if is_complete else set()))
            return self.revision(stem)

    def names(self):
        """{object id: name} of those that have one."""
        return annotations.names(self.data, self.video)

    def rename(self, k, name):
        """Gives an object a name; "" takes it away."""
        self._check_object(k)
        with self._lock:
            annotations.write_names(self.data, self.video, {**self.names(), k: name})

    def delete(self, k):
        """Takes an object, and its name, out of all frames; returns those that had it.

        A PNG that cannot be read stays as it is.
        """
        self._check_object(k)
        with self._lock:
            complete = self.complete()
            having = [stem for stem, objects in self.objects()[0].items() if k in objects]
            for stem in having:
                ids, _ = self.read(stem)
                self._store(stem, np.where(ids == k, 0, ids).astype(np.uint8), stem in complete)
            names = self.names()
            if names.pop(k, None) is not None:
                annotations.write_names(self.data, self.video, names)
            return having

    @staticmethod
    def _check_object(k):
        if not 0 < k < davis.VOID:
            raise NotFound(f"an object's id is from 1 to {davis.VOID - 1}, not {k}")

    def objects(self):
        """({frame: its object ids}, {frame: why it is unfit}) of the frames that have a PNG."""
        found, unfit = {}, {}
        for stem in self.data.annotated(self.video):
            if stem in self.frames:
                try:
                    found[stem] = davis.objects_of(self.read(stem)[0])
                except UserError as error:
                    unfit[stem] = str(error)
        return found, unfit
