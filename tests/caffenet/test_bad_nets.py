"""Bad solvers and nets end in one line, and never in an abort of Caffe."""

import codecs

import caffe
import pytest
from google.protobuf import text_format

from segspn.caffenet import prototxt
from segspn.errors import UserError
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
    ('lr_policy: "step" gamma: 1', ["needs stepsize above 0"]),
    ('type: "Nosuch"', ["Caffe refuses", "solver type"]),
    ("average_loss: 0", ["Caffe refuses", "average_loss"]), ("max_iter: 0", ["no iterations"]),
    ('snapshot_prefix: ""', ["no snapshot_prefix"]),
    ("test_iter: 5", ["test_iter: nothing is tested"]),
    ("test_state { phase: TEST }", ["test_state: nothing is tested"]),
    ("solver_mode: GPU", ["is for a GPU: add --gpu 0, or set solver_mode: CPU"]),
    ("device_id: 3", ["is for a GPU: add --gpu 3"])])
def test_solvers_that_caffe_would_die_of_or_not_follow(trainings, line, words):
    training = trainings.solver("models", display=3, iter_size=1)
    message = caffe.proto.caffe_pb2.SolverParameter()
    text_format.Merge(training.solver.read_text(), message)
    text_format.Merge(line, message)
    training.solver.write_text(text_format.MessageToString(message))
    script = line.startswith(("lr", "average"))
    assert training_refused(trainings, training, training.solver, *words, script=script)


def test_solvers_that_train_nothing_or_nonsense(trainings):
    training = trainings.solver("models", delta=1e-8)
    text = training.solver.read_text()

    def refused(old, new, *words):
        assert text.count(old) == 1
        training.solver.write_text(text.replace(old, new))
        with pytest.raises(UserError) as error:
            prototxt.read_solver(training.solver)
        assert len(str(error.value).splitlines()) == 1
        assert all(str(word) in str(error.value) for word in (training.solver, *words)), error.value
        return True

    assert refused("base_lr: 1e-08\n", "", "no base_lr")
    for name, old, values in (
            ("base_lr", "base_lr: 1e-08", (0, -1e-3, "nan", "inf", 1e-60)),
            ("delta", "delta: 1e-08", (0, "nan")), ("momentum", "momentum: 0.99", (1, -0.1, "nan")),
            ("momentum2", "delta: 1e-08", (1,)), ("rms_decay", "delta: 1e-08", (1,)),
            ("weight_decay", "weight_decay: 0.0005", (-1, "nan")),
            ("clip_gradients", "delta: 1e-08", (0, "nan", "inf")),
            ("snapshot", "snapshot: 20", (-5,)), ("random_seed", "delta: 1e-08", (2**31,))):
        for value in values:
            assert refused(old, f"{name}: {value}", f"{name} must be")
    for policy, fields, words in (
            ("step", "gamma: 0 stepsize: 5", "gamma above 0, not 0"),
            ("step", "gamma: nan stepsize: 5", "gamma above 0, not nan"),
            ("exp", "", "gamma"), ("inv", "gamma: 1", "power"), ("inv", "gamma: -1", "not -1"),
            ("poly", "", "power"), ("sigmoid", "gamma: -0.1", "stepsize"),
            ("multistep", "gamma: 0.1", "in rising order, not []"),
            ("multistep", "gamma: 0.1 stepvalue: 0", "not [0]"),
            ("multistep", "gamma: 0.1 stepvalue: 5 stepvalue: 3", "not [5, 3]")):
        assert refused('"fixed"', f'"{policy}" {fields}', f"lr_policy {policy} needs", words)
    assert refused("max_iter: 60\nlr_policy: \"fixed\"", 'lr_policy: "poly" power: 1', "max_iter")


@pytest.mark.parametrize("prefix, words", [
    ("FOLDER/new/", ["FOLDER/new/ is a folder", "as FOLDER/new/models"]),
    ("FOLDER", ["FOLDER is a folder", "as FOLDER/models"]), ("~/toy", ["'~/toy' is no path"]),
    ("FOLDER/a\nb", ["is no path"]), ("FOLDER/" + 201 * "a", ["at most 200 bytes"])])
def test_places_where_no_snapshot_can_be(trainings, prefix, words):
    training = trainings.solver(
        "models", snapshot_prefix=prefix.replace("FOLDER", str(trainings.root)))
    words = [word.replace("FOLDER", str(trainings.root)) for word in words]
    assert training_refused(trainings, training, training.solver, *words,
                            script=prefix.endswith("/"))


def test_policies_with_their_fields(trainings):
    for policy, fields in (
            ("fixed", ""), ("step", "gamma: 0.1 stepsize: 5"), ("exp", "gamma: 0.9"),
            ("inv", "gamma: 0.1 power: 0.75"), ("poly", "power: 0.9"),
            ("multistep", "gamma: 0.1 stepvalue: 3 stepvalue: 5"),
            ("sigmoid", "gamma: -0.1 stepsize: 5")):
        training = trainings.solver("models")
        training.solver.write_text(
            training.solver.read_text().replace('"fixed"', f'"{policy}" {fields}'))
        assert prototxt.read_solver(training.solver).lr_policy == policy


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
def test_files_of_other_editors(trainings, encoding):
    """Byte order marks, UTF-16, and Windows' ends of lines."""
    training = trainings.solver("models")
    plain = prototxt.read_solver(training.solver)
    for path in (training.solver, trainings.net):
        text = path.read_text().replace("\n", "  # é\r\n")
        mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
        path.write_bytes(mark + text.encode(encoding))
    if encoding == "cp1252":
        assert training_refused(trainings, training, training.solver, "not UTF-8", script=False)
    else:
        assert prototxt.read_solver(training.solver) == plain
    training.solver.write_bytes(text.encode("utf-16-le"))
    assert training_refused(trainings, training, training.solver, "not UTF-8", script=False)


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
