"""The library of Seg-with-SPN: data, layers, training, inference, labels."""

import os

# By default Caffe logs every layer of every net; errors still show.  It looks when it is loaded.
os.environ.setdefault("GLOG_minloglevel", "2")
