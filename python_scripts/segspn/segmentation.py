"""From score maps and foreground masks on disk to label PNGs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import arbitration, davis, files, maps
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

    def labels(self, frame, objects, shape):
        """Labels of one frame, uint8, H x W."""
        score_maps = np.zeros((max(objects), *shape), np.uint8)
        for k in objects:
            score_maps[k - 1] = maps.read_score_map(self.scores, frame, k, shape)
        return arbitration.arbitrate(
            score_maps, maps.read_foreground(self.foreground, frame, shape))

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
        return maps.are_newer([output], inputs)


def check_refined(refined, coarse):
    """Raises UserError where a refined score map is older than the one that it was made from."""
    for path in sorted(coarse.glob("*_*.png")):
        result = refined / path.name
        if result.is_file() and result.stat().st_mtime_ns < path.stat().st_mtime_ns:
            raise UserError(f"{result} is older than {path}; run refine_spn.py again, or take the "
                            "score maps as they are with --coarse")
