"""The files of an evaluation: what must be there, and whether all of it matches."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import files
from segspn.data import annotations as annotated_frames
from segspn.data import davis
from segspn.errors import UserError, count, refuse

CHUNK = 8  # frames or files a task


@dataclass(frozen=True)
class SequenceFiles:
    """What a sequence is evaluated from: all its annotations, and results of what counts."""

    sequence: str
    annotations: tuple[Path, ...]
    results: tuple[Path, ...]
    learned: tuple[str, ...] = ()  # names of annotated frames, where others than the first
    objects: int = 0
    is_binary: bool = False  # annotations are masks (davis.are_masks)

    def pairs(self):
        """[(annotation, result)] of the frames that count."""
        annotation_of = {path.stem: path for path in self.annotations}
        return [(annotation_of[result.stem], result) for result in self.results]

    def defining(self):
        """The annotations that say which objects there are."""
        learned = [path for path in self.annotations if path.stem in self.learned]
        return learned or self.annotations[:1]

    def read_annotation(self, path):
        """Object ids, uint8, H x W; 255 is void, also where a frame has nothing else."""
        return davis.read_ids(path, self.is_binary)


def found_files(results, root, sequences, annotated=annotated_frames.FIRST):
    """[SequenceFiles], objects not counted yet.  Raises UserError for what is missing.

    annotated: as of annotations.chosen().
    """
    annotations = root / davis.ANNOTATIONS
    for folder, what in (results, "results"), (annotations, "annotations"):
        files.check_link(folder)
        if not folder.is_dir():
            raise UserError(f"folder of {what} {folder} does not exist")
    names = [davis.checked_sequence(name, "sequence") for name in sequences]
    if not names:
        raise UserError("there are no sequences to evaluate")
    found, problems = [], [f"sequence {name} is named {names.count(name)} times"
                           for name in dict.fromkeys(names) if names.count(name) > 1]
    for name in names:
        paths = files.images_in(annotations / name, ".png")
        problems += [f"annotations {pair} in {annotations / name} are of one frame"
                     for pair in files.twins(paths)]
        images = files.images_in(root / davis.IMAGES / name)
        stems = {path.stem for path in paths}
        problems += [f"annotation {annotations / name / image.stem}.png is missing"
                     for image in images if paths and image.stem not in stems]
        learned = learned_from(root, name, annotated)
        stems = counting([path.stem for path in paths], learned)
        problems.append(too_short(name, len(paths), len(stems)) if paths else
                        f"sequence {name} has no annotations in {annotations}")
        found.append(SequenceFiles(name, tuple(paths), tuple(
            results / name / f"{stem}.png" for stem in stems), learned))
        problems += ([f"result {path} is missing" for path in found[-1].results
                      if not path.is_file()] if (results / name).is_dir()
                     else [f"results of sequence {name} are missing: no folder {results / name}"])
    refuse(problems)
    return found


def learned_from(data, sequence, annotated):
    """Names of the annotated frames of a choice; () for the first one.  Raises UserError.

    data: a davis.Davis, or its root.
    """
    if annotated == annotated_frames.FIRST:
        return ()
    data = data if isinstance(data, davis.Davis) else davis.Davis(data)
    return tuple(annotated_frames.chosen(data, sequence, annotated))


def counting(frames, learned=()):
    """Those of the names of all frames that count: not first and last, nor any learned from."""
    return [frame for frame in frames[1:-1] if frame not in learned]


def checked_files(found, run):
    """`found` with their objects, once every file is read.  Raises UserError where any is unfit."""
    paths = [(path, what) for owner in found for what, paths in
             (("annotation", owner.annotations), ("result", owner.results)) for path in paths]
    tasks = list(chunks(paths))
    seen = {}
    with tqdm(total=len(paths), desc="check", unit="file", dynamic_ncols=True,
              leave=False) as bar:
        for chunk, looks in zip(tasks, run(_inspect_files, tasks)):
            seen.update(zip((path for path, _ in chunk), looks))
            bar.update(len(chunk))
    problems = [look for look in seen.values() if isinstance(look, str)]
    counted = [_counted(owner, seen) for owner in found]
    for owner in counted:
        looks = [seen[path] for path in owner.annotations]
        if any(isinstance(look, str) for look in looks):
            continue
        problems.append(without_objects(owner.sequence, owner.objects, owner.learned))
        problems += [misfit(result, seen[result][0], max(seen[result][1]),
                             seen[annotation][0], owner.objects, owner.learned)
                     for annotation, result in owner.pairs() if not isinstance(seen[result], str)]
    refuse(problems)
    return counted


def _counted(owner, seen):
    """SequenceFiles with the number of its objects, from what was seen in its annotations.

    It is the greatest id but 255 of the first, as in the official evaluation, or of those that
    were learned from.
    """
    looks = [seen[path] for path in owner.annotations]
    if any(isinstance(look, str) for look in looks):
        return owner
    is_binary = davis.are_masks(owner.annotations, {k for _, ids in looks for k in ids})
    ids = [k for path in owner.defining() for k in seen[path][1]]
    objects = int(davis.VOID in ids) if is_binary else davis.number_of_objects(ids)
    return replace(owner, objects=objects, is_binary=is_binary)


def too_short(sequence, frames, left):
    """What is wrong with a sequence of so many annotated frames, `left` of which count, or None."""
    also = " and those that were learned from" if frames > 2 else ""
    return None if left else (
        f"sequence {sequence} has {count(frames, 'annotated frame')}: without the "
        f"first and the last{also} there is none to evaluate")


def without_objects(sequence, objects, learned=()):
    """What is wrong with a sequence of so many objects, or None."""
    return None if objects else (f"{defining_words(learned)} of sequence {sequence} has no object "
                                 "(no id above 0)")


def misfit(name, shape, highest, expected, objects, learned=()):
    """What is wrong with a result of this shape and highest id, or None."""
    if shape != expected:
        return (f"result {name} is {shape[1]}x{shape[0]}, its annotation "
                f"{expected[1]}x{expected[0]}; they must be of one size")
    return (f"result {name} has id {highest}, but {defining_words(learned)} of its sequence "
            f"{count(objects, 'object')}") if highest > objects > 0 else None


def defining_words(learned=()):
    """The annotations that say which objects there are, in words."""
    return f"what was learned from ({', '.join(learned)})" if learned else "the first annotation"


def chunks(items):
    """The items in lists of CHUNK."""
    return [items[start:start + CHUNK] for start in range(0, len(items), CHUNK)]


def _inspect_files(paths):
    """A (shape, ids) for each (path, what), or the problem of one that cannot be read."""
    looks = []
    for path, what in paths:
        try:
            plane = files.read_plane(path, what)
            looks.append((plane.shape, np.flatnonzero(np.bincount(plane.ravel())).tolist()))
        except UserError as error:
            looks.append(str(error))
    return looks
