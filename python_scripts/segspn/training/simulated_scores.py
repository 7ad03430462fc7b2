"""Simulated coarse maps: what a score map of stride 8 could look like, made from a mask.

Refinement is to learn from any image with a mask.  Real coarse maps lose thin
parts, have wavy borders that lie inside or outside the object's, leak into other
objects, and are smooth; so do these.
"""

import cv2
import numpy as np

from segspn.data import morphology


def smooth_noise(rng, shape, sigma):
    """Noise of zero mean and unit variance, float32, H x W, correlated over about `sigma` px."""
    # Drawn on a grid of its own coarseness: cubic interpolation does the smoothing.
    grid = [max(2, round(length / sigma) + 3) for length in shape]
    noise = cv2.resize(rng.standard_normal(grid, np.float32), (4 * grid[1], 4 * grid[0]),
                       interpolation=cv2.INTER_CUBIC)
    noise = cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return (noise - noise.mean()) / max(float(noise.std()), 1e-6)


def without_detail(rng, mask, radius):
    """Parts thinner than a random width opened away, gaps closed, in random regions of the mask.

    radius: px, of the largest structuring element.
    """
    for operation in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE):
        if rng.random() < 0.6:
            disk = morphology.disk(rng.integers(1, radius + 1))
            changed = cv2.morphologyEx(mask, operation, disk)
            where = smooth_noise(rng, mask.shape, 40) > rng.uniform(-2, 0.5)
            mask = np.where(where, changed, mask)
    return mask


def moved_border(rng, mask, amplitude):
    """The mask grown or shrunk by some px, its border bent by a smooth displacement.

    amplitude: px, of the displacement; the border moves by as much at most.
    """
    change = round(rng.uniform(-0.6, 1) * amplitude)
    if change:
        operation = cv2.dilate if change > 0 else cv2.erode
        mask = operation(mask, morphology.disk(abs(change)))
    sigma = rng.uniform(8, 32)
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


def at_stride(rng, probability, noise):
    """What a net of stride 8 (or of 16: one that works at half the size) makes of it.

    Area-averaged, noise on the log-odds (about `noise` standard deviations), up
    again bilinearly, blurred.
    """
    height, width = probability.shape
    stride = np.exp(rng.uniform(*np.log((6, 16))))
    grid = max(2, round(width / stride)), max(2, round(height / stride))
    small = cv2.resize(probability, grid, interpolation=cv2.INTER_AREA)
    small = np.clip(small, 0.01, 0.99)
    log_odds = np.log(small / (1 - small)) * rng.uniform(0.7, 1.7)
    log_odds += noise * (rng.normal(0, 0.7) + 0.5 * rng.standard_normal(small.shape, np.float32)
                         + rng.uniform(0, 1) * smooth_noise(rng, small.shape, 3))
    large = cv2.resize(log_odds.astype(np.float32), (width, height),
                       interpolation=cv2.INTER_LINEAR)
    large = cv2.GaussianBlur(large, (0, 0), rng.uniform(0.5, 0.5 * stride))
    return 1 / (1 + np.exp(-large))


def simulate(rng, mask, others=None):
    """A coarse probability map of an object: float32, H x W, in [0, 1].

    mask: bool, H x W.  others: bool, H x W, what it may be confused with.  At
    the borders the mask is taken to go on as it ends.  One map in four is bad:
    parts are missing or too much, and the noise is strong.
    """
    bad = rng.integers(4) == 0
    soft = without_detail(rng, mask.astype(np.uint8) * 255, 14 if bad else 9)
    amplitude = rng.uniform(0, 8 if bad else 5)
    soft = moved_border(rng, soft, amplitude).astype(np.float32) / 255
    if others is not None and rng.random() < 0.3:
        soft = np.maximum(soft, rng.uniform(0, 0.8 if bad else 0.5) * others)
    if bad:
        soft = with_patches(rng, soft)
    noise = rng.uniform(0, 1.5 if bad else 0.5)
    return at_stride(rng, soft.astype(np.float32), noise).astype(np.float32)
