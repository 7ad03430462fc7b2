"""Runs that must fail: with one line, and nothing half-made."""

import numpy as np
import pytest

from segspn import files
from segspn.errors import UserError
from tests.support.frames import draw_frame, fails_in_one_line

FGBG, PEROBJ = "python_scripts/infer_test_fgbg.py", "python_scripts/infer_test_perobj.py"
SEGMENT, NETS = "python_scripts/segment_instances.py", "ResNetF/write_prototxts.py"


def files_below(folder):
    """{path: bytes} of all files, compiled Python apart."""
    return {p: p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and "__pycache__" not in p.parts}


class Refusals:
    """Runs scripts that must fail, in a copy of the project beside the data set."""

    def __init__(self, project, data, tmp_path, model):
        self.run, self.root, self.data, self.folder = project.run, project.root, data, tmp_path
        self.frames = data / "JPEGImages/480p/toy"
        self.annotation = data / "Annotations/480p/toy/00000.png"
        self.result, self.model = tmp_path / "result", model
        self.scores = project.root / "results/ResNetF_perobj_5/toy"

    def __call__(self, script, *arguments, words=(), data=True, **keywords):
        before = files_below(self.folder)
        options = ("--data", self.data) * data
        result = self.run(script, *arguments, *options, **keywords)
        assert fails_in_one_line(result, *words)
        for line in result.stderr.splitlines():  # beside the error only a progress bar may stand
            assert not line or line.startswith("error: ") or "%|" in line, line
        assert files_below(self.folder) == before
        return True

    def foreground(self, *options, **keywords):
        return self(FGBG, self.model, self.result, "toy", "--scale", 0.1, *options, **keywords)

    def segment(self, *options, **keywords):
        return self(SEGMENT, "--video", "toy", "--iterations", 5, "--foreground", self.result,
                    *options, **keywords)

    def write_maps(self):
        """Score maps and foreground of every frame, as the inference leaves them."""
        for index in range(4):
            _, labels = draw_frame(index)
            for k in (1, 2):
                files.write_image(self.scores / f"{index:05}_{k}.png",
                                  (labels == k).astype(np.uint8) * 250)
            files.write_image(self.result / f"toy/{index:05}.png",
                              (labels > 0).astype(np.uint8) * 255)


def training_refused(trainings, training, *words, options=(), script=True):
    """Whether a training fails with one line and writes nothing: solve.py, or its inside here."""
    before = files_below(trainings.root)
    if script:
        result = trainings.solve(training, *options)
        assert fails_in_one_line(result, *words)
        assert len(result.stderr.splitlines()) == 1, result.stderr
    else:
        with pytest.raises(UserError) as error:
            trainings.solve_here(training)
        assert len(str(error.value).splitlines()) == 1
        assert all(str(word) in str(error.value) for word in words), error.value
    assert files_below(trainings.root) == before and not training.folder.exists()
    return True
