"""Makes a Caffe tree ready for our build: copy, change, merge the proto of spn/.

Every change to the tree stands in CHANGES below, with its reason.  A change
whose text is not found exactly once stops the build and says so: the tree is
then not one that this list was written for.

Uses the standard library only: it runs before anything is installed.
"""

import ast
import re
import shutil
from dataclasses import dataclass


class TreeError(Exception):
    """The tree, or a proto fragment, is not what the build expects."""


@dataclass(frozen=True)
class Change:
    """Replace `old`, which must stand exactly `count` times in `path`, by `new`."""

    path: str
    old: str
    new: str
    why: str
    trees: tuple = ("ssd", "bvlc")
    count: int = 1


# Before loops over parameters, each of which is for itself.
IN_PARALLEL = "#pragma omp parallel for schedule(dynamic) if (Caffe::mode() == Caffe::CPU)\n"

CHANGES = [
    Change("src/caffe/net.cpp", '#include "caffe/test/test_caffe_main.hpp"\n', "",
           "the library must not need gtest", trees=("ssd",)),
    Change("src/caffe/util/io.cpp", "SetTotalBytesLimit(kProtoReadBytesLimit, 536870912)",
           "SetTotalBytesLimit(kProtoReadBytesLimit)",
           "protobuf 3.6 and later take one argument", trees=("bvlc",)),
    Change("src/caffe/util/io.cpp", "SetTotalBytesLimit(536870912)",
           "SetTotalBytesLimit(INT_MAX)",
           "weights in the published layout are larger than 512 MB",
           trees=("ssd",), count=2),
    Change("src/caffe/util/io.cpp", "#include <stdint.h>\n",
           "#include <limits.h>\n#include <stdint.h>\n",
           "INT_MAX of the change above", trees=("ssd",)),
    Change("src/caffe/layer_factory.cpp", "catch (bp::error_already_set) {\n    PyErr_Print();",
           "catch (bp::error_already_set) {",
           "a Python layer's error reaches the caller, who prints it once"),
    Change("src/caffe/layers/crop_layer.cpp",
           "stored continously in memory\n    for (int i = 0; i < top[0]->shape(cur_dim); ++i) {",
           "stored continously in memory\n    {",
           "this loop copies every row as often as the row is long; once is the same",
           trees=("ssd",)),
    Change("src/caffe/layers/accuracy_layer.cpp",
           "      std::vector<std::pair<Dtype, int> > bottom_data_vector;\n",
           """      if (top_k_ == 1) {  // the same, of what is below
        int best = 0;
        for (int k = 1; k < num_labels; ++k) {
          if (bottom_data[i * dim + k * inner_num_ + j] >=
              bottom_data[i * dim + best * inner_num_ + j]) {
            best = k;
          }
        }
        if (best == label_value) {
          ++accuracy;
          if (top.size() > 1) ++top[1]->mutable_cpu_data()[label_value];
        }
        ++count;
        continue;
      }
      std::vector<std::pair<Dtype, int> > bottom_data_vector;
""", "a vector a pixel takes a tenth of a second an iteration, also of a GPU's", trees=("ssd",)),
    Change("src/caffe/common.cpp",
           'LOG(INFO) << "Clock rate:                    " << prop.clockRate;', "",
           "CUDA 13 has no such field"),
    Change("src/caffe/common.cpp",
           '''LOG(INFO) << "Concurrent copy and execution: "
      << (prop.deviceOverlap ? "Yes" : "No");''', "", "CUDA 13 has no such field"),
    Change("src/caffe/common.cpp",
           '''LOG(INFO) << "Kernel execution timeout:      "
      << (prop.kernelExecTimeoutEnabled ? "Yes" : "No");''', "",
           "CUDA 13 has no such field"),
    Change("src/caffe/common.cpp",
           "  if (cublasCreate(&cublas_handle_) != CUBLAS_STATUS_SUCCESS) {\n",
           "  int gpus = 0;\n"
           "  if (cudaGetDeviceCount(&gpus) != cudaSuccess || gpus == 0) {\n    return;\n  }\n"
           "  if (cublasCreate(&cublas_handle_) != CUBLAS_STATUS_SUCCESS) {\n",
           "without a GPU, each thread would complain that it has no cuBLAS and no cuRAND"),
    Change("src/caffe/common.cpp",
           "  if (Get().curand_generator_) {\n    CURAND_CHECK(curandSetPseudoRandom",
           "  if (mode() == CPU) {  // and maybe a forked process, which has no CUDA\n"
           "  } else if (Get().curand_generator_) {\n    CURAND_CHECK(curandSetPseudoRandom",
           "solvers are tried in a forked process, on the CPU"),
    Change("src/caffe/layer_factory.cpp",
           "shared_ptr<Layer<Dtype> >(new ConvolutionLayer<Dtype>(param))",
           "NewConvolution<Dtype>(param)", "convolutions by oneDNN (ResNetF/caffe)"),
    Change("src/caffe/layer_factory.cpp", """_CAFFE) {
    return shared_ptr<Layer<Dtype> >(new PoolingLayer<Dtype>(param));""", """_CAFFE) {
    return NewPooling<Dtype>(param);""", "a faster maximum (ResNetF/caffe)"),
    Change("src/caffe/layer_factory.cpp", '#include "caffe/layer_factory.hpp"\n',
           '#include "caffe/layer_factory.hpp"\n#include "conv_tails.hpp"\n',
           "the functions of the changes above"),
    Change("src/caffe/net.cpp", '#include "caffe/net.hpp"\n',
           '#include "caffe/net.hpp"\n#include "conv_tails.hpp"\n'
           '#include "memory_plan.hpp"\n', "the functions of the changes below"),
    Change("src/caffe/net.cpp", "  debug_info_ = param.debug_info();\n",
           "  debug_info_ = param.debug_info();\n  taken_by_ = TakeOverTails(*this);\n"
           "  for (const string& stage : param.state().stage()) {\n"
           "    share_memory_ = share_memory_ || stage == \"share_memory\";\n"
           "  }\n"
           "  if (share_memory_) {\n    ShareMemory(*this, taken_by_);\n  }\n",
           "convolutions take over what follows them; blobs share memory where that is asked"),
    Change("src/caffe/net.cpp", "    layers_[i]->Reshape(bottom_vecs_[i], top_vecs_[i]);\n  }\n",
           "    layers_[i]->Reshape(bottom_vecs_[i], top_vecs_[i]);\n  }\n"
           "  if (share_memory_) {\n    ShareMemory(*this, taken_by_);\n  }\n",
           "blobs of other sizes share memory anew"),
    Change("src/caffe/net.cpp",
           "Dtype layer_loss = layers_[i]->Forward(bottom_vecs_[i], top_vecs_[i]);",
           "Dtype layer_loss = TakenOver(i) ? 0 :\n"
           "        layers_[i]->Forward(bottom_vecs_[i], top_vecs_[i]);",
           "layers that were taken over have nothing to do"),
    Change("src/caffe/net.cpp", "if (layer_need_backward_[i]) {\n      layers_[i]->Backward(",
           "if (layer_need_backward_[i] && !TakenOver(i)) {\n      layers_[i]->Backward(",
           "layers that were taken over have nothing to do"),
    *(Change(path, old, old[:at] + IN_PARALLEL + old[at:],
             "parameters are updated by all threads of OpenMP")
      for path, old, at in (
          ("src/caffe/net.cpp", "  for (int i = 0; i < learnable_params_.size(); ++i) {\n"
           "    learnable_params_[i]->Update();\n", 0),
          ("src/caffe/net.cpp", "  for (int i = 0; i < learnable_params_.size(); ++i) {\n"
           "    Blob<Dtype>* blob = learnable_params_[i];\n", 0),
          ("src/caffe/solvers/sgd_solver.cpp",
           "  ClipGradients();\n  for (int param_id = 0;", len("  ClipGradients();\n")))),
    Change("include/caffe/net.hpp", "  DISABLE_COPY_AND_ASSIGN(Net);\n",
           """  /// @brief Whether a layer's work is done by the convolution before it.
  bool TakenOver(int i) const {
    return Caffe::mode() == Caffe::CPU && taken_by_[i] >= 0;
  }
  vector<int> taken_by_;
  bool share_memory_ = false;
  DISABLE_COPY_AND_ASSIGN(Net);
""", "layers that were taken over have nothing to do"),
    Change("include/caffe/syncedmem.hpp", "HEAD_AT_CPU, HEAD_AT_GPU, SYNCED };\n",
           "HEAD_AT_CPU, HEAD_AT_GPU, SYNCED };\n"
           "  /// @brief A number that grows each time somebody may write here.\n"
           "  size_t version() { return version_; }\n",
           "folded weights are made anew when weights change"),
    Change("include/caffe/syncedmem.hpp", "  void* cpu_ptr_;\n",
           "  size_t version_ = 0;\n  void* cpu_ptr_;\n", "the number of the change above"),
    *(Change("src/caffe/syncedmem.cpp", f"void{star} SyncedMemory::{name} {{\n",
             f"void{star} SyncedMemory::{name} {{\n  ++version_;\n",
             "the number of the change above")
      for star, name in (("*", "mutable_cpu_data()"), ("*", "mutable_gpu_data()"),
                         ("", "set_cpu_data(void* data)"), ("", "set_gpu_data(void* data)"))),
]

# Files that are taken out of the copy: the trees that have them, and the reason.
REMOVALS = {
    "include/caffe/proto/caffe.pb.h": (("ssd",), "stale output of another protoc"),
    "src/caffe/proto/caffe.pb.cc": (("ssd",), "stale output of another protoc"),
    "python/caffe/proto/caffe_pb2.py": (("ssd",), "stale output of another protoc"),
    "src/caffe/layers/video_data_layer.cpp": (
        ("ssd",), "needs OpenCV's C++ headers; we read video in Python"),
    "src/caffe/layers/proposal_layer.cu": (
        ("ssd",), "its class declares a Backward_gpu that it does not define"),
}


def tree_kind(tree):
    """'ssd' for the tree of the pinned sdist, 'bvlc' for a classic one.

    Raises TreeError where `tree` is no Caffe tree at all.
    """
    for needed in ("src/caffe/net.cpp", "src/caffe/proto/caffe.proto", "include/caffe/net.hpp",
                   "python/caffe/_caffe.cpp", "python/caffe/__init__.py"):
        if not (tree / needed).is_file():
            raise TreeError(f"{tree} is not a Caffe source tree: {needed} is missing")
    return "ssd" if (tree / "src/caffe/util/bbox_util.cpp").is_file() else "bvlc"


def apply_changes(tree, changes=None):
    """Applies the changes meant for this kind of tree, in place."""
    kind = tree_kind(tree)
    for change in CHANGES if changes is None else changes:
        if kind not in change.trees:
            continue
        path = tree / change.path
        if not path.is_file():
            raise TreeError(f"{path} is missing; a change is due there ({change.why})")
        text = path.read_text()
        found = text.count(change.old)
        if found != change.count:
            raise TreeError(
                f"{path}: expected {change.count} time(s), found {found}: {change.old.strip()!r} "
                f"({change.why}); see CHANGES in tools/setup/caffe_tree.py")
        path.write_text(text.replace(change.old, change.new))
    for name, (trees, why) in REMOVALS.items():
        if kind in trees:
            if not (tree / name).is_file():
                raise TreeError(f"{tree / name} is missing; it was to be removed ({why})")
            (tree / name).unlink()


def _block(text, header):
    """(start, end) of the body of `header { ... }` in `text`, or None."""
    match = re.search(header + r"\s*\{", text)
    if not match:
        return None
    depth, position = 1, match.end()
    while depth:
        if position == len(text):
            raise TreeError(f"unbalanced braces after {header!r}")
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
    return match.end(), position - 1


def _fields(body):
    """{number: name} of the fields of a message body, nested messages left out."""
    flat = re.sub(r"//[^\n]*", "", body)
    while re.search(r"\{[^{}]*\}", flat):
        flat = re.sub(r"\{[^{}]*\}", "", flat)
    found = re.findall(r"(\w+)\s*=\s*(\d+)\s*(?:\[[^\]]*\])?\s*;", flat)
    return {int(number): name for name, number in found}


def merge_proto(base, fragment):
    """Merges a proto fragment into the text of caffe.proto.

    The fragment holds `message LayerParameter { ... }` with the fields to be
    added, and any number of new messages.  Raises TreeError where a field
    number, a field name or a message name is taken.
    """
    fragment = re.sub(r"//[^\n]*", "", fragment)
    span = _block(fragment, r"message\s+LayerParameter")
    if span is None:
        raise TreeError("the proto fragment has no `message LayerParameter`")
    fields = fragment[slice(*span)].strip()
    header = fragment[:span[0]].rindex("message")
    messages = (fragment[:header] + fragment[span[1] + 1:]).strip()

    # Comments, where braces need not match, are blanked; positions stay.
    target = _block(re.sub(r"//[^\n]*", lambda comment: " " * len(comment[0]), base),
                    r"message\s+LayerParameter")
    if target is None:
        raise TreeError("caffe.proto has no `message LayerParameter`")
    present, added = _fields(base[slice(*target)]), _fields(fields)
    taken = present.keys() & added.keys()
    if taken:
        raise TreeError(f"field numbers of LayerParameter already taken: {sorted(taken)}")
    taken = {*present.values()} & {*added.values()}
    if taken:
        raise TreeError(f"fields of LayerParameter already there: {sorted(taken)}")
    for name in re.findall(r"^message\s+(\w+)", messages, re.M):
        if re.search(rf"^message\s+{name}\b", base, re.M):
            raise TreeError(f"message {name} exists in caffe.proto already")
    merged = base[:target[1]] + ("  " + fields + "\n" if fields else "") + base[target[1]:]
    return merged + ("\n" + messages + "\n" if messages else "")


def check_python(tree):
    """Raises TreeError where a file of pycaffe is not of Python 3, as in old trees."""
    for path in sorted((tree / "python/caffe").glob("*.py")):
        try:
            ast.parse(path.read_bytes(), path.name)
        except (SyntaxError, ValueError) as error:
            raise TreeError(f"{path} is not of Python 3: {error}") from error


def prepare(source, destination, fragments):
    """Copies `source` to `destination`, applies all changes, merges the fragments.

    Links become what they lead to; what a build of the tree left in it is not taken.
    """
    tree_kind(source)
    check_python(source)
    if destination.exists():
        shutil.rmtree(destination)
    destination.mkdir(parents=True)
    for part in ("include", "src", "python"):
        shutil.copytree(source / part, destination / part, ignore_dangling_symlinks=True,
                        ignore=shutil.ignore_patterns("*.so", "*.o", "__pycache__"))
    apply_changes(destination)
    proto = destination / "src/caffe/proto/caffe.proto"
    text = proto.read_text()
    for fragment in fragments:
        text = merge_proto(text, fragment.read_text())
    proto.write_text(text)
