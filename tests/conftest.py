"""Fixtures: a tiny data set in DAVIS layout, with exact masks, and small nets."""

import os
import subprocess
import sys
from types import SimpleNamespace

import caffe
import cv2
import numpy as np
import pytest
from command_lines import parse
from playwright.sync_api import sync_playwright
from trainings import Trainings

import sandbox
from ResNetF import nets
from segspn import davis, files, prototxt, weights

SCRIPTS = files.PYTHON_SCRIPTS
THIN = files.MODELS / "resnet50_thin.caffemodel"
CHROMIUM = "/usr/bin/chromium"


def draw_frame(index, size=(96, 128)):
    """A textured frame with two objects that move, and its exact annotation."""
    height, width = size
    rng = np.random.default_rng(5)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), np.uint8), (0, 0), 3)
    frame = cv2.addWeighted(ground, 0.6, np.full_like(ground, 60), 0.4, 0)
    labels = np.zeros(size, np.uint8)
    cv2.circle(labels, (width // 4 + 2 * index, height // 2), height // 5, 1, -1)
    cv2.rectangle(labels, (width * 5 // 8, height // 4 + index),
                  (width * 7 // 8, height // 2 + index), 2, -1)
    frame[labels == 1] = frame[labels == 1] // 3 + np.array((20, 40, 160), np.uint8)
    frame[labels == 2] = frame[labels == 2] // 3 + np.array((150, 120, 10), np.uint8)
    return frame, labels


@pytest.fixture
def data_set(tmp_path):
    """A sequence `toy` of four frames at 96 x 128 with two objects; the folder."""
    root = tmp_path / "toys"
    for index in range(4):
        frame, labels = draw_frame(index)
        files.write_image(root / f"JPEGImages/480p/toy/{index:05}.jpg", frame)
        davis.write_labels(root / f"Annotations/480p/toy/{index:05}.png", labels)
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/train.txt").write_text("toy\n")
    return root


@pytest.fixture
def run():
    """Runs a script of the project as a user does; returns the finished process."""
    def run_script(path, *arguments, cwd=SCRIPTS, timeout=300, **keywords):
        return subprocess.run(
            [sys.executable, os.fspath(files.ROOT / path), *map(os.fspath, map(str, arguments))],
            cwd=cwd, capture_output=True, text=True, timeout=timeout, **keywords)
    return run_script


@pytest.fixture
def project(tmp_path, run):
    """A copy of the scripts and nets: what they write stays in it.

    Has `root`, its folder, and `run`, which runs its scripts as a user does.
    """
    root = sandbox.make(tmp_path / "project")

    def run_script(path, *arguments, **keywords):
        return run(root / path, *arguments, **{
            "cwd": root / "python_scripts", "env": sandbox.environment(root), **keywords})
    return SimpleNamespace(root=root, run=run_script)


def names_in(folder):
    """The names of the files of a folder, hidden ones apart, in order."""
    return sorted(path.name for path in folder.iterdir() if not files.is_hidden(path))


def fails_in_one_line(result, *words):
    """Whether a script ended with status 1 and one line that has all the words."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == 1, (result.returncode, result.stderr)
    assert len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert str(word) in lines[0], lines[0]
    return True


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


@pytest.fixture
def parsed(monkeypatch, tmp_path):
    """Parses a command line by its script's own parser, in a project that has all folders."""
    (tmp_path / "python_scripts").mkdir()
    monkeypatch.chdir(tmp_path / "python_scripts")
    return lambda command: parse(command, monkeypatch, tmp_path)


@pytest.fixture
def refused(project, data_set, tmp_path, thin_model):
    from refusals import Refusals  # which imports this file

    return Refusals(project, data_set, tmp_path, thin_model)


@pytest.fixture(scope="module")
def chromium():
    """Debian's browser, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The run of workflows.Project, undisturbed, to its end; `reference` is its products().

    A test that changes what it has must bring it back.
    """
    from workflows import Project  # which imports this file

    project = Project(tmp_path_factory.mktemp("finished") / "project")
    project.output = project.succeed()
    project.reference = project.products()
    return project


@pytest.fixture
def trainings(tmp_path, data_set, run):
    """Solvers of a small net on the toy sequence."""
    return Trainings(tmp_path, data_set, run)
