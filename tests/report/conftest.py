"""What a report is made from, and the report of it."""

import pytest

from tests.support.reports import write_page, write_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    write_results(root, "toy")
    return root


@pytest.fixture(scope="module")
def page(results):
    return write_page(results)
