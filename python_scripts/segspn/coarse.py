"""Simulated coarse maps: what a score map of stride 8 could look like, made from a mask.

Refinement is to learn from any image with a mask.  Real coarse maps lose thin
parts, have wavy borders that lie inside or outside the object's, leak into other
objects, and are smooth; so do these.
"""

import cv2
import numpy as np


def smooth_noise(rng, shape, sigma):
    """Noise of zero mean and unit variance, float32, H x W, correlated over about `sigma` px."""
    # Drawn on a grid of its own coarseness: cubic interpolation does the smoothing.
    grid = [max(2, round(length / sigma) + 3) for length in shape]
    noise = cv2.resize(rng.standard_normal(grid, np.float32), (4 * grid[1], 4 * grid[0]),
                       interpolation=cv2.INTER_CUBIC)
    noise = cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return (noise - noise.mean()) / max(float(noise.std()), 1e-6)


def disk(radius):
    """An elliptic structuring element of this radius in px."""
    side = 2 * int(radius) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def without_thin_parts(rng, mask):
    """Parts thinner than a random width are opened away in random regions of the mask."""
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disk(rng.integers(2, 14)))
    where = smooth_noise(rng, mask.shape, 40) > rng.uniform(-2, 0.5)
    return np.where(where, opened, mask)


def moved_border(rng, mask):
    """The mask grown or shrunk by some px, its border bent by a smooth displacement."""
    change = rng.integers(-5, 9)
    if change:
        operation = cv2.dilate if change > 0 else cv2.erode
        mask = operation(mask, disk(abs(change)))
    amplitude, sigma = rng.uniform(0, 7), rng.uniform(8, 32)
    rows, columns = np.indices(mask.shape, np.float32)
    return cv2.remap(mask, columns + amplitude * smooth_noise(rng, mask.shape, sigma),
                     rows + amplitude * smooth_noise(rng, mask.shape, sigma),
                     cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def with_patches(rng, probability):
    """Some smooth patches taken away from the map, or added to it."""
    for _ in range(rng.integers(0, 3)):
        noise = smooth_noise(rng, probability.shape, rng.uniform(16, 48))
        patch = 1 / (1 + np.exp(-4 * (noise - rng.uniform(1.2, 2.2))))
        strength = rng.uniform(0.3, 1)
        if rng.integers(3):
            probability = probability * (1 - strength * patch)
        else:
            probability = np.maximum(probability, strength * patch)
    return probability


def at_stride(rng, probability):
    """What a net of stride 8 (or of 16: one that works at half the size) makes of it.

    Area-averaged, noise on the log-odds, up again bilinearly, blurred.
    """
    height, width = probability.shape
    stride = rng.uniform(6, 17)
    grid = max(2, round(width / stride)), max(2, round(height / stride))
    small = cv2.resize(probability, grid, interpolation=cv2.INTER_AREA)
    small = np.clip(small, 0.02, 0.98)
    log_odds = np.log(small / (1 - small)) * rng.uniform(0.6, 2)
    log_odds += rng.normal(0, 0.7) + rng.uniform(0, 1) * rng.standard_normal(
        small.shape, np.float32)
    log_odds += rng.uniform(0, 1.2) * smooth_noise(rng, small.shape, 3)
    large = cv2.resize(log_odds.astype(np.float32), (width, height),
                       interpolation=cv2.INTER_LINEAR)
    large = cv2.GaussianBlur(large, (0, 0), rng.uniform(0.5, 4))
    return 1 / (1 + np.exp(-large))


def simulate(rng, mask, others=None):
    """A coarse probability map of an object: float32, H x W, in [0, 1].

    mask: bool, H x W.  others: bool, H x W, what it may be confused with.  At
    the borders the mask is taken to go on as it ends.
    """
    soft = mask.astype(np.uint8) * 255
    if rng.random() < 0.7:
        soft = without_thin_parts(rng, soft)
    soft = moved_border(rng, soft).astype(np.float32) / 255
    if others is not None and rng.random() < 0.4:
        soft = np.maximum(soft, rng.uniform(0, 0.8) * others)
    if rng.random() < 0.5:
        soft = with_patches(rng, soft)
    return at_stride(rng, soft.astype(np.float32)).astype(np.float32)
