"""The order of images by the numbers in their names."""

import random

import pytest

from segspn.data import frame_order
from segspn.errors import UserError


@pytest.mark.parametrize("names", [
    "1a 2 10 x X1 x9 x10", "frame9 frame10 frame100", "0001 002 3", "-10 -2 -1 0 1 10",
    "\N{MINUS SIGN}2 \N{MINUS SIGN}1 0", "-1.5 -1.25 -0.5 0 0.04 0.1 0.25 1 1.5 10.0",
    "1.25 1.50 1.75 2.00", "t0.08 t0.1 t0.12 t0.2", "1.1 1.2 1.9 1.10 1.11", "2024.1.9 2024.1.11",
    "2024-01-02_10-11-12 2024-01-02_10-11-13 2024-01-03_09-00-00 2024-02-01_00-00-00",
    "frame-1 frame-2 frame-10", "s1-9 s1-10 s2-1", "10-11-12 10-11-13", "-3 -2 -1",
    "1305031102.175304 1305031102.211214 1305031103.000001",
    "IMG_20240102_101112 IMG_20240102_101112_1 IMG_20240102_101113", "0 1 cover"])
def test_names_in_their_order(names):
    names = names.split()
    shuffled = random.Random(0).sample(names, len(names))
    assert frame_order.in_order(shuffled, "folder") == names


@pytest.mark.parametrize("names", ["frame_-1 frame_0 frame_1", "t-1 t1", "cam2_-1 cam2_0"])
def test_a_minus_that_may_be_one(names):
    names = names.split()
    with pytest.raises(UserError, match=f"folder has {names[0]} and {names[1]}: is the '-' a sign"):
        frame_order.in_order(names, "folder")
