"""The server of the page: its routes, and how what goes wrong is told."""

import errno
from functools import partial

from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from segspn import files
from segspn.annotate import assist, guards, page, wire
from segspn.annotate.drawings import Conflict, NotFound
from segspn.annotate.segmenting import shown_command
from segspn.data import davis
from segspn.errors import UserError, describe_os_error

REVISION = "X-Segspn-Revision"  # of a mask: the one that is sent, or that a change is based on
PLANE = "application/octet-stream"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def create(drawings, segmenting, snapper, token, port):
    """The Flask application of the page of a video.

    drawings, segmenting, snapper: Drawings, Segmenting and assist.Snapper; port: where it is
    reached, on 127.0.0.1.
    """
    app = Flask("segspn.annotate", static_folder=None)
    height, width = drawings.shape
    app.config["MAX_CONTENT_LENGTH"] = 4 * height * width + 4096  # runs of one pixel each
    document, policy = page.page()
    guard = guards.Guard(token, port)
    app.before_request(guard.check)
    app.after_request(lambda response: guards.protect(response, policy))
    add_errors(app)
    app.add_url_rule("/", "page", lambda: Response(document, mimetype="text/html"))
    add_frames(app, drawings, segmenting)
    add_objects(app, drawings)
    add_assist(app, drawings, snapper)
    add_segmenting(app, drawings, segmenting)
    return app


def add_errors(app):
    """Every failure is one line of JSON; that of the page itself, of text."""
    def told(line, status, **more):
        if request.path == "/":
            return Response(line, status, mimetype="text/plain")
        return jsonify(error=line, **more), status

    app.register_error_handler(Conflict, lambda error: told(
        str(error), 412, revision=error.revision))
    app.register_error_handler(NotFound, lambda error: told(str(error), 404))
    app.register_error_handler(UserError, lambda error: told(str(error), 422))
    app.register_error_handler(OSError, lambda error: told(
        describe_os_error(error).removesuffix("; make room and run the same command again")
        + ("; make room" if error.errno in FULL else ""), 507))
    app.register_error_handler(HTTPException, lambda error: told(error.description, error.code))


def add_frames(app, drawings, segmenting):
    def plane(ids, **headers):
        return Response(wire.packed(ids), mimetype=PLANE, headers=headers)

    @app.get("/api/video")
    def video():
        objects, unfit = drawings.objects()
        height, width = drawings.shape
        return jsonify(
            video=drawings.video, frames=list(drawings.frames), width=width, height=height,
            annotated=objects, unfit=unfit, complete=drawings.complete(),
            names=drawings.names(), colours=[list(map(int, rgb)) for rgb in davis.palette()],
            command=shown_command(drawings))

    @app.get("/api/frames/<stem>/image")
    def image(stem):
        data, kind = drawings.image(stem)
        return Response(data, mimetype=kind)

    @app.get("/api/frames/<stem>/thumbnail")
    def thumbnail(stem):
        return Response(drawings.thumbnail(stem), mimetype="image/jpeg")

    @app.get("/api/frames/<stem>/mask")
    def mask(stem):
        ids, revision = drawings.read(stem)
        return plane(ids, **{REVISION: revision})

    @app.put("/api/frames/<stem>/mask")
    def save(stem):
        ids = wire.unpacked(request.get_data(), drawings.shape_of(drawings.frame(stem).stem))
        return jsonify(revision=drawings.write(stem, ids, seen()))

    @app.put("/api/frames/<stem>/complete")
    def complete(stem):
        is_complete = fields("complete", bool)
        return jsonify(revision=drawings.set_complete(stem, is_complete, seen()))

    @app.get("/api/frames/<stem>/result")
    def result(stem):
        return plane(segmenting.result(stem))


def seen():
    """The revision that a change is based on."""
    return request.headers.get(REVISION, "")


def fields(name, kind):
    """A field of the JSON that was sent.  Ends the request where it is not of this kind."""
    sent = request.get_json(silent=True)
    if not isinstance(sent, dict) or not isinstance(sent.get(name), kind):
        abort(400, "what the page sent cannot be read; reload it")
    return sent[name]


def add_objects(app, drawings):
    @app.put("/api/objects/<int:k>")
    def rename(k):
        drawings.rename(k, fields("name", str))
        return jsonify(names=drawings.names())

    @app.delete("/api/objects/<int:k>")
    def delete(k):
        return jsonify(frames=drawings.delete(k))


def add_assist(app, drawings, snapper):
    tools = {"outline": assist.cut, "box": partial(assist.cut, is_box=True), "snap": snapper}

    @app.post("/api/frames/<stem>/<any(outline, box, snap):tool>")
    def helped(stem, tool):
        path = drawings.frame(stem)
        hints = wire.unpacked(request.get_data(), drawings.shape_of(stem))
        found = tools[tool](files.read_image(path), hints & 3)
        return Response(wire.packed(found), mimetype=PLANE)


def add_segmenting(app, drawings, segmenting):
    @app.get("/api/segment")
    def status():
        return jsonify(segmenting.status())

    @app.post("/api/segment")
    def start():
        segmenting.start(anew=fields("anew", bool))
        return jsonify(segmenting.status())

    @app.delete("/api/segment")
    def stop():
        segmenting.stop()
        return jsonify(segmenting.status())
