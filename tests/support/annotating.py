"""The page on which masks are drawn, for tests: its server in this process, and who asks it."""

import json
import socket
import sys
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import waitress

from segspn import files
from segspn.annotate import server, wire
from segspn.annotate.drawings import Drawings
from segspn.annotate.guards import HEADER
from segspn.annotate.segmenting import Segmenting
from segspn.data import davis

TOKEN, PORT, SIZE, FRAMES = "secret-of-the-page", 8765, (120, 160), 6
ORIGIN = f"http://127.0.0.1:{PORT}"


def ground_and_truth(number):
    """(frame, uint8 H x W x 3 BGR, ids): a red disk that moves, and a blue bar, on green noise."""
    rng = np.random.default_rng(number)
    image = rng.normal((70, 110, 70), 9, (*SIZE, 3))
    ids = np.zeros(SIZE, np.uint8)
    cv2.circle(ids, (50 + 4 * number, 55), 26, 1, -1)
    cv2.rectangle(ids, (110, 30), (140, 95), 2, -1)
    for k, colour in (1, (40, 40, 190)), (2, (190, 90, 40)):
        image[ids == k] = rng.normal(colour, 9, (np.count_nonzero(ids == k), 3))
    return np.clip(image, 0, 255).astype(np.uint8), ids


def write_video(root, name="toy", frames=FRAMES):
    """A video without annotations in a data set; the davis.Davis."""
    for number in range(frames):
        files.write_image(root / davis.IMAGES / name / f"{number:05}.png",
                          ground_and_truth(number)[0])
    return davis.Davis(root)


def parts(data, snapper=None, words=None, video="toy"):
    """What a server is made from; words: the command line in place of a run's."""
    drawings = Drawings(data, video)
    return SimpleNamespace(
        drawings=drawings, snapper=snapper or (lambda frame, hints: hints == 3),
        segmenting=Segmenting(drawings, words or [sys.executable, "-c", "print('nothing')"]))


def app_of(made, port=PORT):
    return server.create(made.drawings, made.segmenting, made.snapper, TOKEN, port)


class Client:
    """Asks the Flask application as the page does."""

    def __init__(self, made):
        self.made, self._client = made, app_of(made).test_client()

    def ask(self, method, path, token=TOKEN, origin=ORIGIN, host=f"127.0.0.1:{PORT}", **options):
        headers = {"Host": host, **({"Origin": origin} if origin and method != "GET" else {}),
                   **({HEADER: token} if token else {}), **options.pop("headers", {})}
        return self._client.open(path, method=method, headers=headers, **options)

    def revision(self, stem):
        return self.ask("GET", f"/api/frames/{stem}/mask").headers[server.REVISION]

    def save(self, stem, ids, revision=None):
        seen = self.revision(stem) if revision is None else revision
        return self.ask("PUT", f"/api/frames/{stem}/mask", data=wire.packed(ids),
                        headers={server.REVISION: seen})

    def json(self, method, path, headers=None, **fields):
        return self.ask(method, path, data=json.dumps(fields), content_type="application/json",
                        headers=headers or {})

    def complete(self, stem, is_complete, revision=None):
        seen = self.revision(stem) if revision is None else revision
        return self.json("PUT", f"/api/frames/{stem}/complete", {server.REVISION: seen},
                         complete=is_complete)


class Served:
    """The same application on a port of this machine; `address` opens the page."""

    def __init__(self, made):
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.made, self.port = made, listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/?token={TOKEN}"
        self._server = waitress.create_server(app_of(made, self.port), sockets=[listening])
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    def close(self):
        self.made.segmenting.close()
        self._server.close()
