"""The page's server: who may ask it, what it writes and what it refuses to write."""

import errno
import os
import re

import numpy as np
import pytest

from segspn import files
from segspn.annotate import page, server, wire
from segspn.data import annotations, davis
from segspn.errors import UserError
from tests.support.annotating import PORT, SIZE, TOKEN, ground_and_truth
from tests.support.frames import names_in
from tests.support.refusals import files_below

IDS = ground_and_truth(0)[1]


def error_of(answer, status):
    """The line that an answer of this status has."""
    assert answer.status_code == status, answer.text
    line = answer.get_json()["error"]
    assert line and "\n" not in line and "Traceback" not in line
    return line


# ------------------------------------------------------------------------ who may ask

@pytest.mark.parametrize("token", [None, "", TOKEN[:-1], TOKEN + "x", "ä"])
def test_wrong_tokens(client, token, folder):
    for method, path in [("GET", "/api/video"), ("GET", "/api/frames/00000/image"),
                         ("PUT", "/api/frames/00000/mask"), ("POST", "/api/segment")]:
        answer = client.ask(method, path, token=token.encode().decode("latin1") if token else token)
        assert answer.status_code == 403 and "toy" not in answer.text
    answer = client.ask("GET", f"/?token={token or ''}")
    assert answer.status_code == 403 and "<script" not in answer.text
    assert not folder.exists()


def test_the_page_has_its_token_in_the_address(client):
    assert client.ask("GET", f"/?token={TOKEN}", token=None).status_code == 200
    assert client.ask("GET", "/", token=TOKEN).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1",
                                  f"127.0.0.1:{PORT + 1}", f"127.0.0.1.evil.example:{PORT}"])
def test_wrong_hosts(client, host):
    assert client.ask("GET", f"/?token={TOKEN}", host=host).status_code == 403
    error_of(client.ask("GET", "/api/video", host=host), 403)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", f"https://127.0.0.1:{PORT}",
                                    f"http://127.0.0.1:{PORT + 1}"])
@pytest.mark.parametrize("method, path", [
    ("PUT", "/api/frames/00000/mask"), ("PUT", "/api/frames/00000/complete"),
    ("PUT", "/api/objects/1"), ("DELETE", "/api/objects/1"), ("POST", "/api/frames/00000/snap"),
    ("POST", "/api/segment"), ("DELETE", "/api/segment")])
def test_wrong_origins(client, origin, method, path, folder):
    error_of(client.ask(method, path, origin=origin), 403)
    assert not folder.exists()


def test_by_its_other_name(client):
    name = f"localhost:{PORT}"
    answer = client.ask("PUT", "/api/objects/3", host=name, origin=f"http://{name}",
                        json={"name": "dog"})
    assert answer.get_json() == {"names": {"3": "dog"}}


def test_what_browsers_are_told(client):
    for path in (f"/?token={TOKEN}", "/api/video", "/api/frames/00000/image", "/nosuch"):
        headers = client.ask("GET", path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy and "http" not in policy


def test_the_page_needs_nothing_else():
    text, _ = page.page()
    assert not re.findall(r'\s(?:on\w+|style)="', text)
    assert not re.findall(r"""(?:src|href)=["'](?!data:,)""", text)
    assert "eval(" not in text and "innerHTML" not in text and "http://" not in text


# ------------------------------------------------------------------------ frames

@pytest.mark.parametrize("name", [
    "99999", "..", "../00000", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "00000.png",
    ".", "complete.txt", "00000%00", "..%5c00000", "toy%2f00000"])
@pytest.mark.parametrize("what", ["image", "thumbnail", "mask", "result"])
def test_path_tricks(client, data, name, what):
    before = files_below(data.root)
    assert client.ask("GET", f"/api/frames/{name}/{what}").status_code in (404, 405)
    for method, path in ("PUT", "mask"), ("POST", "outline"):
        answer = client.ask(method, f"/api/frames/{name}/{path}", data=wire.packed(IDS))
        assert answer.status_code in (404, 405)
    answer = client.json("PUT", f"/api/frames/{name}/complete", complete=True)
    assert answer.status_code in (404, 405)
    assert files_below(data.root) == before


def test_frames_and_thumbnails(client, data):
    assert client.ask("GET", "/api/frames/00003/image").data == (
        data.images / "toy/00003.png").read_bytes()
    assert client.ask("GET", "/api/frames/00003/thumbnail").data.startswith(b"\xff\xd8")
    video = client.ask("GET", "/api/video").get_json()
    assert video["frames"] == [f"{n:05}" for n in range(6)]
    assert (video["height"], video["width"]) == SIZE
    assert video["colours"][1] == [128, 0, 0]
    assert video["command"] == f"make segment VIDEO=toy DATA={data.root}"


# ------------------------------------------------------------------------ masks

def test_a_mask_is_a_png_of_the_layout(client, data, folder):
    assert client.revision("00002") == "none"
    answer = client.save("00002", IDS)
    assert answer.status_code == 200
    assert answer.get_json()["revision"] == client.revision("00002") != "none"
    assert names_in(folder) == ["00002.png"] == [path.name for path in folder.iterdir()]
    np.testing.assert_array_equal(davis.read_annotation(folder / "00002.png"), IDS)
    answer = client.ask("GET", "/api/frames/00002/mask")
    np.testing.assert_array_equal(wire.unpacked(answer.data, SIZE), IDS)
    assert client.ask("GET", "/api/video").get_json()["annotated"] == {"00002": [1, 2]}
    read = annotations.Annotations.read(data, "toy", annotations.ALL)
    assert (read.frames, read.objects) == (("00002",), [1, 2])


def test_an_emptied_frame_has_no_png(client, folder):
    client.save("00001", IDS)
    assert client.save("00001", IDS * 0).get_json() == {"revision": "none"}
    assert names_in(folder) == []


def test_void_stays(client, folder):
    ids = IDS.copy()
    ids[0] = davis.VOID
    client.save("00001", ids)
    np.testing.assert_array_equal(davis.read_annotation(folder / "00001.png"), ids)
    assert client.ask("GET", "/api/video").get_json()["annotated"] == {"00001": [1, 2]}


def test_complete_frames(client, data, folder):
    path = "/api/frames/00004/complete"
    revision = client.complete("00004", True).get_json()["revision"]
    assert annotations.complete(data, "toy") == ("00004",)
    assert not davis.read_annotation(folder / "00004.png").any()  # all that is there is nothing
    assert client.save("00004", IDS, revision).status_code == 200
    assert client.save("00004", IDS * 0).get_json()["revision"] == revision
    assert client.complete("00004", False).get_json() == {"revision": "none"}
    assert names_in(folder) == []
    for wrong in {"complete": 1}, {}, {"other": True}:
        error_of(client.json("PUT", path, **wrong), 400)


def test_who_has_not_seen_the_last_change_does_not_write(client, folder):
    old = client.revision("00000")
    client.save("00000", IDS)
    before = (folder / "00000.png").read_bytes()
    for seen in (old, "", "nonsense"):
        answer = client.save("00000", IDS * 0, seen)
        assert "changed elsewhere" in error_of(answer, 412)
        assert answer.get_json()["revision"] == client.revision("00000")
        answer = client.complete("00000", True, seen)
        assert "changed elsewhere" in error_of(answer, 412)
        assert answer.get_json()["revision"] == client.revision("00000")
    assert not (folder / "complete.txt").exists()
    assert (folder / "00000.png").read_bytes() == before
    davis.write_labels(folder / "00000.png", IDS * 2)  # another program
    error_of(client.save("00000", IDS, client.revision("00000")[::-1]), 412)
    assert client.save("00000", IDS).status_code == 200


@pytest.mark.parametrize("kind", ["other size", "no image", "cut", "colours"])
def test_unfit_pngs_are_left_as_they_are(client, folder, kind):
    path = folder / "00002.png"
    davis.write_labels(path, np.ones((50, 60), np.uint8) if kind == "other size" else IDS)
    if kind == "colours":
        files.write_image(path, np.zeros((*SIZE, 3), np.uint8))
    elif kind != "other size":
        path.write_bytes(b"no" if kind == "no image" else path.read_bytes()[:-30])
    before = path.read_bytes()
    line = error_of(client.ask("GET", "/api/frames/00002/mask"), 422)
    assert str(path) in line and ("is 60x50, its frame 160x120" in line or kind != "other size")
    for revision in ("none", "", client.made.drawings.revision("00002")):
        error_of(client.save("00002", IDS, revision), 422)
    error_of(client.complete("00002", True, client.made.drawings.revision("00002")), 422)
    client.save("00001", IDS)
    assert client.ask("DELETE", "/api/objects/1").get_json() == {"frames": ["00001"]}
    assert path.read_bytes() == before and not (folder / "complete.txt").exists()
    video = client.ask("GET", "/api/video").get_json()
    assert video["unfit"] == {"00002": line} and video["annotated"] == {"00001": [2]}


@pytest.mark.parametrize("body, status, words", [
    (b"\0" * (4 * SIZE[0] * SIZE[1] + 5000), 413, ""), (b"", 422, "of 0 px"),
    (b"abc", 422, "no mask"), (wire.packed(IDS)[:-4], 422, "reload"),
    (b"\xff\xff\xff\xff" * 100, 422, "reload"), (wire.packed(IDS) + b"\1\1\0\0", 422, "reload")])
def test_bodies_that_are_no_mask(client, folder, body, status, words):
    answer = client.ask("PUT", "/api/frames/00000/mask", data=body,
                        headers={server.REVISION: "none"})
    assert words in error_of(answer, status)
    assert not folder.exists()


@pytest.mark.parametrize("number, words", [
    (errno.ENOSPC, "No space left on device; make room"), (errno.EROFS, "Read-only file system"),
    (errno.EACCES, "Permission denied")])
def test_a_disk_that_takes_nothing(client, folder, monkeypatch, number, words):
    client.save("00000", IDS)
    before, revision = (folder / "00000.png").read_bytes(), client.revision("00000")

    def replace(source, target):
        raise OSError(number, os.strerror(number), source)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", replace)
        line = error_of(client.save("00000", IDS * 2, revision), 507)
        assert line == f"{folder / '00000.png'}: {words}"
        error_of(client.json("PUT", "/api/objects/1", name="dog"), 507)
        assert [path.name for path in folder.iterdir()] == ["00000.png"]
    assert (folder / "00000.png").read_bytes() == before
    assert client.save("00000", IDS * 2, revision).status_code == 200


# ------------------------------------------------------------------------ objects

def test_names_and_deletion(client, data, folder):
    client.save("00000", IDS)
    client.save("00003", np.where(IDS == 1, 1, 0).astype(np.uint8))
    client.complete("00003", True)
    client.json("PUT", "/api/objects/1", name="  a   red\ndisk ")
    assert client.json("PUT", "/api/objects/2", name="bar").get_json() == {
        "names": {"1": "a red disk", "2": "bar"}}
    assert client.ask("DELETE", "/api/objects/1").get_json() == {"frames": ["00000", "00003"]}
    assert annotations.names(data, "toy") == {2: "bar"}
    np.testing.assert_array_equal(davis.read_annotation(folder / "00000.png"), IDS * (IDS == 2))
    assert not davis.read_annotation(folder / "00003.png").any()  # complete: it stays
    assert client.json("PUT", "/api/objects/2", name="").get_json() == {"names": {}}
    assert not (folder / "objects.txt").exists()
    for k in (0, 255, 999):
        error_of(client.json("PUT", f"/api/objects/{k}", name="x"), 404)
        error_of(client.ask("DELETE", f"/api/objects/{k}"), 404)


# ------------------------------------------------------------------------ wire

def test_planes_come_as_they_were_sent():
    rng = np.random.default_rng(1)
    for plane in (rng.integers(0, 256, (7, 13), np.uint8), np.zeros((3, 5), np.uint8), IDS,
                  np.full((4000, 4200), 254, np.uint8)):
        data = wire.packed(plane)
        np.testing.assert_array_equal(wire.unpacked(data, plane.shape), plane)
    assert len(data) == 4 * -(-4000 * 4200 // wire.LONGEST)
    with pytest.raises(UserError, match="reload"):
        wire.unpacked(data, (4200, 4001))
