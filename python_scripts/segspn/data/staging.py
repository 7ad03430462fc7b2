"""Folders and files that take their places together: all of them are new, or none is."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from segspn import locks


class Staging:
    """New files or folders for `paths`; while it is entered, they are written beside those.

    Entering gives a temporary path for each of `paths`, for the caller to write.  On
    success they are renamed to `paths`, the last one last: it is what makes the others
    count.  What was there before is moved aside first, and removed when the last one
    is in its place.  On failure it is put back; after a kill, the next entry does that.

    Entering raises UserError where another process has the same paths staged.
    """

    def __init__(self, paths):
        self._paths = [Path(path) for path in paths]
        # Hidden folders beside each, so that renaming stays on one disk.
        self._stages = [path.with_name(f".import-{path.name}") for path in self._paths]
        self._new = [stage / "new" for stage in self._stages]
        self._old = [stage / "old" for stage in self._stages]
        self._moving = self._stages[-1] / "moving"  # there while places are changed
        self._lock = ExitStack()

    def __enter__(self):
        self._stages[-1].mkdir(parents=True, exist_ok=True)
        self._lock.enter_context(locks.alone(
            self._stages[-1], f"{self._paths[-1]} is being written by another run; "
            "wait for its end, or stop it"))
        try:
            for stage in self._stages:
                stage.mkdir(parents=True, exist_ok=True)
            self._restore()
            for path in (*self._new, *self._old):
                remove(path)
        except BaseException:
            self._close()
            raise
        return self._new

    def __exit__(self, kind, *error):
        try:
            if kind is None:
                self._move()
        finally:
            self._close()

    def _close(self):
        self._restore()
        for stage in self._stages:
            remove(stage)
        self._lock.close()

    def _move(self):
        self._moving.touch()
        for path, old in zip(reversed(self._paths), reversed(self._old)):  # the last no longer
            if os.path.lexists(path):                                      # counts from here on
                os.rename(path, old)
        for path, new in zip(self._paths, self._new):
            os.rename(new, path)

    def _restore(self):
        """Undoes a move that did not come to its end.  May be killed, and called again."""
        if self._moving.exists() and not os.path.lexists(self._paths[-1]):
            for path, new, old in zip(self._paths, self._new, self._old):
                if os.path.lexists(path) and not os.path.lexists(new):
                    os.rename(path, new)
                if os.path.lexists(old):
                    os.rename(old, path)
        self._moving.unlink(missing_ok=True)


def remove(path):
    """Removes a file, a link or a folder with all that is in it, where it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
