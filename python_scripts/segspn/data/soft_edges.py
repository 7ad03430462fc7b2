"""Soft edges of a mask, back to hard ones.

Interpolation, antialiasing and feathered brushes leave rims between the regions of a mask, of
values on the way from one to the other; JPEG leaves noise around values.  Values that fill a
3 x 3 block somewhere are strong, and pixels in no such block thin.  A thin pixel of a soft
border is given to that one of its strong values to which its own is nearer.  Hard masks
have thin parts as well, and keep them: a border is soft where much of it is rim.
"""

import itertools

import cv2
import numpy as np
from scipy import ndimage

NEAR = 8  # levels: how far noise of JPEG and the ends of feathers are from their value
OFF = 0.3  # of the way between two values: how far from it those of a rim may be
MANY = 10  # values: so many are in no hard mask's rims
WIDE = 9  # px: so wide is no end of a feather
FEW = 3  # values: so many are not between the same two by chance
SPECK, CORNER = 3, 8  # px: of noise, of rims where three regions meet
MOST_STRONG = 32  # more take long, and masks of so many objects are not drawn
EIGHT = np.ones((3, 3), np.uint8)  # neighbours


def hardened(plane, values):
    """(plane without soft edges, numbers of the values that its rims were between).

    plane: int, H x W, numbers of values; values: float, n x channels, from 0 to 255.
    What may be something else than a rim stays; a plane without rims is as it was.
    """
    solid = blocks(plane)
    strong = np.unique(plane[solid])
    if not 2 <= len(strong) <= MOST_STRONG or 2 * np.count_nonzero(solid) < plane.size:
        return plane, []
    hard = _Borders(plane, values, strong, solid).hardened()
    if len(np.setdiff1d(plane[hard != plane], strong)) > MANY:
        strong = _apart(plane, values, strong)
        if strong is None:
            return plane, []
        hard = _Borders(plane, values, strong, solid & np.isin(plane, strong)).hardened()
    hard = _without_specks(hard, values, strong)
    beside = cv2.dilate((hard != plane).astype(np.uint8), EIGHT) > 0
    return hard, np.intersect1d(hard[beside], strong).tolist()


def blocks(plane, side=3):
    """bool, H x W: the pixels in blocks of one value that are `side` px wide and high."""
    block = np.ones((side, side), np.uint8)
    plane = plane.astype(np.float32)  # exact, and what OpenCV erodes
    inside = cv2.erode(plane, block) == cv2.dilate(plane, block)
    return cv2.dilate(inside.astype(np.uint8), block) > 0


def _place(values, start, end):
    """Of values, n x channels: (how far on the way, how far off it), in lengths of the way."""
    way = end - start
    t = np.clip((values - start) @ way / (way @ way), 0, 1)
    return t, np.linalg.norm(values - start - t[:, None] * way, axis=1) / np.linalg.norm(way)


def _apart(plane, values, strong):
    """The strong values of a mask with feathers or noise, which have blocks of their own.

    None where a value may be either: wide and near another, or small and between two; or
    where one is left.
    """
    counts = np.bincount(plane.ravel(), minlength=len(values))
    wide = np.unique(plane[blocks(plane, WIDE)])
    kept = []
    for k in strong[np.argsort(-counts[strong])]:
        if all(np.abs(values[k] - values[m]).max() > NEAR for m in kept):
            kept.append(k)
        elif k in wide:
            return None
    for k in np.setdiff1d(kept, wide):
        for a, b in itertools.combinations(np.setdiff1d(kept, k), 2):
            if _place(values[[k]], values[a], values[b])[1] <= OFF / 2:
                return None
    return np.sort(kept) if len(kept) > 1 else None


class _Borders:
    """The thin pixels of a plane, n of them, and the strong values around each."""

    def __init__(self, plane, values, strong, solid):
        self.plane, self.values, self.strong = plane, values, strong
        self.thin = ~solid
        self.own = plane[self.thin]
        self.is_new = ~np.isin(self.own, strong)  # of values that are nowhere strong
        labels, self.blobs = ndimage.label(self.thin, EIGHT)
        self.blob = labels[self.thin] - 1
        far = np.array([cv2.distanceTransform((self.thin | (plane != k)).astype(np.uint8),
                                              cv2.DIST_L2, 3)[self.thin] for k in strong])
        # Near is what the other side of a rim may be, and is beside this one.
        self.near = far <= 2 * far.min(axis=0).max(initial=0) + 2
        for near, distances in zip(self.near, far):
            near &= np.isin(self.blob, self.blob[distances < 2])

    def hardened(self):
        """The plane with the pixels of soft borders given to their strong values."""
        result, is_between, soft = self.own.copy(), np.zeros(len(self.own), bool), []
        for a, b, at, t in self._between():
            is_between[at] = True
            if self._is_soft(a, b, at, t):
                soft.append((a, b))
                result[at] = self.strong[np.where(t < 0.5, a, b)]
        in_soft = np.isin(self.blob, self.blob[result != self.own])
        self._give_lines(result, soft, np.flatnonzero(~is_between))
        self._give_corners(result, in_soft)
        plane = self.plane.copy()
        plane[self.thin] = result
        return plane

    def _place(self, a, b, at):
        return _place(self.values[self.own[at]], *self.values[self.strong[[a, b]]])

    def _between(self):
        """[(a, b, pixels, places on the way)], each pixel once, of pairs of strong values."""
        places = self.values[self.strong]  # of an odd palette some are of one colour
        pairs = [(a, b) for a, b in itertools.combinations(range(len(places)), 2)
                 if (places[a] != places[b]).any()]
        best, place = np.full(len(self.own), OFF), np.zeros(len(self.own))
        pair = np.full(len(self.own), -1)
        for number, (a, b) in enumerate(pairs):
            at = np.flatnonzero(self.near[a] & self.near[b])
            t, off = self._place(a, b, at)
            is_best = off < best[at]
            at = at[is_best]
            best[at], place[at], pair[at] = off[is_best], t[is_best], number
        for number in np.unique(pair[pair >= 0]):
            at = np.flatnonzero(pair == number)
            yield *pairs[number], at, place[at]

    def _is_soft(self, a, b, at, t):
        """Whether the border of two values is, by its rim, and by where they touch nevertheless."""
        a, b = self.strong[[a, b]]
        contacts = sum(np.count_nonzero((one == a) & (other == b) | (one == b) & (other == a))
                       for one, other in ((self.plane[1:], self.plane[:-1]),
                                          (self.plane[:, 1:], self.plane[:, :-1])))
        rim = at[(t > 0) & (t < 1)]
        new = self.own[rim][self.is_new[rim]]
        return len(np.unique(new)) >= FEW or 4 * len(new) > contacts or len(rim) > 4 * contacts

    def _give_lines(self, result, soft, left):
        """Gives thin parts that have one value of a soft pair near, as antialiased lines have."""
        best, total = np.zeros(self.blobs), np.bincount(self.blob[left], minlength=self.blobs)
        for a, b in soft:
            at = left[self.near[a][left] | self.near[b][left]]
            t, off = self._place(a, b, at)
            fits, blob = off <= OFF, self.blob[at]
            away = np.where(self.near[a][at], t, 1 - t)  # from the value that is near
            peak = np.zeros(self.blobs)
            np.maximum.at(peak, blob, away)
            share = np.bincount(blob[fits], minlength=self.blobs) / np.maximum(total, 1)
            is_line = peak >= 1 - OFF
            take = fits & (share > best)[blob] & (is_line[blob] | (away <= OFF))
            result[at[take]] = self.strong[np.where(t < 0.5, a, b)[take]]
            best[is_line] = np.maximum(best, share)[is_line]

    def _give_corners(self, result, in_soft):
        """Gives the few pixels of rims where three regions meet to the nearest in value."""
        left = np.zeros(self.plane.shape, bool)
        left[self.thin] = self.is_new & (result == self.own) & in_soft
        parts = ndimage.label(left, EIGHT)[0]
        is_small = (np.bincount(parts.ravel()) <= CORNER)[parts[self.thin]]
        at = np.flatnonzero(left[self.thin] & is_small & self.near.any(axis=0))
        off = np.linalg.norm(self.values[self.strong][:, None] - self.values[self.own[at]], axis=2)
        off[~self.near[:, at]] = np.inf
        result[at] = self.strong[off.argmin(axis=0)]


def _without_specks(plane, values, strong):
    """The plane without values of a few scattered pixels, all near a strong one: noise.

    Only where the strong ones are far apart, as ids that are near each other are not.
    """
    levels = values[strong]
    result = plane.copy()
    if min(np.abs(a - b).max() for a, b in itertools.combinations(levels, 2)) <= 4 * NEAR:
        return result
    for k in np.setdiff1d(plane, strong):
        off = np.abs(levels - values[k]).max(axis=1)
        sizes = np.bincount(ndimage.label(plane == k, EIGHT)[0].ravel())[1:]
        if off.min() <= NEAR and len(sizes) >= 3 and sizes.max() <= SPECK:
            result[plane == k] = strong[off.argmin()]
    return result
