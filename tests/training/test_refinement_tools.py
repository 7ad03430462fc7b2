"""The figures of compare_maps.py, and what train_refine.py runs."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from segspn import files
from segspn.data import davis
from segspn.evaluation import metrics
from segspn.runs import command_lines
from segspn.training import refinement_crops as crops
from spn import nets
from tests.support.frames import fails_in_one_line
from tools import train_refine

COMPARE = "tools/compare_maps.py"
SIZE = (60, 80)


# ---------------------------------------------------------------- compare_maps

def rectangle(left, right, top=20, bottom=40):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def maps(tmp_path):
    """Three frames with objects 1 and 4 and void, and two folders of score maps."""
    data, coarse, refined = (tmp_path / name for name in ("data", "coarse", "refined"))
    one, four, void = rectangle(10, 30), rectangle(50, 70), rectangle(30, 35)
    labels = (one + 4 * four.astype(np.uint8) + davis.VOID * void).astype(np.uint8)
    (data / "JPEGImages/480p/toy").mkdir(parents=True)
    for index in range(3):
        davis.write_labels(data / f"Annotations/480p/toy/{index:05}.png", labels)

    def write(folder, index, k, mask, high=255, low=0):
        files.write_image(folder / f"toy/{index:05}_{k}.png",
                          np.where(mask, high, low).astype(np.uint8))
    for index in (1, 2):  # frame 0 has no maps: it is left out
        write(coarse, index, 1, rectangle(10, 20 if index == 1 else 15), 128, 127)
        write(refined, index, 1, one | void, 255, 127)  # void counts for nothing
        write(coarse, index, 4, rectangle(50, 75), 200, 100)
        write(refined, index, 4, four if index == 1 else ~four)
    return SimpleNamespace(one=one, four=four, void=void, arguments=(
        "--data", data, "--videos", "toy", "--coarse", coarse, "--refined", refined))


def table(result):
    """{name: cells} of the printed table."""
    assert result.returncode == 0, result.stderr
    lines = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in result.stdout.splitlines()]
    return {name: cells for name, *cells in lines[2:]}


def percent(*values):
    return f"{100 * np.mean(values):.1f}"


def test_figures_of_known_maps(maps, run):
    rows = table(run(COMPARE, *maps.arguments))
    assert list(rows) == ["toy 1", "toy 4", "mean"]

    def f(truth, mask):
        return metrics.boundary_f(truth, mask, maps.void)
    # Object 1: half of it, then a quarter; refined, all of it.
    coarse_f = [f(maps.one, rectangle(10, right)) for right in (20, 15)]
    assert 0.3 < min(coarse_f) < max(coarse_f) < 1
    gain = f"{100 * (1 - np.mean(coarse_f)):+.1f}"
    assert rows["toy 1"] == ["2", "37.5", "100.0", "+62.5", percent(*coarse_f), "100.0", gain]
    # Object 4: 20 of 25 columns; refined, all of it and nothing of it.
    coarse_f, refined_f = f(maps.four, rectangle(50, 75)), [1, f(maps.four, ~maps.four)]
    assert rows["toy 4"][:4] == ["2", "80.0", "50.0", "-30.0"]
    assert rows["toy 4"][4:6] == [percent(coarse_f), percent(*refined_f)]
    assert rows["mean"][1:4] == ["58.8", "75.0", "+16.2"]


def test_figures_of_chosen_frames(maps, run):
    rows = table(run(COMPARE, *maps.arguments, "--frames", 2))
    assert [row[:4] for row in rows.values()] == [
        ["1", "25.0", "100.0", "+75.0"], ["1", "80.0", "0.0", "-80.0"],
        ["", "52.5", "50.0", "-2.5"]]


def test_names_that_are_no_frames_are_passed_over(maps, run, tmp_path):
    folder = tmp_path / "data/Annotations/480p/toy"
    (folder / ".part-00001-x.png").write_bytes(b"half a file")
    expected = table(run(COMPARE, *maps.arguments))
    assert expected["toy 1"][0] == "2"
    davis.write_labels(folder / "mask.png", np.full(SIZE, 1, np.uint8))
    assert table(run(COMPARE, *maps.arguments, "--frames", 1, 2)) == expected
    assert fails_in_one_line(run(COMPARE, *maps.arguments, "--frames", 9), folder, "none of these")


def test_frames_of_void_alone_have_no_object(maps, run, tmp_path):
    """Grey, 0 and 255: object 1 where a sequence has nothing else, as in DAVIS 2016."""
    folder = tmp_path / "data/Annotations/480p/toy"
    files.write_image(folder / "00002.png", maps.one * np.uint8(255))
    rows = table(run(COMPARE, *maps.arguments))
    assert [row[0] for row in rows.values()] == ["1", "1", ""]
    for index in range(3):
        files.write_image(folder / f"{index:05}.png", maps.one * np.uint8(255))
    rows = table(run(COMPARE, *maps.arguments))
    assert list(rows) == ["toy 1", "mean"] and rows["toy 1"][:2] == ["2", "37.5"]


def test_annotations_without_objects_end_in_one_line(maps, run, tmp_path):
    folder = tmp_path / "data/Annotations/480p/toy"
    for index in (1, 2):
        davis.write_labels(folder / f"{index:05}.png", maps.void * np.uint8(davis.VOID))
    assert fails_in_one_line(run(COMPARE, *maps.arguments), folder, "have no object")


# ---------------------------------------------------------------- train_refine

@pytest.fixture
def recorded(monkeypatch):
    """Runs train_refine with arguments; returns the command lines, which are not run."""
    def main(*arguments):
        commands = []
        monkeypatch.setattr(command_lines, "run",
                            lambda what, command, again: commands.append(list(command)))
        monkeypatch.setattr(sys, "argv", ["train_refine.py", *map(str, arguments)])
        train_refine.main()
        return commands
    return main


def test_steps_of_a_training(recorded, data_set):
    listing = data_set / "ImageSets/2017/train.txt"
    synthetic, written, trained = recorded("--sources", data_set, listing, "--exclude", "dog",
                                           "bear", "--iterations", 7)
    folder = files.from_scripts(train_refine.SYNTHETIC)
    assert synthetic == ["../tools/synthetic.py", "--data", folder,
                         *train_refine.SYNTHETIC_OPTIONS]
    assert written == ["../spn/write_prototxts.py", str(data_set), str(listing), folder,
                       "--net", "refine_small", "--iterations", "7", "--exclude", "dog", "bear"]
    assert trained == ["solve.py", nets.REFINE_SMALL.weights,
                       "../spn/refine_small/training/solver.prototxt", "--resume"]
    assert crops.annotated_frames(written[1]) == crops.annotated_frames(written[2])


def test_sources_are_what_is_at_hand(recorded, data_set, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_refine.cli, "DEFAULT_DATA", data_set)
    folder = files.from_scripts(train_refine.SYNTHETIC)
    assert recorded()[1] == ["../spn/write_prototxts.py", str(data_set), folder, "--net",
                             "refine_small", "--iterations",
                             str(nets.REFINE_SMALL.solver["max_iter"])]
    monkeypatch.setattr(train_refine.cli, "DEFAULT_DATA", tmp_path / "nosuch")
    assert recorded("--iterations", 3)[1][1:] == [folder, "--net", "refine_small",
                                                  "--iterations", "3"]
    assert f"synthetic videos alone: {tmp_path / 'nosuch'} is not" in capsys.readouterr().out


def test_steps_with_real_coarse_maps(recorded, data_set, thin_model, parsed):
    _, *maps, written, trained = recorded("--sources", data_set, "--generic", thin_model, "--gpu",
                                          1, "--net", "refine_small")
    folders = [files.from_scripts(train_refine.COARSE / scale) for scale in ("1", "0.5")]
    assert maps == [["../tools/coarse_maps.py", str(data_set), "--scale", scale, "--output",
                     folder, "--weights", str(thin_model), "--gpu", "1"]
                    for scale, folder in zip(("1", "0.5"), folders)]
    assert written[-3:] == ["--coarse", *folders] and trained[-2:] == ["--gpu", "1"]
    for command in (*maps, written, trained):
        assert parsed(command)


def test_the_paper_s_net(recorded, data_set, tmp_path, monkeypatch):
    monkeypatch.setattr(train_refine.files, "PYTHON_SCRIPTS", tmp_path / "python_scripts")
    (tmp_path / "python_scripts").mkdir()
    with pytest.raises(SystemExit):
        recorded("--sources", data_set, "--net", "refine_vgg")
    files.write_text(tmp_path / "models/vgg16_hed.caffemodel", "")
    _, written, trained = recorded("--sources", data_set, "--net", "refine_vgg")
    assert written[3:] == ["--net", "refine_vgg", "--iterations", "60000"]
    assert trained == ["solve.py", "../models/vgg16_hed.caffemodel",
                       "../spn/refine_vgg/training/solver.prototxt", "--resume"]


def test_training_on_synthetic_videos(project):
    """The whole, tiny, in a copy of the project."""
    for name in ("train_refine", "synthetic"):
        path = project.root / f"tools/{name}.py"
        files.write_text(path, (files.ROOT / f"tools/{name}.py").read_text())
    files.write_text(project.root / "tools/tiny.py", (
        "import sys, train_refine\n"
        "train_refine.SYNTHETIC_OPTIONS = ('--size', '48x64', '--count', '2', "
        "'--frames', '1')\n"
        "train_refine.main()\n"))
    result = project.run("tools/tiny.py", "--iterations", 1)
    assert result.returncode == 0, result.stderr
    for path in ("data/synthetic/JPEGImages/480p/synthetic-0001/00000.jpg",
                 "spn/refine_small/training/train.prototxt",
                 "models/spn/refine_small_iter_1.caffemodel"):
        assert (project.root / path).is_file(), path
    text = (project.root / "spn/refine_small/training/train.prototxt").read_text()
    assert "../data/synthetic" in text
