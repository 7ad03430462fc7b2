"""Spatial propagation: Caffe layers (C++ and CUDA) and the refinement nets."""
