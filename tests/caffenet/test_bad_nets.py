"""Bad solvers and nets end in one line, and never in an abort of Caffe."""


import caffe
import pytest
from google.protobuf import text_format

from tests.support.refusals import training_refused


def test_solvers_that_cannot_be_read(trainings):
    training = trainings.solver("models")
    text = training.solver.read_text()

    def with_text(changed, *words, script=False):
        assert changed != text
        training.solver.write_text(changed)
        return training_refused(trainings, training, training.solver, *words, script=script)

    assert with_text(text.replace("max_iter: 60", "max_iter: sixty"), "does not parse", "max_iter",
                     script=True)
    assert with_text(text + "colour: 1\n", "does not parse", "colour")
    assert with_text(text.replace(str(trainings.net), "nosuch.prototxt"), "nosuch.prototxt",
                     "does not exist", "paths count from python_scripts/")
    assert with_text(text.replace("fixed", "fixxed"), "lr_policy", "'fixxed'", "multistep")


@pytest.mark.parametrize("line, words", [
    ('net: "x"', ["must name one net file"]), ("iter_size: 0", ["iter_size"]),
    ('regularization_type: "L3"', ["regularization_type", "'L3'"]),
    ('lr_policy: "step"', ["stepsize"]), ('type: "Nosuch"', ["Caffe refuses", "solver type"]),
    ("average_loss: 0", ["Caffe refuses", "average_loss"]), ("max_iter: 0", ["no iterations"]),
    ('snapshot_prefix: ""', ["no snapshot_prefix"]), ("test_iter: 5", ["Caffe refuses", "test"])])
def test_solvers_that_caffe_would_die_of(trainings, line, words):
    training = trainings.solver("models", display=3, iter_size=1)
    message = caffe.proto.caffe_pb2.SolverParameter()
    text_format.Merge(training.solver.read_text(), message)
    text_format.Merge(line, message)
    training.solver.write_text(text_format.MessageToString(message))
    script = line.startswith(("lr", "average"))
    assert training_refused(trainings, training, training.solver, *words, script=script)


def unknown_layer(net):
    net.layer[1].type = "Convolutoin"
    return ["train.prototxt", "layer 'conv1'", "'Convolutoin'"]


def mismatched_shapes(net):
    net.layer.add(name="sum", type="Eltwise", bottom=["data", "score"], top=["sum"])
    return ["models.prototxt", "layer 'sum' joins", "(1, 3, 48, 64), (1, 2, 48, 64)"]


def failed_check(net):
    net.layer[3].convolution_param.num_output = 0
    return ["Caffe refuses", "models.prototxt", "Check failed: num_output_ > 0"]


def unknown_bottom(net):
    net.layer[1].bottom[0] = "nosuch"
    return ["Caffe refuses", "models.prototxt", "nosuch"]


def no_module(net):
    net.layer[0].python_param.module = "segspn.nosuch"
    return ["train.prototxt", "layer 'data'", "segspn.nosuch.FirstFrameObject", "No module named"]


def no_class(net):
    net.layer[0].python_param.layer = "NoSuch"
    return ["train.prototxt", "layer 'data'", "segspn.layers.NoSuch", "has no attribute 'NoSuch'"]


def no_data_set(net):
    parameter = net.layer[0].python_param
    parameter.param_str = parameter.param_str.replace("'data': '", "'data': '/nosuch")
    return ["/nosuch", "is not a data set in DAVIS layout"]


def code_in_param_str(net):
    net.layer[0].python_param.param_str = "__import__('os').abort()"
    return ["param_str must be a Python dict literal"]


def no_layers(net):
    net.ClearField("layer")
    return ["train.prototxt has no layers"]


@pytest.mark.parametrize("damage", [
    unknown_layer, mismatched_shapes, failed_check, unknown_bottom, no_module, no_class,
    no_data_set, code_in_param_str, no_layers], ids=lambda damage: damage.__name__)
def test_nets_that_cannot_be_made(trainings, damage):
    net = text_format.Parse(trainings.net.read_text(), caffe.proto.caffe_pb2.NetParameter())
    words = damage(net)
    trainings.net.write_text(text_format.MessageToString(net))
    script = damage in (failed_check, no_class)
    assert training_refused(trainings, trainings.solver("models"), *words, script=script)


def test_net_that_does_not_parse(trainings):
    trainings.net.write_text(trainings.net.read_text()[:-5])
    assert training_refused(trainings, trainings.solver("models"), trainings.net, "does not parse")
