"""From score maps and foreground masks on disk to label PNGs."""

import re
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import arbitration, davis, files, maps, regions
from segspn.errors import UserError


@dataclass(frozen=True)
class Segmentation:
    """A video to be labelled.

    frames      stems of all its frames, in order; the first is the annotation's
    scores      folder of <frame>_<k>.png, 8-bit grey
    foreground  folder of <frame>.png, 0 outside the foreground; None: all is foreground
    annotation  PNG of the first frame's object ids
    output      folder of the <frame>.png to write

    thresholds, filtering and recovery are those of arbitration.label_frame.
    """

    frames: list
    scores: Path
    foreground: Path | None
    annotation: Path
    output: Path
    thresholds: regions.Thresholds = regions.Thresholds()
    filtering: bool = True
    recovery: bool = True

    def run(self, force=False):
        """Writes the labels of the first frame that has none, and of all after it.

        Labels depend on those of the frame before, so that none can be done anew
        without all that follow.  Returns how many were done.  Raises UserError.
        """
        annotation = davis.read_annotation(self.annotation)
        objects = davis.objects_of(annotation)
        if not objects:
            raise UserError(f"annotation {self.annotation} is empty: it has no object")
        self._check_output()
        made_from = files.MadeFrom(self.output / ".made_from.json", self._recipe())
        start = 0 if force else next((index for index in range(len(self.frames)) if not
                                      self._is_current(index, objects, made_from)), None)
        if start is None:
            return 0
        made_from.note()
        labels = None if start == 0 else maps.of_shape(
            files.read_plane(self._path(start - 1), "labels"), annotation.shape,
            self._path(start - 1))
        todo = range(start, len(self.frames))
        for index in tqdm(todo, unit="frame", dynamic_ncols=True, desc=self.output.name):
            labels = (self._labels(self.frames[index], objects, labels) if index else
                      np.where(annotation == davis.VOID, 0, annotation).astype(np.uint8))
            davis.write_labels(self._path(index), labels)
        return len(todo)

    def _path(self, index):
        return self.output / f"{self.frames[index]}.png"

    def _labels(self, frame, objects, before):
        """Labels of a frame, uint8, H x W, from those of the frame before."""
        score_maps = np.stack([maps.read_score_map(self.scores, frame, k, before.shape)
                               for k in objects])
        foreground = (np.ones(before.shape, bool) if self.foreground is None
                      else maps.read_foreground(self.foreground, frame, before.shape))
        return arbitration.label_frame(
            score_maps, objects, before, foreground, self.thresholds,
            filtering=self.filtering, recovery=self.recovery)

    def _recipe(self):
        return {
            "scores": str(self.scores.resolve()), "annotation": str(self.annotation.resolve()),
            "foreground": self.foreground and str(self.foreground.resolve()),
            "frames": self.frames, "thresholds": astuple(self.thresholds),
            "steps": [self.filtering, self.recovery]}

    def _check_output(self):
        """Raises UserError where labels would be written over what they are made from."""
        inputs = {self.scores, self.foreground or self.scores, self.annotation.parent}
        if self.output.resolve() in {folder.resolve() for folder in inputs}:
            raise UserError(f"{self.output} has the input; give another folder with --output")

    def _is_current(self, index, objects, made_from):
        """Whether the labels are there, and not older than what they are made from."""
        if not made_from.is_current(self._path(index)):
            return False
        inputs = [self.annotation]
        if index:
            frame = self.frames[index]
            inputs += [self._path(index - 1),
                       *(self.scores / f"{frame}_{k}.png" for k in objects)]
            if self.foreground:
                inputs.append(self.foreground / f"{frame}.png")
        return maps.are_newer([self._path(index)], inputs)


def _natural(name):
    """A key that sorts names by the numbers in them: 2 before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def frames_of(scores, annotation):
    """Frames of a folder of score maps <frame>_<k>.png, in order; the first is the annotation's.

    The maps of the first frame are not needed: where frames are numbers, an
    annotation with a lower one is a frame of its own.  An annotation of another name
    is of the first frame that has maps.  Raises UserError where there are no maps,
    and for an annotation of a frame that has others before it.
    """
    if not scores.is_dir():
        raise UserError(f"{scores}, the folder of score maps, does not exist")
    names = (re.fullmatch(r"([^.].*)_[1-9]\d*\.png", path.name) for path in scores.iterdir())
    frames = sorted({name[1] for name in names if name}, key=_natural)
    if not frames:
        raise UserError(f"{scores} has no score maps <frame>_<k>.png")
    stem = files.existing_file(annotation, "annotation").stem
    are_numbers = stem.isdecimal() and frames[0].isdecimal()
    if stem == frames[0] or not (are_numbers or stem in frames):
        return frames
    if are_numbers and int(stem) < int(frames[0]):
        return [stem, *frames]
    raise UserError(f"annotation {annotation} is not of the first frame: {scores} has frame "
                    f"{frames[0]} before it")


def check_refined(refined, coarse):
    """Raises UserError where a refined score map is older than the one that it was made from."""
    for path in sorted(coarse.glob("*_*.png")):
        result = refined / path.name
        if result.is_file() and result.stat().st_mtime_ns < path.stat().st_mtime_ns:
            raise UserError(f"{result} is older than {path}; run refine_spn.py again, or take the "
                            "score maps as they are with --coarse")
