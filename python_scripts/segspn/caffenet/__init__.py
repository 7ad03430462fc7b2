"""Caffe without its aborts: prototxts, weights, devices and the published head."""
