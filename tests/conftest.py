"""Fixtures: a tiny data set in DAVIS layout, with exact masks, and small nets."""

import signal
from types import SimpleNamespace

import caffe
import pytest

from ResNetF import nets
from segspn import files
from segspn.caffenet import prototxt, weights
from segspn.data import davis
from tests.support import scripts
from tests.support.command_lines import parse
from tests.support.frames import THIN, draw_frame
from tests.support.trainings import Trainings
from tools.bench import sandbox

SCRIPTS = files.PYTHON_SCRIPTS
CHROMIUM = "/usr/bin/chromium"
MARKS = {"chromium": "browser", "on_small_disk": "root", "finished": "slow", "short": "slow"}
SHARE_A_RUN = {"tests/runs/test_killed_runs.py", "tests/runs/test_run.py",
               "tests/report/test_overview.py", "tests/report/test_submission.py"}


def pytest_configure():
    """Tests send SIGINT, which a shell's background has its children ignore."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item):
    """Marks a test by the fixtures that it uses."""
    for fixture in MARKS.keys() & set(item.fixturenames):
        item.add_marker(MARKS[fixture])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One of pytest-xdist's processes has all tests of a file, and one those that share a run."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            path = super()._split_scope(nodeid)
            return "runs" if path in SHARE_A_RUN else path
    return Scheduling(config, log)


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
    """Runs a script of the project as a user does, or (without .py) a module at the top.

    Returns the finished process.
    """
    def run_script(path, *arguments, cwd=None, **keywords):
        if not str(path).endswith(".py"):
            return scripts.run(path, *arguments, cwd=files.ROOT, **keywords)
        return scripts.run(files.ROOT / path, *arguments, cwd=cwd or SCRIPTS, **keywords)
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
    return parse


@pytest.fixture
def refused(project, data_set, tmp_path, thin_model):
    from tests.support.refusals import Refusals

    return Refusals(project, data_set, tmp_path, thin_model)


@pytest.fixture(scope="session")
def chromium():
    """Debian's browser, without a window."""
    from playwright.sync_api import sync_playwright  # which no other test needs

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The run of workflows.Project, undisturbed, to its end; `reference` is its products().

    A test that changes what it has must bring it back.
    """
    from tests.support.workflows import Project

    project = Project(tmp_path_factory.mktemp("finished") / "project")
    project.output = project.succeed()
    project.reference = project.products()
    return project


@pytest.fixture
def trainings(tmp_path, data_set, run):
    """Solvers of a small net on the toy sequence."""
    return Trainings(tmp_path, data_set, run)
