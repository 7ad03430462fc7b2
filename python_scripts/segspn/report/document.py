"""What a report shows of a sequence: its pictures, layer by layer, its figures and trainings."""

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segspn import files
from segspn.data import annotations as annotated_frames
from segspn.data import davis, importing, planes
from segspn.errors import UserError
from segspn.evaluation import davis2017, metrics, result_files
from segspn.report import html_page, notes
from segspn.report import pictures as pictures

SCORES = {"scores": "infer_test_perobj.py", "refined": "refine_spn.py"}  # layers an object


@dataclass(frozen=True)
class Sources:
    """Where the parts of a report are; each folder but `data` has a folder a sequence.

    data         davis.Davis, for the frames
    labels       <frame>.png, indexed or grey, object ids
    annotations  <frame>.png, ground truth; those of `data` where None.  J and F are
                 those of segspn.evaluation.davis2017: objects are 1 to the greatest id of
                 the first annotation, and void is background
    scores       <frame>_<k>.png, 8-bit grey; refined: as much
    foreground   <frame>.png, 0 outside the foreground
    models       *_log.csv of the trainings
    annotated    frames that were learned from, as of annotations.chosen().  If not the first,
                 they are marked, and J and F of them are in no figure
    objects      ids of the objects whose maps and trainings are shown; () for all that there are
    """

    data: davis.Davis
    labels: Path
    annotations: Path | None = None
    scores: Path | None = None
    refined: Path | None = None
    foreground: Path | None = None
    models: Path | None = None
    annotated: str | list = annotated_frames.FIRST
    objects: tuple = ()

    def folder(self, what, sequence):
        """The folder of a sequence, None where it was not given."""
        root = getattr(self, what) or (self.data.annotations if what == "annotations" else None)
        return root and root / sequence


class Sequence:
    """One sequence of a report.  Raises UserError where it has no frames or no labels."""

    def __init__(self, sources, name):
        self.name = davis.checked_sequence(name, "sequence")
        self._frames = sources.data.frames(name)
        self._stems = [path.stem for path in self._frames]
        self._data = sources.data
        self._learned = result_files.learned_from(sources.data, name, sources.annotated)
        self._counting = set(result_files.counting(self._stems, self._learned))
        self._folders = {what: sources.folder(what, name) for what in (
            "labels", "annotations", "scores", "refined", "foreground", "models")}
        self._labels = self._planes("labels")
        if not self._labels:
            raise UserError(f"there are no labels (.png) of {name} in {self._folders['labels']}; "
                            "run segment_instances.py on the sequence first")
        self._truth = self._planes("annotations")
        self._foreground = self._planes("foreground")
        self._wanted = sources.objects
        self._score_ids = {kind: self._objects_with(kind) for kind in SCORES}
        self._shape = files.read_image(self._frames[0]).shape[:2]
        self._check_sizes()
        self._are_masks = davis.are_masks(self._truth.values())
        self._measured = self._objects_to_measure()
        self._values = {k: {"J": [], "F": []} for k in range(1, self._measured + 1)}
        self._objects = set().union(self._values, *self._score_ids.values())

    def _planes(self, what):
        """{frame: path} of the <frame>.png that are there."""
        folder = self._folders[what]
        found = {path.stem: path for path in files.images_in(folder, ".png")} if folder else {}
        return {stem: found[stem] for stem in self._stems if stem in found}

    def _check_sizes(self):
        """Raises UserError where a picture is of another size than the first frame."""
        maps = [self._folders[kind] / f"{stem}_{k}.png" for kind, ids in self._score_ids.items()
                for k in ids for stem in self._stems]
        for path in [*self._frames, *self._truth.values(), *self._labels.values(),
                     *self._foreground.values(), *filter(Path.is_file, maps)]:
            planes.check_size(path, self._shape)

    def _objects_with(self, kind):
        """Objects that have a score map of at least one frame."""
        folder = self._folders[kind]
        names = [path.name for path in folder.glob("*_*.png")] if folder else []
        found = [re.fullmatch(r"(.+)_([1-9]\d*)\.png", name) for name in names]
        stems = set(self._stems)
        return sorted({k for k in (int(match[2]) for match in found if match and match[1] in stems)
                       if not self._wanted or k in self._wanted})

    def _objects_to_measure(self):
        """How many: none unless there is truth of a frame that counts."""
        if self._counting.isdisjoint(self._truth):
            return 0
        if self._learned:
            return max(davis.number_of_objects(davis.read_annotation(
                self._data.annotation(self.name, stem))) for stem in self._learned)
        first = next(iter(self._truth.values()))
        return davis.number_of_objects(davis.read_ids(first, self._are_masks))

    def left_out(self):
        """What was asked for but is not there, for the user: [text]."""
        missing = {"foreground": self._foreground, **self._score_ids}
        notes = [f"no {what} in {self._folders[what]}" for what, found in missing.items()
                 if self._folders[what] and not found]
        absent = len(self._stems) - len(self._labels)
        return [*notes, *([f"{absent} frames have no labels"] if absent else [])]

    def pictures(self):
        """{layer: [bytes or None, one a frame]}, and remembers J and F on the way."""
        size = pictures.shown_size(self._shape)
        rows = [self._layers(path, size)
                for path in tqdm(self._frames, unit="frame", dynamic_ncols=True, desc=self.name)]
        names = {name: None for row in rows for name in row}
        return {name: [row.get(name) for row in rows] for name in names}

    def _layers(self, path, size):
        """{layer: bytes} of one frame."""
        frame, stem = files.read_image(path), path.stem
        planes.of_shape(frame[..., 0], self._shape, path)
        layers = {"frame": pictures.frame_jpeg(frame, size)}
        if stem in self._foreground:
            mask = planes.read_foreground(self._folders["foreground"], stem, self._shape)
            layers["foreground"] = pictures.foreground_png(mask, size)
        for kind, maker in SCORES.items():
            for k in self._score_ids[kind]:
                if (self._folders[kind] / f"{stem}_{k}.png").is_file():
                    scores = planes.read_score_map(self._folders[kind], stem, k, self._shape, maker)
                    layers[f"{kind}-{k}"] = pictures.scores_png(scores, size)
        labels = self._ids(self._labels, stem)
        truth = self._ids(self._truth, stem, self._are_masks)
        for kind, ids in ("labels", labels), ("truth", truth):
            if ids is not None:
                self._objects.update(davis.objects_of(ids))
                layers[kind] = pictures.labels_png(ids, size)
        if self._measured and labels is not None and truth is not None:
            layers["errors"] = pictures.errors_png(labels, truth, size)
        self._measure(labels, truth)
        return layers

    def _ids(self, paths, stem, are_masks=False):
        """Object ids of a frame, uint8, H x W; None where it has none."""
        path = paths.get(stem)
        return path and planes.of_shape(davis.read_ids(path, are_masks), self._shape, path)

    def _measure(self, labels, truth):
        """Adds J and F of a frame, None where labels or ground truth are missing."""
        are_there = labels is not None and truth is not None
        measured = (davis2017.measure(truth, labels, self._measured).T if are_there
                    else [(None, None)] * self._measured)
        for row, pair in zip(self._values.values(), measured):
            for name, value in zip("JF", pair):
                row[name].append(value)

    def facts(self, layers):
        """What the page has to know, as JSON can hold it.  layers: the names of its pictures."""
        height, width = pictures.shown_size(self._shape)
        found = [name.partition("-") for name in layers if name != "frame"]
        return {
            "name": self.name, "frames": self._stems, "width": width, "height": height,
            "annotated": [self._stems.index(stem) for stem in self._learned],
            "correct": importing.make_command("annotate", self._data.root, self.name),
            "objects": [{"id": k, "colour": pictures.hexadecimal(pictures.colour(k))}
                        for k in sorted(self._objects)],
            "layers": [{"kind": kind, "object": int(k) if k else None} for kind, _, k in found],
            "curves": [{"object": k, **{name: notes.numbers(row)
                                        for name, row in values.items()}}
                       for k, values in self._values.items()],
            "figures": list(filter(None, map(self._figures, self._values))),
            "trainings": self._trainings()}

    def _trainings(self):
        """Those of the objects that are shown; corrections where there are frames for them."""
        folder = self._folders["models"]
        found = notes.trainings(folder, self.name) if folder else []
        others = {f"object {k}" for k in self._wanted}
        return [one for one in found for what, _, corrected in [one["name"].partition(", ")]
                if (not self._wanted or what in others or not what.startswith("object "))
                and (not corrected or len(self._learned) > 1)]

    def _figures(self, k):
        """Statistics of object k over the frames that count; None where it has none."""
        values = {name: [value for stem, value in zip(self._stems, row)
                         if stem in self._counting and value is not None]
                  for name, row in self._values[k].items()}
        if not values["J"]:
            return None
        j, f = (list(metrics.statistics(values[name])) for name in "JF")
        return {"object": k, "frames": len(values["J"]), "values": [(j[0] + f[0]) / 2, *j, *f]}


def mean_figures(sequences):
    """The mean of the figures of all objects of all sequences; None where there are none."""
    rows = [row["values"] for sequence in sequences for row in sequence["figures"]]
    return np.mean(rows, 0).tolist() if rows else None


def write(path, title, sources, names, timings=(), commands=(), note=print):
    """Writes the report of the sequences `names`.  Returns {layer: bytes before base64}.

    timings: [(step, seconds)].  commands: [(what, command line)].  note: is told
    what of the folders given is not there.  Raises UserError for bad input.
    """
    sizes = {}

    def sequences():
        for sequence in [Sequence(sources, name) for name in names]:
            for text in sequence.left_out():
                note(f"{sequence.name}: {text}")
            layers = sequence.pictures()
            for name, row in layers.items():
                kind = name.partition("-")[0]
                sizes[kind] = sizes.get(kind, 0) + sum(map(len, filter(None, row)))
            yield sequence.facts(layers), layers

    def facts(known):
        return {"made": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"), "sequences": known,
                "mean": mean_figures(known), "legend": pictures.legend(),
                "window": notes.WINDOW,
                "timings": list(timings), "commands": list(commands),
                "versions": notes.versions()}

    html_page.write(path, title, sequences(), facts)
    return sizes
