"""A copy of the project to work in, for tests and benchmarks: what a run writes stays in it."""

import os
import shutil
from pathlib import Path

from segspn import files

COPIED = ("python_scripts/**/*", "ResNetF/*.py", "ResNetF/*/deploy*.prototxt", "spn/*.py",
          "spn/*/deploy*.prototxt", "spn/*.caffemodel", "tools/*.py", "tools/setup/*.py")


def make(folder):
    """Copies scripts, tools and nets into a folder; the thin net's weights are links."""
    folder = Path(folder)
    for pattern in COPIED:
        for path in files.ROOT.glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                copy = folder / path.relative_to(files.ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
    (folder / "models").mkdir()
    for name in ("resnet50_thin.caffemodel", "generic_thin.caffemodel"):
        (folder / "models" / name).symlink_to(files.MODELS / name)
    return folder


def environment(folder):
    """The environment in which Python finds the packages of the copy."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(
        [str(folder / "python_scripts"), str(folder)])}
