"""check_cuda.py: where there is no nvcc, what does not compile, and the options of the build."""

import os
import re
import shutil

import pytest

from segspn import files
from tools.setup import check_cuda

SCRIPT = "tools.setup.check_cuda"
BROKEN = "__global__ void kernel() { undeclared_name = 1; }\n"


def only(folder, *names):
    """The environment of a process that finds only these programs, where they exist."""
    folder.mkdir()
    for name in filter(shutil.which, names):
        (folder / name).symlink_to(shutil.which(name))
    return {**os.environ, "PATH": str(folder)}


def test_without_nvcc_it_says_so_and_ends_well(run, tmp_path):
    result = run(SCRIPT, env=only(tmp_path / "bin"))
    assert result.returncode == 0 and not result.stdout
    assert result.stderr.startswith("check-cuda: NOT CHECKED: there is no nvcc")
    assert result.stderr.count("\n") == 1


def test_code_that_is_broken_fails_with_the_compiler_s_words(run, tmp_path):
    if not shutil.which("nvcc"):
        pytest.skip("there is no nvcc: no CUDA code is compiled")
    source = tmp_path / "broken.cu"
    source.write_text(BROKEN)
    result = run(SCRIPT, source)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert result.stderr.startswith("check-cuda: failed: nvcc")
    assert f'{source}(1): error: identifier "undeclared_name" is undefined' in result.stderr
    assert "compiles" not in result.stdout


@pytest.mark.parametrize("missing, words", [
    (["ninja"], "there is no ninja on the PATH: make setup"),
    (["VENV"], "nosuch is missing: make setup"), (["BUILD"], "Caffe is not built yet: make setup")])
def test_what_is_missing_is_one_line(monkeypatch, tmp_path, missing, words):
    for name in missing:
        if name.isupper():
            monkeypatch.setattr(check_cuda.environment, name, tmp_path / "nosuch")
        else:
            files.write_text(tmp_path / "build/caffe/cpu/build.ninja", "")
            monkeypatch.setattr(check_cuda.environment, "BUILD", tmp_path / "build")
            monkeypatch.setenv("PATH", only(tmp_path / "bin")["PATH"])
    with pytest.raises(check_cuda.CheckError, match=f"^.*{words}$"):
        check_cuda.caffe_flags()


def test_options_are_those_of_the_build():
    text = (files.ROOT / "tools/setup/CMakeLists.txt").read_text()
    assert f"set(CMAKE_CUDA_STANDARD {check_cuda.CUDA_STANDARD})" in text
    options = re.findall(r'SPN_CUDA_SOURCES\} PROPERTIES\s+COMPILE_OPTIONS "([^"]+)"', text)
    assert [found.split(";") for found in options] == [check_cuda.SPN_OPTIONS]
    assert "CMAKE_POSITION_INDEPENDENT_CODE ON" in text  # -fPIC
    assert "CMAKE_BUILD_TYPE Release" in text and "CMAKE_CUDA_FLAGS" not in text
