"""Prepares the next sample in a process while Caffe computes.

pycaffe holds the GIL while it computes, so a thread would wait for it.  The
process is forked: it shares the source frame, and hands samples over in shared
memory; only numbers and error messages pass through the pipe.
"""

import mmap
import os
import signal
import struct
import traceback

import cv2
import numpy as np

from segspn.errors import UserError

REQUEST = struct.Struct("<qq")  # seed, iteration
DONE, FAILED, BROKEN = b"\0", b"\1", b"\2"  # a sample, a UserError, any other error
KILLED = "the process that prepares samples was killed; run the same command with --resume"

# The parent's ends of all pipes: a new child closes its copies of them, or an
# older child would never see the end of its requests.
_parent_ends = set()


class Prefetcher:
    """Calls sample(seed, iteration) -> float32 arrays of `shapes`, one call ahead."""

    def __init__(self, sample, shapes):
        self._sample = sample
        sizes = [int(np.prod(shape)) for shape in shapes]
        self._memory = mmap.mmap(-1, 4 * sum(sizes))
        flat = np.frombuffer(self._memory, np.float32)
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        self._arrays = [part.reshape(shape) for part, shape in zip(parts, shapes)]
        self._pid = None
        self._pending = None

    def get(self, seed, iteration):
        """The arrays of this iteration, valid until the next call; prepares the one after."""
        if self._pid is None:
            self._start()
        if self._pending != (seed, iteration):
            if self._pending is not None:
                self._wait()
            self._request(seed, iteration)
        self._wait()
        samples = [array.copy() for array in self._arrays]
        self._request(seed, iteration + 1)
        return samples

    def close(self):
        """Ends the process."""
        if self._pid is not None:
            for end in (self._to_child, self._from_child):
                _parent_ends.discard(end)
                os.close(end)
            os.waitpid(self._pid, 0)
            self._pid = None

    __del__ = close

    def _request(self, seed, iteration):
        self._pending = (seed, iteration)
        self._write(self._to_child, REQUEST.pack(seed, iteration))

    def _wait(self):
        self._pending = None
        status = os.read(self._from_child, 1)
        if status == DONE:
            return
        reason = b""
        while status and (part := os.read(self._from_child, 4096)):
            reason += part
        if status == BROKEN:
            raise RuntimeError(reason.decode())
        raise UserError(reason.decode() or KILLED)

    @staticmethod
    def _write(descriptor, data):
        try:
            os.write(descriptor, data)
        except BrokenPipeError:
            raise UserError(KILLED) from None

    def _start(self):
        child_reads, self._to_child = os.pipe()
        self._from_child, child_writes = os.pipe()
        _parent_ends.update((self._to_child, self._from_child))
        self._pid = os.fork()
        if self._pid:
            os.close(child_reads)
            os.close(child_writes)
            return
        for end in _parent_ends:
            os.close(end)
        try:
            self._serve(child_reads, child_writes)
        finally:
            os._exit(0)

    def _serve(self, requests, replies):
        """The child's loop; it ends when the parent closes its end of the pipe."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        cv2.setNumThreads(1)  # OpenCV's thread pool does not survive a fork
        while len(request := os.read(requests, REQUEST.size)) == REQUEST.size:
            try:
                for target, source in zip(self._arrays, self._sample(*REQUEST.unpack(request))):
                    target[...] = source
            except UserError as error:
                os.write(replies, FAILED + str(error).encode())
                return
            except Exception:
                os.write(replies, BROKEN + traceback.format_exc().encode())
                return
            os.write(replies, DONE)
