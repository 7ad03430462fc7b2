"""Exports, read back: cut-outs with transparency, masks, COCO; and what is refused."""

import resource
import shutil
import subprocess
from fractions import Fraction

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from pycocotools.coco import COCO

from segspn import files
from segspn.data import annotations, davis, videos
from segspn.errors import UserError
from segspn.report import export
from segspn.runs import settings
from tests.support.frames import draw_frame, fails_in_one_line, names_in
from tests.support.refusals import files_below

SIZE, COUNT = (95, 127), 4  # odd sizes
VP9 = ("-c:v", "libvpx-vp9")  # ffmpeg's own decoder leaves alpha out


def labels_of(index):
    """Object 2 is gone in the last frame."""
    labels = draw_frame(index, SIZE)[1]
    return labels * (labels < 2) if index == COUNT - 1 else labels


FRAMES = np.stack([draw_frame(index, SIZE)[0] for index in range(COUNT)])
LABELS = np.stack([labels_of(index) for index in range(COUNT)])


def write_run(root, runs):
    """A run `mine` over `toy`, whose object 1 has a name; its data set is in `root`."""
    for index in range(COUNT):
        files.write_image(root / f"JPEGImages/480p/toy/{index:05}.png", FRAMES[index])
        davis.write_labels(runs / f"mine/labels/toy/{index:05}.png", LABELS[index])
    run = settings.Run(
        name="mine", data=str(root), split=None, videos={"toy": [1, 2]}, whole=False,
        evaluated=(), backbone="b", weights="w", refinement="r", iterations=1, snapshot=1,
        size="64x96")
    annotations.write_names(run.data_set, "toy", {1: "red disk"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "RUNS", runs)
        run.write()
    return run


@pytest.fixture
def run_of_toy(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "RUNS", tmp_path / "runs")
    return write_run(tmp_path / "data", settings.RUNS)


@pytest.fixture
def written(run_of_toy, tmp_path):
    """A function that exports; the paths."""
    def written(kind, objects=(), **options):
        clip = export.Clip.of_run(export.of_name("mine"), "toy", objects)
        return export.write(clip, kind, tmp_path / "out", **options)
    return written


def decoded(path, pixels, size, *options):
    """The frames of a video as ffmpeg gives them: uint8, n x size."""
    result = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *options, "-i", path, "-f", "rawvideo",
         "-pix_fmt", pixels, "-"], capture_output=True, check=True)
    assert not result.stderr
    return np.frombuffer(result.stdout, np.uint8).reshape(-1, *size)


def rate_of(path):
    times = videos.Video(path).times()
    assert len(times) == COUNT
    return (COUNT - 1) / (times[-1] - times[0])


def near_border(mask):
    kernel = np.ones((3, 3), np.uint8)
    mask = np.uint8(mask)
    return cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)


# ------------------------------------------------------------------------ pictures

def test_png_cut_outs_are_exact(written, tmp_path):
    folder, = written("cutout-png")
    assert folder == tmp_path / "out/cutout" and names_in(tmp_path / "out") == ["cutout"]
    assert names_in(folder) == [f"{index:05}.png" for index in range(COUNT)]
    for index in range(COUNT):
        found = cv2.imread(str(folder / f"{index:05}.png"), cv2.IMREAD_UNCHANGED)
        mask = LABELS[index] > 0
        assert found.dtype == np.uint8 and found.shape == (*SIZE, 4)
        np.testing.assert_array_equal(found[..., 3], mask * 255)
        np.testing.assert_array_equal(found[mask][:, :3], FRAMES[index][mask])
        far = cv2.distanceTransform(np.uint8(~mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        assert not found[far > export.MARGIN + 1].any()


def test_the_margin_has_the_colour_of_the_nearest_pixel_and_none_of_the_background():
    image = np.random.default_rng(1).integers(1, 255, (40, 50, 3), np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[5:12, 8:20] = mask[18, 40] = True
    found = export.cutout(image, mask)
    places = np.argwhere(mask)
    for place in np.argwhere(~mask):
        away = np.hypot(*(places - place).T)
        colours = image[tuple(places[away <= away.min() * 1.05].T)]  # OpenCV's is nearly Euclid's
        if away.min() < export.MARGIN - 1:
            assert (colours == found[tuple(place)][:3]).all(1).any()
        assert away.min() < export.MARGIN + 1 or not found[tuple(place)].any()
    assert not export.cutout(image, np.zeros((40, 50), bool)).any()


@pytest.mark.parametrize("objects, each, expected", [
    ((), False, {"cutout": [1, 2]}), ([1, 2], False, {"cutout": [1, 2]}),
    ([2], False, {"cutout-2": [2]}), ((), True, {"cutout-1": [1], "cutout-2": [2]}),
    ([1], True, {"cutout-1": [1]})])
def test_objects_together_and_each(written, objects, each, expected):
    paths = written("cutout-png", objects, each=each)
    assert [path.name for path in paths] == list(expected)
    for path in paths:
        for index in range(COUNT):
            alpha = cv2.imread(str(path / f"{index:05}.png"), cv2.IMREAD_UNCHANGED)[..., 3]
            np.testing.assert_array_equal(
                alpha > 0, np.isin(LABELS[index], expected[path.name]))


def test_webm_has_alpha_and_even_sizes(written):
    """VP9's alpha has losses, but none that takes a pixel to the other side of one half.

    Of ten frames each of ten clips of DAVIS at 480p it was at most 14 of 255 off, of 522,432
    pixels at borders none by one half.
    """
    path, = written("cutout-webm", fps=25)
    assert path.name == "cutout.webm" and rate_of(path) == pytest.approx(25, abs=0.1)
    found = decoded(path, "bgra", (96, 128, 4), *VP9).astype(int)
    assert len(found) == COUNT and found[:, 95:, :, 3].max() < 17 > found[:, :, 127:, 3].max()
    for picture, frame, labels in zip(found[:, :95, :127], FRAMES, LABELS):
        mask = labels > 0
        assert np.abs(picture[..., 3] - mask * 255).max() < 17
        np.testing.assert_array_equal(picture[..., 3] > 127, mask)
        error = np.abs(picture[..., :3] - frame).mean(2)
        assert error[mask].mean() < 6 and error[mask & near_border(mask)].mean() < 9


def test_mov_has_exact_alpha(written):
    path, = written("cutout-mov", [1], fps=Fraction(24000, 1001))
    assert path.name == "cutout-1.mov" and rate_of(path) == pytest.approx(23.976, abs=0.01)
    found = decoded(path, "bgra", (*SIZE, 4))
    np.testing.assert_array_equal(found[..., 3], (LABELS == 1) * 255)
    for picture, frame, labels in zip(found, FRAMES, LABELS):
        assert np.abs(picture[..., :3].astype(int) - frame)[labels == 1].max() <= 6
    meta = next(imageio_ffmpeg.read_frames(str(path)))
    assert meta["codec"] == "prores" and meta["pix_fmt"].startswith("yuva444p")


def test_mask_videos_are_exact(written):
    paths = written("masks")
    assert [path.name for path in paths] == ["mask-1.mkv", "mask-2.mkv"]
    for path, mask in zip(paths, (LABELS == 1, LABELS == 2)):
        np.testing.assert_array_equal(decoded(path, "gray", SIZE), mask * 255)
        assert rate_of(path) == pytest.approx(12, abs=0.1)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools
def test_coco_has_the_masks(written):
    path, = written("coco")
    before, coco = path.read_bytes(), COCO(str(path))
    assert {k: one["name"] for k, one in coco.cats.items()} == {1: "red disk", 2: "object 2"}
    assert [coco.imgs[n]["file_name"] for n in sorted(coco.imgs)] == [
        f"toy/{index:05}.png" for index in range(COUNT)]
    assert len(coco.anns) == 2 * COUNT - 1
    for index, labels in enumerate(LABELS):
        found = coco.loadAnns(coco.getAnnIds(imgIds=index + 1))
        assert [one["category_id"] for one in found] == np.unique(labels)[1:].tolist()
        for one in found:
            mask = labels == one["category_id"]
            assert isinstance(one["segmentation"]["counts"], str) and one["iscrowd"] == 0
            np.testing.assert_array_equal(coco.annToMask(one), mask)
            assert one["area"] == np.count_nonzero(mask)
            assert one["bbox"] == list(cv2.boundingRect(np.uint8(mask)))
            assert coco.imgs[one["image_id"]]["frame_id"] == index
    written("coco")
    assert path.read_bytes() == before
    path, = written("coco", [2])
    assert path.name == "coco-2.json" and set(COCO(str(path)).cats) == {2}


# ---------------------------------------------------------------- what is refused

@pytest.mark.parametrize("kind", export.FORMATS)
@pytest.mark.parametrize("spoil, words", [
    (lambda path: path.unlink(), "labels .*00002.png are missing .1 of 4 are.; let run mine"),
    (lambda path: path.write_bytes(path.read_bytes()[:-20]), "labels .*00002.png is corrupt"),
    (lambda path: davis.write_labels(path, np.zeros((95, 128), np.uint8)), "00002.png is 128x95"),
    (lambda path: davis.write_labels(path, np.full(SIZE, 3, np.uint8)),
     r"have the ids \[3\], the run the objects \[1, 2\]")])
def test_unfit_labels_are_found_before_anything_is_written(
        written, run_of_toy, tmp_path, kind, spoil, words):
    spoil(run_of_toy.folder / "labels/toy/00002.png")
    with pytest.raises(UserError, match=words):
        written(kind)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", export.FORMATS)
def test_what_fails_half_way_leaves_the_old_one(written, run_of_toy, tmp_path, monkeypatch, kind):
    """Labels that are gone after they were checked; the same ones give the same bytes."""
    written(kind)
    before = files_below(tmp_path / "out")
    written(kind)
    assert files_below(tmp_path / "out") == before
    path = run_of_toy.folder / "labels/toy/00002.png"
    monkeypatch.setattr(export.Clip, "check", lambda clip: path.unlink())
    with pytest.raises(UserError, match="00002.png does not exist"):
        written(kind)
    assert files_below(tmp_path / "out") == before


def test_a_damaged_frame(written, run_of_toy, tmp_path):
    path = run_of_toy.data_set.frames("toy")[2]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="00002.png is corrupt"):
        written("cutout-png")
    assert not list((tmp_path / "out").iterdir())


def test_an_ffmpeg_that_is_not_ours(written, tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/true")
    with pytest.raises(UserError, match="this ffmpeg has no encoder ffv1"):
        written("masks")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    with pytest.raises(UserError, match="ffmpeg does not run"):
        written("masks")
    assert not (tmp_path / "out").exists()


def test_ffmpeg_that_dies(written, tmp_path, monkeypatch):
    """It knows the encoder, and writes nothing."""
    dead = tmp_path / "dead"
    dead.write_text("#!/bin/sh\necho libvpx-vp9\n")
    dead.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(dead))
    with pytest.raises(UserError, match="ffmpeg"):
        written("cutout-webm")
    assert not list((tmp_path / "out").iterdir())


def test_no_space(project, tmp_path):
    """As little as a file may have here is too little for each of these, and for ffmpeg's."""
    write_run(tmp_path / "data", project.root / "results/runs")
    for kind in "cutout-png", "cutout-webm", "cutout-mov", "masks", "coco":
        result = project.run(
            "tools/export.py", "mine", "toy", "--as", kind, "--output", tmp_path / "out",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)))
        assert fails_in_one_line(result)
        assert "is the disk full?" in result.stderr or "ffmpeg failed" in result.stderr or (
            "File too large; make room" in result.stderr), result.stderr
        assert not list((tmp_path / "out").iterdir())


def test_script(project, tmp_path):
    folder = project.root / "results/runs/mine"

    def exported(*words):
        return project.run("tools/export.py", *words)

    assert fails_in_one_line(exported("mine", "toy", "--as", "coco"), "no run mine", "none")
    write_run(tmp_path / "data", folder.parent)
    shutil.rmtree(tmp_path / "data/Annotations/480p/toy")  # names are not needed
    assert fails_in_one_line(exported("your", "toy", "--as", "coco"), "your", "there are: mine")
    assert fails_in_one_line(exported("../mine", "toy", "--as", "coco"), "RUN", "plain folder name")
    assert fails_in_one_line(exported("mine", "dog", "--as", "coco"), "no video dog", "toy")
    assert fails_in_one_line(exported("mine", "toy", "--as", "gif"), "--as", "cutout-png")
    assert fails_in_one_line(exported("mine", "toy", "--as", "coco", "--each"), "--each")
    assert fails_in_one_line(exported("mine", "toy", "--as", "masks", "--objects", 1, 3),
                             "no object 3", "1, 2")
    assert fails_in_one_line(exported("mine", "toy", "--as", "masks", "--output", __file__),
                             __file__, "no folder")
    assert not (folder / "export").exists()
    result = exported("mine", "toy", "--as", "cutout-webm", "--each", "--fps", 25)
    assert result.returncode == 0, result.stderr
    note, *lines = result.stdout.splitlines()
    assert note.startswith("note: 127x95 became 128x96")
    assert lines == [f"wrote {folder}/export/toy/cutout-{k}.webm: 4 frames" for k in (1, 2)]
    assert names_in(folder / "export/toy") == ["cutout-1.webm", "cutout-2.webm"]
