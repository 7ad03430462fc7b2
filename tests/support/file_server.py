"""An HTTP server of a few files, that can be told to misbehave."""

import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

BLOCK = 1 << 14


class Files(ThreadingHTTPServer):
    """Serves `files`, {name: bytes}, with ranges; `asked` are [(path, Range, If-Range)].

    ranges: whether it knows them; validators: headers of every answer; kind: Content-Type;
    drops: [bytes], a connection each, after which it ends; answers: [status], a request
    each, instead of the file; pause: seconds before each block.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.asked, self.drops, self.answers = {}, [], [], []
        self.ranges, self.kind, self.pause = True, "application/zip", 0
        self.validators = {"ETag": '"1"'}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def ranges_asked(self):
        return [asked for _, asked, _ in self.asked]

    def handle_error(self, request, client_address):
        pass  # clients that are killed


class _Handler(BaseHTTPRequestHandler):

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers["Range"], self.headers["If-Range"]))
        data = server.files.get(urlsplit(self.path).path[1:])
        status = server.answers.pop(0) if server.answers else 404 if data is None else 200
        if status != 200:
            self.send_error(status)
            return
        start, total = 0, len(data)
        span = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if span and server.ranges and self._is_same():
            start = int(span[1])
            if start >= total:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        self._send(data[start:])

    def _is_same(self):
        return self.headers["If-Range"] in (None, *self.server.validators.values())

    def _send(self, data):
        server = self.server
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", server.kind)
        for name, value in server.validators.items():
            self.send_header(name, value)
        self.end_headers()
        data = data[:server.drops.pop(0)] if server.drops else data
        for begin in range(0, len(data), BLOCK):
            time.sleep(server.pause)
            self.wfile.write(data[begin:begin + BLOCK])

    def log_message(self, *arguments):
        pass


@contextmanager
def running():
    """A Files server in a thread."""
    with Files() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
