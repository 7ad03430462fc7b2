"""Trainings as prototxts: what they say, that none is tracked, and the release's command line."""

import ast
import shutil
import subprocess
import sys

import caffe
import pytest

from ResNetF import nets, write_prototxts
from segspn import files
from segspn.caffenet import prototxt
from segspn.data import davis
from segspn.training import prototxts
from spn import nets as refinement
from tests.support.frames import fails_in_one_line

SOLVE = "python_scripts/solve.py"
RELEASE = ("../ResNetF/PN_ResNetF.caffemodel",
           "../ResNetF/testnet_per_obj/choreography/solver_1.prototxt")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder that has the trainings of test-challenge, and some of a refinement net."""
    root = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROOT", root)
        prototxts.write_test_challenge("../data/DAVIS", {})
        for video in ("", "toy"):
            prototxts.write_refinement(refinement.REFINE_SMALL, {"video": video}, {})
    return root


def test_trainings_of_test_challenge(written):
    root = written / "ResNetF"
    solvers = list(root.rglob("solver*.prototxt"))
    assert len(solvers) == 1 + 30 + 92 and sum(davis.TEST_CHALLENGE.values()) == 92
    assert len(list(root.rglob("*.prototxt"))) == 2 * len(solvers)
    common = {"data": "../data/DAVIS", "size": (480, 854), "seed": 0,
              "augmentation": (3000, 0.05, 5, 0.1, 0.1, 1)}
    lists = ("ImageSets/2017/train.txt", "ImageSets/2017/val.txt")
    for path, layer, prefix, own in (
            ("testnet_per_obj/choreography/solver_7", "FirstFrameObject",
             "choreography/choreography_obj_7", {"sequence": "choreography", "object": 7}),
            ("testnet_fgbg/lions/solver", "FirstFrameForeground", "lions/lions_fgbg",
             {"sequence": "lions"}),
            ("generic/solver", "GenericForeground", "generic/ResNetF", {"lists": lists})):
        solver = prototxt.read_solver(root / f"{path}.prototxt")
        assert solver.snapshot_prefix == f"../models/{prefix}"
        assert (solver.max_iter, solver.snapshot) == (30000, 3000)
        data = solver.train_net_param.layer[0].python_param
        assert data.layer == layer
        assert ast.literal_eval(data.param_str) == {**common, **own}


def test_no_training_is_tracked(written):
    """In a repository that has the project's .gitignore and nothing else."""
    shutil.copy(files.ROOT / ".gitignore", written)
    subprocess.run(["git", "init", "-q", written], check=True)
    status = subprocess.run(["git", "-C", written, "status", "--porcelain", "-uall"],
                            check=True, capture_output=True, text=True)
    assert status.stdout == "?? .gitignore\n"


def test_the_release_s_command_line(project):
    """It says what writes its solver; with that, the data set alone is missing."""
    (project.root / "ResNetF/PN_ResNetF.caffemodel").touch()
    solver = project.root / "python_scripts" / RELEASE[1]
    hint = "write it with: make prototxts (DAVIS 2017 test-challenge) or ResNetF/write_prototxts.py"
    assert fails_in_one_line(project.run(SOLVE, *RELEASE), f"{RELEASE[1]} does not exist", hint)
    written = project.run("ResNetF/write_prototxts.py", "--split", "test-challenge")
    assert written.returncode == 0, written.stderr
    assert fails_in_one_line(project.run(SOLVE, *RELEASE),
                             "data/DAVIS is not a data set in DAVIS layout")
    solver.with_name("train_1.prototxt").unlink()
    assert fails_in_one_line(project.run(SOLVE, *RELEASE), "train_1.prototxt does not exist", hint)


@pytest.mark.parametrize("options, max_iter, snapshot", [
    ((), 30000, 3000), (("--iterations", "60"), 60, 60), (("--iterations", "9000"), 9000, 3000),
    (("--snapshot", "7"), 30000, 7), (("--iterations", "60", "--snapshot", "7"), 60, 7)])
def test_iterations_and_snapshots_of_solvers(tmp_path, data_set, monkeypatch, options, max_iter,
                                             snapshot):
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["write_prototxts.py", "--data", str(data_set), "--backbone",
                                      nets.RESNET101.name, *options])
    write_prototxts.main()
    solvers = [prototxt.read(path, caffe.proto.caffe_pb2.SolverParameter(), "solver")
               for path in tmp_path.glob("ResNetF/*/toy/solver*.prototxt")]
    assert [(solver.max_iter, solver.snapshot) for solver in solvers] == [(max_iter, snapshot)] * 3
