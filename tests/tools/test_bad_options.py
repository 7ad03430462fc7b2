"""Bad weights and options end in one line."""


import numpy as np
import pytest

from segspn.caffenet import device, weights
from tests.support.frames import THIN
from tests.support.refusals import FGBG, NETS, PEROBJ, training_refused


@pytest.mark.parametrize("content", [None, b"", "cut"], ids=["missing", "empty", "cut"])
def test_missing_and_corrupt_weights(refused, trainings, content):
    path = refused.folder / "x.caffemodel"
    if content is not None:
        path.write_bytes(refused.model.read_bytes()[:-1000] if content == "cut" else content)
    words = [path, "does not exist" if content is None else ".caffemodel"]
    assert refused(FGBG, path, refused.result, "toy", words=words)
    assert refused(PEROBJ, 5, "toy", 1, "--weights", path, words=words)
    trainings.weights = path
    assert training_refused(trainings, trainings.solver("models"), *words, script=content == "cut")


def test_model_that_was_not_trained(refused):
    assert refused(PEROBJ, 5, "toy", 1, words=["models/toy/toy_obj_1_iter_5.caffemodel",
                                               "does not exist"])
    refused.model = THIN
    assert refused.foreground(words=["not those of a trained ResNetF", "solve.py"])
    weights.write_caffemodel(refused.folder / "y.caffemodel", {"conv": [np.zeros(3)]})
    refused.model = refused.folder / "y.caffemodel"
    assert refused.foreground(words=["no known backbone", "resnet101, resnet50_thin"])


def test_bad_options(refused, trainings):
    assert refused(FGBG, refused.model, refused.result, "toy", "--scale=0",
                   words=["--scale must be a number from 0.1 to 4"])
    training = trainings.solver("models")
    for option in ("--iterations=0", "--seed=-1"):
        assert training_refused(trainings, training, option.split("=")[0], "must be",
                                options=[option])
    for option in ("--size=480", "--iterations=0", "--snapshot=0", "--lists=nosuch.txt"):
        assert refused(NETS, option, words=[option.split("=")[1]])


@pytest.mark.skipif(device.build_info()["mode"] != "CPU", reason="this Caffe has CUDA")
def test_gpu_on_a_cpu_build(refused, trainings):
    words = ["--gpu", "built for the CPU", "make setup CUDA=1"]
    assert refused.foreground("--gpu", 0, words=words)
    assert refused(PEROBJ, 5, "toy", 1, "--weights", refused.model, "--gpu", 0, words=words)
    assert training_refused(trainings, trainings.solver("models"), *words, options=["--gpu", 0])
