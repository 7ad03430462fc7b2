"""Caffe's Accuracy, as the build changes it (tools/setup/caffe_tree.py)."""

import caffe
import numpy as np
from caffe import layers as L

from segspn.caffenet import prototxt


def test_the_greatest_score_counts_and_of_equal_ones_the_last():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (2, 3, 20, 30)).astype(np.float32)
    labels = rng.integers(0, 3, (2, 1, 20, 30))
    n = caffe.NetSpec()
    for name, array in {"scores": scores, "labels": labels}.items():
        n[name] = L.Input(input_param={"shape": {"dim": list(array.shape)}})
    n.all, n.each = L.Accuracy(n.scores, n.labels, ntop=2)
    n.but_0 = L.Accuracy(n.scores, n.labels, ignore_label=0)
    n.first_two = L.Accuracy(n.scores, n.labels, accuracy_param={"top_k": 2})
    net = prototxt.build(caffe.Net, n.to_proto(), caffe.TEST)
    net.blobs["scores"].data[...], net.blobs["labels"].data[...] = scores, labels
    result = {name: blob.tolist() for name, blob in net.forward().items()}
    order = 2 - np.argsort(-scores[:, ::-1], 1, kind="stable")
    right, true = order[:, 0] == labels[:, 0], labels[:, 0]
    np.testing.assert_allclose(result["all"], right.mean(), rtol=1e-6)
    np.testing.assert_allclose(result["each"], [right[true == k].mean() for k in range(3)],
                               rtol=1e-6)
    np.testing.assert_allclose(result["but_0"], right[true > 0].mean(), rtol=1e-6)
    np.testing.assert_allclose(result["first_two"], (order[:, :2] == labels).any(1).mean(),
                               rtol=1e-6)
