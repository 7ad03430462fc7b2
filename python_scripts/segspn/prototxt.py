"""Reads nets and solvers, and checks them before Caffe sees them."""

import os
import re
import signal
import sys
import tempfile

import caffe
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from segspn import files
from segspn.errors import UserError


def read(path, message, what):
    """The message that a prototxt spells.  Raises UserError where it does not parse."""
    path = files.existing_file(path, what)
    try:
        return text_format.Parse(path.read_text(), message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{what} {path} does not parse: {reason}") from error


def read_net(path):
    """NetParameter of a prototxt whose layers are all known.  Raises UserError."""
    net = read(path, caffe_pb2.NetParameter(), "net")
    known = set(caffe.layer_type_list())
    if not net.layer:
        raise UserError(f"net {path} has no layers")
    for layer in net.layer:
        if layer.type not in known:
            raise UserError(f"net {path}: layer {layer.name!r} has the type {layer.type!r}, "
                            "which this Caffe does not have (make check lists them)")
    return net


def read_solver(path):
    """SolverParameter with its net inside (field net_param).  Raises UserError.

    Paths in it count from python_scripts/.
    """
    solver = read(path, caffe_pb2.SolverParameter(), "solver")
    nets = [name for name in (solver.net, solver.train_net) if name]
    if len(nets) != 1 or solver.HasField("net_param") or solver.HasField("train_net_param"):
        raise UserError(f"solver {path} must name one net file, in `net` or `train_net`")
    if not solver.snapshot_prefix:
        raise UserError(f"solver {path} has no snapshot_prefix")
    net_path = files.PYTHON_SCRIPTS / nets[0]
    if not net_path.is_file():
        raise UserError(f"solver {path} names the net {nets[0]}, but {net_path.resolve()} "
                        "does not exist; paths count from python_scripts/")
    solver.ClearField("net")
    solver.ClearField("train_net")
    solver.train_net_param.CopyFrom(read_net(net_path))
    return solver


def build(create, message, *arguments):
    """create(path, *arguments) on a temporary prototxt of `message`.

    It is tried in a child process first: Caffe aborts on a net that does not
    fit together, and that must not happen here.  Raises UserError with the
    check that failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(text_format.MessageToString(message))
        file.flush()
        try_in_child(lambda: create(file.name, *arguments))
        return create(file.name, *arguments)


def try_in_child(function):
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
            raise UserError(_reason(output.read().decode(errors="replace"), status))


def _reason(text, status):
    """One line for why a child failed: its own error, or Caffe's failed check."""
    if not os.WIFSIGNALED(status):
        return text.removeprefix("UserError: ").strip().splitlines()[-1]
    fatal = re.search(r"^F\d+ .*?\] (.*)$", text, re.M)
    reason = fatal[1] if fatal else f"it ended with signal {os.WTERMSIG(status)}"
    return f"Caffe refuses this net: {reason}"
