"""Reads, writes and loads .caffemodel files, without letting Caffe abort.

Caffe's own reader ends the process on a bad file; here every file is parsed and
every shape compared in Python before a number reaches a net.
"""

import os
from dataclasses import dataclass, field

import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from segspn import files
from segspn.caffenet import published_head
from segspn.errors import UserError

MAX_BYTES = 2**31 - 1  # protobuf's own limit of a message


def raw_message_class(name):
    """A caffe.proto message in which the numbers of a blob are bytes.

    A packed `repeated float` and `bytes` look alike in the file, so that a
    gigabyte of weights is parsed without a Python object for every number.
    """
    description = descriptor_pb2.FileDescriptorProto()
    caffe_pb2.DESCRIPTOR.CopyToProto(description)
    blob = next(m for m in description.message_type if m.name == "BlobProto")
    for number in blob.field:
        if number.name in ("data", "diff"):
            number.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
            number.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
            number.ClearField("options")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(description.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


RawNet = raw_message_class("NetParameter")


def read_caffemodel(path):
    """{layer name: [float32 arrays]} of the layers of a .caffemodel that have blobs.

    Raises UserError where the file is missing, truncated, or not a Caffe model, or where
    its numbers would make all scores NaN or noise.
    """
    path = files.existing_file(path, "weights")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UserError(f"weights {path} has {size} bytes; Caffe models are below 2 GB")
    net = RawNet()
    try:
        net.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise UserError(f"weights {path} is truncated or not a .caffemodel; "
                        "fetch or train it anew") from error
    blobs = {}
    for layer in list(net.layer) or list(net.layers):
        if len(layer.blobs):
            where = f"weights {path}, layer {layer.name}"
            blobs[layer.name] = [_array(blob, where) for blob in layer.blobs]
            _check_statistics(blobs[layer.name], layer.type, where)
    if not blobs:
        raise UserError(f"weights {path} is not a .caffemodel with weights in it")
    return blobs


def _array(blob, where):
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else (
        blob.num, blob.channels, blob.height, blob.width)
    data = np.frombuffer(blob.data, np.float32) if len(blob.data) % 4 == 0 else np.empty(0)
    if not data.size and len(blob.double_data):
        data = np.array(blob.double_data, np.float32)
    if min(shape, default=1) < 1 or data.size != np.prod(shape, dtype=np.int64):
        raise UserError(f"{where}: {data.size} numbers for the shape {shape}; "
                        "the file is truncated or not a .caffemodel")
    if not np.isfinite([data.min(), data.max()]).all():
        raise UserError(f"{where}: a number is NaN or infinite, as a training that diverged "
                        "leaves it; fetch or train it anew")
    return data.reshape(shape)


def _check_statistics(arrays, kind, where):
    """Raises UserError where a BatchNorm's (sums of) mean and variance, and factor, are none.

    kind: the layer's type; "" where the file does not say it: three arrays are enough then.
    """
    sizes = [array.size for array in arrays]
    if kind not in ("", "BatchNorm") or len(sizes) != 3 or sizes[0] != sizes[1] or sizes[2] != 1:
        return
    if arrays[2].item() <= 0:
        raise UserError(f"{where}: the factor of this BatchNorm is {arrays[2].item():g}, so it has "
                        "no mean and variance; take weights that were trained, or converted with "
                        "their statistics")
    if arrays[1].min() < 0:
        raise UserError(f"{where}: a variance of this BatchNorm is {arrays[1].min():g}, below 0; "
                        "fetch or train it anew")


def write_caffemodel(path, blobs, name="ResNetF"):
    """Writes {layer name: [arrays]} as a .caffemodel that Caffe reads, as a whole file."""
    net = RawNet(name=name)
    for layer_name, arrays in blobs.items():
        layer = net.layer.add(name=layer_name)
        for array in arrays:
            blob = layer.blobs.add()
            blob.shape.dim.extend(array.shape)
            blob.data = np.ascontiguousarray(array, np.float32).tobytes()
    files.write_bytes(path, net.SerializeToString())


def to_projected(path, blobs):
    """published_head.to_projected; its UserError names the file, too."""
    try:
        return published_head.to_projected(blobs)
    except UserError as error:
        raise UserError(f"weights {path}: {error}") from error


@dataclass
class LoadReport:
    """What loading took, converted, left, and what stays at its filler (layer names)."""

    source: str
    taken: list = field(default_factory=list)
    converted: list = field(default_factory=list)
    left: list = field(default_factory=list)
    filler: list = field(default_factory=list)

    def __str__(self):
        lines = [f"weights {self.source}: {len(self.taken)} layers taken"]
        for what, names in (("converted from the published layout", self.converted),
                            ("left, not in this net", self.left),
                            ("at their fillers, not in the file", self.filler)):
            if names:
                more = f", … {len(names)} in all" if len(names) > 8 else ""
                lines.append(f"  {what}: {', '.join(names[:8])}{more}")
        return "\n".join(lines)


def load(net, path, blobs=None):
    """Loads a .caffemodel into a caffe.Net and returns a LoadReport.

    Weights in the published layout are converted where the net has the
    projected head.  Nothing is loaded where any shape differs.  Raises
    UserError for a bad file, a shape that differs, and weights of another net.
    `blobs`, the file's content, saves reading it again.
    """
    blobs = read_caffemodel(path) if blobs is None else blobs
    report = LoadReport(os.fspath(path))
    if published_head.is_published(blobs) and "feat08_res3" in net.params:
        projected = to_projected(path, blobs)
        report.converted = sorted(
            name for name in projected if projected[name] is not blobs.get(name))
        blobs = projected
    for name, arrays in blobs.items():
        if name not in net.params:
            report.left.append(name)
            continue
        targets = [blob.data for blob in net.params[name]]
        shapes = [array.shape for array in arrays], [target.shape for target in targets]
        if [_modern(s) for s in shapes[0]] != [_modern(s) for s in shapes[1]]:
            raise UserError(f"weights {path}, layer {name}: shapes {shapes[0]} in the file, "
                            f"{shapes[1]} in the net")
        report.taken.append(name)
    if not report.taken:
        raise UserError(f"weights {path} fits no layer of this net; it has layers such as "
                        f"{', '.join(report.left[:3])}, the net {', '.join(list(net.params)[:3])}")
    for name in report.taken:
        for target, array in zip(net.params[name], blobs[name]):
            target.data[...] = array.reshape(target.data.shape)
    report.filler = [name for name in net.params if name not in blobs]
    return report


def _modern(shape):
    """A legacy four-axis shape without its leading ones: (1, 1, 1, n) is (n,)."""
    shape = list(shape)
    while len(shape) > 1 and shape[0] == 1:
        shape.pop(0)
    return tuple(shape)
