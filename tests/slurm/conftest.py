"""One private Slurm for all tests of this folder."""

import pytest

from tests.slurm.cluster import Cluster


@pytest.fixture(scope="session")
def slurm():
    """A Cluster that is ready for jobs; has two fake GPUs."""
    with Cluster() as cluster:
        yield cluster
