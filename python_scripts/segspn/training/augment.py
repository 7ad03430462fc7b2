"""Augmentation of a frame and its masks by one affine warp, with the 2017 release's parameters.

Random numbers are a function of (seed, iteration): a run that resumes at an
iteration sees what the uninterrupted run would have seen.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from segspn.errors import UserError


@dataclass(frozen=True)
class Augmentation:
    """The release's parameters, (3000, 0.05, 5, 0.1, 0.1, 1), in its order.

    untouched  the frame stays as it is with probability 1 / (untouched + 1)
    scale      factor 1 + U(-scale, scale)
    rotate     angle U(-rotate, rotate), degrees
    shift_x    U(-shift_x, shift_x) of the width
    shift_y    U(-shift_y, shift_y) of the height
    flip       1: mirrored left to right with probability 1/2; 0: never
    """

    untouched: int
    scale: float
    rotate: float
    shift_x: float
    shift_y: float
    flip: int

    @classmethod
    def parse(cls, values):
        """From six numbers.  Raises UserError where they make no augmentation."""
        if not isinstance(values, (tuple, list)) or len(values) != 6 or not all(
                isinstance(v, (int, float)) and 0 <= v < 2**31 for v in values):
            raise UserError("augmentation must be six non-negative numbers, as "
                            f"(3000, 0.05, 5, 0.1, 0.1, 1), not {values!r}")
        if values[1] >= 1:
            raise UserError(f"augmentation: scale must be below 1, not {values[1]}")
        if values[0] % 1 or values[5] not in (0, 1):
            raise UserError("augmentation: the first of the six must be whole and the last "
                            f"0 or 1, not {values[0]} and {values[5]}")
        return cls(int(values[0]), *values[1:5], int(values[5]))

    def draw(self, rng, height, width):
        """A random warp, float64 2 x 3: pixel (x, y, 1) of the source to (x, y) of the sample."""
        if rng.integers(self.untouched + 1) == 0:
            return np.eye(2, 3)
        factor = 1 + rng.uniform(-self.scale, self.scale)
        angle = np.deg2rad(rng.uniform(-self.rotate, self.rotate))
        shift = (rng.uniform(-self.shift_x, self.shift_x) * width,
                 rng.uniform(-self.shift_y, self.shift_y) * height)
        mirrored = bool(self.flip) and rng.integers(2) == 1
        return affine(factor, angle, shift, mirrored, height, width)


def affine(factor, angle, shift, mirrored, height, width):
    """Scale and rotate (radians, anticlockwise) about the centre, shift (pixels), mirror."""
    cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    linear = np.array([[cosine, sine], [-sine, cosine]])
    offset = centre + shift - linear @ centre
    matrix = np.hstack([linear, offset[:, None]])
    if mirrored:
        matrix[0] = -matrix[0]
        matrix[0, 2] += width - 1
    return matrix


def generator(seed, iteration):
    """The random numbers of one iteration."""
    return np.random.default_rng([seed, iteration])


def warp(image, masks, matrix, size=None):
    """Image (uint8, H x W x 3) and masks (each bool, H x W) under one warp.

    size: (height, width) of the results; that of the image where None.  All are interpolated
    bilinearly, masks then cut at one half; beyond the border all are mirrored, so that they
    agree there and no edge appears.
    """
    if size is None and np.array_equal(matrix, np.eye(2, 3)):
        return image, masks
    size = size[::-1] if size else image.shape[1::-1]
    options = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT_101}
    # A mask as 0 and 255 with 8-bit interpolation: above 127 is one half or more.
    return cv2.warpAffine(image, matrix, size, **options), [
        cv2.warpAffine(mask.astype(np.uint8) * 255, matrix, size, **options) > 127
        for mask in masks]


def share_of(mask, void):
    """The share of a mask (bool, H x W) in the pixels that are not void."""
    return np.count_nonzero(mask & ~void) / max(mask.size - np.count_nonzero(void), 1)


def class_balance(mask, void, share=None):
    """float32 H x W: at a pixel of class c, 1 - (pixels of class c) / (all pixels).

    0 at void pixels, which count for neither class.  share: of the mask, where it is to be another
    than it has.
    """
    foreground = share_of(mask, void) if share is None else share
    weight = np.where(mask, np.float32(1 - foreground), np.float32(foreground))
    weight[void] = 0
    return weight


def recoloured(rng, image, strength=1.0):
    """A BGR image (uint8) in other light: gamma, contrast, a cast, saturation, blur, noise.

    strength: 1 for strong changes, 0 for none.
    """
    values = np.arange(256, dtype=np.float64) / 255
    curve = values ** np.exp(strength * rng.normal(0, 0.3))
    mean = curve[round(float(cv2.mean(image)[1]))]
    curve = mean + (curve - mean) * np.exp(strength * rng.normal(0, 0.2))
    casts = np.exp(strength * rng.normal(0, 0.12, 3))
    curves = curve[:, None] * casts + strength * rng.normal(0, 0.05)
    table = np.rint(np.clip(curves, 0, 1) * 255).astype(np.uint8)
    saturation = 1 + strength * rng.uniform(-0.6, 0.4) if rng.random() > 0.1 * strength else 0
    grey = (1 - saturation) / 3 * np.ones((3, 3)) + saturation * np.eye(3)
    image = cv2.transform(cv2.LUT(image, table[None]), grey)
    if rng.random() < 0.25 * strength:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.4 * strength:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, 15))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image
