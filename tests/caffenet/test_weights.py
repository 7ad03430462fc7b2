"""Weights files: read, written, converted and refused without Caffe seeing a bad one."""

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from segspn.caffenet import prototxt, published_head, weights
from segspn.errors import UserError
from tests.ResNetF.test_nets import SMALL, small_train_net
from tests.support.frames import fails_in_one_line

SHAPES = {"first": [(4, 3, 3, 3), (4,)], "second": [(5, 4, 1, 1)]}


def small_net(second=5):
    """data -> first (with bias) -> second (without)."""
    n = caffe.NetSpec()
    n.data = caffe.layers.Input(input_param={"shape": {"dim": [1, 3, 8, 9]}})
    n.first = caffe.layers.Convolution(n.data, num_output=4, kernel_size=3,
                                       weight_filler={"type": "msra"})
    n.second = caffe.layers.Convolution(n.first, num_output=second, kernel_size=1, bias_term=False,
                                        weight_filler={"type": "msra"})
    return prototxt.build(caffe.Net, n.to_proto(), caffe.TEST)


def random_blobs(shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return {name: [rng.normal(0, 1, shape).astype(np.float32) for shape in layer]
            for name, layer in shapes.items()}


def numbers_of(net):
    return {name: [blob.data.copy() for blob in blobs] for name, blobs in net.params.items()}


def assert_equal(actual, expected):
    """Same layers, shapes and bits."""
    assert actual.keys() == expected.keys()
    for name, arrays in expected.items():
        assert len(actual[name]) == len(arrays), name
        for ours, theirs in zip(actual[name], arrays):
            assert ours.dtype == theirs.dtype == np.float32 and ours.shape == theirs.shape, name
            assert ours.tobytes() == theirs.tobytes(), name


@pytest.fixture
def model(tmp_path):
    """A whole file for small_net()."""
    path = tmp_path / "model.caffemodel"
    weights.write_caffemodel(path, random_blobs())
    return path


# ------------------------------------------------------------ read and write

def test_what_is_written_is_read(model):
    assert_equal(weights.read_caffemodel(model), random_blobs())
    assert [p.name for p in model.parent.iterdir()] == [model.name]


def test_caffe_reads_what_is_written(model):
    net = small_net()
    net.copy_from(str(model))
    assert_equal(numbers_of(net), random_blobs())


def test_what_caffe_saves_is_read(tmp_path):
    net = small_net()
    net.save(str(tmp_path / "caffe.caffemodel"))
    assert_equal(weights.read_caffemodel(tmp_path / "caffe.caffemodel"), numbers_of(net))


def test_unusual_numbers_survive(tmp_path):
    values = np.array([-0.0, 1e-45, 3.4e38, -3.4e38], np.float32)
    weights.write_caffemodel(tmp_path / "x.caffemodel", {"layer": [values]})
    assert_equal(weights.read_caffemodel(tmp_path / "x.caffemodel"), {"layer": [values]})


def test_arrays_of_any_memory_order_are_written(tmp_path):
    array = np.arange(24, dtype=np.float64).reshape(2, 3, 4).transpose(2, 0, 1)
    weights.write_caffemodel(tmp_path / "x.caffemodel", {"layer": [array]})
    assert_equal(weights.read_caffemodel(tmp_path / "x.caffemodel"),
                 {"layer": [np.ascontiguousarray(array, np.float32)]})


def write_message(path, blobs, v1=False, legacy=False, double=False):
    """A file as older Caffes wrote it."""
    net = caffe_pb2.NetParameter(name="old")
    for name, arrays in blobs.items():
        layer = (net.layers if v1 else net.layer).add(name=name)
        for array in arrays:
            blob = layer.blobs.add()
            (blob.double_data if double else blob.data).extend(array.ravel().tolist())
            if legacy:
                shape = (1,) * (4 - array.ndim) + array.shape
                blob.num, blob.channels, blob.height, blob.width = shape
            else:
                blob.shape.dim.extend(array.shape)
    path.write_bytes(net.SerializeToString())
    return path


@pytest.mark.parametrize("options", [
    {"v1": True}, {"double": True}, {"legacy": True}, {"v1": True, "double": True, "legacy": True}])
def test_files_of_older_caffes(options, tmp_path):
    path = write_message(tmp_path / "old.caffemodel", random_blobs(), **options)
    blobs = weights.read_caffemodel(path)
    if options.get("legacy"):
        assert blobs["first"][1].shape == (1, 1, 1, 4)
    net = small_net()
    report = weights.load(net, path)
    assert sorted(report.taken) == ["first", "second"]
    assert_equal(numbers_of(net), random_blobs())


# -------------------------------------------------------------------- loading

def test_report_names_what_is_taken_left_and_at_its_filler(tmp_path):
    blobs = random_blobs({"first": SHAPES["first"], "other": [(2, 2)]})
    path = tmp_path / "part.caffemodel"
    weights.write_caffemodel(path, blobs)
    net = small_net()
    before = numbers_of(net)
    report = weights.load(net, path)
    assert (report.taken, report.left, report.filler) == (["first"], ["other"], ["second"])
    assert_equal(numbers_of(net), {"first": blobs["first"], "second": before["second"]})
    text = str(report)
    assert "1 layers taken" in text and "not in this net: other" in text
    assert "not in the file: second" in text


def refused(net, path, *words):
    """Whether loading raises a one-line UserError with the words, and changes no number."""
    before = numbers_of(net)
    with pytest.raises(UserError) as error:
        weights.load(net, path)
    message = str(error.value)
    assert len(message.splitlines()) == 1 and str(path) in message, message
    for word in words:
        assert word in message, message
    assert_equal(numbers_of(net), before)
    return True


def test_wrong_shape_is_refused_and_nothing_loaded(model):
    # `first` fits and comes first in the file; it must not be loaded either.
    assert refused(small_net(second=6), model, "second", "(5, 4, 1, 1)", "(6, 4, 1, 1)")


def test_wrong_number_of_blobs_is_refused(tmp_path):
    path = tmp_path / "x.caffemodel"
    weights.write_caffemodel(path, random_blobs({"first": SHAPES["first"][:1]}))
    assert refused(small_net(), path, "layer first")


def test_transposed_shape_is_refused(tmp_path):
    path = tmp_path / "x.caffemodel"
    weights.write_caffemodel(path, random_blobs({"first": [(3, 4, 3, 3), (4,)]}))
    assert refused(small_net(), path, "layer first")


def test_weights_of_another_net_are_refused(tmp_path):
    path = tmp_path / "x.caffemodel"
    weights.write_caffemodel(path, random_blobs({"other": [(2, 2)]}))
    assert refused(small_net(), path, "fits no layer", "other", "first")


# ------------------------------------------------------------------ bad files

def test_missing_file_and_folder_are_refused(tmp_path):
    assert refused(small_net(), tmp_path / "nosuch", "does not exist")
    assert refused(small_net(), tmp_path, "is not a file")


@pytest.mark.parametrize("content", [
    b"", b"\n", b"layer { name: \"conv1\" type: \"Convolution\" }\n", b"<html>404</html>",
    b"\x89HDF\r\n\x1a\n" + bytes(500), bytes(1000), b"\xff" * 1000,
    np.random.default_rng(0).bytes(5000)])
def test_files_of_another_kind_are_refused(content, tmp_path):
    path = tmp_path / "x.caffemodel"
    path.write_bytes(content)
    assert refused(small_net(), path, ".caffemodel")


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(number, double, tmp_path):
    blobs = random_blobs()
    blobs["second"][0][4, 3] = number
    path = write_message(tmp_path / "x.caffemodel", blobs, double=double)
    assert refused(small_net(), path, "layer second: a number is NaN or infinite")


@pytest.mark.parametrize("kind", ["", "BatchNorm"])
@pytest.mark.parametrize("variance, factor, words", [
    ((1, 2), 0, "the factor of this BatchNorm is 0"),
    ((1, 2), -1, "the factor of this BatchNorm is -1"),
    ((1, -2), 1, "a variance of this BatchNorm is -2"), ((0, 2), 0.5, None)])
def test_batch_norms_without_statistics_are_refused(variance, factor, words, kind, tmp_path):
    blobs = {**random_blobs(), "norm": [np.zeros(2), np.array(variance), np.array([factor])]}
    path = write_message(tmp_path / "x.caffemodel", blobs)
    message = caffe_pb2.NetParameter.FromString(path.read_bytes())
    message.layer[-1].type = kind
    path.write_bytes(message.SerializeToString())
    if words:
        assert refused(small_net(), path, "layer norm: ", words)
    else:
        assert "norm" in weights.load(small_net(), path).left
    message.layer[-1].type = "Other"  # three arrays that are another layer's
    path.write_bytes(message.SerializeToString())
    assert "norm" in weights.read_caffemodel(path)


def boundaries(data):
    """Lengths at which a file is cut between two layers: protobuf cannot tell."""
    net = caffe_pb2.NetParameter.FromString(data)
    lengths, kept = set(), caffe_pb2.NetParameter(name=net.name)
    lengths |= {0, len(kept.SerializeToString())}
    for layer in net.layer:
        kept.layer.add().CopyFrom(layer)
        lengths.add(len(kept.SerializeToString()))
    return lengths


def test_truncated_files_are_refused_wherever_they_are_cut(model):
    data = model.read_bytes()
    whole = boundaries(data)
    assert len(data) in whole and len(data) > 500
    path = model.with_name("cut.caffemodel")
    for length in set(range(len(data))) - whole:
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match="cut.caffemodel is truncated or not a .caffemodel"):
            weights.read_caffemodel(path)
    path.write_bytes(data[:len(data) // 2])
    assert refused(small_net(), path, "truncated")


def test_file_cut_between_layers_says_what_is_missing(model):
    data = model.read_bytes()
    length = sorted(boundaries(data))[-2]
    model.write_bytes(data[:length])
    assert weights.load(small_net(), model).filler == ["second"]


def test_damaged_files_are_refused_or_read(model):
    """No byte set to another value makes anything but a UserError."""
    data = bytearray(model.read_bytes())
    rng = np.random.default_rng(1)
    refusals = 0
    net = small_net()
    for position in [*range(120), *rng.integers(len(data), size=200)]:
        damaged = data.copy()
        damaged[position] ^= rng.integers(1, 256)
        model.write_bytes(damaged)
        try:
            weights.load(net, model)
        except UserError as error:
            refusals += 1
            assert len(str(error).splitlines()) == 1
    assert 0 < refusals < 320


def test_random_files_are_refused(tmp_path):
    rng = np.random.default_rng(2)
    path = tmp_path / "x.caffemodel"
    for _ in range(300):
        path.write_bytes(rng.bytes(rng.integers(1, 300)))
        with pytest.raises(UserError, match=".caffemodel"):
            weights.read_caffemodel(path)


# ----------------------------------------------------------- published layout

@pytest.fixture
def published():
    """{layer: arrays} of a small net in the published layout, as its training would leave it."""
    net = prototxt.build(caffe.Net, small_train_net("published"), caffe.TRAIN)
    published_head.set_bilinear(net)
    rng = np.random.default_rng(0)
    blobs = numbers_of(net)
    for name in ("res3", "res4", "res5", "scale_res3", "scale_res4", "feat08", "score08"):
        blobs[name] = [rng.normal(0, 1, b.shape).astype(np.float32) for b in blobs[name]]
    return blobs


def expected_projected(blobs):
    channels3, channels4, channels5 = SMALL.stages
    joined = blobs["feat08"][0]
    expected = {name: arrays for name, arrays in blobs.items() if name != "feat08"}
    expected["feat08_res4"] = [joined[:, :channels4]]
    expected["feat08_res5"] = [joined[:, channels4:channels4 + channels5]]
    expected["feat08_res3"] = [joined[:, -channels3:], blobs["feat08"][1]]
    for name, channels, size in (("upsample_res5", 128, 4), ("upsample_res4", 128, 4),
                                 ("upscore", 2, 16)):
        factor = size // 2
        ramp = [1 - abs(i - (factor - 0.5)) / factor for i in range(size)]
        kernel = np.array([[a * b for a in ramp] for b in ramp], np.float32)
        expected[name] = [np.stack([kernel[None]] * channels)]
    return expected


def test_published_layout_is_converted_exactly(published, tmp_path):
    expected = expected_projected(published)
    assert_equal(published_head.to_projected(published), expected)
    path = tmp_path / "published.caffemodel"
    weights.write_caffemodel(path, published)
    net = prototxt.build(caffe.Net, small_train_net("projected"), caffe.TRAIN)
    report = weights.load(net, path)
    assert_equal(numbers_of(net), expected)
    assert report.converted == ["feat08_res3", "feat08_res4", "feat08_res5", "upsample_res4",
                                "upsample_res5", "upscore"]
    assert not report.left and not report.filler
    assert "converted from the published layout: feat08_res3" in str(report)


def test_published_layout_stays_in_a_published_net(published, tmp_path):
    path = tmp_path / "published.caffemodel"
    weights.write_caffemodel(path, published)
    net = prototxt.build(caffe.Net, small_train_net("published"), caffe.TRAIN)
    assert not weights.load(net, path).converted
    assert_equal(numbers_of(net), published)


def test_grouped_upsampling_is_converted_too(published):
    dense = published_head.to_projected(published)
    for name in published_head.UPSAMPLING:
        channels = np.arange(len(published[name][0]))
        published[name] = [published[name][0][channels, channels][:, None]]
    assert_equal(published_head.to_projected(published), dense)


def test_legacy_blobs_are_converted(published, tmp_path):
    path = write_message(tmp_path / "old.caffemodel", published, legacy=True)
    net = prototxt.build(caffe.Net, small_train_net("projected"), caffe.TRAIN)
    weights.load(net, path)
    assert_equal(numbers_of(net), expected_projected(published))


def test_convert_tool(published, run, tmp_path):
    weights.write_caffemodel(tmp_path / "in.caffemodel", published)
    result = run("tools/convert_caffemodel.py", "in.caffemodel", "out.caffemodel", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "wrote out.caffemodel" in result.stdout
    assert_equal(weights.read_caffemodel(tmp_path / "out.caffemodel"),
                 expected_projected(published))
    again = run("tools/convert_caffemodel.py", "out.caffemodel", "twice.caffemodel", cwd=tmp_path)
    assert fails_in_one_line(again, "out.caffemodel is not in the published layout")
    assert not (tmp_path / "twice.caffemodel").exists()


def mixing(blobs):
    blobs["upsample_res5"][0][3, 7, 1, 2] = 1e-30


def mixing_scores(blobs):
    blobs["upscore"][0][1, 0, 15, 15] = -1


def differing(blobs):
    blobs["upsample_res4"][0][5, 5, 0, 0] *= 2


def too_wide(blobs):
    blobs["feat08"][0] = np.zeros((128, 31, 1, 1), np.float32)


def too_narrow(blobs):
    blobs["feat08"][0] = np.zeros((128, 3, 1, 1), np.float32)


def without_bias(blobs):
    del blobs["feat08"][1]


def flat(blobs):
    blobs["feat08"][0] = np.zeros(30, np.float32)


def no_upsampling(blobs):
    blobs["upsample_res5"][0] = np.zeros(14, np.float32)


REFUSALS = {
    mixing: ["upsample_res5 mixes channels", "from channel 3 to channel 7"],
    mixing_scores: ["upscore mixes channels", "from channel 1 to channel 0"],
    differing: ["upsample_res4", "channel 5 is upsampled by another kernel"],
    too_wide: ["feat08 takes 31 channels"], too_narrow: ["feat08 takes 3 channels"],
    without_bias: ["feat08", "a bias, not"], flat: ["feat08", "(30,)"],
    no_upsampling: ["upsample_res5"]}


@pytest.mark.parametrize("change", REFUSALS, ids=lambda change: change.__name__)
def test_heads_without_a_projected_form_are_refused(change, published, run, tmp_path):
    change(published)
    path = tmp_path / "in.caffemodel"
    weights.write_caffemodel(path, published)
    net = prototxt.build(caffe.Net, small_train_net("projected"), caffe.TRAIN)
    assert refused(net, path, *REFUSALS[change])
    if change is mixing:
        result = run("tools/convert_caffemodel.py", path, tmp_path / "out.caffemodel")
        assert fails_in_one_line(result, *REFUSALS[change])
        assert not (tmp_path / "out.caffemodel").exists()


@pytest.mark.parametrize("name", ["score08", "scale_res3", "scale_res4",
                                  *published_head.UPSAMPLING])
def test_incomplete_head_is_refused(name, published):
    del published[name]
    with pytest.raises(UserError, match=f"a layer {name}, which is missing"):
        published_head.to_projected(published)


def test_set_bilinear_refuses_a_layer_that_only_has_the_name():
    n = caffe.NetSpec()
    n.data = caffe.layers.Input(input_param={"shape": {"dim": [1, 3, 8, 9]}})
    n.upper = caffe.layers.InnerProduct(n.data, num_output=2)
    with pytest.raises(UserError, match="layer upper has 'up' in its name"):
        published_head.set_bilinear(prototxt.build(caffe.Net, n.to_proto(), caffe.TEST))
