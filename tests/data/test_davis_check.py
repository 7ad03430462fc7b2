"""tools/davis.py check: each kind of fault is named, in a line of its own."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from segspn.data import davis, davis_check
from segspn.errors import UserError
from tests.support import davis_trees
from tests.support.davis_trees import jpeg, labels_of
from tests.support.frames import fails_in_one_line

TOOL = "tools/davis.py"
BEAR, BEAR_IDS = "JPEGImages/480p/bear", "Annotations/480p/bear"
LIONS_IDS = "Annotations/480p/lions"


@pytest.fixture
def root(tmp_path):
    """A data set of all splits: bear has 4 frames, all annotated, lions 4 and 3 objects."""
    root = tmp_path / "DAVIS"
    for split in davis_trees.SPLITS:
        davis_trees.write(root, davis_trees.files_of(split, tmp_path))
    return root


def faults(root, *lists, **options):
    return davis_check.check(root, lists or None, **options).faults


def write_ids(root, name, *values, mode="P", size=davis_trees.SIZE):
    """Writes an annotation with a pixel of each value."""
    labels = np.zeros(size, np.uint8)
    labels.flat[:len(values)] = values
    if mode == "P":
        davis.write_labels(root / name, labels)
    else:
        Image.fromarray(labels).save(root / name)


# ---------------------------------------------------------------------- what is well

def test_a_whole_data_set(root):
    report = davis_check.check(root)
    assert report.faults == ()
    assert report.summary() == "6 sequences, 22 frames, 15 annotations: all is well"
    assert report.notes == tuple(
        f"list {name} has {count}, that of DAVIS 2017 {due}" for name, count, due in [
            ("test-challenge", "2 sequences", 30), ("test-dev", "1 sequence", 30),
            ("train", "2 sequences", 60), ("val", "1 sequence", 30)])
    header, rows = report.table()
    assert header == ("Sequence", "list", "frames", "annotated", "size", "mode", "objects", "void",
                      "state")
    assert rows == [
        ["aerobatics", "test-dev", "3", "first", "64x48", "P", "2", "no", "ok"],
        ["bear", "train", "4", "all", "64x48", "P", "1", "no", "ok"],
        ["burnout", "test-challenge", "3", "first", "64x48", "P", "1", "no", "ok"],
        ["dog", "val", "5", "all", "64x48", "P", "1", "no", "ok"],
        ["lions", "test-challenge", "4", "first", "64x48", "P", "3", "no", "ok"],
        ["tennis", "train", "3", "all", "64x48", "P", "2", "no", "ok"]]


def test_only_the_lists_that_are_asked_for(root):
    (root / BEAR / "00001.jpg").unlink()
    assert faults(root, "val", "test-dev") == ()
    report = davis_check.check(root, ["val", "test-dev"])
    assert [one.name for one in report.sequences] == ["aerobatics", "dog"]
    assert len(faults(root, "train")) == 1


def test_modes_void_and_annotated_frames(root):
    for n in range(4):
        write_ids(root, f"{BEAR_IDS}/{n:05}.png", 1, mode="L")
    write_ids(root, f"{BEAR_IDS}/00002.png", 1, 255)
    write_ids(root, f"{LIONS_IDS}/00002.png", 1, 2, 3)
    report = davis_check.check(root)
    bear, lions = (next(one for one in report.sequences if one.name == name)
                   for name in ("bear", "lions"))
    assert bear.modes == ("L", "P") and bear.void and bear.objects == (1,)
    assert bear.row()[5:] == ["L+P", "1", "yes", "ok"]
    assert lions.row()[3] == "2" and not lions.void
    assert report.faults == () and "lions: 2 of 4 frames are annotated" in report.notes


def test_masks_as_those_of_davis_2016(root):
    """Grey, 255 is the object and not void; a frame may have none of it."""
    for n in range(4):
        write_ids(root, f"{BEAR_IDS}/{n:05}.png", *[255] * (n != 3), mode="L")
    bear = davis_check.check(root, ["train"]).sequences[0]
    assert (bear.objects, bear.void, bear.modes, bear.later, bear.faults) == (
        (1,), False, ("L",), (), ())


def test_notes(root):
    (root / "ImageSets/2017/test-dev.txt").unlink()
    (root / "JPEGImages/480p/aerobatics/00001.jpg").unlink()
    (root / "Annotations/480p/other").mkdir()
    (root / "JPEGImages/480p/.hidden").mkdir()
    for n in range(1, 5):
        (root / f"JPEGImages/480p/dog/{n:05}.jpg").unlink()
        (root / f"Annotations/480p/dog/{n:05}.png").unlink()
    write_ids(root, f"{BEAR_IDS}/00002.png", 1, 4, 6, 255)
    report = davis_check.check(root)
    assert report.faults == ()
    assert set(report.notes) >= {
        "2 folders in no list: aerobatics, other",
        "lists of DAVIS 2017 that are not here: test-dev", "1 sequence of a single frame: dog",
        "bear: ids that are not in the first annotation are not evaluated: 4, 6"}
    assert not any("that are not here" in note or "in no list: bear" in note
                   for note in davis_check.check(root, ["val"]).notes)


# ------------------------------------------------------------------- what is wrong

def remove(root, name):
    (root / name).unlink()


def cut(root, name):
    data = (root / name).read_bytes()
    (root / name).write_bytes(data[:len(data) * 2 // 3])


def put(data):
    return lambda root, name: (root / name).write_bytes(data)


def move_to(other):
    return lambda root, name: (root / name).rename(root / other)


def ids(*values, **options):
    return lambda root, name: write_ids(root, name, *values, **options)


def copy_of(other):
    return lambda root, name: shutil.copy((root / name).with_name(other), root / name)


def transparent_png(root, name):
    data = cv2.imencode(".png", np.zeros((*davis_trees.SIZE, 4), np.uint8))[1]
    (root / name).write_bytes(data.tobytes())


def deep_png(root, name):
    data = cv2.imencode(".png", np.zeros((*davis_trees.SIZE, 3), np.uint16))[1]
    (root / name).write_bytes(data.tobytes())


def turned(root, name):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", davis_trees.SIZE[::-1]).save(root / name, exif=exif)


def damage_crc(root, name):
    data = bytearray((root / name).read_bytes())
    data[data.index(b"IDAT") + 8] ^= 1
    (root / name).write_bytes(data)


def colours(root, name):
    Image.new("RGB", davis_trees.SIZE[::-1]).save(root / name)


def jpeg_as_png(root, name):
    Image.new("L", davis_trees.SIZE[::-1], 1).save(root / name, format="JPEG", quality=100)


@pytest.mark.parametrize(("name", "change", "fault"), [
    (f"{BEAR}/00002.jpg", remove, f"{BEAR}: missing: 00002.jpg"),
    (f"{BEAR}/00000.jpg", remove, f"{BEAR}: missing: 00000.jpg"),
    (f"{BEAR}/00003.jpg", remove, f"{BEAR_IDS}: of no frame: 00003.png"),
    (f"{LIONS_IDS}/00000.png", remove, f"{LIONS_IDS}: missing: 00000.png"),
    (f"{BEAR_IDS}/00002.png", remove, f"{BEAR_IDS}: missing: 00002.png"),
    (f"{BEAR_IDS}/00000.png", remove, f"{BEAR_IDS}: missing: 00000.png"),
    ("JPEGImages/480p/lions/1.jpg", put(jpeg(1)),
     "JPEGImages/480p/lions: names must be 00000.jpg, 00001.jpg, …, not 1.jpg"),
    (f"{BEAR}/00001.PNG", put(jpeg(1)), f"{BEAR}: of one frame: 00001.PNG and 00001.jpg"),
    (f"{BEAR_IDS}/00001.PNG", copy_of("00001.png"),
     f"{BEAR_IDS}: of one frame: 00001.PNG and 00001.png"),
    (f"{BEAR}/00002.jpg", put(b""), f"{BEAR}/00002.jpg is corrupt or not an image"),
    (f"{BEAR}/00002.jpg", put(b"<html>"), f"{BEAR}/00002.jpg is corrupt or not an image"),
    (f"{BEAR}/00000.jpg", cut, f"image {BEAR}/00000.jpg is corrupt (Premature end of JPEG file); "
     "replace the file, or save it anew if it looks right"),
    (f"{BEAR}/00002.jpg", transparent_png, f"image {BEAR}/00002.jpg is transparent in places; "
     "save it without transparency"),
    (f"{BEAR}/00002.jpg", deep_png, f"image {BEAR}/00002.jpg has 16 bits a channel, not 8; give "
     "its folder to tools/import_video.py, which makes 8 of them"),
    (f"{BEAR}/00002.jpg", turned, f"{BEAR}: not of the size of the first frame, 64x48: 00002.jpg "
     "(48x64)"),
    (f"{BEAR}/00002.jpg", put(jpeg(1, (48, 65))),
     f"{BEAR}: not of the size of the first frame, 64x48: 00002.jpg (65x48)"),
    (f"{BEAR_IDS}/00002.png", ids(1, size=(47, 64)),
     f"{BEAR_IDS}: not of the size of the first frame, 64x48: 00002.png (64x47)"),
    (f"{BEAR_IDS}/00002.png", put(b"x"),
     f"annotation {BEAR_IDS}/00002.png is corrupt or not an image; replace the file"),
    (f"{BEAR_IDS}/00002.png", cut,
     f"annotation {BEAR_IDS}/00002.png is corrupt or not an image; replace the file"),
    (f"{LIONS_IDS}/00000.png", damage_crc,
     f"annotation {LIONS_IDS}/00000.png is corrupt or not an image; replace the file"),
    (f"{BEAR_IDS}/00002.png", colours,
     f"annotation {BEAR_IDS}/00002.png is neither indexed nor 8-bit grey (RGB)"),
    (f"{BEAR_IDS}/00002.png", jpeg_as_png, f"{BEAR_IDS}/00002.png is not a PNG but JPEG"),
    (f"{BEAR_IDS}/00000.png", ids(), f"{BEAR_IDS}/00000.png has no object (no id above 0)"),
    (f"{BEAR_IDS}/00000.png", ids(255), f"{BEAR_IDS}/00000.png has no object (no id above 0)"),
    (f"{BEAR_IDS}/00000.png", ids(1, 3, 255),
     f"{BEAR_IDS}/00000.png: ids must be 1, 2, …, not 1, 3"),
    (f"{BEAR_IDS}/00000.png", ids(2), f"{BEAR_IDS}/00000.png: ids must be 1, 2, …, not 2"),
    (f"{LIONS_IDS}/00000.png", ids(1, 2),
     f"{LIONS_IDS}/00000.png has 2 objects, DAVIS 2017 test-challenge has 3"),
    ("ImageSets/2017/val.txt", put(b"\n"), "list ImageSets/2017/val.txt is empty"),
    ("ImageSets/2017/val.txt", put(b"\xff\xff"), "list ImageSets/2017/val.txt is not UTF-8 text"),
    ("ImageSets/2017/val.txt", put(b"dog\nbear\ndog\n"),
     "list ImageSets/2017/val.txt: dog is named 2 times"),
    ("ImageSets/2017/val.txt", put(b"dog\n../bear\n"),
     "list ImageSets/2017/val.txt: sequence name '../bear' must be a plain folder name of at "
     "most 100 letters, digits, '.', '_' and '-' (of ASCII), not beginning with '.' or '-'"),
    ("ImageSets/2017/test-challenge.txt", put(b"lions\nbear\n"),
     "list ImageSets/2017/test-challenge.txt: bear is not of DAVIS 2017 test-challenge"),
    (BEAR, move_to("JPEGImages/480p/bears"), f"{BEAR} has no frames (listed in train)"),
    (BEAR_IDS, move_to("Annotations/480p/bears"),
     f"{BEAR_IDS}: missing: 00000.png, 00001.png, 00002.png, 00003.png")])
def test_a_fault_is_named(root, name, change, fault):
    change(root, name)
    assert faults(root) == (fault,)


@pytest.mark.parametrize("folder", davis_check.FOLDERS)
def test_folders_that_are_missing(root, folder):
    (root / folder).rename(root / "elsewhere")
    report = davis_check.check(root)
    assert report.faults[0] == f"folder {folder} is missing"
    if folder.startswith("ImageSets"):
        assert report.faults[1:] == ("ImageSets/2017 has no list",) and report.sequences == ()
    else:
        assert len(report.faults) == 7  # and each of the sequences


def test_lists_that_are_missing(root):
    (root / "ImageSets/2017/val.txt").unlink()
    assert faults(root) == ()
    assert faults(root, "train", "val", "mine") == (
        "list ImageSets/2017/val.txt does not exist", "list ImageSets/2017/mine.txt does not exist")
    with pytest.raises(UserError, match="list name '../val' must be a plain"):
        faults(root, "../val")


def test_all_faults_are_named_and_many_files_are_counted(root):
    for n in range(1, 9):
        (root / f"{BEAR}/{n + 10:05}.jpg").write_bytes(jpeg(n))
        (root / f"{BEAR_IDS}/{n + 20:05}.png").write_bytes(b"")
    (root / "JPEGImages/480p/lions/00001.jpg").unlink()
    bad = [f"annotation {BEAR_IDS}/{n + 20:05}.png is corrupt or not an image; replace the file"
           for n in range(1, 9)]
    names = ", ".join(f"{n:05}.png" for n in range(11, 16))
    assert faults(root) == (
        f"{BEAR}: missing: 00004.jpg, 00005.jpg, 00006.jpg, 00007.jpg, 00008.jpg and 2 more", *bad,
        f"{BEAR_IDS}: missing: {names} and 3 more",
        f"{BEAR_IDS}: of no frame: " + ", ".join(f"{n:05}.png" for n in range(21, 26))
        + " and 3 more", "JPEGImages/480p/lions: missing: 00001.jpg")


def test_what_only_decoding_shows(root):
    """A Huffman table that is none."""
    path = root / BEAR / "00001.jpg"
    data = bytearray(path.read_bytes())
    table = data.index(b"\xff\xc4") + 5
    data[table:table + 16] = b"\xff" * 16
    path.write_bytes(data)
    assert faults(root) == ()
    assert faults(root, full=True) == (
        f"image {BEAR}/00001.jpg is corrupt or not an image; replace the file",)


def test_frames_that_are_read_are_well(root):
    """Bytes after the end, and a PNG by the name of a JPEG: the pixels are what counts."""
    path = root / BEAR / "00000.jpg"
    path.write_bytes(path.read_bytes() + b"x" * 5000)
    path = root / BEAR / "00002.jpg"
    path.write_bytes(cv2.imencode(".png", cv2.imread(str(path)))[1].tobytes())
    assert faults(root) == faults(root, full=True) == ()


# --------------------------------------------------------------------- the command line

@pytest.fixture
def check(run, root):
    def run_check(*options):
        return run(TOOL, "check", "--data", root, *options, cwd=root.parent)
    return run_check


def test_the_command_for_a_whole_data_set(check, root, tmp_path):
    result = check("--full", "--json", tmp_path / "new/found.json")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split(" | ")[0] == "| Sequence  " and len(set(map(len, lines[:8]))) == 1
    assert [cell.strip() for cell in lines[5].split("|")[1:6]] == [
        "dog", "val", "5", "all", "64x48"]
    assert "6 sequences, 22 frames, 15 annotations: all is well" in lines
    assert lines[-1] == f"next: python tools/run.py --data {root} --split val --dry-run"
    found = json.loads((tmp_path / "new/found.json").read_text())
    assert (found["root"], found["faults"]) == (str(root), [])
    assert found["sequences"][4] == {
        "name": "lions", "lists": ["test-challenge"], "frames": 4, "annotated": 1,
        "size": [64, 48], "modes": ["P"], "objects": [1, 2, 3], "void": False, "later": [],
        "faults": []}


def test_the_command_for_a_faulty_data_set(check, root, tmp_path):
    (root / BEAR / "00002.jpg").write_bytes(b"")
    (root / LIONS_IDS / "00000.png").unlink()
    result = check("--json", tmp_path / "found.json")
    assert fails_in_one_line(result, root, "2 faults", "python tools/davis.py get")
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("fault: ")] == [
        f"fault: {BEAR}/00002.jpg is corrupt or not an image",
        f"fault: {LIONS_IDS}: missing: 00000.png"]
    assert "1 fault |" in lines[3] and "1 fault |" in lines[6] and "ok |" in lines[5]
    assert lines[-2].endswith(": 2 faults") and "next:" not in result.stdout
    assert json.loads((tmp_path / "found.json").read_text())["faults"] == [
        line.removeprefix("fault: ") for line in lines if line.startswith("fault: ")]
    assert check("--split", "val", "test-dev").returncode == 0


def test_the_command_for_no_data_set(check, root, run, tmp_path):
    assert fails_in_one_line(run(TOOL, "check", "--data", tmp_path / "none"), tmp_path / "none",
                             "is not a folder", "python tools/davis.py get")
    assert fails_in_one_line(check("--split", "../val"), "split name '../val'")
    assert fails_in_one_line(run(TOOL), "required: command", "see --help")


def test_an_object_that_a_sequence_of_another_list_has(root):
    """Only the list says how many objects a sequence has, not its name."""
    davis.write_labels(root / LIONS_IDS / "00000.png", labels_of(2))
    (root / "ImageSets/2017/test-challenge.txt").write_text("burnout\n")
    (root / "ImageSets/2017/mine.txt").write_text("lions\n")
    assert faults(root) == ()
