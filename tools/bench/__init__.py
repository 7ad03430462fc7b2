"""Speed and memory, as ratios in one run."""

import segspn  # noqa: F401 - before Caffe, which is quiet then
