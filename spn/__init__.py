"""Spatial propagation: Caffe layers (C++ and CUDA) and the refinement nets."""

import ResNetF  # noqa: F401 - before Caffe, which is quiet then
