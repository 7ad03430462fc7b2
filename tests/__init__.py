"""Tests, a folder a package."""

import os

# Several processes run tests; each computes with one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import segspn  # noqa: E402, F401 - before Caffe, which is quiet then
