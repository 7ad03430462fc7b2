"""Score maps and masks of a trained net: of the frame, and with its mirror image."""

import numpy as np
import pytest

from segspn.method import score_maps
from tests.support.frames import draw_frame

FRAME, _ = draw_frame(0, (72, 100))


@pytest.fixture
def net_in(thin_model):
    """(folder, flip) -> the SegmentationNet of a deploy net in ResNetF/<folder>."""
    def load(folder, flip=False):
        net = score_maps.load_net(thin_model, folder, size=(64, 96))
        return score_maps.SegmentationNet(net, flip)
    return load


def test_probabilities_with_the_mirror_image(net_in):
    plain, both = (net_in("testnet_per_obj", flip) for flip in (False, True))
    mirrored = plain.probability(FRAME[:, ::-1])[:, ::-1]
    expected = (plain.probability(FRAME) + mirrored) / 2
    np.testing.assert_allclose(both.probability(FRAME), expected, atol=1e-5)
    assert np.abs(plain.probability(FRAME) - mirrored).max() > 1e-3


@pytest.mark.parametrize("folder", ["testnet_per_obj", "testnet_fgbg"])
def test_a_mask_with_the_mirror_image(net_in, folder):
    net = net_in(folder, flip=True)
    mask = net.mask(FRAME)
    assert mask.dtype == bool and mask.shape == FRAME.shape[:2] and mask.any() and not mask.all()
    np.testing.assert_array_equal(net.mask(FRAME[:, ::-1]), mask[:, ::-1])


@pytest.mark.parametrize("flip", [False, True])
def test_one_pass_gives_what_two_nets_give(net_in, flip):
    """Bit for bit, also where blobs share memory and results are resized."""
    mask, probability = net_in("testnet_per_obj", flip).mask_and_probability(FRAME)
    np.testing.assert_array_equal(mask, net_in("testnet_fgbg", flip).mask(FRAME))
    np.testing.assert_array_equal(
        probability, net_in("testnet_per_obj", flip).probability(FRAME))
    assert np.unique(mask).size == 2 and np.ptp(probability) > 0.01
