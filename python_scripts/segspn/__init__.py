"""The library of Seg-with-SPN: data, layers, training, inference, labels."""

import os

# Caffe logs every layer of every net to stderr by default; errors still show.
os.environ.setdefault("GLOG_minloglevel", "2")
