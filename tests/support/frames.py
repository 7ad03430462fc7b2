"""A small video to draw, and what tests ask of folders and of failed scripts."""

import cv2
import numpy as np

from segspn import files

THIN = files.MODELS / "resnet50_thin.caffemodel"


def draw_frame(index, size=(96, 128)):
    """A textured frame with two objects that move, and its exact annotation."""
    height, width = size
    rng = np.random.default_rng(5)
    background = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), np.uint8), (0, 0), 3)
    frame = cv2.addWeighted(background, 0.6, np.full_like(background, 60), 0.4, 0)
    labels = np.zeros(size, np.uint8)
    cv2.circle(labels, (width // 4 + 2 * index, height // 2), height // 5, 1, -1)
    cv2.rectangle(labels, (width * 5 // 8, height // 4 + index),
                  (width * 7 // 8, height // 2 + index), 2, -1)
    frame[labels == 1] = frame[labels == 1] // 3 + np.array((20, 40, 160), np.uint8)
    frame[labels == 2] = frame[labels == 2] // 3 + np.array((150, 120, 10), np.uint8)
    return frame, labels


def names_in(folder):
    """The names of the files of a folder, hidden ones apart, in order."""
    return sorted(path.name for path in folder.iterdir() if not files.is_hidden(path))


def fails_in_one_line(result, *words):
    """Whether a script ended with status 1 and one line that has all the words."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == 1, (result.returncode, result.stderr)
    assert len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert str(word) in lines[0], lines[0]
    return True


def alter(path):
    """Puts another image into a file, which it returns: the negative of the one that it has."""
    files.write_image(path, 255 - cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    return path
