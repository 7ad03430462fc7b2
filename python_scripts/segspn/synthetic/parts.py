"""The parts of figures that move: blobs and limbs, and how they are filled.

A figure is a list of parts, in a frame of its own: lengths in
units of about half its extent, x to the right, y down.  Later parts lie on
earlier ones.  A part is painted (coverage, tone, mix): tone 128 leaves the
colour as it is, mix chooses between two textures; a hole is (0, 0, 0).
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

HOLE = (0, 0, 0)
BITS = 6  # of the fraction of a coordinate that OpenCV is given
STEPS = 20  # a limb
ROUND = np.linspace(0, 2 * np.pi, 72, endpoint=False)
DISC = np.stack([np.cos(ROUND[::3]), np.sin(ROUND[::3])], axis=1)


@dataclass(frozen=True)
class Blob:
    """A closed curve about a centre: radii, times 1 + waves (height, number, lag)."""

    centre: tuple
    radii: tuple
    paint: tuple
    angle: float = 0.0
    waves: tuple = ()
    wobble: float = 0.0  # how much the waves breathe
    spikes: float = 0.0  # exponent that makes narrow peaks of the waves
    parent: int | None = None  # the part that `centre` is an offset to
    at: float = 1.0

    def polygons(self, phase, place, thinnest):
        """(polygons, centre line) at a phase of the movement; see figure_polygons()."""
        factor = np.ones_like(ROUND)
        for height, number, lag in self.waves:
            wave = np.cos(number * ROUND + lag)
            if self.spikes:
                wave = 2 * ((wave + 1) / 2) ** self.spikes - 1
            factor += height * (1 + self.wobble * np.sin(phase + lag)) * wave
        curve = np.stack([np.cos(ROUND), np.sin(ROUND)], 1) * self.radii
        turned = (curve * factor[:, None]) @ rotation(self.angle).T
        centre = place[0] + np.asarray(self.centre)
        return [centre + turned], np.stack([centre, centre])


@dataclass(frozen=True)
class Limb:
    """A tapering strip along a line that bends, swings, has a knee, and waves."""

    root: tuple
    angle: float  # radians, relative to the parent's line where there is one
    length: float
    widths: tuple  # from root to end
    paint: tuple
    bend: float = 0.0
    knee: float = 0.0
    swing: float = 0.0
    wave: float = 0.0
    lag: float = 0.0
    parent: int | None = None
    at: float = 1.0  # where on the parent's line, 0..1

    def polygons(self, phase, place, thinnest):
        """(polygons, centre line) at a phase of the movement; see figure_polygons()."""
        origin, heading = place
        s = np.linspace(0, 1, STEPS)
        beat = np.sin(phase + self.lag)
        angles = (heading + self.angle + self.swing * beat + self.bend * s
                  + self.wave * s * np.sin(5 * s - phase + self.lag)
                  + self.knee * (1 + 0.5 * np.cos(phase + self.lag)) * np.clip(8 * s - 3.5, 0, 1))
        ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        line = origin + np.asarray(self.root) + np.cumsum(ways, 0) * (self.length / STEPS)
        widths = np.interp(s, np.linspace(0, 1, len(self.widths)), self.widths)
        half = np.maximum(widths, thinnest)[:, None] / 2
        normal = np.stack([-ways[:, 1], ways[:, 0]], axis=1) * half
        left, right = line + normal, line - normal
        # Piece by piece: as one polygon, a limb that meets itself would have holes.
        strip = [np.stack([left[i], left[i + 1], right[i + 1], right[i]])
                 for i in range(STEPS - 1)]
        return [*strip, line[0] + DISC * half[0], line[-1] + DISC * half[-1]], line


def rotation(angle):
    """The 2 x 2 matrix of a turn."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def figure_polygons(parts, phase, thinnest=0.0):
    """Yields (polygon N x 2, paint), back to front.

    phase: of the movement, in radians.  thinnest: no limb gets narrower, in units.
    """
    lines = []
    for part in parts:
        place = (np.zeros(2), 0.0)
        if part.parent is not None:
            line = lines[part.parent]
            spot = round(part.at * (len(line) - 1))
            way = line[min(spot + 1, len(line) - 1)] - line[max(spot - 1, 0)]
            place = (line[spot], float(np.arctan2(way[1], way[0])))
        polygons, line = part.polygons(phase, place, thinnest)
        lines.append(line)
        for polygon in polygons:
            yield polygon, part.paint


def fill(canvas, polygon, paint, supersampling):
    """Fills a polygon, N x 2 in pixels of the frame, on a canvas that many times finer."""
    points = np.round((polygon * supersampling - 0.5) * (1 << BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [points], paint, lineType=cv2.LINE_8, shift=BITS)


@dataclass
class Kit:
    """Makes the parts of one figure."""

    rng: np.random.Generator
    parts: list = field(default_factory=list)

    def number(self, low, high):
        return float(self.rng.uniform(low, high))

    def paint(self, mix=None):
        """A paint with a tone around the middle; `mix` of the textures 0, 1, or between."""
        mix = self.rng.choice([0, 0, 0.5, 1]) if mix is None else mix
        return (255, int(np.clip(self.rng.normal(128, 20), 60, 200)), int(255 * mix))

    def blob(self, centre, radii, paint=None, rough=0.06, **more):
        """Adds a blob with some random waves; its number."""
        waves = tuple((self.number(0, rough), k, self.number(0, 6.3)) for k in (2, 3, 4, 5))
        self.parts.append(Blob(centre, radii, paint or self.paint(),
                               **{"waves": waves, "wobble": 0.6, **more}))
        return len(self.parts) - 1

    def limb(self, root, angle, length, widths, paint=None, **more):
        """Adds a limb; its number."""
        self.parts.append(Limb(root, angle, length, widths, paint or self.paint(), **more))
        return len(self.parts) - 1
