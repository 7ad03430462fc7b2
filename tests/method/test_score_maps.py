"""Score maps and masks of a trained net: of the frame, and with its mirror image."""

import numpy as np
import pytest

from segspn.method import score_maps
from tests.support.frames import draw_frame


@pytest.mark.parametrize("folder, output", [("testnet_per_obj", "prob"),
                                            ("testnet_fgbg", "score_ori")])
def test_with_the_mirror_image(thin_model, folder, output):
    frame, _ = draw_frame(0, (72, 100))
    net = score_maps.load_net(thin_model, folder, size=(64, 96))
    plain, both = (score_maps.SegmentationNet(net, output, flip) for flip in (False, True))
    if output == "prob":
        mirrored = plain.probability(frame[:, ::-1])[:, ::-1]
        expected = (plain.probability(frame) + mirrored) / 2
        np.testing.assert_allclose(both.probability(frame), expected, atol=1e-5)
        assert np.abs(plain.probability(frame) - mirrored).max() > 1e-3
    mask = both.mask(frame)
    assert mask.dtype == bool and mask.shape == frame.shape[:2]
    np.testing.assert_array_equal(both.mask(frame[:, ::-1]), mask[:, ::-1])
