"""Click assist: an outline becomes a mask by GrabCut, a rough mask a sharp one by our net.

Rother, Kolmogorov, Blake: GrabCut (SIGGRAPH 2004), as OpenCV has it; and the refinement by
spatial propagation of segspn.method.refine.  Both get a frame and hints, and give the pixels of
the object.
"""

import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import get_context

import cv2
import numpy as np

from segspn.data import davis, morphology
from segspn.errors import UserError

# Hints, a value a pixel: nothing is known; inside the outline; of another object; of this one.
NOTHING, INSIDE, OTHER, OWN = range(4)
MOST_CUT, MOST_SNAPPED = 150_000, 420_000  # px that are worked on; larger parts are scaled down
ROUNDS = 5  # of GrabCut
CORE = 0.3  # what is deeper in a box than this share of its half width begins as the object
SMOOTHING = 0, 25, 3  # of cv2.bilateralFilter: texture goes, borders stay
SPECK = 0.02  # parts, and holes, smaller than this share of the largest part go

_grabcut = threading.Lock()  # its random numbers are OpenCV's, which have one seed


def window(inside, margin):
    """(rows, columns), slices around what is true in `inside`, with a margin.

    margin: a share of its height and width, on each side; at least 16 px.
    """
    def extent(axis):
        found = np.flatnonzero(inside.any(axis=axis))
        first, last = int(found[0]), int(found[-1]) + 1
        more = max(16, round(margin * (last - first)))
        return slice(max(0, first - more), min(inside.shape[1 - axis], last + more))
    return extent(1), extent(0)


def working_size(shape, most):
    """(height, width) of this shape, scaled down to `most` px where it has more."""
    factor = min(1, (most / (shape[0] * shape[1])) ** 0.5)
    return tuple(max(1, round(length * factor)) for length in shape)


def cut(frame, hints, is_box=False):
    """What stands out inside an outline: bool, H x W; what was drawn of the object stays.

    frame: uint8, H x W x 3 BGR.  hints: uint8, H x W.  Outside of the outline all is background.
    is_box: whether it is a box, in whose corners background is likely.

    Raises UserError where there is no outline, nothing around it, or nothing in it.
    """
    if not (hints == INSIDE).any():
        raise UserError("the outline has no free pixel in it; draw it around the object")
    part = window(hints == INSIDE, 0.4)
    near = hints[part]
    if np.isin(near, (INSIDE, OWN)).all():
        raise UserError("nothing is around the outline that could be background; draw it closer "
                        "around the object, or use the brush")
    size = working_size(near.shape, MOST_CUT)
    small = cv2.resize(near, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    found = _cut(davis.resized(frame[part], size), small, is_box)
    if not (found & (small == INSIDE)).any():
        raise UserError("nothing stands out inside this outline; draw it closer, brush some of the "
                        "object first, or use the polygon")
    result = hints == OWN
    found = enlarged(found.astype(np.float32), near.shape) > 0.5
    result[part] |= found & (near == INSIDE)
    return result


def _cut(image, hints, is_box):
    """bool: GrabCut's object, without specks."""
    known = np.array([cv2.GC_BGD, cv2.GC_PR_FGD, cv2.GC_BGD, cv2.GC_FGD], np.uint8)[hints]
    if is_box:
        depth = cv2.distanceTransform((hints == INSIDE).astype(np.uint8), cv2.DIST_L2, 5)
        known[(hints == INSIDE) & (depth < CORE * depth.max())] = cv2.GC_PR_BGD
    with _grabcut:
        cv2.setRNGSeed(0)
        image = cv2.bilateralFilter(image, *SMOOTHING)
        try:
            cv2.grabCut(image, known, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS,
                        cv2.GC_INIT_WITH_MASK)
        except cv2.error:  # too few pixels for its models of colours
            return hints == OWN
    found = np.isin(known, (cv2.GC_FGD, cv2.GC_PR_FGD))
    least = SPECK * largest_part(found)
    keep = without_specks(found, least, hints == OWN)
    return ~without_specks(~keep, least, hints != INSIDE)


def largest_part(mask):
    """px of the largest connected part of a bool mask; 0 for an empty one."""
    _, _, figures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return int(figures[1:, cv2.CC_STAT_AREA].max(initial=0))


def without_specks(mask, least, wanted):
    """A bool mask without the parts of fewer than `least` px that have nothing of `wanted`."""
    _, parts, figures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = figures[:, cv2.CC_STAT_AREA] >= least
    keep[np.unique(parts[wanted])] = True
    keep[0] = False
    return keep[parts]


def enlarged(plane, shape):
    """A float32 plane at a larger shape, smooth."""
    if plane.shape == tuple(shape):
        return plane
    return cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_CUBIC)


# ------------------------------------------------------------------------- snap

class Snapper:
    """Refines rough masks, in a process of its own: Caffe may die, and the page must not."""

    def __init__(self):
        self._pool, self._lock = None, threading.Lock()

    def __call__(self, frame, hints):
        """The object of a rough mask: bool, H x W.

        It stays near the mask, and out of other objects.  frame: uint8, H x W x 3 BGR; hints:
        uint8, H x W, OWN the rough mask.  Raises UserError.
        """
        rough = hints == OWN
        if not rough.any():
            raise UserError("nothing is drawn yet of this object; draw it roughly first")
        part = window(rough, 0.3)
        near = rough[part]
        size = working_size(near.shape, MOST_SNAPPED)
        mask = davis.resized(near.astype(np.float32), size)
        refined = self._refined(davis.resized(frame[part], size), softened(mask))
        refined[~vicinity(mask)] = 0
        result = np.zeros_like(rough)
        result[part] = (enlarged(refined, near.shape) > 0.5) & (hints[part] != OTHER)
        if not result.any():
            raise UserError("the net sees no object there; draw it a little more exactly")
        return result

    def _refined(self, image, scores):
        with self._lock:  # one at a time
            self._pool = self._pool or ProcessPoolExecutor(
                1, get_context("spawn"), initializer=_leave_interrupts)
            try:
                return self._pool.submit(_refine, image, scores).result()
            except BrokenProcessPool as error:
                self._pool = None
                raise UserError("the refinement net ended without a word; is memory short? "
                                "Try again, or draw without it") from error

    def close(self):
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def softness(mask):
    """px by which a rough mask (float32, H x W, in [0, 1]) may be wrong, by its area."""
    return max(2.0, min(8.0, 0.06 * float(np.sqrt(mask.sum()))))


def softened(mask):
    """A rough mask as the net knows coarse score maps: uint8, H x W, unsure along its border."""
    return np.rint(cv2.GaussianBlur(255 * mask, (0, 0), softness(mask))).astype(np.uint8)


def vicinity(mask):
    """bool, H x W: what is near enough to a rough mask to be of its object."""
    return cv2.dilate(mask, morphology.disk(round(3 * softness(mask)))) > 0.5


def _leave_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the page ends this process


def _refine(image, scores):
    """Probabilities, float32, H x W; in the process that has the net."""
    return _refiner(scores.shape)(image, scores[None])[0].copy()


@lru_cache(4)
def _refiner(shape):
    from segspn.caffenet import device  # which loads Caffe
    from segspn.method import refine

    device.use(None)
    return refine.Refiner(refine.SHIPPED, shape, objects=1)
