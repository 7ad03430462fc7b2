"""The tracked deploy nets, and the option that alone writes them."""

import sys

import pytest

from ResNetF import write_prototxts as resnetf
from segspn import files
from segspn.caffenet import deploy, prototxt
from segspn.errors import UserError
from spn import write_prototxts as spn


def test_tracked_deploy_nets_are_those_that_nets_describe():
    described = {**deploy.resnetf_nets(), **deploy.refinement_nets()}
    assert set(described) == {path for pattern in ("ResNetF/*/deploy*.prototxt",
                                                   "spn/*/deploy*.prototxt")
                              for path in files.ROOT.glob(pattern)}
    for path, net in described.items():
        assert path.read_text() == prototxt.text(net), path


@pytest.mark.parametrize("script, count", [(resnetf, 4), (spn, 2)])
def test_an_option_writes_them(script, count, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["write_prototxts.py", "--deploy"])
    script.main()
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.prototxt")]
    assert len(written) == count
    for path in written:
        tracked = files.PYTHON_SCRIPTS.parent / path
        assert (tmp_path / path).read_text() == tracked.read_text(), path


@pytest.mark.parametrize("script, words", [(resnetf, "name a data set"), (spn, "name sources")])
def test_nothing_to_write(script, words):
    with pytest.raises(UserError, match=words):
        script.parse_arguments([])


def test_a_deploy_net_that_is_gone(refused):
    (refused.root / "ResNetF/testnet_fgbg/deploy_resnet50_thin.prototxt").unlink()
    assert refused.foreground(words=["deploy_resnet50_thin.prototxt does not exist",
                                     "write it with: ResNetF/write_prototxts.py --deploy"])
