"""Arbitration between the objects' score maps (section 3.4 of arXiv 1709.04609)."""

import numpy as np

THRESHOLD = 100  # a pixel's best score map must reach this, of 255


def arbitrate(score_maps, foreground, threshold=THRESHOLD):
    """Labels, uint8 H x W, of score maps (uint8, n x H x W) inside a foreground (bool, H x W).

    A pixel gets the object (1..n) with the greatest score, the lowest object
    among equals; 0 where that score is below the threshold, and 0 outside the
    foreground.
    """
    score_maps = np.asarray(score_maps)
    labels = score_maps.argmax(0).astype(np.uint8) + 1
    labels[score_maps.max(0) < threshold] = 0
    labels[~foreground] = 0
    return labels
