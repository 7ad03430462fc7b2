"""The refinement weights that come with the project: there, whole, and of use."""

import ast

import caffe
import numpy as np
import pytest
from google.protobuf import text_format

from segspn import files
from segspn.caffenet import prototxt
from segspn.evaluation import metrics
from segspn.method import refine
from segspn.synthetic import scenes
from segspn.training import simulated_scores
from spn import nets

FOLDER = files.ROOT / "spn/refine_small"
RECORD = [refine.SHIPPED, FOLDER / "train.prototxt", FOLDER / "solver.prototxt",
          FOLDER / "curve.png"]
SIZE = (240, 427)


def test_weights_and_their_record_are_there():
    assert all(path.is_file() for path in RECORD)
    assert refine.SHIPPED.stat().st_size <= 1_500_000


def test_record_is_of_the_net_as_it_is():
    train = prototxt.read(FOLDER / "train.prototxt", caffe.proto.caffe_pb2.NetParameter(), "net")
    parameters = ast.literal_eval(train.layer[0].python_param.param_str)
    assert {"dog", "bear", "tennis"} <= set(parameters["exclude"])
    assert text_format.MessageToString(train) == text_format.MessageToString(
        nets.train(nets.REFINE_SMALL, **parameters))
    solver = prototxt.read(FOLDER / "solver.prototxt", caffe.proto.caffe_pb2.SolverParameter(),
                           "solver")
    for field, value in nets.REFINE_SMALL.solver.items():
        assert getattr(solver, field) == pytest.approx(value), field


def test_they_sharpen_maps_of_videos_that_they_have_not_seen():
    refiner = refine.Refiner(refine.SHIPPED, SIZE, 2)
    figures = []
    for index in range(4):
        frame, labels = scenes.frame(77, index, 0, size=SIZE, objects=2)
        rng = np.random.default_rng(index)
        score_maps = np.stack([
            np.rint(255 * simulated_scores.simulate(rng, labels == k)).astype(np.uint8)
            for k in (1, 2)])
        for k, before, after in zip((1, 2), score_maps > 127, refiner(frame, score_maps) > 0.5):
            truth = labels == k
            figures.append([measure(truth, mask) for measure in (
                metrics.jaccard, metrics.boundary_f) for mask in (before, after)])
    j_before, j_after, f_before, f_after = np.mean(figures, 0)
    assert j_after > j_before + 0.03 and f_after > f_before + 0.1
