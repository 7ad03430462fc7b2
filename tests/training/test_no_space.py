"""Full disks and missing permissions end in one line; what was whole stays."""

import ctypes
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from segspn import files
from segspn.caffenet import weights
from tests.support.frames import fails_in_one_line
from tests.support.refusals import PEROBJ, SEGMENT, files_below
from tests.support.trainings import SOLVE


def small_files_only(size):
    """For a child process: no file may grow beyond `size` bytes, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_no_space_for_labels(refused):
    refused.write_maps()
    result = refused.run(SEGMENT, "--video", "toy", "--iterations", 5, "--foreground",
                         refused.result, "--data", refused.data, preexec_fn=small_files_only(600))
    labels = refused.root / "results/labels/toy"
    assert fails_in_one_line(result, f"{labels / '00000.png'}: File too large", "make room")
    assert not list(labels.iterdir())


def test_no_space_for_score_maps(refused):
    """A frame and weights whose score map outgrows the prototxt that is written first."""
    files.write_image(refused.frames / "00000.jpg",
                      np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8))
    blobs = weights.read_caffemodel(refused.model)
    blobs["score04"][0] = blobs["score04"][0] * 100
    weights.write_caffemodel(refused.folder / "x.caffemodel", blobs)
    before = files_below(refused.folder)
    result = refused.run(PEROBJ, 5, "toy", 1, "--weights", refused.folder / "x.caffemodel",
                         "--scale", 0.2, "--data", refused.data,
                         preexec_fn=small_files_only(100000))
    assert fails_in_one_line(result, refused.scores / "00000_1.png", "File too large", "make room")
    # The other file of the pair was written before, and is whole.
    new = {name: data for name, data in files_below(refused.folder).items() if name not in before}
    assert set(new) == {refused.scores / "00000_1.jpg"}
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
    result, left = on_small_disk(training, 1600000)
    assert fails_in_one_line(result, f"no space to write a snapshot in {training.folder}",
                             "make room")
    models = {name for name in left if name.endswith(".caffemodel")}
    assert len(models) > 1
    last = max(models, key=lambda name: int(name.split("_")[-1].removesuffix(".caffemodel")))
    assert left == {"used", *models, last.replace(".caffemodel", ".solverstate"),
                    "toy_obj_1_log.csv", "toy_obj_1_curve.png", "toy_obj_1_run.json"}


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
        results = [refused.run(SEGMENT, "--video", "toy", "--iterations", 5, "--data", data_set,
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
