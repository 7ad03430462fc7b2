"""Figures in their skins, that move over a frame: where they are, and how they are drawn."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from segspn import files  # noqa: F401  (OpenCV threads)
from segspn.synthetic import figures, textures
from segspn.synthetic.parts import figure_polygons, fill, rotation

SUPERSAMPLING = 4  # of the grid that coverage is measured on
THINNEST = 1.8  # px, the least width of a limb
SKIN = 3.2  # units across a skin, which lies about the middle of its figure


@dataclass(frozen=True)
class Actor:
    """A figure with its textures and its movement; lengths in px, times in frames."""

    parts: list
    skins: tuple  # two textures, uint8, T x T x 3, SKIN units across
    scale: float  # px a unit
    middle: tuple  # x, y of the path
    travel: tuple  # px that its swing reaches to either side, x and y
    pace: tuple  # radians a frame: path, turn, growth, limbs
    lag: tuple  # radians at frame 0, of the same
    turn: float  # radians
    sway: float  # radians that it turns to either side
    growth: float  # logarithm of the scale that it grows by
    mirrored: bool
    light: tuple  # x, y, depth of the shading
    shadow: tuple  # x, y in units, darkness

    def pose(self, number):
        """(2 x 3 map from units to px of the frame, phase of the limbs) at a frame."""
        path, sway, growth, phase = (lag + pace * number for lag, pace in zip(self.lag, self.pace))
        place = np.add(self.middle, np.multiply(self.travel, np.sin(path)))
        scale = self.scale * np.exp(self.growth * (np.sin(growth) - np.sin(self.lag[2])))
        turned = rotation(self.turn + self.sway * np.sin(sway)) * scale
        if self.mirrored:
            turned = turned @ np.diag([-1.0, 1.0])
        return np.column_stack([turned, place]), phase


def polygons_of(actor, number):
    """[(polygon N x 2 in px, paint)] of an actor at a frame, back to front."""
    to_frame, phase = actor.pose(number)
    scale = np.sqrt(abs(np.linalg.det(to_frame[:, :2])))
    return [(polygon @ to_frame[:, :2].T + to_frame[:, 2], paint) for polygon, paint
            in figure_polygons(actor.parts, phase, THINNEST / scale)]


def box_of(polygons, size, margin):
    """(left, top, right, bottom) in px around polygons, inside the frame; None if empty."""
    points = np.concatenate([polygon for polygon, _ in polygons])
    low = np.maximum(np.floor(points.min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + margin, (size[1], size[0]))
    return (*low, *high) if (low < high).all() else None


def measured(polygons, box, supersampling):
    """Shares of the pixels of a box: float32 H x W x 3, of coverage, tone and mix."""
    left, top, right, bottom = map(int, box)
    width, height = right - left, bottom - top
    canvas = np.zeros((height * supersampling, width * supersampling, 3), np.uint8)
    for polygon, paint in polygons:
        fill(canvas, polygon - (left, top), paint, supersampling)
    cells = canvas.astype(np.float32)
    shares = cv2.resize(cells, (width, height), interpolation=cv2.INTER_AREA)
    return shares.astype(np.float32) / np.float32((255, 128, 255))


def shaded(cover, radius, light):
    """Brightness, H x W, of a body that bulges where `cover` is thick; 1 on the average."""
    shade = np.ones_like(cover)
    for sigma, share in ((radius * 0.3, 1.0), (max(radius * 0.05, 1), 0.5)):
        step = max(1, int(sigma / 3))
        small = cv2.resize(cover, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA) \
            if min(cover.shape) > 2 * step else cover
        height = cv2.GaussianBlur(small, (0, 0), max(sigma / step, 0.5))
        slope = -(light[0] * cv2.Sobel(height, cv2.CV_32F, 1, 0)
                  + light[1] * cv2.Sobel(height, cv2.CV_32F, 0, 1)) * (sigma / step / 8)
        shade += share * light[2] * cv2.resize(slope, cover.shape[::-1])
    return np.clip(shade, 0.3, 1.7)


def dressed(actor, to_frame, box):
    """The two skins of an actor as they lie in a box of the frame: float32, H x W x 3 each."""
    left, top, right, bottom = map(int, box)
    side = actor.skins[0].shape[0]
    to_unit = np.array([[SKIN / side, 0, -SKIN / 2], [0, SKIN / side, -SKIN / 2], [0, 0, 1]])
    placed = (np.vstack([to_frame, (0, 0, 1)]) @ to_unit)[:2]
    placed[:, 2] -= (left, top)
    return [cv2.warpAffine(skin, placed, (right - left, bottom - top), flags=cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT).astype(np.float32)
            for skin in actor.skins]


def outline(actor, size, number=0):
    """Where an actor covers at least half of a pixel of a frame: bool, H x W."""
    mask = np.zeros(size, bool)
    polygons = polygons_of(actor, number)
    box = box_of(polygons, size, 0)
    if box:
        left, top, right, bottom = box
        mask[top:bottom, left:right] = measured(polygons, box, SUPERSAMPLING)[..., 0] >= 0.5
    return mask


def draw(image, actor, number, supersampling=SUPERSAMPLING):
    """Draws an actor onto `image` (float32, H x W x 3), its shadow before it.

    Returns (box, coverage): left, top, right, bottom, and float32 of that size;
    None where it is outside.
    """
    polygons = polygons_of(actor, number)
    to_frame, _ = actor.pose(number)
    radius = float(np.sqrt(abs(np.linalg.det(to_frame[:, :2]))))
    box = box_of(polygons, image.shape[:2], int(radius * 0.5) + 2)
    if box is None:
        return None
    left, top, right, bottom = box
    part = image[top:bottom, left:right]
    shares = measured(polygons, box, supersampling)
    cover = np.ascontiguousarray(shares[..., 0])
    if actor.shadow[2]:
        move = np.float32([[1, 0, actor.shadow[0] * radius], [0, 1, actor.shadow[1] * radius]])
        cast = cv2.warpAffine(cover, move, cover.shape[::-1])
        part *= 1 - actor.shadow[2] * cv2.GaussianBlur(cast, (0, 0), 0.5 + radius * 0.04)[..., None]
    skins = dressed(actor, to_frame, box)
    whole = np.maximum(cover, 1e-3)
    mix = (shares[..., 2] / whole)[..., None]
    tone = shares[..., 1] / whole * shaded(cover, radius, actor.light)
    colour = np.clip((skins[0] * (1 - mix) + skins[1] * mix) * tone[..., None], 0, 255)
    part += (colour - part) * cover[..., None]
    return box, cover


def unit_figure(rng):
    """(parts, area): a figure about the middle and the area that it covers, in square units."""
    parts = figures.figure(rng)
    polygons = [(polygon * 24 + 64, paint) for polygon, paint
                in figure_polygons(parts, 0.0, 0.05)]
    return parts, float(measured(polygons, (0, 0, 128, 128), 2)[..., 0].sum()) / 24 ** 2


def make_actor(rng, size, area, ramps, sun):
    """A random actor for a frame of `size`, that covers about `area` px.

    ramps: colours of the background, which it may wear as well.  sun: (light,
    shadow) of the scene.
    """
    parts, units = unit_figure(rng)
    scale = float(min(np.sqrt(area / units), 0.7 * min(size)))
    actor = Actor(
        parts=parts, skins=tuple(make_skin(rng, scale, ramps) for _ in range(2)), scale=scale,
        middle=(0, 0), travel=(0, 0),
        pace=tuple(rng.uniform((0.02, 0.02, 0.02, 0.1), (0.08, 0.09, 0.06, 0.45))),
        lag=tuple(rng.uniform(0, 6.3, 4)),
        turn=float(rng.normal(0, 0.25) if rng.random() < 0.75 else rng.uniform(0, 6.3)),
        sway=float(rng.uniform(0, 0.3)), growth=float(rng.uniform(0, 0.2)),
        mirrored=bool(rng.random() < 0.5), light=sun[0], shadow=sun[1])
    return sent(rng, actor, size)


def sent(rng, actor, size):
    """The actor on another path, whose middle line never leaves the frame."""
    reach = rng.uniform((0.03, 0.02), (0.3, 0.15))
    middle = rng.uniform(0.07 + reach, 0.93 - reach)
    return replace(actor, middle=tuple(middle * size[::-1]), travel=tuple(reach * size[::-1]),
                   lag=(float(rng.uniform(0, 6.3)), *actor.lag[1:]))


def make_skin(rng, scale, ramps):
    """A texture for a figure of `scale` px a unit, perhaps patched with another: uint8."""
    side = int(np.clip(SKIN * scale, 16, 1500))
    first, second = (ramps[rng.integers(len(ramps))] if rng.random() < 0.25
                     else textures.colours(rng) for _ in range(2))
    grain = side * rng.uniform(0.04, 0.25)
    skin = textures.texture(rng, (side, side), grain, first)
    if rng.random() < 0.35:
        skin = textures.patched(rng, skin, textures.texture(rng, (side, side), grain, second))
    return skin
