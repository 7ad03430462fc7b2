"""A run that is started from the page: its progress, its end, its result."""

import json
import re
import signal
import sys
import time

import numpy as np
import pytest

from segspn import files
from segspn.annotate import segmenting, wire
from segspn.data import davis, importing
from segspn.runs import settings
from tests.support.annotating import SIZE, Client, ground_and_truth, parts, write_video
from tests.support.workflows import wait_until

RUN = """
import sys, time
print("toy: resnet50_thin, 200 iterations a training", flush=True)
print("6 of 9 jobs to do, 2 at a time, 1 thread each; logs in there", flush=True)
for job in ("prototxts toy: 1 s, 119 MB", "train object toy 1: 2 min 30 s, 369 MB"):
    print(job, flush=True)
try:
    time.sleep(600 if sys.argv[1] == "long" else 0)
except KeyboardInterrupt:
    print("\\ninterrupted; run the same command again to go on", file=sys.stderr)
    sys.exit(130)
if sys.argv[1] == "other" and "--restart" not in sys.argv:
    sys.exit("error: began with other weights, or has another net, solver or first frame")
if sys.argv[1] == "bad":
    sys.exit("error: no frame of toy is annotated; not --restart")
"""


@pytest.fixture
def asked(data):
    """The client of a server whose run is RUN with a word."""
    clients = []

    def client(word):
        clients.append(Client(parts(data, words=[sys.executable, "-c", RUN, word])))
        return clients[-1]
    yield client
    for one in clients:
        one.made.segmenting.close()


def status(client):
    return client.ask("GET", "/api/segment").get_json()


def test_progress_and_end(asked):
    client = asked("short")
    assert status(client)["state"] == "idle"
    assert client.json("POST", "/api/segment", anew=False).get_json()["state"] == "running"
    end = wait_until(lambda: (now := status(client))["state"] != "running" and now, "the end")
    assert (end["state"], end["done"], end["total"], end["atWork"]) == ("done", 2, 6, [])
    assert end["lines"][0] == "toy: resnet50_thin, 200 iterations a training"
    assert len(end["lines"]) == 4


def write_states(folder):
    """What jobs of a run note of themselves: two are at work, others were, or are done."""
    for job, state, begin in [
            ("train_object/toy/1", "running", time.time()), ("prototxts/toy", "done", time.time()),
            ("infer_object/toy/2", "running", time.time()), ("refine/toy", "running", 10.0)]:
        files.write_text(folder / f"state/{job}.json", json.dumps({"state": state, "begin": begin}))
    files.write_text(folder / "state/label/toy.json", "cut")
    files.write_text(folder / "logs/train_object/toy/1.log", "x: 3%|  | 1/9\r" + "y" * 3000
                     + "x:   0%| |\rtoy_obj_1:  93%|###| 140/150 [00:20<00:01]")


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_one_at_a_time_stopped_and_gone_on(asked, handler, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "RUNS", tmp_path / "runs")
    client = asked("long")
    earlier = signal.signal(signal.SIGINT, handler)
    try:
        client.json("POST", "/api/segment", anew=False)
        now = wait_until(lambda: (now := status(client))["done"] == 2 and now, "its progress")
        assert (now["total"], now["atWork"]) == (6, [])
        write_states(tmp_path / "runs/toy")
        assert status(client)["atWork"] == ["infer object toy 2", "train object toy 1: 93 %"]
        answer = client.json("POST", "/api/segment", anew=False)
        assert answer.status_code == 422 and "already" in answer.get_json()["error"]
        client.ask("DELETE", "/api/segment")
        wait_until(lambda: status(client)["state"] == "stopped", "its end")
        assert client.json("POST", "/api/segment", anew=False).get_json()["state"] == "running"
    finally:
        client.made.segmenting.close()
        signal.signal(signal.SIGINT, earlier)
    assert status(client)["state"] == "stopped"


def test_failure_is_told(asked):
    client = asked("bad")
    client.json("POST", "/api/segment", anew=False)
    end = wait_until(lambda: (now := status(client))["state"] != "running" and now, "the end")
    assert end["state"] == "failed"
    assert end["lines"][-1] == "error: no frame of toy is annotated; not --restart"
    assert not end["asksToTrainAnew"]


def test_a_first_drawing_that_has_changed_is_trained_anew_when_asked(asked):
    def ended(anew):
        client.json("POST", "/api/segment", anew=anew)
        return wait_until(lambda: (now := status(client))["state"] != "running" and now, "the end")

    client = asked("other")
    for _ in range(2):
        end = ended(anew=False)
        assert end["state"] == "failed" and end["asksToTrainAnew"]
    end = ended(anew=True)
    assert end["state"] == "done" and not end["asksToTrainAnew"]
    assert client.ask("POST", "/api/segment").status_code == 400


def test_commands(data, tmp_path, monkeypatch):
    drawings = parts(data).drawings
    assert segmenting.command(drawings) == [
        sys.executable, str(files.ROOT / "tools/run.py"), "--data", str(data.root), "--videos",
        "toy", "--annotated", "all"]
    assert segmenting.shown_command(drawings) == f"make segment VIDEO=toy DATA={data.root}"
    monkeypatch.setattr(importing, "VIDEOS", data.root)
    assert segmenting.shown_command(drawings) == "make segment VIDEO=toy"


def test_the_settings_of_the_run_that_there_is_are_kept(data, tmp_path, monkeypatch, parsed):
    """So that what it has trained is gone on with."""
    monkeypatch.setattr(settings, "RUNS", tmp_path / "runs")
    drawings = parts(data).drawings
    run = settings.Run(
        name="toy", data=files.from_scripts(data.root), split=None, videos={"toy": [1]},
        whole=False, evaluated=(), backbone="resnet50_thin", weights="../models/w.caffemodel",
        refinement="r", iterations=500, snapshot=1, size="64x96", recipe="best", base_lr=1e-4,
        seed=3, craf=("--backward", "--lost-pixels", "7"), gpus=(0, 2), train_both=True)
    run.write()
    args = parsed(["../tools/run.py", *segmenting.command(drawings)[2:]])
    assert args["annotated"] == "all" and args["videos"] == ["toy"]
    assert (args["backbone"], args["iterations"], args["size"]) == ("resnet50_thin", 500, (64, 96))
    assert (args["recipe"], args["base_lr"], args["seed"]) == ("best", 1e-4, 3)
    assert args["weights"] == str(files.ROOT / "models/w.caffemodel")
    assert args["craf"] == run.craf and args["gpus"] == [0, 2] and args["train_both"]
    other = parts(write_video(tmp_path / "other")).drawings  # of the same name
    assert segmenting.command(other)[-1] == "all"


def test_the_result_is_of_this_data_set(client, data, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "RUNS", tmp_path / "runs")
    ids = ground_and_truth(2)[1]
    run = settings.Run(
        name="toy", data=files.from_scripts(data.root), split=None, videos={"toy": [1]},
        whole=False, evaluated=(), backbone="resnet50_thin", weights="w", refinement="r",
        iterations=1, snapshot=1, size="64x96")
    davis.write_labels(run.folder / "labels/toy/00002.png", ids)
    assert not status(client)["result"]  # nothing says whose they are
    run.write()
    assert status(client)["result"]
    answer = client.ask("GET", "/api/frames/00002/result")
    np.testing.assert_array_equal(wire.unpacked(answer.data, SIZE), ids)
    answer = client.ask("GET", "/api/frames/00001/result")
    assert answer.status_code == 404 and "no labels of frame 00001" in answer.get_json()["error"]
    davis.write_labels(run.folder / "labels/toy/00003.png", ids[:9])
    answer = client.ask("GET", "/api/frames/00003/result")
    assert answer.status_code == 422 and re.search("160x9", answer.get_json()["error"])
    other = Client(parts(write_video(tmp_path / "other")))
    assert not status(other)["result"]

