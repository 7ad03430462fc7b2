"""What a user can get wrong: one line on stderr, exit status 1, and nothing half-made."""

import ctypes
import resource
import shutil
import subprocess
import sys

import caffe
import numpy as np
import pytest
from conftest import THIN, draw_frame, fails_in_one_line, names_in
from google.protobuf import text_format
from PIL import Image
from test_solving import SOLVE, Trainings

from ResNetF import nets
from segspn import davis, device, files, prototxt, weights
from segspn.errors import UserError

FGBG, PEROBJ = "python_scripts/infer_test_fgbg.py", "python_scripts/infer_test_perobj.py"
SEGMENT, NETS = "python_scripts/segment_instances.py", "ResNetF/nets.py"


@pytest.fixture(scope="session")
def thin_model(tmp_path_factory):
    """Weights of the whole thin ResNetF, its head at the fillers."""
    caffe.set_random_seed(2)
    net = prototxt.build(caffe.Net, nets.deploy(nets.RESNET50_THIN, True, size=(64, 96)),
                         caffe.TEST)
    weights.load(net, THIN)
    path = tmp_path_factory.mktemp("model") / "thin.caffemodel"
    net.save(str(path))
    return path


def files_below(folder):
    """{path: bytes} of all files, compiled Python apart."""
    return {p: p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and "__pycache__" not in p.parts}


class Refusals:
    """Runs scripts that must fail, in a copy of the project beside the data set."""

    def __init__(self, project, data, tmp_path, model):
        self.run, self.root, self.data, self.folder = project.run, project.root, data, tmp_path
        self.frames = data / "JPEGImages/480p/toy"
        self.annotation = data / "Annotations/480p/toy/00000.png"
        self.result, self.model = tmp_path / "result", model
        self.scores = project.root / "results/ResNetF_perobj_5/toy"

    def __call__(self, script, *arguments, words=(), data=True, **keywords):
        before = files_below(self.folder)
        options = ("--data", self.data) * data
        result = self.run(script, *arguments, *options, **keywords)
        assert fails_in_one_line(result, *words)
        for line in result.stderr.splitlines():  # beside the error only a progress bar may stand
            assert not line or line.startswith("error: ") or "%|" in line, line
        assert files_below(self.folder) == before
        return True

    def foreground(self, *options, **keywords):
        return self(FGBG, self.model, self.result, "toy", "--scale", 0.1, *options, **keywords)

    def segment(self, *options, **keywords):
        return self(SEGMENT, "--class", "toy", "--iter", 5, "--foreground", self.result, *options,
                    **keywords)

    def write_maps(self):
        """Score maps and foreground of every frame, as the inference leaves them."""
        for index in range(4):
            _, labels = draw_frame(index)
            for k in (1, 2):
                files.write_image(self.scores / f"{index:05}_{k}.png",
                                  (labels == k).astype(np.uint8) * 250)
            files.write_image(self.result / f"toy/{index:05}.png",
                              (labels > 0).astype(np.uint8) * 255)


@pytest.fixture
def refused(project, data_set, tmp_path, thin_model):
    return Refusals(project, data_set, tmp_path, thin_model)


@pytest.fixture
def trainings(tmp_path, data_set, run):
    return Trainings(tmp_path, data_set, run)


def training_refused(trainings, training, *words, options=(), script=True):
    """Whether a training fails with one line and writes nothing: solve.py, or its inside here."""
    before = files_below(trainings.root)
    if script:
        result = trainings.solve(training, *options)
        assert fails_in_one_line(result, *words)
        assert len(result.stderr.splitlines()) == 1, result.stderr
    else:
        with pytest.raises(UserError) as error:
            trainings.solve_here(training)
        assert len(str(error.value).splitlines()) == 1
        assert all(str(word) in str(error.value) for word in words), error.value
    assert files_below(trainings.root) == before and not training.folder.exists()
    return True


# ----------------------------------------------------------- classes, objects

@pytest.mark.parametrize("name", ["nosuch", "../toys", "toy/..", "/toy", ".", "", "a\\b"])
def test_unknown_and_unsafe_class_names(refused, name):
    word = "toy" if name == "nosuch" else "must be a plain folder name"
    assert refused(SEGMENT, "--class", name, "--iter", 5, words=[f"{name!r}", word])
    if name in ("nosuch", "../toys"):
        assert refused(FGBG, refused.model, refused.result, name, words=[f"{name!r}", word])
        assert refused(PEROBJ, 5, name, 1, words=[f"{name!r}", word])
        assert refused(NETS, refused.data, "--sequences", name, data=False,
                       words=[f"{name!r}", word])


def test_object_that_the_annotation_lacks(refused):
    for k in (0, 3, -1):
        assert refused(PEROBJ, 5, "toy", k, words=[f"object {k} is not in the first annotation",
                                                   "[1, 2]"])


def test_training_of_an_object_that_the_annotation_lacks(trainings):
    text = trainings.net.read_text()
    trainings.net.write_text(text.replace("\\'object\\': 1", "\\'object\\': 3"))
    assert text != trainings.net.read_text()
    training = trainings.solver("models")
    assert training_refused(trainings, training, "object 3", "[1, 2]")


# --------------------------------------------------------- frames, annotations

def annotation_of_another_size(refused):
    davis.write_labels(refused.annotation, np.ones((96, 120), np.uint8))
    return ["120x96", "128x96", "must be of one size"]


def missing_frame_0(refused):
    (refused.frames / "00000.jpg").unlink()
    return ["frame 0 of toy is missing", "00000.jpg"]


def missing_annotation(refused):
    refused.annotation.unlink()
    return ["annotation", "00000.png does not exist"]


def no_frames(refused):
    for path in refused.frames.iterdir():
        path.unlink()
    return ["class 'toy' has no frames"]


def corrupt_frame(refused):
    (refused.frames / "00000.jpg").write_bytes(np.random.default_rng(0).bytes(3000))
    return ["00000.jpg is corrupt", "replace the file"]


def truncated_frame(refused):
    path = refused.frames / "00000.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    return ["00000.jpg is corrupt", "replace the file"]


def corrupt_annotation(refused):
    data = bytearray(refused.annotation.read_bytes())
    data[data.index(b"IDAT") + 60] ^= 1
    refused.annotation.write_bytes(data)
    return ["00000.png is corrupt", "replace the file"]


def truncated_annotation(refused):
    data = refused.annotation.read_bytes()
    refused.annotation.write_bytes(data[:len(data) * 2 // 3])
    return ["00000.png is corrupt", "replace the file"]


def annotation_without_objects(refused):
    davis.write_labels(refused.annotation, np.zeros((96, 128), np.uint8))
    return ["it has no object"]


def colour_annotation(refused):
    with Image.open(refused.annotation) as image:
        colours = image.convert("RGB")
    colours.save(refused.annotation)
    return ["00000.png is neither indexed nor 8-bit grey (RGB)"]


DAMAGES = [annotation_of_another_size, missing_frame_0, missing_annotation, no_frames,
           corrupt_frame, truncated_frame, corrupt_annotation, truncated_annotation,
           annotation_without_objects, colour_annotation]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_data_in_training(trainings, data_set, damage):
    trainings.frames = data_set / "JPEGImages/480p/toy"
    trainings.annotation = data_set / "Annotations/480p/toy/00000.png"
    words = damage(trainings)
    script = damage in (annotation_of_another_size, truncated_frame, colour_annotation)
    assert training_refused(trainings, trainings.solver("models"), *words, script=script)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_data_in_segmentation(refused, damage):
    refused.write_maps()
    assert refused.segment(words=damage(refused))


def test_damaged_frame_in_inference(refused):
    """The frames before it are done; it and those after it are not, and nothing is half-made."""
    path = refused.frames / "00002.jpg"
    whole = path.read_bytes()
    for content in (whole[:-300], b"no image", b""):
        path.write_bytes(content)
        result = refused.run(FGBG, refused.model, refused.result, "toy", "--scale", 0.1,
                             "--data", refused.data)
        assert fails_in_one_line(result, "00002.jpg is corrupt", "replace the file")
        assert names_in(refused.result / "toy") == ["00000.png", "00001.png"]
    path.write_bytes(whole)
    result = refused.run(FGBG, refused.model, refused.result, "toy", "--scale", 0.1,
                         "--data", refused.data)
    assert result.returncode == 0 and "2 frames done, 2 were there" in result.stdout


@pytest.mark.parametrize("kind, words", [
    ("scores", ["00002_1.png is missing", "infer_test_perobj.py"]),
    ("foreground", ["00002.png is missing", "infer_test_fgbg.py"])])
def test_missing_and_damaged_maps(refused, kind, words):
    refused.write_maps()
    path = refused.scores / "00002_1.png" if kind == "scores" else refused.result / "toy/00002.png"
    whole = path.read_bytes()
    result = refused.run(SEGMENT, "--class", "toy", "--iter", 5, "--foreground", refused.result,
                         "--data", refused.data)
    assert result.returncode == 0, result.stderr
    path.unlink()
    assert refused.segment(words=words)
    path.write_bytes(whole[:-40])
    assert refused.segment(words=[path.name, "is corrupt"])
    files.write_image(path, np.zeros((96, 100), np.uint8))
    assert refused.segment(words=[path.name, "100x96", "128x96"])


def test_cut_and_changed_images(data_set):
    """No half of an image and none with a wrong number is taken for a whole one."""
    frame = data_set / "JPEGImages/480p/toy/00000.jpg"
    data = frame.read_bytes()
    for length in [*range(0, len(data), 9), *range(len(data) - 20, len(data))]:
        frame.write_bytes(data[:length])
        with pytest.raises(UserError, match="00000.jpg is corrupt"):
            files.read_image(frame)
    annotation = data_set / "Annotations/480p/toy/00000.png"
    data, labels = annotation.read_bytes(), davis.read_annotation(annotation)
    cuts = [data[:length] for length in range(0, len(data) - 4, 5)]
    changes = [data[:i] + bytes([data[i] ^ (1 << i % 8)]) + data[i + 1:]
               for i in range(0, len(data), 3)]
    refusals = 0
    for content in cuts + changes:
        annotation.write_bytes(content)
        try:
            same = np.array_equal(davis.read_annotation(annotation), labels)
        except UserError as error:
            refusals += 1
            assert "00000.png" in str(error) and len(str(error).splitlines()) == 1
        else:
            assert same  # in a part that says nothing about the pixels
    assert refusals >= len(cuts) + len(changes) - 10


def test_folders_that_are_no_data_set(refused, tmp_path):
    for folder in (tmp_path / "nosuch", tmp_path):
        words = [f"{folder} is not a data set in DAVIS layout", "JPEGImages/480p is missing"]
        assert refused(SEGMENT, "--class", "toy", "--iter", 5, "--data", folder, data=False,
                       words=words)
        assert refused(NETS, folder, data=False, words=words)
    (tmp_path / "empty/JPEGImages/480p").mkdir(parents=True)
    assert refused(NETS, tmp_path / "empty", data=False, words=["empty", "has no sequence"])


# ---------------------------------------------------------------------- nets

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


# -------------------------------------------------------------------- weights

@pytest.mark.parametrize("content", [None, b"", "cut"], ids=["missing", "empty", "cut"])
def test_missing_and_corrupt_weights(refused, trainings, content):
    path = refused.folder / "x.caffemodel"
    if content is not None:
        path.write_bytes(refused.model.read_bytes()[:-1000] if content == "cut" else content)
    words = [path, "does not exist" if content is None else ".caffemodel"]
    assert refused(FGBG, path, refused.result, "toy", words=words)
    assert refused(PEROBJ, 5, "toy", 1, "--weights", path, words=words)
    trainings.weights = path
    assert training_refused(trainings, trainings.solver("models"), *words, script=content == "cut")


def test_model_that_was_not_trained(refused):
    assert refused(PEROBJ, 5, "toy", 1, words=["models/toy/toy_obj_1_iter_5.caffemodel",
                                               "does not exist"])
    refused.model = THIN
    assert refused.foreground(words=["not those of a trained ResNetF", "solve.py"])
    weights.write_caffemodel(refused.folder / "y.caffemodel", {"conv": [np.zeros(3)]})
    refused.model = refused.folder / "y.caffemodel"
    assert refused.foreground(words=["no known backbone", "resnet101, resnet50_thin"])


# -------------------------------------------------------------------- options

def test_bad_options(refused, trainings):
    for scale in (0, "nan", -1):
        assert refused(FGBG, refused.model, refused.result, "toy", f"--scale={scale}",
                       words=["--scale must be from 0.1 to 4"])
    training = trainings.solver("models")
    for option in ("--iterations=0", "--seed=-1", "--seed=99999999999"):
        assert training_refused(trainings, training, option.split("=")[0], "must be",
                                options=[option])
    for option in ("--size=480", "--size=0x31", "--iterations=0", "--lists=nosuch.txt"):
        assert refused(NETS, refused.data, option, data=False, words=[option.split("=")[1]])


@pytest.mark.skipif(device.build_info()["mode"] != "CPU", reason="this Caffe has CUDA")
def test_gpu_on_a_cpu_build(refused, trainings):
    words = ["--gpu", "built for the CPU", "make setup CUDA=1"]
    assert refused.foreground("--gpu", 0, words=words)
    assert refused(PEROBJ, 5, "toy", 1, "--weights", refused.model, "--gpu", 0, words=words)
    assert training_refused(trainings, trainings.solver("models"), *words, options=["--gpu", 0])


# ------------------------------------------------------- disks and permissions

def small_files_only(size):
    """For a child process: no file may grow beyond `size` bytes, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_no_space_for_labels(refused):
    refused.write_maps()
    result = refused.run(SEGMENT, "--class", "toy", "--iter", 5, "--foreground", refused.result,
                         "--data", refused.data, preexec_fn=small_files_only(600))
    labels = refused.root / "results/labels/toy"
    assert fails_in_one_line(result, f"{labels / '00000.png'}: File too large", "make room")
    assert [path.name for path in labels.iterdir()] == [".made_from.json"]


def test_no_space_for_score_maps(refused):
    """A frame and weights whose score map outgrows the prototxt that is written first."""
    files.write_image(refused.frames / "00000.jpg",
                      np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8))
    blobs = weights.read_caffemodel(refused.model)
    blobs["score08"][0] = blobs["score08"][0] * 100
    weights.write_caffemodel(refused.folder / "x.caffemodel", blobs)
    before = files_below(refused.folder)
    result = refused.run(PEROBJ, 5, "toy", 1, "--weights", refused.folder / "x.caffemodel",
                         "--scale", 0.2, "--data", refused.data,
                         preexec_fn=small_files_only(100000))
    assert fails_in_one_line(result, refused.scores / "00000_1.png", "File too large", "make room")
    # The other file of the pair was written before, and is whole.
    new = {name: data for name, data in files_below(refused.folder).items() if name not in before}
    assert set(new) == {refused.scores / "00000_1.jpg", refused.scores / ".made_from_1.json"}
    assert new[refused.scores / "00000_1.jpg"].endswith(b"\xff\xd9")


@pytest.fixture
def on_small_disk(trainings):
    """Runs solve.py on a mounted disk of 2 MB, of which `used` bytes are taken, at root / "disk".

    What is on the disk in the end is listed after the output.
    """
    disk = trainings.root / "disk"
    disk.mkdir()

    def run_there(training, used):
        script = f"""
            mount -t tmpfs -o size=2m none {disk} || exit 99
            head -c {used} /dev/zero > {disk}/used
            "$@"; status=$?
            cd {disk}; find . -type f -o -name '.?*'; exit $status"""
        solve = [sys.executable, files.ROOT / SOLVE, trainings.weights, training.solver]
        result = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *solve],
                                capture_output=True, text=True, timeout=120)
        if result.stderr.startswith("unshare: ") or result.returncode == 99:
            pytest.skip("mounting a disk needs root")
        return result, {line[2:] for line in result.stdout.splitlines() if line.startswith("./")}
    if not shutil.which("unshare"):
        pytest.skip("mounting a disk needs unshare")
    return run_there


def test_no_space_for_snapshots(trainings, on_small_disk):
    """The disk fills while it trains: whole snapshots stay, and the last log."""
    training = trainings.solver("disk", max_iter=500, snapshot=2)
    result, left = on_small_disk(training, 850000)
    assert fails_in_one_line(result, f"no space to write a snapshot in {training.folder}",
                             "make room")
    states = {name for name in left if name.endswith(".solverstate")}
    assert len(states) > 1
    models = {name.replace(".solverstate", ".caffemodel") for name in states}
    assert left == {"used", *states, *models, "toy_obj_1_log.csv", "toy_obj_1_curve.png",
                    "toy_obj_1_run.json"}


def test_no_space_for_the_first_snapshot(trainings, on_small_disk):
    training = trainings.solver("disk")
    result, left = on_small_disk(training, 1900000)
    assert fails_in_one_line(result, f"no space to write a snapshot in {training.folder}",
                             "make room")
    assert left == {"used"}


@pytest.fixture
def as_an_ordinary_user(tmp_path):
    """For a child process: takes root's right to pass over file permissions."""
    def drop():
        libc = ctypes.CDLL(None)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP

    locked = tmp_path / "locked-file"
    locked.touch(mode=0)
    readable = subprocess.run(["cat", locked], capture_output=True, preexec_fn=drop).returncode == 0
    locked.unlink()
    if readable:
        pytest.skip("file permissions do not hold here")
    return drop


@pytest.mark.parametrize("path", ["JPEGImages/480p", "JPEGImages/480p/toy",
                                  "JPEGImages/480p/toy/00000.jpg",
                                  "Annotations/480p/toy/00000.png"])
def test_data_that_may_not_be_read(refused, trainings, data_set, path, as_an_ordinary_user):
    locked = data_set / path
    mode = locked.stat().st_mode
    locked.chmod(0)
    try:
        results = [refused.run(SEGMENT, "--class", "toy", "--iter", 5, "--data", data_set,
                               preexec_fn=as_an_ordinary_user),
                   trainings.solve(trainings.solver("models"), preexec_fn=as_an_ordinary_user)]
    finally:
        locked.chmod(mode)
    for result in results:
        assert fails_in_one_line(result, locked, "Permission denied")
    assert not (trainings.root / "models").exists() and not (refused.root / "results").exists()


def test_folders_that_may_not_be_written(refused, trainings, as_an_ordinary_user):
    refused.write_maps()
    training = trainings.solver("models", snapshot_prefix=str(trainings.root / "locked/toys/toy"))
    for folder in (refused.folder / "locked", refused.root / "results"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o555)
    result = trainings.solve(training, preexec_fn=as_an_ordinary_user)
    assert fails_in_one_line(result, "locked/toys: Permission denied")
    assert refused.segment(words=["results/labels", "Permission denied"],
                           preexec_fn=as_an_ordinary_user)
