"""A small video with score maps on disk, and its labels by the rules as they are written."""

from fractions import Fraction

import numpy as np

from segspn import files
from segspn.data import davis
from segspn.method import craf, label_video
from tests.support import literal_regions as literal
from tests.support.frames import names_in

SIZE = (24, 32)
LIMITS = {"lost_pixels": 20, "region_share": "0.5"}  # the published ones, but for frames so small


class Video:
    """Score maps and foreground of some frames with objects 1 and 3, on disk.

    Objects move, scores are noisy, and object 3 is faint in frame 2: it is lost there,
    and recovered.
    """

    frames = ["00000", "00001", "00002", "00003", "00004"]

    def __init__(self, folder):
        self.folder, rng = folder, np.random.default_rng(0)
        self.annotation_path = folder / "first/00000.png"
        self.annotation = self.drawn(0)
        self.annotation[0:2, 0:9] = 255
        davis.write_labels(self.annotation_path, self.annotation)
        self.scores, self.masks = {}, {}
        for index, frame in enumerate(self.frames[1:], 1):
            self.masks[frame] = rng.random(SIZE) < 0.9
            files.write_image(self.mask(frame), self.masks[frame].astype(np.uint8) * 255)
            for k in (1, 3):
                noise = rng.integers(0, 200, SIZE) * (rng.random(SIZE) < 0.2)
                strength = 60 if (index, k) == (2, 3) else 180
                scores = np.maximum(strength * (self.drawn(index) == k), noise)
                self.scores[frame, k] = scores.astype(np.uint8)
                files.write_image(self.path(frame, k), self.scores[frame, k])
        self.output = folder / "labels"
        self.task = label_video.Segmentation(
            frames=self.frames, scores=folder / "scores", foreground=folder / "fgbg",
            annotations={self.frames[0]: self.annotation_path}, output=self.output,
            thresholds=craf.Thresholds(lost_pixels=20, region_share=0.5))

    @staticmethod
    def drawn(index):
        labels = np.zeros(SIZE, np.uint8)
        labels[3 + index:12 + index, 4:13] = 1
        labels[8:18, 18 + index:26 + index] = 3
        return labels

    def path(self, frame, k):
        return self.folder / f"scores/{frame}_{k}.png"

    def mask(self, frame):
        return self.folder / f"fgbg/{frame}.png"

    def expected(self, limits=LIMITS, masks=True, seen=None, **steps):
        """Labels of all frames, by the rules as they are written."""
        limits = {name: Fraction(value) for name, value in limits.items()}
        labels = [np.where(self.annotation == 255, 0, self.annotation)]
        for frame in self.frames[1:]:
            inside = self.masks[frame] if masks else np.ones(SIZE, bool)
            labels.append(np.array(literal.label_frame(
                [self.scores[frame, k] for k in (1, 3)], [1, 3], labels[-1], inside, limits,
                seen=seen, **steps)))
        return labels

    def labels(self, output=None):
        return [davis.read_annotation((output or self.output) / f"{f}.png") for f in self.frames]

    def contents(self, output=None):
        """{name: bytes} of the labels."""
        return {name: ((output or self.output) / name).read_bytes()
                for name in names_in(output or self.output)}

    def times(self):
        return {name.removesuffix(".png"): (self.output / name).stat().st_mtime_ns
                for name in names_in(self.output)}
