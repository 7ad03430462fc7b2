"""Labels of a frame from its objects' score maps (section 3 of arXiv 1709.04609)."""

import numpy as np

from segspn import regions


def arbitrate(score_maps, objects, foreground, threshold=regions.Thresholds.label_score):
    """Labels, uint8 H x W, of score maps (uint8, n x H x W) inside a foreground (bool, H x W).

    objects: the n ids that the maps are of, in ascending order, from 1 to 254.
    A pixel gets the object with the greatest score, the lowest id among equals; 0
    where that score is below the threshold, and 0 outside the foreground.
    """
    score_maps = np.asarray(score_maps)
    labels = np.array(objects, np.uint8)[score_maps.argmax(0)]
    labels[score_maps.max(0) < threshold] = 0
    labels[~foreground] = 0
    return labels


def label_frame(score_maps, objects, before, foreground, thresholds=None, *,
                filtering=True, recovery=True):
    """Labels of a frame, uint8, H x W: filter, arbitration, and recovery of lost objects.

    score_maps  uint8, n x H x W
    objects     their ids, in ascending order, from 1 to 254; there may be gaps
    before      uint8, H x W: labels of the frame before; void, 255, is no object's
    foreground  bool, H x W
    thresholds  regions.Thresholds, the published ones by default
    filtering   without it, score maps stay as they are
    recovery    without it, what is lost is lost
    """
    thresholds = thresholds or regions.Thresholds()
    maps = np.asarray(score_maps)
    if filtering:
        maps = np.stack([regions.filtered(score_map, before == k, thresholds)
                         for score_map, k in zip(maps, objects)])
    labels = arbitrate(maps, objects, foreground, thresholds.label_score)
    if recovery:
        labels = regions.recovered(labels, score_maps, objects, before, thresholds)
        labels[~foreground] = 0
    return labels
