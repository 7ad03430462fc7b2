"""The refinement nets in real Caffe: shapes, independence of objects, names, prototxts."""

import caffe
import numpy as np
import pytest
from google.protobuf import text_format

from ResNetF import nets as resnetf
from segspn import files
from segspn.caffenet import prototxt, weights
from segspn.caffenet.net_input import net_input
from segspn.training import prototxts
from spn import nets
from tests.support.refinements import load_start

SIZE = (64, 96)
every_net = pytest.mark.parametrize("name", list(nets.NETS))
VGG = {f"conv{stage}_{index}": (width, below if index == 1 else width, 3, 3)
       for stage, (count, below, width) in enumerate(
           ((2, 3, 64), (2, 64, 128), (3, 128, 256), (3, 256, 512), (3, 512, 512)), 1)
       for index in range(1, count + 1)}


def build(net, objects, size=SIZE):
    caffe.set_random_seed(1)
    return prototxt.build(caffe.Net, nets.deploy(net, objects, size), caffe.TEST)


@pytest.fixture(scope="module")
def built():
    """Each net for three objects and for one, with the same weights; with wilder gates."""
    result = {}
    for name, net in nets.NETS.items():
        three, one = build(net, 3), build(net, 1)
        load_start(three, net)
        three.params["gates"][0].data[...] *= 5
        one.share_with(three)
        result[name] = three, one
    return result


@pytest.fixture(scope="module")
def inputs():
    """An image, another one, and three coarse maps."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, *SIZE, 3), np.uint8)
    return [net_input(image) for image in images], rng.random((3, 1, *SIZE), np.float32)


def forward(net, image, coarse):
    """prob, and the gates, of an image and coarse maps."""
    net.blobs["data"].data[0] = image
    net.blobs["coarse"].data[...] = coarse
    net.forward()
    return net.blobs["prob"].data.copy(), net.blobs["gates"].data.copy()


@every_net
def test_probabilities_of_one_and_of_three_objects(name, built, inputs):
    (image, _), coarse = inputs
    for net, count in zip(built[name], (3, 1)):
        prob, gates = forward(net, image, coarse[:count])
        assert prob.shape == (count, 2, *SIZE)
        channels = nets.NETS[name].channels
        assert gates.shape == (1, 12 * channels, SIZE[0] // 2, SIZE[1] // 2)
        assert np.isfinite(prob).all() and prob.min() >= 0
        np.testing.assert_allclose(prob.sum(1), 1, atol=1e-5)
        assert prob[:, 1].std() > 1e-4
        assert net.blobs["data"].data.shape[0] == 1  # guidance is computed once an image


@every_net
def test_objects_do_not_influence_one_another(name, built, inputs):
    (image, _), coarse = inputs
    three, one = built[name]
    together, _ = forward(three, image, coarse)
    for index in range(3):
        alone, _ = forward(one, image, coarse[index:index + 1])
        np.testing.assert_allclose(together[index], alone[0], atol=1e-6)
    changed, _ = forward(three, image, np.concatenate([coarse[:1], 1 - coarse[1:]]))
    np.testing.assert_array_equal(changed[0], together[0])
    assert np.abs(changed[1:] - together[1:]).max(axis=(1, 2, 3)).min() > 1e-3


@every_net
def test_guidance_depends_on_the_image_alone(name, built, inputs):
    (image, other_image), coarse = inputs
    net = built[name][1]
    prob, gates = forward(net, image, coarse[:1])
    other_prob, same = forward(net, image, 1 - coarse[:1])
    np.testing.assert_array_equal(same, gates)
    assert np.abs(other_prob - prob).max() > 1e-3
    changed, others = forward(net, other_image, coarse[:1])
    assert np.abs(others - gates).max() > 1e-3 and np.abs(changed - prob).max() > 1e-6


@every_net
def test_scans_go_in_four_directions_twice(name):
    layers = {layer.name: layer for layer in nets.deploy(nets.NETS[name], 2).layer}
    first = {"refine_vgg": "mask", "refine_small": "scanned"}[name]
    for index, bottom in ((1, first), (2, "round1")):
        scans = [layers[f"round{index}_{direction}"] for direction in (
            "left_to_right", "right_to_left", "top_to_bottom", "bottom_to_top")]
        assert [scan.spatial_propagation_param.direction for scan in scans] == [0, 1, 2, 3]
        assert {scan.bottom[0] for scan in scans} == {bottom}
        # Both rounds have the same four gates, one for each direction.
        assert [scan.bottom[1] for scan in scans] == [
            f"gates_{scan.name.split('_', 1)[1]}" for scan in scans]
        joined = layers[f"round{index}"]
        assert joined.eltwise_param.operation == joined.eltwise_param.MAX
        assert list(joined.bottom) == [scan.name for scan in scans]


# ----------------------------------------------------------------- training

@every_net
def test_training_net_and_its_solver(name, tmp_path, monkeypatch, data_set):
    net = nets.NETS[name]
    parameters = {"sources": (str(data_set),), "size": (32, 64), "batch": 2, "video": "",
                  "seed": 0}
    monkeypatch.setattr(files, "ROOT", tmp_path)
    start, path = prototxts.write_refinement(net, parameters, {})
    assert start == net.weights and path == tmp_path / "spn" / name / "training/solver.prototxt"
    solver = prototxt.read_solver(path)
    for field, value in net.solver.items():
        written = getattr(solver, field)
        assert written == (np.float32(value) if isinstance(value, float) else value), field
    assert solver.snapshot_prefix == f"../models/spn/{name}" and solver.iter_size == 1
    _, changed = prototxts.write_refinement(net, parameters, {"max_iter": 7, "base_lr": 0.5})
    changed = prototxt.read_solver(changed)
    assert (changed.max_iter, changed.base_lr) == (7, 0.5) and changed.type == solver.type
    layer = solver.train_net_param.layer[0]
    assert layer.python_param.layer == nets.LAYER == "RefinementCrops"
    assert layer.python_param.param_str == repr(parameters)
    train = prototxt.build(caffe.Net, solver.train_net_param, caffe.TRAIN)
    load_start(train, net)
    trained = {layer.name for layer in solver.train_net_param.layer
               if any(parameter.lr_mult for parameter in layer.param)}
    check_gradients(train, trained)
    train.layers[0].close()


def check_gradients(net, trained):
    """The loss reaches all that is trained, the guidance and the propagation among it."""
    assert {"gates", "mask", "refined"} < trained
    assert not any(layer.startswith("up_") for layer in trained)
    loss = net.forward()["loss"].item()
    assert np.isfinite(loss) and loss > 0
    assert 0 <= net.blobs["accuracy"].data.item() <= 1
    net.clear_param_diffs()
    net.backward()
    for layer, blobs in net.params.items():
        largest = [np.abs(blob.diff).max() for blob in blobs]
        assert np.isfinite(largest).all()
        assert (max(largest) > 0) == (layer in trained), layer


# ------------------------------------------------------------------ weights

def test_vgg_layers_have_their_public_names_and_shapes(built):
    net = built["refine_vgg"][1]
    for layer, shape in VGG.items():
        assert [blob.data.shape for blob in net.params[layer]] == [shape, shape[:1]], layer
    assert list(net.params)[:13] == list(VGG)


def test_vgg_weights_load_by_name(tmp_path):
    rng = np.random.default_rng(0)
    blobs = {layer: [rng.normal(size=VGG[layer]), rng.normal(size=VGG[layer][0])]
             for layer in ("conv1_1", "conv2_1", "conv5_3")}
    path = tmp_path / "VGG_ILSVRC_16_layers.caffemodel"
    weights.write_caffemodel(path, {**blobs, "fc8": [np.ones((10, 4)), np.ones(10)]})
    net = build(nets.REFINE_VGG, 1, (32, 32))
    report = weights.load(net, path)
    assert report.taken == list(blobs) and report.left == ["fc8"]
    assert {"gates", "mask", "conv1_2", "score"} <= set(report.filler)
    for layer, arrays in blobs.items():
        for blob, array in zip(net.params[layer], arrays):
            np.testing.assert_array_equal(blob.data, array.astype(np.float32))


def test_small_net_is_small(built):
    def size(name):
        return sum(blob.data.nbytes for blobs in built[name][1].params.values() for blob in blobs)

    assert size("refine_small") <= 1.5e6 < 50e6 < size("refine_vgg")


def test_nets_are_known_by_their_layers():
    def layers(net):
        return text_format.Parse(str(net), caffe.proto.caffe_pb2.NetParameter()).layer

    for net in nets.NETS.values():
        assert nets.net_of(layer.name for layer in layers(nets.deploy(net))) is net
    others = [layer.name for layer in layers(resnetf.deploy(resnetf.RESNET50_THIN, prob=True))]
    assert nets.net_of(others) is None and nets.net_of(VGG) is None and nets.net_of([]) is None
