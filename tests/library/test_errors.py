"""One line for what goes wrong with files, and how their paths are spelled."""

import os

import pytest

from segspn import errors, files


@pytest.mark.parametrize("name", ["link", "link/more/file.png"])
def test_a_link_to_nothing_is_named(tmp_path, name):
    link = tmp_path / "link"
    link.symlink_to("gone")
    expected = (f"{link} is a link to gone, which is not there; make that, mount its disk, or "
                "remove the link")
    with pytest.raises(errors.UserError, match="is a link to gone"):
        files.existing_file(tmp_path / name, "weights")
    with pytest.raises(OSError) as error:
        (tmp_path / name).mkdir(parents=True)
    assert errors.describe_os_error(error.value) == expected
    (tmp_path / "gone").mkdir()
    assert errors.dangling(tmp_path / name) is None
    link.unlink()
    link.symlink_to(link)  # in a circle
    assert errors.dangling(tmp_path / name).startswith(f"{link} is a link to {link}")


def test_a_path_of_the_project_is_spelled_in_one_way(tmp_path):
    (tmp_path / "link").symlink_to(files.ROOT)
    for path in (files.ROOT / "data/x", tmp_path / "link/data/x",
                 os.path.relpath(files.ROOT / "data/x")):
        assert files.from_scripts(path) == "../data/x"
    assert files.from_scripts(tmp_path / "link") == ".."
    assert files.from_scripts(tmp_path / "data") == str(tmp_path / "data")
