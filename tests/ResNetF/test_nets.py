"""The two forms of ResNetF are one function; names and numbers are the release's."""

import itertools

import caffe
import numpy as np
import pytest

from ResNetF import nets
from segspn.caffenet import prototxt, published_head

SIZE = (65, 90)
HEADS = ("projected", "published")
# A small net of the same head: channels of its stages at strides 8, 16 and 32.
SMALL = nets.Backbone(
    name="small", stages=(6, 10, 14), offsets=(2, 0, 8), landmark="", weights="", head_lr=1,
    normalize=False, solver={})


def stages(n, bottom):
    """Three convolutions with the strides and sizes of ResNet's stages."""
    tops = []
    for stage, (channels, stride) in enumerate(zip(SMALL.stages, (8, 2, 2)), 3):
        bottom = caffe.layers.Convolution(
            bottom, num_output=channels, kernel_size=stride + 1 - stride % 2, stride=stride,
            pad=stride // 2, weight_filler={"type": "msra"}, name=f"res{stage}",
            param=[{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}])
        n[f"res{stage}"] = bottom
        n[f"res{stage}_relu"] = caffe.layers.ReLU(bottom, in_place=True)
        bottom = n[f"res{stage}_relu"]
        tops.append(bottom)
    return tops


def small_train_net(head, backbone=SMALL, size=SIZE):
    """A training net on inputs that the test sets; loss and weighting as in the real one."""
    n = caffe.NetSpec()
    shapes = {"data": 3, "label": 1, "weight": 1}
    for name, channels in shapes.items():
        n[name] = caffe.layers.Input(input_param={"shape": {"dim": [1, channels, *size]}})
    features = {"projected": nets.projected_head, "published": nets.published_head}[head](
        n, backbone, stages(n, n.data))
    n.score08 = nets.classifier(features, 2, backbone.head_lr)
    n.upscore = nets.upsample(n.score08, 2, 8, dense=head == "published")
    n.score_ori = caffe.layers.Crop(n.upscore, n.data, axis=2, offset=backbone.offsets[2])
    n.score = caffe.layers.Python(n.score_ori, n.weight, module="segspn.layers",
                                  layer="LossWeighting")
    n.loss = caffe.layers.SoftmaxWithLoss(n.score, n.label, loss_param={"normalize": False})
    net = n.to_proto()
    net.force_backward = True
    return net


def small_solver(head, tmp_path):
    solver = nets.solver(
        nets.RESNET101, "", str(tmp_path / head), max_iter=20, base_lr=2e-5, snapshot=0)
    solver.ClearField("train_net")
    solver.train_net_param.CopyFrom(small_train_net(head))
    solver.random_seed = 3
    return prototxt.build(caffe.get_solver, solver)


@pytest.fixture
def pair(tmp_path):
    """Solvers of both forms with the same weights, and a function that sets their inputs."""
    solvers = {head: small_solver(head, tmp_path) for head in HEADS}
    published, projected = (solvers[head].net for head in ("published", "projected"))
    published_head.set_bilinear(published)
    rng = np.random.default_rng(0)
    published.params["feat08"][0].data[...] = rng.normal(0, 0.2, (128, 30, 1, 1))
    published.params["feat08"][1].data[...] = rng.normal(0, 0.2, 128)
    published.params["score08"][0].data[...] = rng.normal(0, 0.2, (2, 128, 1, 1))
    published.params["scale_res3"][0].data[...] = rng.uniform(0.1, 0.5, 6)
    copy_published(published, projected)

    def feed(seed):
        rng = np.random.default_rng(seed)
        inputs = {"data": rng.normal(0, 1, (1, 3, *SIZE)), "weight": rng.random((1, 1, *SIZE)),
                  "label": rng.random((1, 1, *SIZE)) < 0.3}
        for net, (name, value) in itertools.product((published, projected), inputs.items()):
            net.blobs[name].data[...] = value
    feed(1)
    return solvers, feed


def blobs_of(net, attribute="data"):
    return {name: [getattr(blob, attribute).copy() for blob in blobs]
            for name, blobs in net.params.items()}


def copy_published(published, projected):
    for name, arrays in published_head.to_projected(blobs_of(published)).items():
        for target, array in zip(projected.params[name], arrays):
            target.data[...] = array


def close(actual, expected):
    """Equal to float32 rounding: 1e-5 of the largest number of the array."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def split_feat08(blobs):
    res4, res5, res3 = np.split(blobs["feat08"][0], [10, 24], axis=1)
    return {"feat08_res4": [res4], "feat08_res5": [res5],
            "feat08_res3": [res3, blobs["feat08"][1]]}


def test_both_forms_have_the_same_scores(pair):
    solvers, _ = pair
    scores = {head: solver.net.forward() and solver.net.blobs["score_ori"].data.copy()
              for head, solver in solvers.items()}
    assert scores["published"].shape == (1, 2, *SIZE) and np.ptp(scores["published"]) > 0.1
    close(scores["projected"], scores["published"])


def test_both_forms_have_the_same_gradients(pair):
    solvers, _ = pair
    for solver in solvers.values():
        solver.net.forward()
        solver.net.clear_param_diffs()
        solver.net.backward()
    published, projected = (solvers[head].net for head in ("published", "projected"))
    close(projected.blobs["data"].diff, published.blobs["data"].diff)
    expected = blobs_of(published, "diff")
    expected.update(split_feat08(expected))
    actual = blobs_of(projected, "diff")
    for name in ("res3", "res4", "res5", "feat08_res3", "feat08_res4", "feat08_res5", "score08"):
        assert np.abs(expected[name][0]).max() > 0, name
        for ours, theirs in zip(actual[name], expected[name]):
            close(ours, theirs)


def test_both_forms_have_the_same_weights_after_20_steps(pair):
    solvers, feed = pair
    before = blobs_of(solvers["projected"].net)
    for step in range(20):
        feed(step)
        for solver in solvers.values():
            solver.step(1)
    expected = blobs_of(solvers["published"].net)
    expected.update(split_feat08(expected))
    after = blobs_of(solvers["projected"].net)
    for name in ("res3", "res4", "res5", "feat08_res3", "feat08_res4", "feat08_res5", "score08"):
        assert np.abs(after[name][0] - before[name][0]).max() > 1e-3, name
        for ours, theirs in zip(after[name], expected[name]):
            close(ours, theirs)
    np.testing.assert_array_equal(after["upsample_res4"][0], before["upsample_res4"][0])


@pytest.mark.slow
def test_resnet101_has_the_same_scores_in_both_forms():
    """The full net, 64 x 72: BatchNorm statistics set so that numbers stay in range."""
    built = {head: prototxt.build(caffe.Net, nets.deploy(nets.RESNET101, True, head, (64, 72)),
                                  caffe.TEST) for head in HEADS}
    published = built["published"]
    published_head.set_bilinear(published)
    for name, blobs in published.params.items():
        if len(blobs) == 3:  # BatchNorm: mean, variance, their common factor
            blobs[1].data[...] = 2
            blobs[2].data[...] = 1
        elif "scale" in name and len(blobs) == 2:
            blobs[0].data[...] = 0.7
    copy_published(published, built["projected"])
    image = np.random.default_rng(0).normal(0, 60, (1, 3, 64, 72))
    for net in built.values():
        net.blobs["data"].data[...] = image
        net.forward()
    expected = published.blobs["score_ori"].data
    assert np.isfinite(expected).all() and np.ptp(expected) > 0
    close(built["projected"].blobs["score_ori"].data, expected)
    close(built["projected"].blobs["prob"].data, published.blobs["prob"].data)


def test_resnet101_has_the_release_s_layers():
    net = nets.deploy(nets.RESNET101, prob=True, head="published")
    layers = {layer.name: layer for layer in net.layer}
    blocks = ["2a", "2b", "2c", "3a", *(f"3b{i}" for i in range(1, 4)),
              "4a", *(f"4b{i}" for i in range(1, 23)), "5a", "5b", "5c"]
    for block in blocks:
        parts = ["branch2a", "branch2b", "branch2c"] + ["branch1"] * block.endswith("a")
        for part in parts:
            conv = layers[f"res{block}_{part}"].convolution_param
            assert not conv.bias_term
            strided = block in ("3a", "4a", "5a") and part in ("branch1", "branch2a")
            assert list(conv.stride) == [2 if strided else 1]
            assert layers[f"bn{block}_{part}"].batch_norm_param.use_global_stats
            assert layers[f"scale{block}_{part}"].scale_param.bias_term
        assert {f"res{block}", f"res{block}_relu", f"res{block}_branch2a_relu",
                f"res{block}_branch2b_relu"} <= set(layers)
    offsets = [layers[name].crop_param.offset[0] for name in ("crop_res5", "crop_res4", "score")]
    assert offsets == [2, 0, 8]
    assert list(layers["score"].top) == ["score_ori"] and layers["prob"].type == "Softmax"
    assert list(layers["concat_res4"].bottom) == ["scale_res4", "crop_res5"]
    assert list(layers["concat_res3"].bottom) == ["crop_res4", "scale_res3"]


def test_only_sizes_that_caffe_accepts_are_called_valid(tmp_path):
    """Every size from 57 to 74 against Caffe itself."""
    path = tmp_path / "net.prototxt"
    for backbone in nets.BACKBONES.values():
        for height in range(57, 75):
            valid = nets.size_is_valid(backbone, height, 64)
            net = nets.deploy(backbone, False, size=(height, 64))
            for layer in net.layer:
                layer.convolution_param.ClearField("weight_filler")  # which takes its time
            path.write_text(str(net))
            try:
                prototxt.try_in_child(lambda: caffe.Net(str(path), caffe.TEST))
                accepted = True
            except Exception:
                accepted = False
            assert accepted == valid, (backbone.name, height)
