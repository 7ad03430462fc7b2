"""What several modules ask of OpenCV's morphology."""

import cv2


def disk(radius):
    """An elliptic structuring element of this radius in px."""
    side = 2 * int(radius) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def near_other(labels, radius):
    """bool, H x W: whether a pixel of another label is within `radius` px.  labels: uint8."""
    return cv2.dilate(labels, disk(radius)) != cv2.erode(labels, disk(radius))
