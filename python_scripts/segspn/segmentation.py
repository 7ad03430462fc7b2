"""From score maps and foreground masks on disk to label PNGs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import arbitration, davis, files
from segspn.errors import UserError


@dataclass(frozen=True)
class Segmentation:
    """A video to be labelled.

    frames      stems of all its frames, in order; the first is the annotation's
    scores      folder of <frame>_<k>.png, 8-bit grey
    foreground  folder of <frame>.png, 0 outside the foreground
    annotation  PNG of the first frame's object ids
    output      folder of the <frame>.png to write
    """

    frames: list
    scores: Path
    foreground: Path
    annotation: Path
    output: Path

    def _score_map(self, frame, k, shape):
        path = self.scores / f"{frame}_{k}.png"
        if not path.is_file():
            raise UserError(f"score map {path} is missing; make it with infer_test_perobj.py")
        return _of_shape(files.read_plane(path, "score map"), shape, path)

    def _foreground(self, frame, shape):
        path = self.foreground / f"{frame}.png"
        if not path.is_file():
            raise UserError(f"foreground mask {path} is missing; make it with infer_test_fgbg.py")
        return _of_shape(files.read_plane(path, "foreground mask"), shape, path) > 0

    def labels(self, frame, objects, shape):
        """Labels of one frame, uint8, H x W."""
        score_maps = np.zeros((max(objects), *shape), np.uint8)
        for k in objects:
            score_maps[k - 1] = self._score_map(frame, k, shape)
        return arbitration.arbitrate(score_maps, self._foreground(frame, shape))

    def run(self, force=False):
        """Writes the labels of every frame that has none yet.  Returns how many."""
        annotation = davis.read_annotation(self.annotation)
        objects = davis.objects_of(annotation)
        if not objects:
            raise UserError(f"annotation {self.annotation} is empty: it has no object")
        outputs = {frame: self.output / f"{frame}.png" for frame in self.frames}
        made_from = files.MadeFrom(self.output / ".made_from.json", {
            "scores": str(self.scores.resolve()), "foreground": str(self.foreground.resolve()),
            "annotation": str(self.annotation.resolve())})
        todo = [frame for frame in self.frames if force or not self._is_current(
            frame, objects, outputs[frame], made_from)]
        made_from.note()
        for frame in tqdm(todo, unit="frame", dynamic_ncols=True, desc=self.output.name):
            first = frame == self.frames[0]
            labels = np.where(annotation == davis.VOID, 0, annotation).astype(
                np.uint8) if first else self.labels(frame, objects, annotation.shape)
            davis.write_labels(outputs[frame], labels)
        return len(todo)

    def _is_current(self, frame, objects, output, made_from):
        """Whether the labels are there, and not older than what they are made from."""
        if not made_from.is_current(output):
            return False
        inputs = [self.annotation]
        if frame != self.frames[0]:
            inputs += [self.foreground / f"{frame}.png",
                       *(self.scores / f"{frame}_{k}.png" for k in objects)]
        made = output.stat().st_mtime_ns
        return all(p.is_file() and p.stat().st_mtime_ns <= made for p in inputs)


def _of_shape(plane, shape, path):
    if plane.shape != shape:
        raise UserError(f"{path} is {plane.shape[1]}x{plane.shape[0]}, "
                        f"the annotation {shape[1]}x{shape[0]}; they must be of one size")
    return plane
