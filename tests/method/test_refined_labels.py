"""Labels are refused of refined score maps that are not those of what is on disk."""

import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from segspn import cli, done, files
from segspn.errors import UserError
from segspn.method import label_video, refine, score_maps
from tests.support.frames import alter, fails_in_one_line
from tests.support.refinements import Video, passing_weights
from tests.support.refusals import SEGMENT

ADVICE = ("run refine_spn.py again", "--coarse")


@pytest.fixture
def video(tmp_path):
    """A video whose refinement is done."""
    video = Video(tmp_path)
    assert video.task().run() == 4
    return video


def check(video, **options):
    label_video.check_refined(video.output, video.frames[1:], [1, 2], **options)


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
    original, made = refine.Refinement._refine, []

    def limited(self, *arguments):
        if len(made) == frames:
            raise KeyboardInterrupt
        made.append(original(self, *arguments))
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
    (lambda video: video.score("00003", 2), "00003_1.png"),
    (lambda video: video.frames[1], "00001_1.png")], ids=["foreground", "score map", "image"])
def test_what_was_made_again_after_the_refinement(video, changed, outdated):
    os.utime(changed(video))
    check(video)
    path = alter(changed(video))
    assert is_refused(video, video.output / outdated, f"made from {path}, which has changed since;")
    assert video.task().run() == 1
    check(video)


def test_only_the_foreground_that_was_taken_counts(video):
    video.task(foreground=None).run()
    alter(video.mask("00002"))
    check(video)
    other = shutil.copytree(video.foreground, video.folder / "other")
    video.task(foreground=other).run()
    alter(video.mask("00003"))
    check(video)
    alter(other / "00003.png")
    assert is_refused(video, video.output / "00003_1.png", other / "00003.png")


def test_new_frames(video):
    video.frames.append(shutil.copy(video.frames[-1], video.frames[-1].with_stem("00004")))
    assert is_refused(video, video.output / "00004_1.png", "is missing")


def test_refinement_with_other_weights_killed_half_way(video, monkeypatch):
    task = video.task(weights=passing_weights(video.folder / "other.caffemodel", "another"))
    kill_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        task.run()
    assert is_refused(video, video.output / "00002_1.png", "is not of the last run")
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


def test_inputs_that_are_gone_and_damaged_records(video):
    video.score("00001", 2).unlink()
    # Of the three that a frame leaves, each is made from all that it has.
    assert is_refused(video, video.output / "00001_1.png", f"made from {video.score('00001', 2)}",
                      "which is missing")
    for text in ("{", "[]", json.dumps({"recipe": "x"})):
        (video.output / done.NAME).write_text(text)
        assert is_refused(video, video.output / "00001_1.png", "is not of the last run")


def test_messages_name_the_script_that_makes_what_is_missing(video):
    task = label_video.Segmentation(
        frames=video.stems, scores=video.output, foreground=video.output,
        annotations={video.stems[0]: video.data / "Annotations/480p/toy/00000.png"},
        output=video.folder / "labels",
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
        return project.run(SEGMENT, "--video", "toy", "--iterations", 5, "--data", video.data,
                           *options)

    assert "4 frames done" in segment().stdout
    (video.output / "00002.png").unlink()
    missing = results / "SPN_5/toy/00002.png"
    assert fails_in_one_line(segment(), f"refined {missing} is missing", *ADVICE)
    for options in (("--no-foreground",), ("--foreground", video.foreground.parent)):
        assert "frames done" in segment(*options).stdout
    alter(video.mask("00003"))
    for options in ((), ("--foreground", video.foreground.parent)):
        words = ("00003", "has changed since") if options else ("00002.png is missing",)
        assert fails_in_one_line(segment(*options), *words, *ADVICE)
    assert "3 frames done, 1 were there" in segment("--coarse").stdout


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
    made = []

    def process(net, frame, path):
        made.append(path.stem)
        files.write_image(path, frame)

    def run(*options):
        made.clear()
        outputs = {output / "record.jsonl": lambda path: [output / f"{path.stem}.png"]}
        count = score_maps.over_frames(frames, outputs, model, "testnet_fgbg", process,
                                       parser.parse_args(options))
        assert count == len(made)
        return made
    assert run() == ["00000", "00001", "00002", "00003"] and run() == []
    os.utime(frames[2])
    assert run() == []
    alter(frames[2])
    assert run() == ["00002"] and run() == []
    (output / "00001.png").unlink()
    alter(frames[3])
    assert run() == ["00001", "00003"] and run() == []
    assert len(run("--force")) == 4
