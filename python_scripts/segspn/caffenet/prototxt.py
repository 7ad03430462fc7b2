"""Writes nets and solvers; reads them, and checks them before Caffe sees them."""

import importlib
import math
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import caffe
import psutil
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from segspn import files, surroundings
from segspn.caffenet import device
from segspn.errors import UserError

HEADER = "# Written by write_prototxts.py from nets.py, which is the place to change it.\n"
# The fields of a solver that a learning rate policy goes by; Caffe takes a missing one for 0.
LR_POLICIES = {"fixed": (), "step": ("gamma", "stepsize"), "exp": ("gamma",),
               "inv": ("gamma", "power"), "multistep": ("gamma", "stepvalue"),
               "poly": ("power", "max_iter"), "sigmoid": ("gamma", "stepsize")}
# Fields that a solver may not have, and why.
NOT_OURS = {
    **dict.fromkeys(("test_net", "test_net_param", "test_iter", "test_state"),
                    "nothing is tested while it trains"),
    "weights": "the first argument of solve.py names the weights"}
LONGEST_NAME = 200  # bytes of a snapshot_prefix's last part: the files' names are longer


def text(message):
    """A net or a solver as a prototxt, which says where it is from."""
    return HEADER + text_format.MessageToString(message)


def write(path, message):
    files.write_text(path, text(message))


def read(path, message, what):
    """The message that a prototxt spells.  Raises UserError where it does not parse."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{what} {path} does not exist{_how_to_write(path)}")
    files.existing_file(path, what)
    try:
        text = files.read_text(path)
        return text_format.Parse(text, message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        is_other = isinstance(error, UnicodeDecodeError) or "\0" in text
        reason = "it is not UTF-8; save it as that" if is_other else str(error).splitlines()[0]
        raise UserError(f"{what} {path} does not parse: {reason}") from error


def _how_to_write(path):
    """What writes a missing prototxt, for the error's line; nothing for one of the user's own."""
    for name, also in (("ResNetF", "make prototxts (DAVIS 2017 test-challenge) or "), ("spn", "")):
        if path.resolve().is_relative_to(files.ROOT / name):
            script = f"{name}/write_prototxts.py"
            return "; write it with: " + (f"{script} --deploy" if path.name.startswith("deploy")
                                          else also + script)
    return ""


def read_net(path):
    """NetParameter of a prototxt whose layers are all known.  Raises UserError."""
    net = read(path, caffe_pb2.NetParameter(), "net")
    known = set(caffe.layer_type_list())
    if not net.layer:
        raise UserError(f"net {path} has no layers")
    for layer in net.layer:
        if layer.type not in known:
            raise UserError(f"net {path}: layer {layer.name!r} has the type {layer.type!r}, "
                            "which this Caffe does not have")
        if layer.type == "Python":
            _check_python_layer(path, layer)
    return net


def _check_python_layer(path, layer):
    name = layer.python_param.module, layer.python_param.layer
    try:
        getattr(importlib.import_module(name[0]), name[1])
    except Exception as error:
        raise UserError(f"net {path}: layer {layer.name!r} is of the Python class "
                        f"{'.'.join(name)}, which is not to be had: {error}") from error


def read_solver(path):
    """SolverParameter with its net inside (field train_net_param).  Raises UserError.

    Paths in it count from python_scripts/.
    """
    solver = read(path, caffe_pb2.SolverParameter(), "solver")
    nets = [name for name in (solver.net, solver.train_net) if name]
    if len(nets) != 1 or solver.HasField("net_param") or solver.HasField("train_net_param"):
        raise UserError(f"solver {path} must name one net file, in `net` or `train_net`")
    for field, _ in solver.ListFields():
        if field.name in NOT_OURS:
            raise UserError(f"solver {path}: {field.name}: {NOT_OURS[field.name]}; take it out")
    for name in (*nets, solver.snapshot_prefix):
        if not name.isprintable() or name.startswith("~"):
            raise UserError(f"solver {path}: {name!r} is no path; paths count from python_scripts/")
    _check_prefix(solver.snapshot_prefix, path)
    _check_numbers(solver, path)
    _check_policy(solver, path)
    net_path = files.PYTHON_SCRIPTS / nets[0]
    if not net_path.is_file():
        raise UserError(f"solver {path} names the net {nets[0]}, but {net_path.resolve()} "
                        "does not exist; paths count from python_scripts/"
                        f"{_how_to_write(net_path)}")
    solver.ClearField("net")
    solver.ClearField("train_net")
    solver.train_net_param.CopyFrom(read_net(net_path))
    return solver


def _check_prefix(prefix, path):
    """Raises UserError where the names of snapshots cannot begin with `prefix`."""
    if not prefix:
        raise UserError(f"solver {path} has no snapshot_prefix")
    if len(os.fsencode(Path(prefix).name)) > LONGEST_NAME:
        raise UserError(f"solver {path}: the name in snapshot_prefix must have at most "
                        f"{LONGEST_NAME} bytes")
    if prefix.endswith("/") or (files.PYTHON_SCRIPTS / prefix).is_dir():
        raise UserError(f"solver {path}: snapshot_prefix {prefix} is a folder; add what the "
                        f"names begin with, as {prefix.rstrip('/')}/{Path(path).stem}")


def _check_numbers(solver, path):
    """What Caffe checks, or divides by, not before it trains; and what would train nothing."""
    if solver.regularization_type not in ("L1", "L2"):
        raise UserError(f"solver {path}: regularization_type must be one of L1, L2, "
                        f"not {solver.regularization_type!r}")
    if not solver.HasField("base_lr"):
        raise UserError(f"solver {path} has no base_lr, the learning rate")
    for name, low, high, what in (
            *((name, sys.float_info.min, math.inf, "above 0") for name in ("base_lr", "delta")),
            *((name, 0, 1, "from 0 to below 1") for name in ("momentum", "momentum2", "rms_decay")),
            ("weight_decay", 0, math.inf, "at least 0"), ("snapshot", 0, math.inf, "at least 0"),
            ("iter_size", 1, math.inf, "at least 1"),
            ("random_seed", -math.inf, 2**31, "at most 2147483647")):
        value = getattr(solver, name)
        if not low <= value < high:
            raise UserError(f"solver {path}: {name} must be {what}, not {value:g}")
    if not math.isfinite(solver.clip_gradients) or solver.clip_gradients == 0:
        raise UserError(f"solver {path}: clip_gradients must be above 0, or below to clip nothing, "
                        f"not {solver.clip_gradients:g}")


def _check_policy(solver, path):
    """Raises UserError where the learning rate's policy lacks a field, or makes no sense of it."""
    policy = solver.lr_policy
    if policy not in LR_POLICIES:
        raise UserError(f"solver {path}: lr_policy must be one of {', '.join(LR_POLICIES)}, "
                        f"not {policy!r}")
    for name in LR_POLICIES[policy]:
        value = getattr(solver, name)
        if name == "stepvalue":
            if not value or any(a >= b for a, b in zip([0, *value], value)):
                raise UserError(f"solver {path}: lr_policy multistep needs stepvalue, iterations "
                                f"in rising order, not {list(value)}")
        elif not 0 < (abs(value) if policy == "sigmoid" else value) < math.inf:
            raise UserError(f"solver {path}: lr_policy {policy} needs {name} above 0, "
                            f"not {value:g}")


def wants_gpu(solver):
    """Whether a SolverParameter says that it is for a GPU.  Caffe's default is no word for it."""
    return (solver.solver_mode == solver.GPU
            and (solver.HasField("solver_mode") or solver.HasField("device_id")))


def sharing_memory(net):
    """A copy of a NetParameter whose blobs share memory where they can (ResNetF/caffe).

    What its blobs hold after a pass is right for inputs, outputs, losses, and blobs next to
    Python layers; of the others, data in TEST and diffs in TRAIN may be of another blob.
    """
    copy = type(net)()
    copy.CopyFrom(net)
    copy.state.stage.append("share_memory")
    return copy


def build(create, message, *arguments, what="this net"):
    """create(path, *arguments) on a temporary prototxt of `message`; `what` names it in errors.

    It is tried in a child process first: Caffe aborts on a net that does not
    fit together, and that must not happen here.  Raises UserError with the
    check that failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(text_format.MessageToString(message))
        file.flush()
        try_in_child(lambda: _check(create(file.name, *arguments), what), what)
        return create(file.name, *arguments)


def _check(made, what):
    """Raises UserError for what Caffe finds, or dies of, no sooner than it computes."""
    net = getattr(made, "net", made)
    _check_sums(net, what)
    _check_memory(net, net is not made)


def _check_memory(net, is_trained):
    """Raises UserError where limits of this process are below what the net takes, as measured.

    Blobs share memory, and oneDNN has code and buffers of its own for each convolution; without
    it a blob has, beside its numbers, their differences in training, and as much in buffers.
    """
    blobs = sum(blob.count for blob in net.blobs.values())
    weights = sum(blob.count for blobs in net.params.values() for blob in blobs)
    lean = device.build_info()["convolutions"] == "oneDNN"
    numbers = ((0.7 if lean else 4.5) * blobs + 4 * weights if is_trained
               else (0.25 if lean else 2.5) * blobs + weights)
    needed = (psutil.Process().memory_info().vms + 4 * numbers) / surroundings.MIB
    if lean:
        needed += 3.5 * sum(layer.type == "Convolution" for layer in net.layers)
    surroundings.check_addresses(needed, "this net", "take a smaller --size")


def _check_sums(net, what):
    """Raises UserError where an Eltwise joins different shapes: the pinned Caffe does not look."""
    for i, layer in enumerate(net.layers):
        shapes = [tuple(net._blobs[j].shape) for j in net._bottom_ids(i)]
        if layer.type == "Eltwise" and len(set(shapes)) > 1:
            raise UserError(f"{what}: layer {net._layer_names[i]!r} joins blobs of different "
                            f"shapes, {', '.join(map(str, shapes))}")


def try_in_child(function, what="this net"):
    """Runs `function` in a forked child.  Raises UserError where it fails or aborts there."""
    with tempfile.TemporaryFile() as output:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.signal(signal.SIGABRT, signal.SIG_DFL)
                os.dup2(output.fileno(), 2)
                caffe.set_mode_cpu()  # CUDA does not survive a fork
                function()
                status = 0
            except UserError as error:
                output.write(f"UserError: {error}".encode())
            except BaseException as error:
                output.write(f"{type(error).__name__}: {error}".encode())
            finally:
                output.flush()
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        if status:
            output.seek(0)
            raise UserError(_reason(output.read().decode(errors="replace"), status, what))


def _reason(text, status, what):
    """One line for why a child failed: its own error, or Caffe's failed check."""
    if not os.WIFSIGNALED(status):
        reason = text.strip().splitlines()[-1]
        return reason.removeprefix("UserError: ") if reason.startswith("UserError: ") else (
            f"{what} cannot be made: {reason}")
    fatal = re.search(r"^F\d+ .*?\] (.*)$", text, re.M)
    reason = fatal[1] if fatal else f"it ended with signal {os.WTERMSIG(status)}"
    return f"Caffe refuses {what}: {reason}"
