"""What every net is fed with.

No Caffe here: the process that prepares samples asks for it, too.
"""

import numpy as np

# Caffe's BGR mean of ImageNet, subtracted from every input.
MEAN = np.array((104.00699, 116.66877, 122.67892), np.float32)


def net_input(image):
    """BGR uint8 H x W x 3 to the net's float32 3 x H x W, mean subtracted."""
    return np.ascontiguousarray((image.astype(np.float32) - MEAN).transpose(2, 0, 1))
