"""ResNetF, the foreground and per-object nets: description and prototxts."""

import segspn  # noqa: F401 - before Caffe, for which it looks at what is around

WORKING_SIZE = (480, 854)  # (height, width) that the nets are made for: that of DAVIS frames
LONGEST_SIDE = 9999  # px, of a working size: Caffe's blobs have below 2**31 numbers, OpenCV less
