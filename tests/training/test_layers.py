"""The data layers and the weighting of the loss, in real Caffe nets."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import caffe
import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from segspn import layers
from segspn.caffenet import prototxt
from segspn.data import davis
from segspn.errors import UserError
from segspn.training import samples, sources
from segspn.training.prefetch import Prefetcher

FOREGROUND = ("FirstFrameObject", "FirstFrameForeground", "GenericForeground")
SIZE = (96, 128)
UNTOUCHED = (0, 0, 0, 0, 0, 0)
RELEASE = (3000, 0.05, 5, 0.1, 0.1, 1)
MEAN = np.array((104.00699, 116.66877, 122.67892), np.float32)


@pytest.fixture(autouse=True)
def processes(monkeypatch):
    """Ends the processes that a test started: pycaffe never frees a layer."""
    started, start = [], Prefetcher._start

    def recorded(self):
        started.append(self)
        start(self)
    monkeypatch.setattr(Prefetcher, "_start", recorded)
    yield
    for prefetcher in started:
        prefetcher.close()


def parameters(layer, data, **changes):
    """The param_str of a data layer, as a dict."""
    own = {"FirstFrameObject": {"sequence": "toy", "object": 2},
           "FirstFrameForeground": {"sequence": "toy"},
           "GenericForeground": {"lists": ("ImageSets/2017/train.txt",)}}[layer]
    return {"data": str(data), "size": SIZE, "augmentation": RELEASE, "seed": 0, **own, **changes}


def data_net(layer, param_str):
    """A net of one data layer."""
    n = caffe.NetSpec()
    n.data, n.label, n.weight = caffe.layers.Python(
        module="segspn.layers", layer=layer, param_str=param_str, ntop=3)
    return prototxt.build(caffe.Net, n.to_proto(), caffe.TRAIN)


def forward(net):
    """data, label and weight of the next iteration, without the axes of length 1."""
    net.forward()
    return [net.blobs[name].data[0].squeeze().copy() for name in ("data", "label", "weight")]


def assert_same(actual, expected):
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected):
        np.testing.assert_array_equal(ours, theirs)


def frame_and_annotation(data, index=0, sequence="toy"):
    return (cv2.imread(str(data / f"JPEGImages/480p/{sequence}/{index:05}.jpg")),
            np.array(Image.open(data / f"Annotations/480p/{sequence}/{index:05}.png")))


def expected_sample(frame, foreground, void):
    """The sample of an untouched frame, in plain NumPy."""
    share = np.count_nonzero(foreground & ~void) / np.count_nonzero(~void)
    weight = np.where(foreground, np.float32(1 - share), np.float32(share))
    return ((frame.astype(np.float32) - MEAN).transpose(2, 0, 1), foreground.astype(np.float32),
            np.where(void, np.float32(0), weight))


# -------------------------------------------------------------- data layers

@pytest.mark.parametrize("layer", FOREGROUND)
def test_tops_are_the_samples(layer, data_set):
    text = repr(parameters(layer, data_set, seed=3, size=(70, 90)))
    net = data_net(layer, text)
    assert [net.blobs[name].data.shape for name in ("data", "label", "weight")] == [
        (1, 3, 70, 90), (1, 1, 70, 90), (1, 1, 70, 90)]
    source = getattr(samples, layer)(text)
    for iteration in range(6):
        assert_same(forward(net), source.sample(3, iteration))


@pytest.mark.parametrize("layer", ["FirstFrameObject", "FirstFrameForeground"])
def test_first_frame_as_it_is(layer, data_set):
    net = data_net(layer, repr(parameters(layer, data_set, augmentation=UNTOUCHED)))
    frame, annotation = frame_and_annotation(data_set)
    foreground = annotation == 2 if layer == "FirstFrameObject" else annotation > 0
    assert 0 < foreground.mean() < 0.5
    for _ in range(3):
        assert_same(forward(net), expected_sample(frame, foreground, annotation == 255))


def test_half_size_averages_four_pixels(data_set):
    net = data_net("FirstFrameObject", repr(parameters(
        "FirstFrameObject", data_set, augmentation=UNTOUCHED, size=(48, 64))))
    frame, annotation = frame_and_annotation(data_set)

    def sum_of_four(plane):
        return plane.astype(int).reshape(48, 2, 64, 2, -1).sum((1, 3)).squeeze()

    expected = expected_sample((sum_of_four(frame) + 2) // 4, sum_of_four(annotation == 2) >= 2,
                               np.zeros((48, 64), bool))
    assert_same(forward(net), expected)


@pytest.mark.parametrize("layer", FOREGROUND)
def test_void_pixels_count_for_nothing(layer, data_set):
    for index in range(4):
        frame, annotation = frame_and_annotation(data_set, index)
        annotation[30:60, 20:110] = davis.VOID
        davis.write_labels(data_set / f"Annotations/480p/toy/{index:05}.png", annotation)
    net = data_net(layer, repr(parameters(layer, data_set, augmentation=UNTOUCHED)))
    data, label, weight = forward(net)
    void = np.zeros(SIZE, bool)
    void[30:60, 20:110] = True
    assert not weight[void].any() and weight[~void].all() and not label[void].any()
    index = frame_index(data_set, data)
    frame, annotation = frame_and_annotation(data_set, index)
    foreground = (annotation == 2 if layer == "FirstFrameObject"
                  else (annotation > 0) & (annotation < 255))
    assert_same((data, label, weight), expected_sample(frame, foreground, void))


def frame_index(data_set, data):
    """Which frame of `toy` an untouched sample shows."""
    frames = [frame_and_annotation(data_set, i)[0] for i in range(4)]
    return next(i for i, frame in enumerate(frames) if np.array_equal(
        data, (frame.astype(np.float32) - MEAN).transpose(2, 0, 1)))


def test_generic_takes_every_frame_once_an_epoch(data_set):
    net = data_net("GenericForeground", repr(parameters(
        "GenericForeground", data_set, augmentation=UNTOUCHED)))
    orders = []
    for _ in range(6):
        order = [frame_index(data_set, forward(net)[0]) for _ in range(4)]
        assert sorted(order) == [0, 1, 2, 3]
        orders.append(tuple(order))
    assert len(set(orders)) > 1


@pytest.mark.parametrize("layer", FOREGROUND)
def test_resumed_layer_goes_on_with_the_same_samples(layer, data_set):
    text = repr(parameters(layer, data_set))
    uninterrupted = data_net(layer, text)
    uninterrupted.layers[0].start(11, 0)
    expected = [forward(uninterrupted) for _ in range(9)]
    resumed = data_net(layer, text)
    forward(resumed)  # of another seed, and another one is prepared: both are of no account
    resumed.layers[0].start(11, 5)
    for sample in expected[5:]:
        assert_same(forward(resumed), sample)
    assert any((a != b).any() for a, b in zip(expected[0], expected[1]))


def test_lists_of_davis_2016_and_2017_are_the_same(data_set):
    folder = data_set / "ImageSets/480p"
    folder.mkdir()
    (folder / "train.txt").write_text("".join(
        f"/JPEGImages/480p/toy/{i:05}.jpg /Annotations/480p/toy/{i:05}.png\n" for i in range(4)))
    nets = [data_net("GenericForeground", repr(parameters("GenericForeground", data_set,
                                                          lists=(name,))))
            for name in ("ImageSets/480p/train.txt", "ImageSets/2017/train.txt")]
    for _ in range(5):
        assert_same(forward(nets[0]), forward(nets[1]))


def test_several_lists_are_joined(data_set):
    (data_set / "ImageSets/2017/val.txt").write_text(
        "JPEGImages/480p/toy/00002.jpg Annotations/480p/toy/00002.png\n\n")
    net = data_net("GenericForeground", repr(parameters(
        "GenericForeground", data_set, augmentation=UNTOUCHED,
        lists=("ImageSets/2017/train.txt", "ImageSets/2017/val.txt"))))
    seen = [frame_index(data_set, forward(net)[0]) for _ in range(5)]
    assert sorted(seen) == [0, 1, 2, 2, 3]


def test_grey_annotations_of_davis_2016_have_their_foreground_at_255(data_set):
    for index in range(4):
        path = data_set / f"Annotations/480p/toy/{index:05}.png"
        _, annotation = frame_and_annotation(data_set, index)
        Image.fromarray((annotation > 0).astype(np.uint8) * 255).save(path)
    net = data_net("GenericForeground", repr(parameters(
        "GenericForeground", data_set, augmentation=UNTOUCHED)))
    data, label, weight = forward(net)
    frame, annotation = frame_and_annotation(data_set, frame_index(data_set, data))
    assert_same((data, label, weight),
                expected_sample(frame, annotation == 255, np.zeros(SIZE, bool)))


def test_lists_have_names(data_set):
    with pytest.raises(UserError, match=r"'lists' must be names, not \(5,\)"):
        samples.GenericForeground(repr(parameters("GenericForeground", data_set, lists=(5,))))


@pytest.mark.parametrize("line, message", [
    ("", "is empty"), ("a b c\n", ": not a sequence or two paths"),
    ("nosuch\n", "video 'nosuch' has no frames"), ("../toy\n", "plain folder name"),
    ("JPEGImages/480p/toy/00000.jpg Annotations/480p/toy/00009.png\n",
     "00009.png, which does not exist")])
def test_bad_lists_are_refused(line, message, data_set):
    (data_set / "ImageSets/2017/train.txt").write_text(line)
    with pytest.raises(UserError, match=message):
        data_net("GenericForeground", repr(parameters("GenericForeground", data_set)))


# ---------------------------------------------------------------- param_str

def without(key):
    return {k: v for k, v in parameters("FirstFrameObject", "DATA").items() if k != key}


@pytest.mark.parametrize("text, message", [
    ("{**DICT, 'object': __import__('os').system('touch RAN')}", "Python dict literal"),
    ("__import__('pathlib').Path('RAN').touch() or DICT", "Python dict literal"),
    ("(lambda: DICT)()", "Python dict literal"), ("{'data': open('RAN', 'w')}", "dict literal"),
    ("", "dict literal"), ("{", "dict literal"), ("[1, 2]", "dict literal"), ("7", "dict literal"),
    ("{[]: 1}", "dict literal"), ("(" * 10000, "dict literal"), ("{'a': 1\0}", "dict literal")])
def test_param_str_is_never_run(text, message, data_set, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = text.replace("DICT", repr(parameters("FirstFrameObject", data_set)))
    with pytest.raises(UserError, match=message):
        samples.FirstFrameObject(text)
    assert not (tmp_path / "RAN").exists()


@pytest.mark.parametrize("text, message", [
    ({**without("seed"), "sizes": 1}, r"unknown keys \['sizes'\]"),
    ({**without("seed"), 3: 1}, r"unknown keys \[3\]"),
    (without("data"), "no 'data'"), (without("size"), "no 'size'"),
    (without("object"), "no 'object'"), (without("augmentation"), "no 'augmentation'"),
    ({**without("object"), "object": "2"}, "'object' must be int, not '2'"),
    ({**without("object"), "object": True}, "'object' must be int"),
    ({**without("object"), "object": None}, "'object' must be int"),
    ({**without("data"), "data": 5}, "'data' must be str"),
    ({**without("size"), "size": [96, 128]}, "'size' must be tuple"),
    ({**without("size"), "size": (96,)}, "'size' must be "),
    ({**without("size"), "size": (96, 0)}, "'size' must be "),
    ({**without("size"), "size": (96, 128.0)}, "'size' must be "),
    ({**without("size"), "size": (96, True)}, "'size' must be "),
    ({**without("size"), "size": (99999, 99999)}, "'size' must be .* 1 to 9999, not"),
    ({**without("size"), "size": (10**30, 96)}, "'size' must be .* 1 to 9999, not"),
    ({**without("data"), "data": "a\nb"}, "'data' must be printable"),
    ({**without("augmentation"), "augmentation": (1, 2)}, "augmentation must be six"),
    ({**without("seed"), "seed": 1.5}, "'seed' must be int"),
    ({**without("seed"), "seed": -1}, "'seed' must .*-1"),
    ({**without("seed"), "seed": 2**70}, "'seed' must .*1180591620717411303424"),
    ({**without("object"), "object": 3}, r"object 3 is not in .* toy; it has \[1, 2\]"),
    ({**without("sequence"), "sequence": "../toy"}, "plain folder name"),
    ({**without("data"), "data": "/nosuch"}, "/nosuch is not a data set in DAVIS layout")])
def test_bad_param_str_is_refused_by_the_layer(text, message, data_set):
    with pytest.raises(UserError, match=message) as error:
        data_net("FirstFrameObject", repr(text).replace("DATA", str(data_set)))
    assert len(str(error.value).splitlines()) == 1


def test_defaults_of_param_str(data_set):
    values = without("seed")
    values["data"] = str(data_set)
    assert samples.FirstFrameObject(repr(values)).parameters["seed"] == 0


# ------------------------------------------------------------ LossWeighting

def weighting_net(scores, weight):
    n = caffe.NetSpec()
    n.scores = caffe.layers.Input(input_param={"shape": {"dim": list(scores)}})
    n.weight = caffe.layers.Input(input_param={"shape": {"dim": list(weight)}})
    n.score = caffe.layers.Python(n.scores, n.weight, module="segspn.layers",
                                  layer="LossWeighting")
    net = n.to_proto()
    net.force_backward = True
    return prototxt.build(caffe.Net, net, caffe.TRAIN)


@pytest.mark.parametrize("shape", [(1, 2, 5, 7), (3, 4, 6, 5)])
def test_loss_weighting(shape):
    net = weighting_net(shape, (shape[0], 1, *shape[2:]))
    rng = np.random.default_rng(0)
    values = {"scores": rng.normal(0, 5, shape), "weight": rng.random((shape[0], 1, *shape[2:]))}
    for name, value in values.items():
        net.blobs[name].data[...] = value
    net.forward()
    np.testing.assert_array_equal(net.blobs["score"].data, values["scores"].astype(np.float32))
    gradient = rng.normal(0, 1, shape).astype(np.float32)
    net.blobs["score"].diff[...] = gradient
    net.backward()
    expected = np.empty(shape, np.float32)
    for index in itertools.product(*map(range, shape)):
        image, _, y, x = index
        expected[index] = gradient[index] * np.float32(values["weight"][image, 0, y, x])
    np.testing.assert_array_equal(net.blobs["scores"].diff, expected)


@pytest.mark.parametrize("weight", [(1, 2, 5, 7), (1, 1, 5, 6), (2, 1, 5, 7)])
def test_loss_weighting_refuses_another_shape(weight):
    with pytest.raises(UserError, match="LossWeighting: weight is"):
        weighting_net((1, 2, 5, 7), weight)


# ----------------------------------------------------------------- prefetch

def prefetcher(data, kind="GenericForeground"):
    text = repr(parameters(kind, data))
    return Prefetcher(kind, text, sources.KINDS[kind](text).shapes), sources.KINDS[kind](text)


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_gone(pid):
    """Whether a process has ended (a zombie has, too)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_prefetched_samples_in_any_order(data_set):
    ahead, source = prefetcher(data_set)
    for asked, prepared in ((0, 1), (1, 2), (7, 8), (3, 3), (3, 9)):
        assert_same([array.squeeze() for array in ahead.get(5, asked)], source.sample(5, asked))
        ahead.request(5, prepared)
    loaded = {Path(part.path).name for part in psutil.Process(ahead._process.pid).memory_maps()}
    assert "cv2.abi3.so" in loaded and "_caffe.so" not in loaded  # it needs no Caffe
    ahead.close()


def test_prefetch_ends_with_its_layer(data_set):
    net = data_net("FirstFrameObject", repr(parameters("FirstFrameObject", data_set)))
    forward(net)
    pid = net.layers[0]._prefetchers[0]._process.pid
    assert not is_gone(pid)
    net.layers[0].close()
    assert is_gone(pid)


def test_killed_prefetch_is_a_user_error(data_set):
    net = data_net("FirstFrameObject", repr(parameters("FirstFrameObject", data_set)))
    forward(net)
    pid = net.layers[0]._prefetchers[0]._process.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid))
    # The sample that was ready may still be taken; the next one cannot.
    with pytest.raises(UserError, match="was killed; run the same command with --resume"):
        for _ in range(3):
            forward(net)


def test_user_error_in_prefetch_reaches_the_net(data_set):
    net = data_net("GenericForeground", repr(parameters("GenericForeground", data_set)))
    for index in range(4):
        (data_set / f"Annotations/480p/toy/{index:05}.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"annotation .*0000\d.png is corrupt"):
        forward(net)


def test_other_error_in_prefetch_is_shown_with_its_traceback(data_set):
    ahead = Prefetcher("GenericForeground", repr(parameters("GenericForeground", data_set)),
                       [(3, 1, 1), (1, 1), (1, 1)])  # shared memory that is too small
    with pytest.raises(RuntimeError, match="(?s)Traceback.*Error"):
        ahead.get(0, 0)


def test_prefetch_ends_when_its_parent_is_killed(data_set):
    text = repr(parameters("FirstFrameObject", data_set))
    code = ("import time\nfrom segspn.training.prefetch import Prefetcher\n"
            f"ahead = Prefetcher('FirstFrameObject', {text!r}, {[(3, *SIZE), SIZE, SIZE]!r})\n"
            "ahead.get(0, 0)\nahead.request(0, 1)\n"
            "print(ahead._process.pid, flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.kill()
        wait_until(lambda: is_gone(child))


def test_layers_and_samples_have_the_same_kinds():
    data_layers = {name for name, value in vars(layers).items()
                   if isinstance(value, type) and getattr(value, "kind", None)}
    assert data_layers == set(sources.KINDS)


def test_a_sample_that_nobody_waits_for_leaves_no_trace(data_set, capfd):
    ahead, _ = prefetcher(data_set)
    ahead.get(0, 0)
    ahead.request(0, 1)
    ahead._connection.close()  # as when the run ends while a sample is made
    ahead._process.join(60)
    assert ahead._process.exitcode == 0
    assert capfd.readouterr().err == ""


def test_ctrl_c_and_the_end_of_its_group_are_not_for_prefetch(data_set):
    """Also while it starts."""
    text = repr(parameters("FirstFrameObject", data_set))
    code = ("import os, signal\nfrom segspn.signals import EndSignals\n"
            "from segspn.training.prefetch import Prefetcher\n"
            f"ahead = Prefetcher('FirstFrameObject', {text!r}, {[(3, *SIZE), SIZE, SIZE]!r})\n"
            "with EndSignals() as ends:\n"
            "    ahead.request(0, 0)\n"
            "    os.killpg(0, signal.SIGINT)\n"
            "    ahead.get(0, 0)\n"
            "    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:\n"
            "        os.killpg(0, number)\n"
            "    ahead.get(0, 1)\n"
            "ahead.close()\nprint(len(ends.came))\n")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            start_new_session=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "3\n", "")


def test_generic_samples_of_other_images_have_another_fingerprint(data_set):
    def fingerprint():
        kind = "GenericForeground"
        return sources.KINDS[kind](repr(parameters(kind, data_set))).fingerprint()
    before = fingerprint()
    assert fingerprint() == before
    path = data_set / "JPEGImages/480p/toy/00002.jpg"
    path.write_bytes((data_set / "JPEGImages/480p/toy/00001.jpg").read_bytes())
    assert fingerprint() != before
