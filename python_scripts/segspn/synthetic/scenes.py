"""Synthetic videos with exact labels: textured figures that move over a textured background.

A scene is a pure function of (seed, index), size and number of objects; its
frames may be asked for in any order.  Colour and label of a pixel come from the
same coverage, which is measured on a finer grid: a pixel belongs to the
front-most object that covers at least half of it, else to the background (0).  Of the
background are also resting and passing figures, which look like objects.
"""

from functools import lru_cache

import cv2
import numpy as np

from segspn.errors import UserError
from segspn.synthetic import textures
from segspn.synthetic.actors import SUPERSAMPLING, draw, make_actor, outline, sent

SMALLEST, MOST_OBJECTS = 32, 20  # px a side; objects a scene
LEAST_AREA = 0.005  # of the frame that each object has in frame 0
TRIES, ROUNDS = 40, 8  # places that an object is tried at, casts that a scene is
MARGIN = 1.3  # the background's canvas, times the frame
SCENE, BACKGROUND, SENSOR = range(3)  # streams of random numbers


def generator(seed, index, *stream):
    """The random numbers of one purpose in one sequence."""
    return np.random.default_rng([seed, index, *stream])


class Scene:
    """One sequence: `objects` objects, 1, 2, …, in frames of `size` (height, width).

    Raises UserError where the objects find no place in the frame.
    """

    def __init__(self, seed, index, size=(240, 427), objects=2):
        check(size, objects)
        self.seed, self.index, self.size = seed, index, tuple(map(int, size))
        rng = generator(seed, index, SCENE)
        angle = rng.uniform(-np.pi, 0)
        self._sun = ((float(np.cos(angle)), float(np.sin(angle)), rng.uniform(0.2, 1.0)),
                     (-0.25 * float(np.cos(angle)), rng.uniform(0.05, 0.25),
                      float(rng.choice([0, 0.25, 0.5]))))
        self._background, ramps = self._make_background(generator(seed, index, BACKGROUND))
        self.actors = self._cast(rng, objects, ramps)  # front-most first
        self.identities = [int(k) for k in rng.permutation(objects) + 1]
        self.passers = [make_actor(rng, self.size, self.size[0] * self.size[1]
                                   * rng.uniform(0.005, 0.06), ramps, self._sun)
                        for _ in range(rng.integers(0, 3))]  # behind all, they count as background
        self._camera = rng.uniform(0.01, 0.06, 4), rng.uniform(0, 6.3, 4)
        self._shake = rng.uniform(0, 1, 4) * (0.09, 0.09, 0.03, 0.04)
        self._gain = rng.uniform(0, 0.18), rng.uniform(0.03, 0.3), rng.uniform(0, 6.3)
        self._cast_of_light = rng.normal(0, 0.05, 3)
        self._slope = rng.normal(0, 0.15, 2)
        detail = min(self.size) / 240
        self._blur = float(rng.uniform(0.3, 0.4 + 0.45 * detail))
        self._sensor = float(rng.uniform(0.5, 5))

    def _make_background(self, rng):
        """(canvas uint8 larger than the frame, colours): layers, clutter on them, out of focus."""
        size = tuple(int(extent * MARGIN) + 2 for extent in self.size)
        canvas, ramps = textures.background(rng, size, min(size) * rng.uniform(0.08, 0.3))
        canvas = canvas.astype(np.float32)
        for _ in range(rng.integers(0, 14)):
            area = size[0] * size[1] * np.exp(rng.uniform(np.log(0.002), np.log(0.05)))
            draw(canvas, make_actor(rng, size, area, ramps, self._sun), 0, 2)
        if rng.random() < 0.45:
            canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 1.6) * min(self.size) / 240)
        return canvas.astype(np.uint8), ramps

    def _cast(self, rng, objects, ramps):
        """The actors, front-most first.  Raises UserError where there is no place for them."""
        most = min(0.25, 0.6 / objects)
        for _ in range(ROUNDS):
            actors, taken = [], np.zeros(self.size, bool)
            while len(actors) < objects:
                actor, own = self._placed(rng, taken, most, ramps)
                if actor is None:
                    break
                actors.append(actor)
                taken |= own
            else:
                return actors
            most = max(most * 0.8, 3 * LEAST_AREA)
        raise UserError(f"{objects} objects found no place in a frame of "
                        f"{self.size[0]}x{self.size[1]}; ask for fewer, or a larger size")

    def _placed(self, rng, taken, most, ramps):
        """(actor, its pixels) with enough of it to be seen in frame 0; (None, None) if in vain.

        taken: bool H x W, pixels of those before it.  most: share of the frame.
        """
        pixels = taken.size
        for attempt in range(TRIES):
            if attempt % 8 == 0:
                share = np.exp(rng.uniform(np.log(2.2 * LEAST_AREA), np.log(most)))
                actor = make_actor(rng, self.size, share * pixels, ramps, self._sun)
            else:
                actor = sent(rng, actor, self.size)
            own = outline(actor, self.size)
            if (own & ~taken).sum() >= max(LEAST_AREA * pixels, 0.5 * own.sum()):
                return actor, own
        return None, None

    def _backdrop(self, number):
        """The background as the camera sees it: float32, H x W x 3."""
        height, width = self.size
        sways = np.sin(self._camera[1] + self._camera[0] * number) * self._shake
        rows, columns = self._background.shape[:2]
        view = cv2.getRotationMatrix2D((columns / 2, rows / 2), np.degrees(sways[2]),
                                       1 + sways[3])
        view[:, 2] += sways[:2] * (width, height) - ((columns - width) / 2, (rows - height) / 2)
        return cv2.warpAffine(self._background, view, (width, height), flags=cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_REFLECT).astype(np.float32)

    def _filmed(self, image, number):
        """`image` in the light of the moment, through lens and sensor: uint8."""
        depth, pace, lag = self._gain
        beat = np.sin(lag + pace * number)
        across = [np.linspace(-1, 1, extent, dtype=np.float32) for extent in self.size]
        field = (1 + float(self._slope[0]) * across[0][:, None]
                 + float(self._slope[1]) * across[1][None])
        image = image * (field * np.float32(1 + depth * beat))[..., None]
        image *= (1 + self._cast_of_light * beat).astype(np.float32)
        image = cv2.GaussianBlur(image, (0, 0), self._blur)
        rng = generator(self.seed, self.index, SENSOR, number)
        image += self._sensor * rng.standard_normal(image.shape, np.float32)
        return np.clip(image + 0.5, 0, 255).astype(np.uint8)

    def frame(self, number, supersampling=SUPERSAMPLING):
        """(image uint8 H x W x 3 BGR, labels uint8 H x W) of a frame, 0, 1, …"""
        image = self._backdrop(number)
        labels = np.zeros(self.size, np.uint8)
        for actor in self.passers:
            draw(image, actor, number, supersampling)
        for actor, identity in zip(reversed(self.actors), reversed(self.identities)):
            drawn = draw(image, actor, number, supersampling)
            if drawn:
                (left, top, right, bottom), cover = drawn
                labels[top:bottom, left:right][cover >= 0.5] = identity
        return self._filmed(image, number), labels


@lru_cache(maxsize=4)
def scene(seed, index, size=(240, 427), objects=2):
    """A Scene, kept for the next frames of it."""
    return Scene(seed, index, size, objects)


def frame(seed, index, number, size=(240, 427), objects=2):
    """(image uint8 H x W x 3 BGR, labels uint8 H x W) of one frame of one sequence."""
    return scene(seed, index, tuple(size), objects).frame(number)


def check(size, objects):
    """Raises UserError for a size or a number of objects that no scene can have."""
    if min(size) < SMALLEST or max(size) > 4096:
        raise UserError(f"size must be from {SMALLEST} to 4096 px a side, not {size[0]}x{size[1]}")
    if not 1 <= objects <= MOST_OBJECTS:
        raise UserError(f"objects must be from 1 to {MOST_OBJECTS}, not {objects}")
