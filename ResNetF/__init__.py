"""ResNetF, the foreground and per-object nets: description and prototxts."""

import os

# As in segspn: by default Caffe logs every layer of every net.  It looks when it is loaded.
os.environ.setdefault("GLOG_minloglevel", "2")

WORKING_SIZE = (480, 854)  # (height, width) that the nets are made for: that of DAVIS frames
LONGEST_SIDE = 9999  # px, of a working size: Caffe's blobs have below 2**31 numbers, OpenCV less
