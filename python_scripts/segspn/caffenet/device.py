"""CPU or GPU: what this Caffe can do, and switching to it."""

import ctypes
import json
from pathlib import Path

import caffe

from segspn.errors import UserError


def build_info():
    """{'mode': 'CPU' or 'CUDA', 'convolutions': whose on the CPU, 'source': the tree it is of}."""
    path = Path(caffe.__file__).with_name("build.json")
    return json.loads(path.read_text()) if path.is_file() else {
        "mode": "CPU", "convolutions": "Caffe", "source": "unknown"}


def gpu_count():
    """How many GPUs the CUDA driver sees; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def check(gpu):
    """Raises UserError where Caffe cannot use GPU number `gpu`."""
    if build_info()["mode"] != "CUDA":
        raise UserError("--gpu: this Caffe was built for the CPU; build it with: make setup CUDA=1")
    if not 0 <= gpu < gpu_count():
        raise UserError(f"--gpu {gpu}: the CUDA driver sees {gpu_count()} GPUs")


def use(gpu):
    """Moves Caffe to GPU number `gpu`, or to the CPU where it is None.  Raises UserError."""
    if gpu is None:
        caffe.set_mode_cpu()
        return
    check(gpu)
    caffe.set_device(gpu)
    caffe.set_mode_gpu()
