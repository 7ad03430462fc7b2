"""Prepares the next sample in a process while Caffe computes.

pycaffe holds the GIL while it computes, so a thread would wait for it.  The
process is a fresh Python without Caffe; it hands samples over in shared memory,
and only numbers and error messages pass through the pipes.
"""

import mmap
import os
import struct
import subprocess
import sys
import traceback
from contextlib import suppress

import numpy as np

from segspn.errors import UserError
from segspn.training import sources

REQUEST = struct.Struct("<qq")  # seed, iteration
DONE, FAILED, BROKEN = b"\0", b"\1", b"\2"  # a sample, a UserError, any other error


def _arrays(memory, shapes):
    """float32 arrays of these shapes, one after the other in shared memory."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    flat = np.frombuffer(memory, np.float32, sum(sizes))
    return [part.reshape(shape)
            for part, shape in zip(np.split(flat, np.cumsum(sizes)[:-1]), shapes)]


class Prefetcher:
    """The samples of segspn.training.sources.KINDS[kind], prepared one ahead.

    The process starts with the first request and ends with this object, or
    with its parent, however that ends.
    """

    def __init__(self, kind, text, shapes):
        self._command = [sys.executable, "-m", "segspn.training.prefetch", kind, text]
        self._shapes = shapes
        self._process = None
        self._pending = None

    def request(self, seed, iteration):
        """Begins to prepare a sample."""
        if self._process is None:
            self._start()
        if self._pending is not None:
            self._wait()
        self._pending = (seed, iteration)
        try:
            self._process.stdin.write(REQUEST.pack(seed, iteration))
        except BrokenPipeError:
            self._fail(self._process.stdout.read())

    def get(self, seed, iteration):
        """The arrays of this iteration; they are valid until the next request.

        Raises UserError where the sample could not be made.
        """
        if self._pending != (seed, iteration):
            self.request(seed, iteration)
        self._wait()
        return self._arrays

    def _start(self):
        size = 4 * sum(int(np.prod(shape)) for shape in self._shapes)
        descriptor = os.memfd_create("segspn-samples")
        try:
            os.ftruncate(descriptor, size)
            self._arrays = _arrays(mmap.mmap(descriptor, size), self._shapes)
            # A session of its own: Ctrl-C is for the parent, which ends this one.
            self._process = subprocess.Popen(
                [*self._command, str(descriptor)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                pass_fds=[descriptor], start_new_session=True, bufsize=0)
        finally:
            os.close(descriptor)

    def _wait(self):
        self._pending = None
        status = self._process.stdout.read(1)
        if status != DONE:
            self._fail(status + self._process.stdout.read())

    def _fail(self, reply):
        if reply[:1] == BROKEN:
            raise RuntimeError(reply[1:].decode())
        raise UserError(reply[1:].decode() or "the process that prepares samples was killed; "
                        "run the same command with --resume")

    def close(self):
        """Ends the process."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()
            self._process = None

    __del__ = close


def serve(kind, text, descriptor):
    """Answers requests on stdin until it closes."""
    source = sources.KINDS[kind](text)
    size = os.fstat(descriptor).st_size
    targets = _arrays(mmap.mmap(descriptor, size), source.shapes)
    requests = sys.stdin.buffer.raw
    while len(request := requests.read(REQUEST.size)) == REQUEST.size:
        for target, array in zip(targets, source.sample(*REQUEST.unpack(request))):
            target[...] = array
        os.write(1, DONE)


def main():
    kind, text, descriptor = sys.argv[1:]
    with suppress(BrokenPipeError):  # the parent has ended meanwhile, and wants no sample
        try:
            serve(kind, text, int(descriptor))
        except UserError as error:
            os.write(1, FAILED + str(error).encode())
        except BrokenPipeError:
            raise
        except Exception:
            os.write(1, BROKEN + traceback.format_exc().encode())


if __name__ == "__main__":
    main()
