"""From score maps and foreground masks on disk to label PNGs."""

import re
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import done, files
from segspn.data import davis, frame_order, planes
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

    thresholds, filtering and recovery are those of craf.label_frame.
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

        Labels depend on those of the frame before, so that none can be done anew without
        all that follow; those that were changed by hand stay.  Returns how many were done.
        Raises UserError.
        """
        annotation = davis.read_annotation(self.annotation)
        objects = davis.objects_of(annotation)
        if not objects:
            raise UserError(f"annotation {self.annotation} is empty: it has no object")
        annotated = [int(np.count_nonzero(annotation == k)) for k in objects]
        self._check_output()
        record = done.Record(self.output / done.NAME, self._recipe())
        start = 0 if force else next((index for index in range(len(self.frames)) if not
                                      self._is_done(index, objects, record)), None)
        if start is None:
            return 0
        labels = None if start == 0 else planes.of_shape(
            files.read_plane(self._path(start - 1), "labels"), annotation.shape,
            self._path(start - 1))
        todo = range(start, len(self.frames))
        for index in todo[start == 0:]:  # all of them before the first label
            planes.check_maps(self.scores, self.foreground, self.frames[index], objects,
                              annotation.shape, (self.maker, self.foreground_maker))
        for index in tqdm(todo, unit="frame", dynamic_ncols=True, desc=self.output.name):
            with record.making(*self._making(index, objects)):
                labels = (self._labels(self.frames[index], objects, labels, annotated)
                          if index else
                          np.where(annotation == davis.VOID, 0, annotation).astype(np.uint8))
                davis.write_labels(self._path(index), labels)
        return len(todo)

    def _path(self, index):
        return self.output / f"{self.frames[index]}.png"

    def _labels(self, frame, objects, before, annotated):
        """Labels of a frame, uint8, H x W, from those of the frame before.

        annotated: pixels of the objects in the annotation.
        """
        score_maps = np.stack([
            planes.read_score_map(self.scores, frame, k, before.shape, self.maker)
            for k in objects])
        foreground = (np.ones(before.shape, bool) if self.foreground is None
                      else planes.read_foreground(self.foreground, frame, before.shape,
                                                  self.foreground_maker))
        return craf.label_frame(
            score_maps, objects, before, foreground, self.thresholds,
            filtering=self.filtering, recovery=self.recovery, annotated=annotated)

    def _recipe(self):
        return {"thresholds": astuple(self.thresholds), "steps": [self.filtering, self.recovery]}

    def _check_output(self):
        """Raises UserError where labels would be written over what they are made from."""
        inputs = {self.scores, self.foreground or self.scores, self.annotation.parent}
        if self.output.resolve() in {folder.resolve() for folder in inputs}:
            raise UserError(f"{self.output} has the input; give another folder with --output")

    def _is_done(self, index, objects, record):
        """Whether the labels of a frame are as they were made, or as somebody has drawn them."""
        making = self._making(index, objects)
        if record.is_done(*making):
            return True
        with suppress(UserError):  # of labels that cannot be read
            return (record.is_done(*making, edited=True)
                    and files.read_plane(self._path(index), "labels") is not None)
        return False

    def _making(self, index, objects):
        """([the labels of a frame], [what they are made from])."""
        frame = self.frames[index]
        masks = [self.foreground / f"{frame}.png"] if self.foreground else []
        return [self._path(index)], [self.annotation] if index == 0 else [
            self.annotation, self._path(index - 1),
            *(self.scores / f"{frame}_{k}.png" for k in objects), *masks]


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
    frames = frame_order.in_order({name[1] for name in names if name}, scores)
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


def check_refined(refined, frames, objects, masks=True):
    """Raises UserError where refined score maps are not those of what they are made from.

    refined    folder that refine_spn.py writes, with the record of how
    frames     paths of the video's images; of the first no map is needed
    objects    ids of its objects
    masks      whether the dilated foreground masks in `refined` are to be taken as well

    Maps in a folder without a record are of another maker: that they are there is enough.
    """
    record = done.Record(refined / done.NAME)
    for image in frames[1:]:
        for name in [*(f"{image.stem}_{k}.png" for k in objects),
                     *([f"{image.stem}.png"] if masks else [])]:
            path = refined / name
            made_from = [image, *record.inputs(path)[1:]]  # the data set may lie elsewhere now
            fault = (record.fault(path, made_from) if record.path.exists()
                     else None if path.is_file() else "is missing")
            if fault:
                raise UserError(f"refined {path} {fault}; {REFINE_AGAIN}")
