"""Training samples of the refinement nets: crops of images, coarse maps and labels.

param_str of the layer, a Python literal (relative paths count from python_scripts/):

    {'sources': ('../data/DAVIS/ImageSets/2017/train.txt', '../data/synthetic'),
     'exclude': ('dog',), 'coarse': ('../results/ResNetF_perobj_3000',),
     'size': (128, 128), 'batch': 8, 'seed': 0}

sources   folders in DAVIS layout (every frame that has an annotation), folders of
          pairs (segspn.data.pairs), or lists in one; each source is drawn from equally often
exclude   sequences that are left out, for testing
video     the first frame of this sequence alone, for fine-tuning to a video
coarse    folders of real score maps, <folder of the frame>/<frame>_<object>.png: half of
          the crops take theirs from there where there is one, all others simulate it
"""

import hashlib
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from segspn import done, files
from segspn.caffenet.net_input import net_input
from segspn.data import davis, morphology, pairs, planes
from segspn.errors import UserError
from segspn.training import augment, simulated_scores
from segspn.training.samples import check_names, checked_size, parse_parameters

MARGIN = 32  # px around a crop that its coarse map is simulated with
IN_MEMORY = 8192  # frames, and score maps, all of them packed: some 50 to 150 KB each
SCALE, ANGLE, SHEAR = (0.6, 1.7), 25, 0.15  # of the random warp; degrees
MOST_DRAWS = 1000  # of frames without any object, one after the other
IN_BORDER = 0.85  # share of the crops whose centre is near the object's border


def davis_root(path):
    """The folder in DAVIS layout that a file is in, or None."""
    return next((p for p in path.parents if (p / "JPEGImages").is_dir()), None)


def pairs_root(path):
    """The folder of pairs that a file is in, or None."""
    return next((p for p in path.parents
                 if (p / pairs.IMAGES).is_dir() and (p / pairs.MASKS).is_dir()), None)


def opened(source):
    """(data set, list in it or None) of a source, a path as seen from python_scripts/.

    Raises UserError where it is neither a data set nor a list in one.
    """
    path = files.PYTHON_SCRIPTS / source
    if not path.is_file():
        return pairs.data_set(path), None
    path = path.resolve()
    root = davis_root(path) or pairs_root(path)
    if root is None:
        raise UserError(f"list {path} is in no folder that has JPEGImages, or images and masks")
    return pairs.data_set(root), path


def annotated_frames(source):
    """[(frame, annotation)] of a data set, or of a list in one.  Raises UserError."""
    data, listing = opened(source)
    if listing:
        return data.listed(listing)
    if isinstance(data, pairs.Pairs):
        return data.all()
    found = [(frame, annotated[frame.stem]) for sequence in data.sequences()
             for annotated in [data.annotated(sequence)] for frame in data.frames(sequence)
             if frame.stem in annotated]
    if not found:
        raise UserError(f"{data.root} has no annotated frame")
    return found


# ----------------------------------------------------- what is kept in memory

@dataclass(frozen=True)
class Packed:
    """A uint8 array, H x W, compressed; it unpacks in a tenth of the time that its file takes."""

    data: bytes
    shape: tuple

    @classmethod
    def of(cls, plane):
        return cls(zlib.compress(np.ascontiguousarray(plane), 1), plane.shape)

    def plane(self):
        return np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(self.shape)


@dataclass(frozen=True)
class Frame:
    """A frame and its annotation, checked when they were read.

    encoded  what the frame's file holds
    labels   Packed
    borders  {object: pixels at its border, int16, n x 2, (x, y)}
    """

    encoded: np.ndarray
    labels: Packed
    borders: dict

    @classmethod
    def read(cls, path, annotation, pair):
        """pair: that of the data set.  Raises UserError."""
        labels = pair(path, annotation)[1]
        return cls(np.fromfile(path, np.uint8), Packed.of(labels),
                   {k: border_of(labels, k) for k in davis.objects_of(labels)})

    def image(self):
        return cv2.imdecode(self.encoded, cv2.IMREAD_COLOR)


def border_of(labels, k):
    """Pixels at the border of object k: int16, n x 2, (x, y)."""
    rows, columns = np.nonzero(morphology.near_other((labels == k).astype(np.uint8), 1))
    return np.stack([columns, rows], 1).astype(np.int16)


read_frame = lru_cache(IN_MEMORY)(Frame.read)


@lru_cache(IN_MEMORY)
def read_score_map(folder, frame, k, shape):
    return Packed.of(planes.read_score_map(folder, frame, k, shape))


def without_void(mask, void):
    """The mask with those void pixels that are nearer to it than to the background.

    mask, void: bool, H x W.
    """
    if not (void.any() and mask.any()):
        return mask
    to_mask, to_background = (cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 3)
                              for part in (mask, ~(mask | void)))
    return mask | (void & (to_mask < to_background))


class RefinementCrops:
    """Crops around objects' borders, strongly augmented, as a function of (seed, iteration).

    Raises UserError for parameters that are not as expected, and for data that
    is missing or does not fit.
    """

    expected = {"sources": tuple, "exclude": (tuple, ()), "coarse": (tuple, ()), "video": (str, ""),
                "size": (tuple, (128, 128)), "batch": (int, 8), "seed": (int, 0)}
    places = ("sources", "coarse")

    def __init__(self, text):
        self.parameters = parse_parameters(text, self.expected)
        self.size, self.batch = checked_size(self.parameters["size"], 32), self.parameters["batch"]
        if self.batch < 1 or not 0 <= self.parameters["seed"] < 2**31:
            raise UserError("param_str: 'batch' must be at least 1, 'seed' from 0 to 2147483647")
        self.check_names()
        self.sources = [[pair for pair in annotated_frames(source) if self.is_wanted(pair[0])]
                        for source in self.parameters["sources"]]
        self._readers = [opened(source)[0].pair for source in self.parameters["sources"]]
        empty = [s for s, frames in zip(self.parameters["sources"], self.sources) if not frames]
        if empty:
            video = self.parameters["video"]
            raise UserError(f"{empty[0]} has no annotated first frame of {video}" if video
                            else f"param_str: all of {empty[0]} is excluded")

    def is_wanted(self, frame):
        """Whether a frame is one to train on."""
        video, sequence = self.parameters["video"], frame.parent.name
        if video:
            return sequence == video and frame.stem == davis.FRAME_0
        return sequence not in self.parameters["exclude"]

    def check_names(self):
        """Raises UserError where a name is no text, and for a missing folder of score maps."""
        check_names(self.parameters, "sources", "exclude", "coarse")
        if not self.parameters["sources"]:
            raise UserError("param_str: 'sources' must name at least one folder or list")
        for folder in self.parameters["coarse"]:
            if not (files.PYTHON_SCRIPTS / folder).is_dir():
                raise UserError(f"param_str: 'coarse' names {folder}, which is no folder")

    @property
    def shapes(self):
        """Of data, coarse and label."""
        return [(self.batch, 3, *self.size), *[(self.batch, 1, *self.size)] * 2]

    def sample(self, seed, iteration):
        """data (BGR minus mean), coarse (0 to 1) and label (0, 1; 255 counts for nothing)."""
        rng = augment.generator(seed, iteration)
        crops = [self.crop(rng) for _ in range(self.batch)]
        return [np.stack(arrays) for arrays in zip(*crops)]

    def crop(self, rng):
        """data, coarse and label of one crop; crops without any object are drawn again."""
        for _ in range(MOST_DRAWS):
            number = rng.integers(len(self.sources))
            frames = self.sources[number]
            paths = frames[rng.integers(len(frames))]
            frame = read_frame(*paths, self._readers[number])
            if frame.borders:
                k = [*frame.borders][rng.integers(len(frame.borders))]
                matrix = self.draw_warp(rng, frame.labels.shape, frame.borders[k])
                real = self.real_coarse(rng, paths[0], k, frame.labels.shape)
                return self.warped(rng, frame.image(), frame.labels.plane(), k, matrix, real)
        raise UserError(f"no object in {MOST_DRAWS} annotations drawn of "
                        f"{', '.join(self.parameters['sources'])}")

    def draw_warp(self, rng, shape, border):
        """float64 2 x 3, image to crop with margin: near the border of the object, or anywhere."""
        if len(border) and rng.random() < IN_BORDER:
            centre = border[rng.integers(len(border))] + rng.normal(0, 16, 2)
        else:
            centre = rng.random(2) * shape[::-1]
        factor = np.exp(rng.uniform(*np.log(SCALE)))
        angle = np.deg2rad(rng.uniform(-ANGLE, ANGLE))
        cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
        linear = np.array([[cosine, sine], [-sine, cosine]]) @ np.array(
            [[1, rng.uniform(-SHEAR, SHEAR)], [0, np.exp(rng.uniform(-SHEAR, SHEAR))]])
        if rng.integers(2):
            linear[:, 0] *= -1
        height, width = self.size
        target = np.array([(width - 1) / 2 + MARGIN, (height - 1) / 2 + MARGIN])
        return np.hstack([linear, (target - linear @ centre)[:, None]])

    def warped(self, rng, image, labels, k, matrix, real):
        """The crop that a warp cuts out."""
        size = self.size[1] + 2 * MARGIN, self.size[0] + 2 * MARGIN
        cut = (slice(MARGIN, -MARGIN),) * 2
        mirrored = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT_101}
        masks = [cv2.warpAffine(part.astype(np.uint8) * 255, matrix, size, **mirrored) > 127
                 for part in (labels == k, (labels > 0) & (labels != k) & (labels != davis.VOID),
                              labels == davis.VOID)]
        mask, others, void = masks
        crop = cv2.warpAffine(image, matrix, size, **mirrored)[cut]
        label = np.where(void, davis.VOID, mask)[cut].astype(np.float32)
        if real is None:
            mask = without_void(mask, void)
            probability = simulated_scores.simulate(rng, mask, others)[cut]
        else:
            probability = cv2.warpAffine(real, matrix, size, **mirrored)[cut] / np.float32(255)
        return net_input(augment.recoloured(rng, crop)), probability[None], label[None]

    def real_coarse(self, rng, frame, k, shape):
        """A score map of object k of this frame, uint8 H x W, or None to simulate it."""
        folders = self.parameters["coarse"]
        if not folders or rng.integers(2):
            return None
        name = Path(frame.parent.name) / f"{frame.stem}_{k}.png"
        found = [path for folder in folders
                 if (path := files.PYTHON_SCRIPTS / folder / name).is_file()]
        if not found:
            return None
        path = found[rng.integers(len(found))]
        return read_score_map(path.parent, frame.stem, k, shape).plane()

    def fingerprint(self):
        """Bytes that differ where the samples of two runs would."""
        paths = [[path for pair in frames for path in pair] for frames in self.sources]
        paths += [sorted((files.PYTHON_SCRIPTS / folder).glob("*/*_*.png"))
                  for folder in self.parameters["coarse"]]
        # A coarse map is found by the names of video and frame.
        names = [[f"{path.parent.name}/{path.name}" for path in group] for group in paths]
        given = {name: value for name, value in self.parameters.items() if name not in self.places}
        return hashlib.sha256(repr((given, names)).encode()).digest() + b"".join(
            map(done.digest_of, paths))
