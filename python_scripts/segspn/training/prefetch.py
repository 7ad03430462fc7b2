"""Prepares the next sample in a process while Caffe computes.

pycaffe holds the GIL while it computes: a thread would wait for it, also those by
which concurrent.futures' pools talk to their processes.  The process is a fresh
Python without Caffe; it hands samples over in shared memory.
"""

import math
import multiprocessing
import os
import traceback
from contextlib import suppress

import numpy as np

from segspn import signals
from segspn.errors import UserError
from segspn.training import sources

PROCESSES = multiprocessing.get_context("spawn")


def _arrays(memory, shapes):
    """float32 arrays of these shapes, one after the other in shared memory."""
    sizes = [math.prod(shape) for shape in shapes]
    flat = np.frombuffer(memory, np.float32, sum(sizes))
    return [part.reshape(shape)
            for part, shape in zip(np.split(flat, np.cumsum(sizes)[:-1]), shapes)]


class Prefetcher:
    """The samples of segspn.training.sources.KINDS[kind], prepared one ahead.

    The process starts with the first request and ends with this object, or
    with its parent, however that ends.
    """

    def __init__(self, kind, text, shapes):
        self._source, self._shapes = (kind, text), shapes
        self._process = self._pending = None

    def request(self, seed, iteration):
        """Begins to prepare a sample."""
        if self._process is None:
            self._start()
        if self._pending is not None:
            self._wait()
        self._pending = (seed, iteration)
        with suppress(ConnectionError):  # _wait tells why
            self._connection.send(self._pending)

    def get(self, seed, iteration):
        """The arrays of this iteration; they are valid until the next request.

        Raises UserError where the sample could not be made.
        """
        if self._pending != (seed, iteration):
            self.request(seed, iteration)
        self._wait()
        return self._arrays

    def _start(self):
        memory = PROCESSES.RawArray("f", sum(map(math.prod, self._shapes)))
        self._arrays = _arrays(memory, self._shapes)
        self._connection, theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(
            target=serve, args=(*self._source, memory, theirs), daemon=True)
        with signals.no_interrupt():  # Ctrl-C is for the parent, which ends this one
            self._process.start()
        theirs.close()

    def _wait(self):
        self._pending = None
        try:
            fault = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise UserError("the process that prepares samples was killed; "
                            "run the same command with --resume") from error
        if fault is not None:
            raise fault

    def close(self):
        """Ends the process."""
        if self._process is not None:
            self._connection.close()
            self._process.join()
            self._process = None

    __del__ = close


def serve(kind, text, memory, connection):
    """Answers each (seed, iteration) with None, or an exception, until the connection closes."""
    os.setsid()  # signals to the parent's group are not for this process
    with suppress(EOFError, ConnectionError):  # the parent has ended, and wants no sample
        try:
            source = sources.KINDS[kind](text)
            targets = _arrays(memory, source.shapes)
            while True:
                request = connection.recv()
                for target, array in zip(targets, source.sample(*request)):
                    target[...] = array
                connection.send(None)
        except UserError as error:
            connection.send(error)
        except (EOFError, ConnectionError):
            raise
        except Exception:
            connection.send(RuntimeError(traceback.format_exc()))
