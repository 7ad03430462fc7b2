"""A small video without annotations, and who asks the page's server."""

import pytest

from tests.support.annotating import Client, parts, write_video


@pytest.fixture
def data(tmp_path):
    return write_video(tmp_path / "data")


@pytest.fixture
def client(data):
    return Client(parts(data))


@pytest.fixture
def folder(data):
    """Of the PNGs."""
    return data.annotations / "toy"
