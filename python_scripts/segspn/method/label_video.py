"""From score maps and foreground masks on disk to label PNGs."""

import json
import re
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import files
from segspn.data import davis, planes
from segspn.errors import UserError
from segspn.method import craf

REFINE_AGAIN = "run refine_spn.py again, or take the score maps as they are with --coarse"


@dataclass(frozen=True)
class Segmentation:
    """A video to be labelled.

    frames      stems of all its frames, in order; the first is the annotation's
    scores      folder of <frame>_<k>.png, 8-bit grey
    foreground  folder of <frame>.png, 0 outside the foreground; None: all is foreground
    annotation  PNG of the first frame's object ids
    output      folder of the <frame>.png to write
    maker, foreground_maker  the scripts that make score maps and masks, for error messages

    thresholds, filtering and recovery are those of arbitration.label_frame.
    """

    frames: list
    scores: Path
    foreground: Path | None
    annotation: Path
    output: Path
    thresholds: craf.Thresholds = craf.Thresholds()
    filtering: bool = True
    recovery: bool = True
    maker: str = planes.SCORE_MAKER
    foreground_maker: str = planes.FOREGROUND_MAKER

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
        labels = None if start == 0 else planes.of_shape(
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
        score_maps = np.stack([
            planes.read_score_map(self.scores, frame, k, before.shape, self.maker)
            for k in objects])
        foreground = (np.ones(before.shape, bool) if self.foreground is None
                      else planes.read_foreground(self.foreground, frame, before.shape,
                                                self.foreground_maker))
        return craf.label_frame(
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
        return planes.are_newer([self._path(index)], inputs)


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
    frames = sorted({name[1] for name in names if name}, key=files.natural)
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


def check_refined(refined, coarse, frames, objects, masks=True):
    """Raises UserError where refined score maps are not those of what they are made from.

    refined    folder that refine_spn.py writes, with the stamp that tells how
    coarse     folder of the score maps that were refined
    frames     paths of the video's images; of the first no map is needed
    objects    ids of its objects
    masks      whether the dilated foreground masks in `refined` are to be taken as well

    Maps in a folder without a stamp are of another maker: what foreground they
    have is not known, and is not looked at.
    """
    stamp = refined / ".made_from.json"
    foreground = _refined_foreground(stamp)
    for image in frames[1:]:
        mask = f"{image.stem}.png"
        inputs = [image, *([foreground / mask] if foreground else [])]
        results = {name: [*inputs, coarse / name]
                   for name in (f"{image.stem}_{k}.png" for k in objects)}
        if masks:
            results[mask] = inputs
        for name, made_from in results.items():
            fault = _fault(refined / name, made_from, stamp)
            if fault:
                raise UserError(f"refined {refined / name} {fault}; {REFINE_AGAIN}")


def _refined_foreground(stamp):
    """The folder of the masks that a refinement was made with, None where it was with none."""
    try:
        folder = json.loads(stamp.read_text())["foreground"] if stamp.is_file() else None
        return folder and Path(folder)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{stamp} does not tell what the refined score maps are made from; "
                        f"{REFINE_AGAIN}") from error


def _fault(result, inputs, stamp):
    """What is wrong with a refined file; None where nothing is."""
    if not result.is_file():
        return "is missing"
    if stamp.is_file() and not planes.are_newer([result], [stamp]):
        return "is of an earlier refinement than the rest: the last one was not finished"
    for path in inputs:
        if not path.is_file():
            return f"is made from {path}, which is missing"
        if not planes.are_newer([result], [path]):
            return f"is older than {path}"
    return None
