"""Training samples of the refinement nets: crops of images, coarse maps and labels.

param_str of the layer, a Python literal (relative paths count from python_scripts/):

    {'sources': ('../data/DAVIS/ImageSets/2017/train.txt', '../data/synthetic'),
     'exclude': ('dog',), 'coarse': ('../results/ResNetF_perobj_3000',),
     'size': (128, 128), 'batch': 8, 'seed': 0}

sources   folders in DAVIS layout (every frame that has an annotation), or image
          lists in one; each source is drawn from equally often
exclude   sequences that are left out, for testing
video     the first frame of this sequence alone, for fine-tuning to a video
coarse    folders of real score maps, <sequence>/<frame>_<object>.png: half of the
          crops take theirs from there where there is one, all others simulate it
"""

import hashlib
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from segspn import done, files
from segspn.caffenet.net_input import net_input
from segspn.data import davis, morphology, planes
from segspn.errors import UserError
from segspn.training import augment, simulated_scores
from segspn.training.samples import check_names, checked_size, parse_parameters

MARGIN = 32  # px around a crop that its coarse map is simulated with
FRAMES_IN_MEMORY = 512  # decoded, with their annotations: 1.6 MB each at 480 x 854
SCALE, ANGLE, SHEAR = (0.6, 1.7), 25, 0.15  # of the random warp; degrees
MOST_DRAWS = 1000  # of frames without any object, one after the other
IN_BORDER = 0.85  # share of the crops whose centre is near the object's border


def davis_root(path):
    """The folder in DAVIS layout that a file is in, or None."""
    return next((p for p in path.parents if (p / "JPEGImages").is_dir()), None)


def annotated_frames(source):
    """[(frame, annotation)] of a folder in DAVIS layout, or of a list in one.

    Raises UserError where there is none.
    """
    path = files.PYTHON_SCRIPTS / source
    if path.is_file():
        root = davis_root(path.resolve())
        if root is None:
            raise UserError(f"list {path} is in no folder that has JPEGImages")
        return davis.Davis(root).listed(path.resolve())
    data = davis.Davis(path)
    pairs = [(frame, annotated[frame.stem]) for sequence in data.sequences()
             for annotated in [data.annotated(sequence)] for frame in data.frames(sequence)
             if frame.stem in annotated]
    if not pairs:
        raise UserError(f"{data.root} has no annotated frame")
    return pairs


@lru_cache(FRAMES_IN_MEMORY)
def read_pair(frame, annotation):
    return davis.Davis.pair(frame, annotation)


@lru_cache(FRAMES_IN_MEMORY)
def border_of(frame, annotation, k):
    """Pixels at the border of object k: int, n x 2, (x, y)."""
    labels = read_pair(frame, annotation)[1]
    mask = (labels == k).astype(np.uint8)
    rows, columns = np.nonzero(morphology.near_other(mask, 1))
    return np.stack([columns, rows], 1).astype(np.int32)


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
        empty = [s for s, pairs in zip(self.parameters["sources"], self.sources) if not pairs]
        if empty:
            video = self.parameters["video"]
            raise UserError(f"{empty[0]} has no annotated first frame of {video}" if video
                            else f"param_str: all of {empty[0]} is excluded")

    def is_wanted(self, frame):
        """Whether a frame is one to train on."""
        video, sequence = self.parameters["video"], frame.parent.name
        if video:
            return sequence == video and frame.stem == "00000"
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
            pairs = self.sources[rng.integers(len(self.sources))]
            paths = pairs[rng.integers(len(pairs))]
            image, labels = read_pair(*paths)
            objects = davis.objects_of(labels)
            if objects:
                k = objects[rng.integers(len(objects))]
                matrix = self.draw_warp(rng, labels.shape, border_of(*paths, k))
                return self.warped(rng, image, labels, k, matrix, self.real_coarse(rng, paths, k))
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
            probability = simulated_scores.simulate(rng, mask, others)[cut]
        else:
            probability = cv2.warpAffine(real, matrix, size, **mirrored)[cut] / np.float32(255)
        return net_input(augment.recoloured(rng, crop)), probability[None], label[None]

    def real_coarse(self, rng, paths, k):
        """A score map of object k of this frame, uint8 H x W, or None to simulate it."""
        folders = self.parameters["coarse"]
        if not folders or rng.integers(2):
            return None
        frame = paths[0]
        name = Path(frame.parent.name) / f"{frame.stem}_{k}.png"
        found = [path for folder in folders
                 if (path := files.PYTHON_SCRIPTS / folder / name).is_file()]
        if not found:
            return None
        path = found[rng.integers(len(found))]
        return read_score_map(path.parent, frame.stem, k, read_pair(*paths)[1].shape)

    def fingerprint(self):
        """Bytes that differ where the samples of two runs would."""
        paths = [[path for pair in pairs for path in pair] for pairs in self.sources]
        paths += [sorted((files.PYTHON_SCRIPTS / folder).glob("*/*_*.png"))
                  for folder in self.parameters["coarse"]]
        # A coarse map is found by the names of video and frame.
        names = [[f"{path.parent.name}/{path.name}" for path in group] for group in paths]
        given = {name: value for name, value in self.parameters.items() if name not in self.places}
        return hashlib.sha256(repr((given, names)).encode()).digest() + b"".join(
            map(done.digest_of, paths))


read_score_map = lru_cache(FRAMES_IN_MEMORY)(planes.read_score_map)
