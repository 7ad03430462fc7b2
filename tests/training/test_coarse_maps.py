"""Score maps of a foreground model on training images: which, at what size, made once."""

import cv2
import numpy as np
import pytest

from segspn import files
from segspn.data import davis
from segspn.errors import UserError
from segspn.method import score_maps
from segspn.training import coarse_maps, refinement_crops
from tests.support.frames import draw_frame, names_in

SIZES = {"a": (72, 96), "b": (120, 80), "c": (72, 96)}  # c has two objects


@pytest.fixture
def pairs(tmp_path):
    """Three pairs, of which one has two objects."""
    root = tmp_path / "pairs"
    for index, (name, size) in enumerate(SIZES.items()):
        frame, labels = draw_frame(index, size)
        files.write_image(root / f"images/{name}.png", frame)
        if name == "c":
            davis.write_labels(root / f"masks/{name}.png", labels)
        else:
            files.write_image(root / f"masks/{name}.png", (labels == 1).astype(np.uint8) * 255)
    (root / "one.txt").write_text("b\n")
    return root


def alone(model, frame, scale):
    """The probability of a frame by a net near its size."""
    size = [max(64, 64 * round(scale * length / 64)) for length in frame.shape[:2]]
    net = score_maps.load_net(model, "testnet_per_obj", size=size)
    return np.rint(255 * score_maps.SegmentationNet(net).probability(frame))


@pytest.mark.parametrize("scale", [1.0, 0.9])
def test_maps_are_those_of_a_net_near_each_size(pairs, tmp_path, thin_model, scale):
    output = tmp_path / "coarse"
    assert coarse_maps.write([pairs], thin_model, output, scale) == 2
    assert names_in(output) == ["images"] and names_in(output / "images") == ["a_1.png", "b_1.png"]
    for name in "ab":
        frame = files.read_image(pairs / f"images/{name}.png")
        found = files.read_plane(output / f"images/{name}_1.png", "map")
        assert found.shape == SIZES[name] and found.std() > 1
        assert np.abs(found - alone(thin_model, frame, scale)).max() <= 1, name
    source = refinement_crops.RefinementCrops(repr({
        "sources": (str(pairs),), "coarse": (str(output),), "size": (32, 64)}))
    assert source.real_coarse(Always(), pairs / "images/a.png", 1, SIZES["a"]).std() > 1


class Always:
    """A random generator that always says 0."""

    @staticmethod
    def integers(_):
        return 0


def test_what_is_done_stays(pairs, tmp_path, thin_model, monkeypatch):
    output = tmp_path / "coarse"
    assert coarse_maps.write([pairs / "one.txt"], thin_model, output, 0.9) == 1
    assert names_in(output / "images") == ["b_1.png"]
    before = (output / "images/b_1.png").stat().st_mtime_ns
    assert coarse_maps.write([pairs], thin_model, output, 0.9) == 1
    assert (output / "images/b_1.png").stat().st_mtime_ns == before
    cv2.imwrite(str(pairs / "images/b.png"), draw_frame(9, SIZES["b"])[0])
    assert coarse_maps.write([pairs], thin_model, output, 0.9) == 1
    assert coarse_maps.write([pairs], thin_model, output, 1.0) == 2  # others
    monkeypatch.setattr(score_maps, "load_net", None)  # nothing is to do: no net is made
    assert coarse_maps.write([pairs], thin_model, output, 1.0) == 0


def test_bad_weights_and_sources_end_in_one_line(pairs, tmp_path, run):
    for source, model, word in ((pairs, tmp_path / "no.caffemodel", "no.caffemodel does not exist"),
                                (tmp_path, tmp_path / "no.caffemodel", "is not a data set")):
        result = run("tools/coarse_maps.py", source, "--weights", model, "--output", tmp_path / "x")
        assert result.returncode == 1 and word in result.stderr
    with pytest.raises(UserError, match="not those of a trained ResNetF"):
        coarse_maps.write([pairs], files.ROOT / "spn/refine_small.caffemodel", tmp_path / "x")
