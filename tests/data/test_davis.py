"""The names that a data set may have, and its lists."""

import pytest

from segspn.data import davis
from segspn.errors import UserError


@pytest.mark.parametrize("name", ["-x", ".x", "", "a b", "a/b", "a;b", "ä", "a\n", "{x}", "a\\b",
                                  "..", "x" * 101])
def test_names_that_files_and_command_lines_cannot_have(name):
    with pytest.raises(UserError, match="run name .* must be a plain folder name of"):
        davis.checked_sequence(name, "run")


@pytest.mark.parametrize("name", ["dog", "bike-trial", "a.b_c-1", "_x", "00", "x" * 100])
def test_names_that_they_can_have(name):
    assert davis.checked_sequence(name) == name


def write(root, data):
    path = davis.list_path(root, "val")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


@pytest.mark.parametrize("data", [b"b\na\n", b"\xef\xbb\xbfb\r\n\r\n a \r\nb"])
def test_lists_as_editors_write_them(tmp_path, data):
    write(tmp_path, data)
    assert davis.listed_sequences(tmp_path, "val") == ["b", "a"]


@pytest.mark.parametrize(("data", "words"), [
    (b"\xff\xfe", "list .*val.txt is not UTF-8 text"), (b"a\n../b\n", "sequence name '../b' must")])
def test_lists_that_are_refused(tmp_path, data, words):
    write(tmp_path, data)
    with pytest.raises(UserError, match=words):
        davis.listed_sequences(tmp_path, "val")
    with pytest.raises(UserError, match="list .*other.txt does not exist"):
        davis.listed_sequences(tmp_path, "other")
    with pytest.raises(UserError, match="list name '../val'"):
        davis.listed_sequences(tmp_path, "../val")
