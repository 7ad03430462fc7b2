"""The report: what it is made from, and what its page knows."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from segspn import files
from segspn.data import davis, importing
from segspn.errors import UserError
from segspn.evaluation import davis2017, metrics
from segspn.report import document, html_page, notes
from segspn.report import pictures as pictures
from segspn.synthetic import scenes
from tests.support.frames import fails_in_one_line
from tests.support.reports import (
    FRAMES,
    OBJECTS,
    SIZE,
    facts_of,
    rgba,
    sources,
)


def test_curves_and_figures_are_those_of_the_metrics(page):
    facts, shown = facts_of(page)
    sequence, = facts["sequences"]
    expected = []
    for k, curve, figures in zip((1, 2), sequence["curves"], sequence["figures"]):
        truths = [scenes.frame(3, 0, i, size=SIZE, objects=OBJECTS)[1] for i in range(FRAMES)]
        masks = [(truth == k, np.roll(truth, i, axis=1) == k) for i, truth in enumerate(truths)]
        values = {"J": [metrics.jaccard(*pair) for pair in masks],
                  "F": [metrics.boundary_f(*pair) for pair in masks]}
        for name, row in values.items():
            np.testing.assert_allclose(curve[name], row, atol=1e-4)
        j, f = (metrics.statistics(values[name][1:-1]) for name in "JF")
        expected.append([(j.mean + f.mean) / 2, *j, *f])
        assert curve["object"] == figures["object"] == k and figures["frames"] == FRAMES - 2
        np.testing.assert_allclose(figures["values"], expected[-1])
    np.testing.assert_allclose(facts["mean"], np.mean(expected, 0))
    assert set(shown) == {"frame", "foreground", "scores-1", "scores-2", "refined-1", "refined-2",
                          "labels", "truth", "errors"}
    assert all(len(row) == FRAMES and all(row) for row in shown.values())


def test_figures_are_those_of_the_evaluation(results, tmp_path):
    """With void, a late object 4, an id that never occurs, and labels that lack an object."""
    root = tmp_path / "davis"
    (root / "JPEGImages").mkdir(parents=True)
    (root / "JPEGImages/480p").symlink_to(results / "data/JPEGImages/480p")
    for number in range(FRAMES):
        truth = scenes.frame(3, 0, number, size=SIZE, objects=OBJECTS)[1]
        truth[truth == 2] = 3
        labels = np.roll(truth, number, axis=1)
        truth[10:40, 10:60] = davis.VOID
        truth[90:110, :40] = 4 if number else 0
        davis.write_labels(root / f"Annotations/480p/toy/{number:05}.png", truth)
        davis.write_labels(tmp_path / f"labels/toy/{number:05}.png", labels * (number != 4))
    page = tmp_path / "report.html"
    document.write(page, "same", document.Sources(davis.Davis(root), tmp_path / "labels"), ["toy"])
    facts, _ = facts_of(page)
    one, = davis2017.evaluate(tmp_path / "labels", root, ["toy"], processes=1)
    curves = facts["sequences"][0]["curves"]
    assert [curve["object"] for curve in curves] == [1, 2, 3] and one.j.shape == (3, FRAMES - 2)
    for name, values in ("J", one.j), ("F", one.f):
        np.testing.assert_allclose([curve[name][1:-1] for curve in curves], values, atol=1e-5)
    assert one.j[0].max() > 0.4 and one.j[0, 3] == 0 and (one.j[1] == 1).all()
    assert facts["mean"] == pytest.approx(list(davis2017.summary([one]).values()), abs=1e-12)
    assert [one["id"] for one in facts["sequences"][0]["objects"]] == [1, 2, 3, 4]


def test_annotated_frames_are_in_no_figure(page, results, tmp_path):
    before, = facts_of(page)[0]["sequences"]
    path = tmp_path / "report.html"
    for choice in ["00000", "00003"], ["00003"]:
        document.write(path, "some", sources(results, annotated=choice), ["toy"])
        facts, = facts_of(path)[0]["sequences"]
        assert facts["annotated"] == [int(stem) for stem in choice]
        assert facts["curves"] == before["curves"]
        one, = davis2017.evaluate(results / "labels", results / "data", ["toy"], processes=1,
                                  annotated=choice)
        assert [row["frames"] for row in facts["figures"]] == [FRAMES - 3] * 2
        for row, (j, f) in zip(facts["figures"], one.statistics()):
            np.testing.assert_allclose(row["values"], [(j.mean + f.mean) / 2, *j, *f])
    assert before["annotated"] == []


def test_objects_of_later_annotations_are_measured(results, tmp_path):
    """Object 2 is in no truth before frame 2."""
    root = tmp_path / "davis"
    (root / "JPEGImages").mkdir(parents=True)
    (root / "JPEGImages/480p").symlink_to(results / "data/JPEGImages/480p")
    for number in range(FRAMES):
        truth = scenes.frame(3, 0, number, size=SIZE, objects=OBJECTS)[1]
        davis.write_labels(root / f"Annotations/480p/toy/{number:05}.png",
                           truth * (truth < 2) if number < 2 else truth)
    for choice, objects in ("first", [1]), (["00000", "00002"], [1, 2]):
        document.write(tmp_path / "r.html", "late", document.Sources(
            davis.Davis(root), results / "labels", annotated=choice), ["toy"])
        sequence, = facts_of(tmp_path / "r.html")[0]["sequences"]
        assert [curve["object"] for curve in sequence["curves"]] == objects
    assert sequence["figures"][1]["frames"] == FRAMES - 3
    assert sequence["curves"][1]["J"][1] == 0 < sequence["curves"][1]["J"][2]


def test_truth_of_annotated_frames_alone_is_not_measured(results, tmp_path):
    root = tmp_path / "own"
    (root / "JPEGImages").mkdir(parents=True)
    (root / "JPEGImages/480p").symlink_to(results / "data/JPEGImages/480p")
    for number in (0, 4):
        files.write_bytes(root / f"Annotations/480p/toy/{number:05}.png", (
            results / f"data/Annotations/480p/toy/{number:05}.png").read_bytes())
    document.write(tmp_path / "r.html", "own", document.Sources(
        davis.Davis(root), results / "labels", annotated="all"), ["toy"])
    facts, shown = facts_of(tmp_path / "r.html")
    assert facts["mean"] is None and facts["sequences"][0]["curves"] == []
    assert facts["sequences"][0]["annotated"] == [0, 4] and "errors" not in shown
    with pytest.raises(UserError, match="frame 00003 of toy is to be learned from, but"):
        document.write(tmp_path / "r.html", "own", document.Sources(
            davis.Davis(root), results / "labels", annotated=["00003"]), ["toy"])


@pytest.mark.parametrize("folder, expected", [
    ("data/videos", ""), ("data/DAVIS", " DATA=data/DAVIS"),
    ("data/it's $5", """ 'DATA=data/it'"'"'s $$5'"""), ("/elsewhere/x", " DATA=/elsewhere/x")])
def test_command_that_corrects_a_frame(folder, expected):
    found = importing.make_command("annotate", files.ROOT / folder, "toy")
    assert found == f"make annotate VIDEO=toy{expected}"


def test_annotations_of_255_are_an_object_only_where_there_is_no_other(results, tmp_path):
    """Grey ones: object 1 as in DAVIS 2016; a frame of void alone among others has none."""
    labels = tmp_path / "labels/toy"
    for number in range(FRAMES):
        mask = (scenes.frame(3, 0, number, size=SIZE, objects=OBJECTS)[1] > 0).astype(np.uint8)
        files.write_image(labels / f"{number:05}.png", mask)
        files.write_image(tmp_path / f"masks/toy/{number:05}.png", 255 * mask)
        files.write_image(tmp_path / f"mixed/toy/{number:05}.png",
                          mask * np.uint8(1 if number < 4 else davis.VOID))
    for name, expected in ("masks", 1), ("mixed", 0):
        page = tmp_path / f"{name}.html"
        document.write(page, name, document.Sources(
            davis.Davis(results / "data"), tmp_path / "labels",
                                                tmp_path / name), ["toy"])
        curve, = facts_of(page)[0]["sequences"][0]["curves"]
        assert curve["J"] == [1] * 4 + [expected] * 4


def test_void_is_background_and_sparse_truth_is_enough(results, tmp_path):
    for number in (0, 3, 7):
        truth = scenes.frame(3, 0, number, size=SIZE, objects=OBJECTS)[1]
        labels = np.roll(truth, number, axis=1)
        truth[labels != truth] = davis.VOID
        if number == 3:
            expected = np.count_nonzero(truth == 1) / np.count_nonzero(labels == 1)
            is_false = (labels > 0) & (truth == davis.VOID)
        davis.write_labels(tmp_path / f"truth/toy/{number:05}.png", truth)
    path = tmp_path / "report.html"
    document.write(path, "sparse", sources(results, annotations=tmp_path / "truth"), ["toy"])
    facts, shown = facts_of(path)
    curve = facts["sequences"][0]["curves"][0]
    assert [i for i, value in enumerate(curve["J"]) if value is not None] == [0, 3, 7]
    assert curve["J"][3] == pytest.approx(expected, abs=1e-5) and 0 < expected < 1
    assert facts["sequences"][0]["figures"][0]["frames"] == 1
    errors = rgba(base64.b64decode(shown["errors"][3]))
    assert {tuple(pixel) for pixel in errors.reshape(-1, 4) if pixel[3]} == {
        (*pictures.ERRORS[0][1], 190), (*pictures.ERRORS[3][1], 110)}
    np.testing.assert_array_equal(errors[..., 3] == 190, is_false)


def test_pictures_of_many_objects_and_of_large_frames():
    labels = np.repeat(np.arange(200, dtype=np.uint8), 8)[None].repeat(6, axis=0)
    image = rgba(pictures.labels_png(labels, labels.shape))
    assert not image[:, :8, 3].any()
    for k in (1, 17, 199):
        assert tuple(image[3, 8 * k + 4]) == (*pictures.colour(k), pictures.TINT)
    assert pictures.shown_size((480, 854)) == (480, 854)
    assert pictures.shown_size((1080, 1920)) == (480, 853)
    assert pictures.shown_size((96, 128)) == (96, 128)
    ramp = rgba(pictures.scores_png(np.arange(256, dtype=np.uint8)[None], (1, 256)))[0, :, :3]
    assert len(np.unique(ramp, axis=0)) == pictures.LEVELS
    assert (np.diff(ramp.astype(int).sum(1)) >= 0).all()  # brighter is more


def test_json_in_the_page_cannot_end_its_element(tmp_path):
    path, hostile = tmp_path / "page.html", {"</script><!--": "&<>\u2028"}
    html_page.write(path, "x", [], lambda known: hostile)
    text = path.read_text()
    inside = text.partition('<script type="application/json" id="facts">')[2].partition(
        "</script>\n")[0]
    assert not set(inside) & set("<>&\u2028")
    assert json.loads(inside) == {"title": "x", **hostile}
    with pytest.raises(ValueError):
        html_page.write(path, "x", [], lambda known: {"x": float("nan")})
    assert path.read_text() == text


def test_timings_of_json_and_of_a_table(tmp_path):
    rows = [("train object 1", 46.0), ("labels", 1.0)]
    table, values = tmp_path / "summary.md", tmp_path / "timings.json"
    table.write_text("# Demo\n\n| step | seconds |\n|---|---:|\n| train object 1 | 46.0 |\n"
                     "| labels | 1.0 |\n| total | 47.0 |\n")
    values.write_text(json.dumps(dict(rows)))
    assert notes.timings(table) == rows == notes.timings(values)


@pytest.mark.parametrize(("content", "words"), [
    ("", "no step"), ("| step | seconds |\n|---|---|\n| labels | soon |", "'soon'"),
    ('{"labels": ', "JSON"), ('{"labels": NaN}', "no seconds"), ('{"labels": -1}', "no seconds"),
    ('{"labels": true}', "no seconds"), ('{"labels": [1]}', "no seconds"), (b"\xff", "UTF-8")])
def test_bad_timings(tmp_path, content, words):
    path = tmp_path / "timings"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=words):
        notes.timings(path)


def test_commands_of_text_and_json(tmp_path):
    text, table, plain = (tmp_path / name for name in ("c.txt", "c.json", "d.json"))
    text.write_text("# train\npython solve.py\n\npython b.py\n")
    table.write_text('{"train": "python solve.py"}')
    plain.write_text('["python solve.py"]')
    assert notes.commands(text) == [("train", "python solve.py"), ("", "python b.py")]
    assert notes.commands(table) == [("train", "python solve.py")]
    assert notes.commands(plain) == [("", "python solve.py")]
    for bad in ("{", "3", "[1]", '{"a": 1}', '[["a", "b"]]'):
        table.write_text(bad)
        with pytest.raises(UserError, match="c.json"):
            notes.commands(table)


def test_long_logs_are_thinned_and_odd_ones_named(tmp_path):
    path = tmp_path / "toy_obj_12_log.csv"
    rows = [f"{i},0.25,{1 + i % 2}" for i in range(1, 5001)]
    path.write_text("\n".join(["iteration,seconds,loss", *rows, "5001,0.2"]))
    training, = notes.trainings(tmp_path, "toy")
    assert training["name"] == "object 12" and training["iterations"] == 5000
    assert training["seconds"] == 1250 and training["xs"][0] == 1 and training["xs"][-1] == 5000
    assert len(training["xs"]) == len(training["ys"]) == notes.POINTS
    np.testing.assert_allclose(training["ys"][5:], 1.5)
    assert set(training["raw"]) == {1.0, 2.0}
    assert notes.numbers([float("nan"), None, 0.123456789]) == [None, None, 0.12346]
    (tmp_path / "toy_other_log.csv").write_text("a,b\n")
    with pytest.raises(UserError, match="toy_other_log.csv"):
        notes.trainings(tmp_path, "toy")


def test_objects_and_corrections_of_before_are_not_shown(results, tmp_path):
    """Their maps and logs stay on disk."""
    for name in ("obj_1", "obj_1_corrected", "obj_2", "fgbg", "fgbg_corrected"):
        files.write_text(tmp_path / f"models/toy/toy_{name}_log.csv",
                         "iteration,seconds,loss\n1,1,1\n")
    sources = document.Sources(davis.Davis(results / "data"), results / "labels",
                               scores=results / "scores", models=tmp_path / "models")

    def shown(**changes):
        document.write(tmp_path / "r.html", "own", replace(sources, **changes), ["toy"])
        facts, layers = facts_of(tmp_path / "r.html")
        return ([one["name"] for one in facts["sequences"][0]["trainings"]],
                {name for name in layers if name.startswith("scores")})

    assert shown() == (["foreground", "object 1", "object 2"], {"scores-1", "scores-2"})
    assert shown(objects=(1,)) == (["foreground", "object 1"], {"scores-1"})
    assert shown(objects=(1,), annotated=["00000", "00002"])[0] == [
        "foreground, corrected", "foreground", "object 1, corrected", "object 1"]


def test_damaged_rows_of_a_log_are_left_out(tmp_path):
    path = tmp_path / "toy_fgbg_log.csv"
    path.write_bytes(b"iteration,seconds,loss\n1,0.5,2\n2,0.5,\xff\xfe\n3,0.5,1\n\xe9,1,1\n")
    training, = notes.trainings(tmp_path, "toy")
    assert (training["xs"], training["raw"]) == ([1, 3], [2.0, 1.0])
    path.write_bytes(b"iteration,seconds,loss\n1,0.5," + b"7" * 200_000)
    with pytest.raises(UserError, match="toy_fgbg_log.csv is no CSV"):
        notes.trainings(tmp_path, "toy")
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match="does not begin with iteration,seconds"):
        notes.trainings(tmp_path, "toy")


def test_running_mean_passes_over_what_is_not_finite():
    values = np.array([1.0, np.nan, 3.0, *[2.0] * 40])
    mean = notes.running_mean(values)
    np.testing.assert_allclose(mean[:3], [1, 1, 2])
    np.testing.assert_allclose(mean[-1], 2)
    assert np.isnan(notes.running_mean(np.array([np.nan]))[0])


def arguments(root, output, *more):
    return ["tools/report.py", "--data", root / "data", "--videos", "toy", "--labels",
            root / "labels", "--output", output, *more]


def test_script_says_what_to_open(results, tmp_path, run):
    timings = tmp_path / "t.json"
    timings.write_text('{"a <b>": 1}')
    result = run(*arguments(results, tmp_path / "out", "--scores", results / "scores",
                            "--timings", timings, "--title", "Mine", "--annotated", "all"))
    assert result.returncode == 0, result.stderr
    path = tmp_path / "out/report.html"
    assert result.stdout.splitlines()[-1] == f"open {path} in a browser"
    facts, _ = facts_of(path)
    assert facts["sequences"][0]["annotated"] == list(range(FRAMES)) and facts["mean"] is None
    assert facts["title"] == "Mine" and facts["timings"] == [["a <b>", 1.0]]
    assert [path.name for path in path.parent.iterdir()] == ["report.html"]


def test_script_names_what_is_missing(results, tmp_path, run):
    output = tmp_path / "out"
    assert fails_in_one_line(run(*arguments(results, output, "--scores", tmp_path / "none")),
                             "--scores", tmp_path / "none")
    assert fails_in_one_line(run(*arguments(results, output, "--labels", tmp_path)),
                             "no labels", "toy", "segment_instances.py")
    assert not output.exists() or not list(output.iterdir())


def test_unfit_pictures_are_named_and_leave_the_old_report(results, tmp_path):
    page = tmp_path / "out/report.html"
    files.write_text(page, "old")
    for kind, name in ("scores", "00002_1"), ("foreground", "00003"), ("labels", "00005"):
        odd = tmp_path / kind / "toy" / f"{name}.png"
        files.write_image(odd, np.zeros((10, 20), np.uint8))
        with pytest.raises(UserError, match=rf"{odd} is 20x10, its video 160x120"):
            document.write(page, "odd", sources(results, **{kind: tmp_path / kind}), ["toy"])
    assert page.read_text() == "old" and len(list(page.parent.iterdir())) == 1
