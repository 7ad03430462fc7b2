"""Crops with coarse maps, which the refinement nets learn from: real places, real labels."""

import shutil

import caffe
import cv2
import numpy as np
import pytest

from segspn import files
from segspn.caffenet import prototxt
from segspn.caffenet.net_input import MEAN
from segspn.data import davis
from segspn.errors import UserError
from segspn.training import refinement_crops as crops
from segspn.training import sources
from tests.support.command_lines import module_of

next_command = module_of(files.PYTHON_SCRIPTS / "solve.py").next_command
SIZE = (96, 128)
OBJECT, BACKGROUND, OTHER = 220, 40, 130  # grey values: of object 3, …, all else


def draw(index, void=False, values=(BACKGROUND, OBJECT)):
    """A frame whose grey values say what the label is: a blob with thin parts is object 3."""
    labels = np.zeros(SIZE, np.uint8)
    cv2.circle(labels, (40 + 4 * index, 50), 20, 3, -1)
    cv2.line(labels, (40 + 4 * index, 50), (100, 20 + 5 * index), 3, 7)
    grey = np.where(labels == 3, values[1], values[0]).astype(np.uint8)
    if void:
        labels[60:86, 30:70] = davis.VOID
        grey[labels == davis.VOID] = OTHER
    return cv2.merge([grey] * 3), labels


def write_sequence(root, name, frames=4, **kind):
    for index in range(frames):
        frame, labels = draw(index, **kind)
        files.write_image(root / f"JPEGImages/480p/{name}/{index:05}.jpg", frame,
                          cv2.IMWRITE_JPEG_QUALITY, 100)
        davis.write_labels(root / f"Annotations/480p/{name}/{index:05}.png", labels)


@pytest.fixture
def blobs(tmp_path):
    """A data set of one sequence, bright objects on dark background."""
    write_sequence(tmp_path / "blobs", "bright")
    return tmp_path / "blobs"


def param_str(*folders, **changes):
    return repr({"sources": tuple(map(str, folders)), "size": (64, 96), "batch": 4, **changes})


def crops_of(source, samples, seed=0):
    """(grey image, coarse, label) of the crops of the first samples, each H x W."""
    for iteration in range(samples):
        data, probability, label = source.sample(seed, iteration)
        grey = (data + MEAN[:, None, None]).mean(1)
        yield from zip(grey, probability[:, 0], label[:, 0])


def assert_same(actual, expected):
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected):
        np.testing.assert_array_equal(ours, theirs)


# ----------------------------------------------------------------------- crops

def test_shapes_and_values(blobs):
    source = crops.RefinementCrops(param_str(blobs))
    assert source.shapes == [(4, 3, 64, 96), (4, 1, 64, 96), (4, 1, 64, 96)]
    for iteration in range(5):
        arrays = source.sample(0, iteration)
        assert [array.shape for array in arrays] == source.shapes
        assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays)
        data, probability, label = arrays
        image = data + MEAN[:, None, None]
        assert image.min() > -0.01 and image.max() < 255.01
        assert probability.min() >= 0 and probability.max() <= 1
        assert set(np.unique(label)) <= {0, 1}
    defaults = crops.RefinementCrops(repr({"sources": (str(blobs),)}))
    assert defaults.shapes == [(8, 3, 128, 128), (8, 1, 128, 128), (8, 1, 128, 128)]
    assert sources.KINDS["RefinementCrops"] is crops.RefinementCrops


def test_samples_depend_on_seed_and_iteration_alone(blobs):
    source = crops.RefinementCrops(param_str(blobs))
    expected = {key: source.sample(*key) for key in [(0, 0), (0, 1), (7, 0), (7, 3)]}
    again = crops.RefinementCrops(param_str(blobs))
    for key in reversed(expected):
        assert_same(again.sample(*key), expected[key])
    first, *others = expected.values()
    for other in others:
        assert all((a != b).mean() > 0.01 for a, b in zip(first, other))


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1] if a.std() and b.std() else 0.0


def test_image_coarse_and_label_show_the_same_place(blobs):
    """Grey value and label go together, and less so where one is shifted by a pixel."""
    found = list(crops_of(crops.RefinementCrops(param_str(blobs)), 15))
    both = [crop for crop in found if 0.05 < crop[2].mean() < 0.95]
    assert len(both) > 0.7 * len(found)  # most are at the object's border
    assert min(correlation(grey, label) for grey, _, label in both) > 0.75
    assert np.mean([correlation(grey, label) for grey, _, label in both]) > 0.93
    assert np.mean([correlation(coarse, label) for _, coarse, label in both]) > 0.6
    for part, steps in (0, (-1, 1)), (1, (-6, 6)):
        def agreement(shift, axis, part=part):
            return np.mean([correlation(crop[part], np.roll(crop[2], shift, axis))
                            for crop in both])
        best = agreement(0, 0)
        assert all(agreement(step, axis) < best - 0.005 for step in steps for axis in (0, 1))


def test_crops_differ_in_place_size_and_handedness(blobs):
    """The warps: factors, both handednesses, and centres near the border."""
    source = crops.RefinementCrops(param_str(blobs))
    border = crops.read_frame(*source.sources[0][0], davis.Davis.pair).borders[3]
    labels = draw(0)[1]
    assert len(border) and np.abs(cv2.blur((labels == 3).astype(np.float32), (3, 3))[
        border[:, 1], border[:, 0]] - 0.5).max() < 0.5
    rng = np.random.default_rng(0)
    matrices = [source.draw_warp(rng, SIZE, border) for _ in range(200)]
    areas = np.array([np.linalg.det(matrix[:, :2]) for matrix in matrices])
    assert 60 < (areas > 0).sum() < 140
    factors = np.sqrt(np.abs(areas))
    assert 0.5 < factors.min() < 0.75 and 1.4 < factors.max() < 1.9
    middle = np.array([95 / 2 + crops.MARGIN, 63 / 2 + crops.MARGIN])
    centres = np.array([np.linalg.solve(m[:, :2], middle - m[:, 2]) for m in matrices])
    distances = np.linalg.norm(centres[:, None] - border[None], axis=2).min(1)
    assert np.median(distances) < 16
    assert len(np.unique(centres.round(), axis=0)) > 150


def test_void_stays_void(tmp_path):
    write_sequence(tmp_path / "voids", "void", void=True)
    values, compared = set(), 0
    for grey, _, label in crops_of(crops.RefinementCrops(param_str(tmp_path / "voids")), 8):
        values |= set(np.unique(label))
        areas = [label == value for value in (0, davis.VOID, 1)]
        if min(map(np.count_nonzero, areas)) > 200:
            compared += 1
            background, void, inside = (grey[area].mean() for area in areas)
            assert background + 10 < void < inside - 10
    assert values == {0, 1, 255} and compared > 5


def test_other_objects_are_background(tmp_path):
    """Of two objects that fill the frame, about half of the crops have each as theirs."""
    root, labels = tmp_path / "two", np.full(SIZE, 1, np.uint8)
    labels[:, 64:] = 2
    frame = cv2.merge([np.where(labels == 1, OBJECT, BACKGROUND).astype(np.uint8)] * 3)
    files.write_image(root / "JPEGImages/480p/two/00000.jpg", frame)
    davis.write_labels(root / "Annotations/480p/two/00000.png", labels)
    signs = [np.sign(correlation(grey, label))
             for grey, _, label in crops_of(crops.RefinementCrops(param_str(root)), 10)]
    assert signs.count(1) > 8 and signs.count(-1) > 8


# --------------------------------------------------------------------- sources

def test_folder_and_list_give_the_same_samples(blobs):
    listing = blobs / "ImageSets/2017/some.txt"
    files.write_text(listing, "bright\n")
    folder, listed = (crops.RefinementCrops(param_str(source)) for source in (blobs, listing))
    for iteration in range(2):
        assert_same(folder.sample(1, iteration), listed.sample(1, iteration))
    files.write_text(listing, "JPEGImages/480p/bright/00002.jpg Annotations/480p/bright/00002.png")
    assert [[path.name for path in pair] for pair in crops.annotated_frames(listing)] == [
        ["00002.jpg", "00002.png"]]
    (blobs / "Annotations/480p/bright/00001.png").unlink()  # a folder gives what has an annotation
    assert [pair[0].stem for pair in crops.annotated_frames(blobs)] == ["00000", "00002", "00003"]


def write_pairs(root, count=4, **kind):
    """The frames of write_sequence as pairs; masks are grey, 128 where void."""
    for index in range(count):
        frame, labels = draw(index, **kind)
        files.write_image(root / f"images/pair{index}.png", frame)
        mask = np.where(labels == davis.VOID, 128, (labels == 3) * 255).astype(np.uint8)
        files.write_image(root / f"masks/pair{index}.png", mask)
    return root


def test_pairs_give_the_samples_of_the_same_frames(blobs, tmp_path):
    root = write_pairs(tmp_path / "pairs")
    for path in (blobs / "JPEGImages/480p/bright").iterdir():
        files.write_image(root / f"images/pair{int(path.stem)}.png", files.read_image(path))
    files.write_text(root / "lists/some.txt", "".join(f"pair{index}\n" for index in range(4)))
    expected = crops.RefinementCrops(param_str(blobs)).sample(0, 0)
    for source in (root, root / "lists/some.txt"):
        assert_same(crops.RefinementCrops(param_str(source)).sample(0, 0), expected)
    both = crops.RefinementCrops(param_str(root, blobs))
    assert [len(frames) for frames in both.sources] == [4, 4]
    assert next_command(both, files.MODELS / "spn/x.caffemodel") == (
        "python refine_spn.py --weights ../models/spn/x.caffemodel <iterations> '<video>'"
        .replace("'", ""))
    files.write_text(root / "lists/some.txt", "nosuch\n")
    with pytest.raises(UserError, match="names nosuch, which is no image"):
        crops.RefinementCrops(param_str(root / "lists/some.txt"))


def test_void_of_pairs_stays_void_and_is_part_of_the_nearer_side(tmp_path):
    root = write_pairs(tmp_path / "pairs", void=True)
    source = crops.RefinementCrops(param_str(root))
    assert {value for _, _, label in crops_of(source, 6) for value in np.unique(label)} == {
        0, 1, 255}
    mask, void = np.zeros((2, 20, 40), bool)
    mask[:, :10], void[:, 10:20] = True, True
    expected = mask.copy()
    expected[:, 10:15] = True
    np.testing.assert_array_equal(crops.without_void(mask, void), expected)
    np.testing.assert_array_equal(crops.without_void(mask, void & False), mask)
    np.testing.assert_array_equal(crops.without_void(mask & False, void), mask & False)


def test_what_is_kept_in_memory_is_what_was_read(blobs):
    paths = crops.annotated_frames(blobs)[0]
    frame, labels = davis.Davis.pair(*paths)
    kept = crops.read_frame(*paths, davis.Davis.pair)
    np.testing.assert_array_equal(kept.image(), frame)
    np.testing.assert_array_equal(kept.labels.plane(), labels)
    assert kept is crops.read_frame(*paths, davis.Davis.pair) and [*kept.borders] == [3]
    assert kept.encoded.nbytes + len(kept.labels.data) < frame.nbytes / 2


def test_sources_are_drawn_from_equally_often(blobs, tmp_path):
    """One has four frames and one has one, with dark objects on bright background."""
    write_sequence(tmp_path / "dark", "dark", frames=1, values=(OBJECT, BACKGROUND))
    source = crops.RefinementCrops(param_str(blobs, tmp_path / "dark"))
    signs = [np.sign(correlation(grey, label)) for grey, _, label in crops_of(source, 15)]
    assert 18 <= signs.count(1) <= 42 and 18 <= signs.count(-1) <= 42


def test_excluded_sequences_are_left_out(blobs):
    write_sequence(blobs, "dark", values=(OBJECT, BACKGROUND))
    source = crops.RefinementCrops(param_str(blobs, exclude=("bright", "nosuch")))
    assert [[pair[0].parent.name for pair in pairs] for pairs in source.sources] == [["dark"] * 4]
    assert all(correlation(grey, label) < 0 for grey, _, label in crops_of(source, 3)
               if label.std() > 0.1)
    with pytest.raises(UserError, match=f"all of {blobs} is excluded"):
        crops.RefinementCrops(param_str(blobs, exclude=("bright", "dark")))


def test_fingerprint_and_next_command(blobs):
    source = crops.RefinementCrops(param_str(blobs))
    assert source.fingerprint() == crops.RefinementCrops(param_str(blobs)).fingerprint()
    write_sequence(blobs, "more", frames=1)
    for other in (param_str(blobs), param_str(blobs, exclude=("more",)), param_str(blobs, seed=1)):
        assert crops.RefinementCrops(other).fingerprint() != source.fingerprint()
    assert next_command(source, files.MODELS / "spn/refine_small_iter_20.caffemodel") == (
        "python refine_spn.py --weights ../models/spn/refine_small_iter_20.caffemodel "
        f"--data {blobs} <iterations> <video>")


# ------------------------------------------------------------ real coarse maps

def write_real(root, frames=range(4), size=SIZE):
    """Score maps that are the masks: with those, coarse above one half is the label."""
    for index in frames:
        mask = (draw(index)[1] == 3).astype(np.uint8) * 255
        files.write_image(root / f"bright/{index:05}_3.png", mask[:size[0], :size[1]])
    return root


def exact_ones(source, samples):
    return sum(np.array_equal(coarse > 0.5, label == 1)
               for _, coarse, label in crops_of(source, samples) if label.std() > 0.1)


def test_half_of_the_crops_take_real_coarse_maps(blobs, tmp_path):
    scores = write_real(tmp_path / "scores")
    assert exact_ones(crops.RefinementCrops(param_str(blobs)), 8) == 0
    source = crops.RefinementCrops(param_str(blobs, coarse=(str(scores),)))
    count = sum(label.std() > 0.1 for _, _, label in crops_of(source, 20))
    assert 0.33 * count < exact_ones(source, 20) < 0.67 * count
    # Where there is none for a frame, or for this object, it is simulated.
    shutil.rmtree(scores)
    write_real(scores, [0])
    assert 0 < exact_ones(source, 20) < 0.3 * count
    (scores / "bright/00000_3.png").rename(scores / "bright/00000_1.png")
    assert exact_ones(source, 8) == 0


def test_real_coarse_map_of_another_size_is_refused(blobs, tmp_path):
    scores = write_real(tmp_path / "scores", size=(90, 120))
    source = crops.RefinementCrops(param_str(blobs, coarse=(str(scores),)))
    with pytest.raises(UserError) as error:
        list(crops_of(source, 5))
    message = str(error.value)
    assert "120x90" in message and "128x96" in message and str(scores) in message
    assert len(message.splitlines()) == 1


# ------------------------------------------------------------------- bad input

@pytest.mark.parametrize("changes, message", [
    ({"size": (64, 100)}, "'size' must be .*multiples of 32"), ({"size": (64,)}, "'size' must be"),
    ({"size": (0, 64)}, "'size' must be"), ({"size": (64, 10016)}, "'size' must .* 32 to 9999"),
    ({"size": (64, 96.0)}, "'size' must be"), ({"size": [64, 96]}, "'size' must be tuple"),
    ({"batch": 0}, "'batch' must be at least 1"),
    ({"batch": 2.5}, "'batch' must be int"), ({"seed": -1}, "'seed' from 0"),
    ({"seed": 2**31}, "'seed' from 0"), ({"seed": True}, "'seed' must be int"),
    ({"sources": ()}, "at least one folder or list"), ({"sources": "x"}, "'sources' must be tuple"),
    ({"sources": (3,)}, r"'sources' must be names, not \(3,\)"),
    ({"sources": ("/nosuch",)}, "/nosuch is not a data set in DAVIS layout"),
    ({"exclude": ([],)}, "'exclude' must be names"), ({"exclude": "dog"}, "must be tuple"),
    ({"coarse": (None,)}, "'coarse' must be names"),
    ({"coarse": ("/nosuch",)}, "'coarse' names /nosuch, which is no folder"),
    ({"sizes": (64, 64)}, r"unknown keys \['sizes'\]")])
def test_bad_parameters_are_refused_in_one_line(blobs, changes, message):
    with pytest.raises(UserError, match=message) as error:
        crops.RefinementCrops(param_str(blobs, **changes))
    assert len(str(error.value).splitlines()) == 1


def test_bad_sources_are_refused(blobs, tmp_path):
    (tmp_path / "alone.txt").write_text("bright\n")
    with pytest.raises(UserError, match="alone.txt is in no folder that has JPEGImages"):
        crops.RefinementCrops(param_str(tmp_path / "alone.txt"))
    files.write_text(blobs / "ImageSets/bad.txt", "nosuch\n")
    with pytest.raises(UserError, match="video 'nosuch' has no frames"):
        crops.RefinementCrops(param_str(blobs / "ImageSets/bad.txt"))
    shutil.rmtree(blobs / "Annotations")
    with pytest.raises(UserError, match=f"{blobs} has no annotated frame"):
        crops.RefinementCrops(param_str(blobs))
    with pytest.raises(UserError, match="param_str has no 'sources'"):
        crops.RefinementCrops("{}")


def test_annotations_without_any_object_do_not_hang(tmp_path):
    write_sequence(tmp_path / "none", "none", frames=2)
    for path in (tmp_path / "none").rglob("*.png"):
        davis.write_labels(path, np.zeros(SIZE, np.uint8))
    source = crops.RefinementCrops(param_str(tmp_path / "none"))
    with pytest.raises(UserError, match=f"no object in .* of {tmp_path / 'none'}"):
        source.sample(0, 0)


# ------------------------------------------------------------- the Caffe layer

def test_layer_gives_the_samples(blobs):
    text = param_str(blobs, seed=3)
    n = caffe.NetSpec()
    n.data, n.coarse, n.label = caffe.layers.Python(
        module="segspn.layers", layer="RefinementCrops", param_str=text, ntop=3)
    n.doubled = caffe.layers.Power(n.coarse, scale=2)
    net = prototxt.build(caffe.Net, n.to_proto(), caffe.TRAIN)
    try:
        source = crops.RefinementCrops(text)
        for iteration in range(3):
            net.forward()
            expected = source.sample(3, iteration)
            assert_same([net.blobs[name].data for name in ("data", "coarse", "label")], expected)
            np.testing.assert_array_equal(net.blobs["doubled"].data, 2 * expected[1])
        net.layers[0].start(5, 8)  # as a training that goes on
        net.forward()
        assert_same([net.blobs[name].data for name in ("data", "coarse", "label")],
                    source.sample(5, 8))
    finally:
        net.layers[0].close()


# -------------------------------------------------------------- one video alone

def test_a_video_s_first_frame_alone(blobs):
    write_sequence(blobs, "more", frames=2)
    source = crops.RefinementCrops(param_str(blobs, video="more"))
    frames = [frame for pairs in source.sources for frame, _ in pairs]
    assert [(frame.parent.name, frame.stem) for frame in frames] == [("more", "00000")]
    assert next_command(source, files.MODELS / "more/more_spn_iter_20.caffemodel") == (
        "python refine_spn.py --weights ../models/more/more_spn_iter_20.caffemodel "
        f"--data {blobs} <iterations> more")
    with pytest.raises(UserError, match="no annotated first frame of other"):
        crops.RefinementCrops(param_str(blobs, video="other"))
