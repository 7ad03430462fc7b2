"""Labels are refused of refined score maps that are not those of what is on disk."""

import json
import os
import shutil
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from segspn import cli, files
from segspn.errors import UserError
from segspn.method import label_video, refine, score_maps
from tests.support.frames import fails_in_one_line
from tests.support.refinements import Video
from tests.support.refusals import SEGMENT

ADVICE = ("run refine_spn.py again", "--coarse")


@pytest.fixture
def video(tmp_path):
    """A video whose refinement is done."""
    video = Video(tmp_path)
    assert video.task().run() == 4
    return video


def touch(path):
    """Makes a file newer than what was written before; the kernel's own times lag a little."""
    os.utime(path, ns=(time.time_ns(),) * 2)
    time.sleep(0.02)
    return path


def check(video, **options):
    label_video.check_refined(video.output, video.scores, video.frames, [1, 2], **options)


def is_refused(video, *words, **options):
    """Whether the check names a file, the reason and what to do, in one line."""
    with pytest.raises(UserError) as error:
        check(video, **options)
    message = str(error.value)
    assert len(message.splitlines()) == 1, message
    assert all(str(word) in message for word in (*words, *ADVICE)), message
    return True


def kill_after(frames, monkeypatch):
    """The next refinement ends after so many frames, as where it is killed."""
    original, done = refine.Refinement._refine, []

    def limited(self, *arguments):
        if len(done) == frames:
            raise KeyboardInterrupt
        done.append(original(self, *arguments))
    monkeypatch.setattr(refine.Refinement, "_refine", limited)


def test_whole_refinements_pass(video):
    check(video)
    for changes in ({"foreground": None}, {}):
        video.task(**changes).run()
        check(video)
    for name in ("00000_1.png", "00000_2.png", "00000.png"):  # of the annotation's frame
        (video.output / name).unlink()
    check(video)


@pytest.mark.parametrize("changed, outdated", [
    (lambda video: video.mask("00002"), "00002_1.png"),
    (lambda video: video.score("00003", 2), "00003_2.png"),
    (lambda video: video.frames[1], "00001_1.png")], ids=["foreground", "score map", "image"])
def test_what_was_made_again_after_the_refinement(video, changed, outdated):
    path = touch(changed(video))
    assert is_refused(video, video.output / outdated, f"is older than {path};")
    assert video.task().run() == 1
    check(video)


def test_only_the_foreground_that_was_taken_counts(video):
    video.task(foreground=None).run()
    touch(video.mask("00002"))
    check(video)
    other = shutil.copytree(video.foreground, video.folder / "other")
    video.task(foreground=other).run()
    touch(video.mask("00003"))
    check(video)
    touch(other / "00003.png")
    assert is_refused(video, video.output / "00003_1.png", other / "00003.png")


def test_new_frames(video):
    video.frames.append(shutil.copy(video.frames[-1], video.frames[-1].with_stem("00004")))
    assert is_refused(video, video.output / "00004_1.png", "is missing")


def test_refinement_with_other_weights_killed_half_way(video, monkeypatch):
    other = shutil.copy(video.weights, video.folder / "other.caffemodel")
    task = video.task(weights=other)
    kill_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        task.run()
    assert is_refused(video, video.output / "00002_1.png", "is of an earlier refinement")
    monkeypatch.undo()
    assert task.run() == 2
    check(video)


def test_first_refinement_killed(video, monkeypatch):
    shutil.rmtree(video.output)
    kill_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        video.task().run()
    assert is_refused(video, video.output / "00002_1.png", "is missing")


def test_masks_are_needed_where_they_are_taken(video):
    (video.output / "00002.png").unlink()
    assert is_refused(video, video.output / "00002.png", "is missing")
    check(video, masks=False)


def test_inputs_that_are_gone_and_damaged_stamps(video):
    video.score("00001", 2).unlink()
    assert is_refused(video, video.output / "00001_2.png", f"made from {video.score('00001', 2)}",
                      "which is missing")
    stamp = video.output / ".made_from.json"
    for text in ("{", "[]", json.dumps({"weights": "x"})):
        stamp.write_text(text)
        assert is_refused(video, stamp, "does not tell")


def test_messages_name_the_script_that_makes_what_is_missing(video):
    task = label_video.Segmentation(
        frames=video.stems, scores=video.output, foreground=video.output,
        annotation=video.data / "Annotations/480p/toy/00000.png", output=video.folder / "labels",
        maker="refine_spn.py", foreground_maker="refine_spn.py")
    for name in ("00002.png", "00001_2.png"):
        (video.output / name).unlink()
        with pytest.raises(UserError, match=f"{name} is missing; make it with refine_spn.py"):
            task.run()
    with pytest.raises(UserError, match="00001_2.png is missing; make it with infer_test_perobj"):
        replace(task, maker=label_video.planes.SCORE_MAKER).run()


def test_script_refuses_and_takes_other_masks(video, project):
    """The whole, with the options that say which masks and maps are taken."""
    results = project.root / "results"
    for folder, name in ((video.scores, "ResNetF_perobj_5"), (video.foreground, "ResNetF_fgbg"),
                         (video.output, "SPN_5")):
        results.mkdir(exist_ok=True)
        (results / name).symlink_to(folder.parent)

    def segment(*options):
        return project.run(SEGMENT, "--class", "toy", "--iter", 5, "--data", video.data, *options)

    assert "4 frames done" in segment().stdout
    (video.output / "00002.png").unlink()
    missing = results / "SPN_5/toy/00002.png"
    assert fails_in_one_line(segment(), f"refined {missing} is missing", *ADVICE)
    for options in (("--no-foreground",), ("--foreground", video.foreground.parent)):
        assert "frames done" in segment(*options).stdout
    touch(video.mask("00003"))
    for options in ((), ("--foreground", video.foreground.parent)):
        words = ("00003", "is older than") if options else ("00002.png is missing",)
        assert fails_in_one_line(segment(*options), *words, *ADVICE)
    assert "4 frames done" in segment("--coarse").stdout


# ------------------------------------------------------------------- inference

def test_replaced_frames_are_inferred_again(tmp_path, data_set, monkeypatch):
    """Of the net only what it is given counts here."""
    monkeypatch.setattr(score_maps, "load_net", lambda *arguments: SimpleNamespace(
        blobs={"data": SimpleNamespace(data=np.zeros((1, 3, 8, 8)))}))
    model = tmp_path / "model.caffemodel"
    model.touch()
    frames, output = files.images_in(data_set / "JPEGImages/480p/toy"), tmp_path / "masks"
    parser = cli.parser("")
    cli.add_inference(parser)
    done = []

    def process(net, frame, paths):
        done.append(paths[0].stem)
        files.write_image(paths[0], frame)

    def run(*options):
        done.clear()
        count = score_maps.over_frames(frames, lambda path: [output / f"{path.stem}.png"],
                                  output / ".made_from.json", model, "testnet_fgbg", process,
                                  parser.parse_args(options))
        assert count == len(done)
        return done
    assert run() == ["00000", "00001", "00002", "00003"] and run() == []
    touch(frames[2])
    assert run() == ["00002"] and run() == []
    (output / "00001.png").unlink()
    touch(frames[3])
    assert run() == ["00001", "00003"] and run() == []
    assert len(run("--force")) == 4
