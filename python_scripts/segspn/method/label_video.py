"""From score maps and foreground masks on disk to label PNGs."""

import re
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import done, files
from segspn.data import annotations, davis, frame_order, planes
from segspn.errors import UserError
from segspn.method import craf

REFINE_AGAIN = "run refine_spn.py again, or take the score maps as they are with --coarse"


@dataclass(frozen=True)
class Segmentation:
    """A video to be labelled.

    frames       stems of all its frames, in order
    scores       folder of <frame>_<k>.png, 8-bit grey
    foreground   folder of <frame>.png, 0 outside the foreground; None: all is foreground
    annotations  {frame: PNG of object ids} of the annotated frames that are taken, in order
    output       folder of the <frame>.png to write
    complete     annotated frames in which what is not drawn is not there
    backward     whether objects are labelled before their first annotation, too
    maker, foreground_maker  the scripts that make score maps and masks, for error messages

    thresholds, filtering and recovery are those of craf.label_frame.

    An object is followed from its annotations: forward in time, or backward where the next
    annotation of it is nearer than the last one.  The filter then runs in both directions, in
    folders of these names below the output, and each object's labels are taken from the one that
    comes from the nearer annotation.
    """

    frames: list
    scores: Path
    foreground: Path | None
    annotations: dict
    output: Path
    complete: frozenset = frozenset()
    backward: bool = False
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
        said = self.read_annotations()
        self._check_output()
        runs_back = {k: self._runs_back(said, k) for k in said.objects}
        if not any(map(any, runs_back.values())):
            return Pass(self, said, self.output).run(force)
        passes = [Pass(self, said, self.output / name, step)
                  for name, step in (("forward", 1), ("backward", -1))]
        for one in passes:
            one.run(force)
        return self._join(passes, said, runs_back, force)

    def read_annotations(self):
        """The Annotations that are taken.  Raises UserError where they have no object."""
        said = annotations.Annotations({stem: davis.read_annotation(path) for stem, path
                                        in self.annotations.items()}, self.complete)
        if not said.objects:
            raise UserError(f"annotation {next(iter(self.annotations.values()))} is empty: it has "
                            "no object")
        return said

    def _runs_back(self, said, k):
        """Of each frame, whether an object's labels are those of the filter that runs back in time.

        None where the object has no labels.
        """
        saying, drawn = (np.array([self.frames.index(stem) for stem in stems])
                         for stems in (said.saying(k), said.drawing(k)))
        begins, found = self.frames.index(said.first(k)), []
        for index in range(len(self.frames)):
            # From a frame in which it is not there, nothing can be followed back.
            before, after = index - saying[saying <= index], drawn[drawn >= index] - index
            is_nearer = bool(len(after)) and bool(not len(before) or after.min() < before.min())
            found.append(is_nearer if index >= begins else True if self.backward else None)
        return found

    def _join(self, passes, said, runs_back, force):
        """Writes the labels of each object from the pass that is its own.  Returns how many."""
        record = done.Record(self.output / done.NAME, {
            **self.recipe(), "backward": self.backward, "passes": "nearer annotation"})
        todo = []
        for index, frame in enumerate(self.frames):
            product, inputs = self.output / f"{frame}.png", [
                *(one.path(index) for one in passes), *self.annotations.values(),
                *(self.scores / f"{frame}_{k}.png" for k in said.objects)]
            if force or not is_done(record, product, inputs):
                todo.append((index, product, inputs))
        for index, product, inputs in tqdm(todo, unit="frame", dynamic_ncols=True,
                                           desc=self.output.name):
            with record.making([product], inputs):
                both = [files.read_plane(one.path(index), "labels") for one in passes]
                chosen = {k: both[back] == k for k, row in runs_back.items()
                          for back in [row[index]] if back is not None}
                davis.write_labels(product, self._joined(index, chosen, both[0].shape))
        return len(todo)

    def _joined(self, index, chosen, shape):
        """Labels, uint8 H x W, of masks {k: bool, H x W}; of several, the greatest score's."""
        labels, best = np.zeros(shape, np.uint8), np.full(shape, -1, np.int16)
        is_contested = sum(mask.astype(np.uint8) for mask in chosen.values()) > 1
        for k, mask in chosen.items():
            scores = (planes.read_score_map(self.scores, self.frames[index], k, shape, self.maker)
                      if (mask & is_contested).any() else np.zeros(shape, np.uint8))
            wins = mask & (scores > best)
            labels[wins], best[wins] = k, scores[wins]
        return labels

    def recipe(self):
        """What decides the labels, beside the files that they are made from."""
        return {"thresholds": astuple(self.thresholds), "steps": [self.filtering, self.recovery],
                **({"complete": sorted(self.complete)} if self.complete else {})}

    def _check_output(self):
        """Raises UserError where labels would be written over what they are made from."""
        inputs = {self.scores, self.foreground or self.scores,
                  *(path.parent for path in self.annotations.values())}
        if self.output.resolve() in {folder.resolve() for folder in inputs}:
            raise UserError(f"{self.output} has the input; give another folder with --output")


class Pass:
    """The filter in one direction: each frame's labels from those of the one before.

    video   Segmentation
    said    its annotations
    output  folder of the <frame>.png to write
    step    1 forward in time, -1 backward
    """

    def __init__(self, video, said, output, step=1):
        self._video, self._said, self._output = video, said, output
        self._frames = video.frames[::step]  # "before" and "after" are of this order
        self._anchors = sorted(map(self._frames.index, said.frames))
        self._shape = next(iter(said.ids.values())).shape
        self._sizes = {stem: {k: np.count_nonzero(ids == k) for k in davis.objects_of(ids)}
                       for stem, ids in said.ids.items()}

    def run(self, force=False):
        """As Segmentation.run()."""
        record = done.Record(self._output / done.NAME, self._video.recipe())
        count = len(self._frames)
        start = 0 if force else next((index for index in range(count)
                                      if not self._is_done(index, record)), None)
        if start is None:
            return 0
        labels = np.zeros(self._shape, np.uint8) if start == 0 else planes.of_shape(
            files.read_plane(self._path(start - 1), "labels"), self._shape, self._path(start - 1))
        for index in range(start, count):  # all of them before the first label
            planes.check_maps(self._video.scores, self._mask_folder(index), self._frames[index],
                              self._filtered(index), self._shape,
                              (self._video.maker, self._video.foreground_maker))
        for index in tqdm(range(start, count), unit="frame", dynamic_ncols=True,
                          desc=self._output.name):
            with record.making(*self._making(index)):
                labels = self._labels(index, labels)
                davis.write_labels(self._path(index), labels)
        return count - start

    def path(self, index):
        """The labels of a frame of the video."""
        return self._output / f"{self._video.frames[index]}.png"

    def _path(self, index):
        return self._output / f"{self._frames[index]}.png"

    def _taken(self, index):
        """The annotated frames that decide over a frame's labels, in order of the pass."""
        return [self._frames[anchor] for anchor in self._anchors if anchor <= index]

    def _filtered(self, index):
        """Objects that were annotated before, and are not drawn in this frame."""
        stem, taken = self._frames[index], self._taken(index)
        if stem in self._said.complete and stem in self._sizes:
            return []
        return [k for k in self._said.objects if any(k in self._sizes[one] for one in taken)
                and k not in self._sizes.get(stem, ())]

    def _labels(self, index, before):
        """Labels of a frame, uint8, H x W, from those of the frame before."""
        labels, objects = np.zeros(self._shape, np.uint8), self._filtered(index)
        if objects:
            labels = self._found(index, objects, before)
        drawn = self._said.ids.get(self._frames[index])
        if drawn is not None:
            is_object = (drawn > 0) & (drawn != davis.VOID)
            labels[is_object] = drawn[is_object]
        return labels

    def _found(self, index, objects, before):
        """Labels of these objects by CRAF."""
        video, frame = self._video, self._frames[index]
        score_maps = np.stack([
            planes.read_score_map(video.scores, frame, k, self._shape, video.maker)
            for k in objects])
        folder = self._mask_folder(index)
        foreground = np.ones(self._shape, bool) if folder is None else planes.read_foreground(
            folder, frame, self._shape, video.foreground_maker)
        return craf.label_frame(
            score_maps, objects, before, foreground, video.thresholds, filtering=video.filtering,
            recovery=video.recovery, annotated=[self._size(index, k) for k in objects])

    def _size(self, index, k):
        """Pixels of an object in the last annotation before a frame that has it."""
        return next(self._sizes[stem][k] for stem in reversed(self._taken(index))
                    if k in self._sizes[stem])

    def _mask_folder(self, index):
        return self._video.foreground if self._filtered(index) else None

    def _making(self, index):
        """([the labels of a frame], [what they are made from])."""
        video, frame, objects = self._video, self._frames[index], self._filtered(index)
        drawn = [video.annotations[stem] for stem in self._taken(index)]
        masks = [video.foreground / f"{frame}.png"] if self._mask_folder(index) else []
        before = [self._path(index - 1)] if objects else []
        return [self._path(index)], [
            *drawn, *before, *(video.scores / f"{frame}_{k}.png" for k in objects), *masks]

    def _is_done(self, index, record):
        """Whether the labels of a frame are as they were made, or as somebody has drawn them."""
        [product], inputs = self._making(index)
        return is_done(record, product, inputs)


def is_done(record, product, inputs):
    """Whether labels are as they were made, or as somebody has drawn them."""
    if record.is_done([product], inputs):
        return True
    with suppress(UserError):  # of labels that cannot be read
        return (record.is_done([product], inputs, edited=True)
                and files.read_plane(product, "labels") is not None)
    return False


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
    frames     paths of the images whose maps are needed
    objects    ids of its objects
    masks      whether the dilated foreground masks in `refined` are to be taken as well

    Maps in a folder without a record are of another maker: that they are there is enough.
    """
    record = done.Record(refined / done.NAME)
    for image in frames:
        for name in [*(f"{image.stem}_{k}.png" for k in objects),
                     *([f"{image.stem}.png"] if masks else [])]:
            path = refined / name
            made_from = [image, *record.inputs(path)[1:]]  # the data set may lie elsewhere now
            fault = (record.fault(path, made_from) if record.path.exists()
                     else None if path.is_file() else "is missing")
            if fault:
                raise UserError(f"refined {path} {fault}; {REFINE_AGAIN}")
