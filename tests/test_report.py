"""The report: what it is made from, and the page in a browser, as a user handles it."""

import base64
import io
import json
import re

import cv2
import numpy as np
import pytest
from conftest import fails_in_one_line
from PIL import Image
from playwright.sync_api import sync_playwright

from segspn import davis, files, metrics, report, report_notes, report_page, synthetic
from segspn import report_pictures as pictures
from segspn.errors import UserError

SIZE, FRAMES, OBJECTS = (120, 160), 8, 2
CHROMIUM = "/usr/bin/chromium"
HOSTILE = "a\"'><img src=q onerror=window.hit=1>&lt;{{script}}"
TITLE = "</title></script><!--<script>window.hit=2</script><b id=bad>{{data}}"


def write_results(root, name, frames=FRAMES):
    """A sequence with all that a report can show; its labels get worse from frame to frame."""
    for number in range(frames):
        image, truth = synthetic.frame(3, 0, number, size=SIZE, objects=OBJECTS)
        stem = f"{number:05}"
        labels = np.roll(truth, number, axis=1)
        files.write_image(root / f"data/JPEGImages/480p/{name}/{stem}.jpg", image)
        davis.write_labels(root / f"data/Annotations/480p/{name}/{stem}.png", truth)
        davis.write_labels(root / f"labels/{name}/{stem}.png", labels)
        files.write_image(root / f"foreground/{name}/{stem}.png", (labels > 0) * np.uint8(255))
        for k in (1, 2):
            mask = (labels == k) * np.uint8(255)
            files.write_image(root / f"refined/{name}/{stem}_{k}.png", mask)
            files.write_image(root / f"scores/{name}/{stem}_{k}.png",
                              cv2.GaussianBlur(mask, (0, 0), 6))
    rows = [f"{i},0.5,{0.9 - 0.8 / i},{0.7 / i if i != 3 else 'nan'}" for i in range(1, 41)]
    for training in ("fgbg", "obj_1"):
        files.write_text(root / f"models/{name}/{name}_{training}_log.csv",
                         "\n".join(["iteration,seconds,accuracy,loss", *rows, ""]))


def sources(root, **changes):
    folders = {name: root / name for name in ("labels", "scores", "refined", "foreground",
                                              "models")}
    return report.Sources(davis.Davis(root / "data"), **{**folders, **changes})


def rgba(png):
    """The pixels of a PNG as a browser sees them: H x W x 4."""
    return np.array(Image.open(io.BytesIO(png)).convert("RGBA"))


def facts_of(page):
    """What a page knows, and its pictures of the first sequence."""
    blocks = dict(re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>',
                             page.read_text()))
    return json.loads(blocks["facts"]), json.loads(blocks["pictures-0"])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    write_results(root, "toy")
    return root


@pytest.fixture(scope="module")
def page(results):
    """A report of all layers."""
    path = results / "out/report.html"
    report.write(path, "A report", sources(results), ["toy"], [("train", 61.0), ("infer", 4.25)],
                 [("train", "python solve.py 'a b'")])
    return path


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Browser:
    """A page that is open, and everything it complained about or asked for."""

    def __init__(self, tab):
        self.tab, self.complaints, self.requests = tab, [], []
        tab.on("console", lambda message: self.complaints.append(message.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("requestfailed", lambda request: self.complaints.append(request.url))
        tab.on("request", lambda request: self.requests.append(request.url))

    def open(self, path):
        self.tab.goto(path.as_uri())
        self.shows("labels 0")
        return self

    def shows(self, what):
        """Waits until "<layer> <frame>" is drawn, and returns the picture: H x W x 3, RGB."""
        self.tab.wait_for_function(
            "what => document.getElementById('picture').dataset.shown === what", arg=what,
            timeout=5000)
        return self.picture()

    def picture(self):
        url = self.tab.evaluate("document.getElementById('picture').toDataURL()")
        return rgba(base64.b64decode(url.partition(",")[2]))[..., :3]

    def layer(self, value):
        self.tab.click(f"#layers button[data-value={value}]")


@pytest.fixture
def browser(chromium, tmp_path):
    tab = chromium.new_page(viewport={"width": 1366, "height": 768})
    opened = Browser(tab)
    yield opened
    tab.screenshot(path=tmp_path / "screenshot.png", full_page=True)
    tab.close()
    assert not opened.complaints


def test_page_opens_alone_and_shows_what_it_knows(browser, page):
    tab = browser.open(page).tab
    assert browser.requests[0] == page.as_uri()
    assert all(url.startswith("data:") for url in browser.requests[1:])
    assert tab.title() == "A report" == tab.inner_text("h1")
    assert tab.locator("img").count() == 0
    assert tab.evaluate("player.pictures.decoded.size") < 2 * FRAMES  # and not all of them
    assert tab.locator("#layers button").all_inner_texts() == [
        "Frame", "Foreground", "Scores", "Refined scores", "Labels", "Ground truth", "Errors"]
    assert tab.locator("#figures tbody tr").count() == OBJECTS + 1
    assert tab.locator("#trainings tbody tr td:first-child").all_inner_texts() == [
        "foreground", "object 1"]
    assert tab.inner_text("#timings tbody tr:last-child") == "total\t65.3\t"
    assert tab.inner_text("#commands pre") == "python solve.py 'a b'"
    assert "Caffe" in tab.inner_text("#versions")


def test_nothing_overlaps_or_sticks_out(browser, page):
    tab = browser.open(page).tab
    for width, height in (1366, 768), (1000, 700), (480, 800):
        tab.set_viewport_size({"width": width, "height": height})
        tab.wait_for_timeout(100)  # charts are drawn anew
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        boxes = [tab.locator(place).bounding_box() for place in (
            "#layers", ".screen", ".transport", "#legend", ".hint")]
        for above, below in zip(boxes, boxes[1:]):
            assert above["y"] + above["height"] <= below["y"] + 0.5


def test_slider_layer_and_opacity_change_the_picture(browser, page):
    browser.open(page)
    browser.layer("frame")
    frames = [browser.shows("frame 0")]
    browser.tab.locator("#slider").fill("5")
    frames.append(browser.shows("frame 5"))
    for number, shown in zip((0, 5), frames):
        image = synthetic.frame(3, 0, number, size=SIZE, objects=OBJECTS)[0][..., ::-1]
        assert np.abs(shown.astype(int) - image).mean() < 8
    assert np.abs(frames[0].astype(int) - frames[1]).mean() > 8
    assert "00005 (6 of 8)" in browser.tab.inner_text("#where")
    seen = {frames[1].tobytes()}
    for value in ("foreground", "labels", "truth", "errors"):
        browser.layer(value)
        seen.add(browser.shows(f"{value} 5").tobytes())
    for kind in ("scores", "refined"):
        browser.layer(kind)
        browser.tab.click("#objects button[data-value='1']")
        seen.add(browser.shows(f"{kind}-1 5").tobytes())
        browser.tab.click("#objects button[data-value='2']")
        seen.add(browser.shows(f"{kind}-2 5").tobytes())
    assert len(seen) == 9
    browser.tab.locator("#opacity").fill("0")
    browser.tab.wait_for_timeout(100)
    np.testing.assert_array_equal(browser.picture(), frames[1])


def test_layers_have_the_colours_of_their_pixels(browser, page):
    browser.open(page).tab.locator("#slider").fill("5")
    truth = synthetic.frame(3, 0, 5, size=SIZE, objects=OBJECTS)[1]
    labels = np.roll(truth, 5, axis=1)
    browser.layer("frame")
    frame = browser.shows("frame 5")
    browser.layer("labels")
    shown = browser.shows("labels 5")
    np.testing.assert_array_equal(shown[labels == 0], frame[labels == 0])
    for k in (1, 2):
        outline = pictures.outlined(labels) & (labels == k)
        assert (shown[outline] == pictures.colour(k)).all() and outline.any()
    browser.layer("errors")
    shown = browser.shows("errors 5").astype(int)
    np.testing.assert_array_equal(shown[labels == truth], frame[labels == truth])
    for (_, colour), wrong in zip(pictures.ERRORS, [
            (labels > 0) & (truth == 0), (labels == 0) & (truth > 0)]):
        assert wrong.any() and np.abs(shown[wrong] - colour).max() <= 66  # a quarter is frame


def test_a_click_on_a_point_goes_to_its_frame(browser, page):
    tab = browser.open(page).tab
    for chart, frame in (0, 6), (1, 2), (1, 7):
        box = tab.locator(".chart").nth(chart).locator(f"circle[data-x='{frame}']").first
        box = box.bounding_box()
        tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        browser.shows(f"labels {frame}")
        cursors = tab.locator("#curves .cursor")
        assert cursors.count() == 2
        assert float(cursors.nth(chart).get_attribute("x1")) == pytest.approx(
            box["x"] + box["width"] / 2 - tab.locator("#curves svg").first.bounding_box()["x"],
            abs=1)
    tip = tab.locator(".tip").nth(1)
    assert tip.is_visible() and "frame 00007" in tip.inner_text()
    facts, _ = facts_of(page)
    assert f"object 2 {100 * facts['sequences'][0]['curves'][1]['F'][7]:.1f}" in re.sub(
        r"\s+", " ", tip.inner_text())


def test_keys(browser, page):
    tab = browser.open(page).tab
    for key, what in [
            ("ArrowRight", "labels 1"), ("End", "labels 7"), ("ArrowRight", "labels 7"),
            ("ArrowLeft", "labels 6"), ("Home", "labels 0"), ("Shift+ArrowRight", "labels 7"),
            ("ArrowDown", "truth 7"), ("ArrowUp", "labels 7"), ("Home", "labels 0")]:
        tab.keyboard.press(key)
        browser.shows(what)
    tab.focus("#slider")
    tab.keyboard.press("ArrowRight")  # one frame, not two: the slider knows arrows itself
    browser.shows("labels 1")
    assert tab.input_value("#slider") == "1"


def test_playing(browser, page):
    tab = browser.open(page).tab
    tab.select_option("#speed", "24")
    tab.click("#play")
    tab.wait_for_function("() => player.frame >= 3", timeout=5000)
    assert tab.get_attribute("#play", "aria-label") == "Pause"
    tab.wait_for_function("() => player.frame <= 2", timeout=5000)  # from the last to the first
    tab.keyboard.press("Space")
    stopped = tab.evaluate("player.frame")
    tab.wait_for_timeout(200)
    assert tab.evaluate("player.frame") == stopped and not tab.evaluate("player.isPlaying")
    browser.shows(f"labels {stopped}")
    tab.keyboard.press("Space")
    tab.wait_for_function("from => player.frame !== from", arg=stopped, timeout=5000)


def test_without_ground_truth_it_shows_what_there_is(browser, results, tmp_path):
    (tmp_path / "no/toy").mkdir(parents=True)
    path, notes = tmp_path / "out/report.html", []
    report.write(path, "none", sources(results, scores=None, refined=tmp_path / "no", models=None,
                                       annotations=tmp_path / "no"), ["toy"], note=notes.append)
    tab = browser.open(path).tab
    assert tab.locator("#layers button").all_inner_texts() == ["Frame", "Foreground", "Labels"]
    assert not tab.locator(".chart").count()
    for section in ("#figures", "#trainings", "#timings", "#commands"):
        assert not tab.is_visible(section)
    assert notes == [f"toy: no refined in {tmp_path / 'no/toy'}"]
    tab.keyboard.press("End")
    browser.shows("labels 7")


def test_truth_of_the_first_frame_alone_is_shown_but_not_measured(browser, results, tmp_path):
    first = results / "data/Annotations/480p/toy/00000.png"
    files.write_bytes(tmp_path / "truth/toy/00000.png", first.read_bytes())
    path = tmp_path / "out/report.html"
    report.write(path, "one", sources(results, annotations=tmp_path / "truth"), ["toy"])
    tab = browser.open(path).tab
    layers = tab.locator("#layers button").all_inner_texts()
    assert "Ground truth" in layers and "Errors" not in layers
    assert not tab.locator("#curves .chart").count()
    browser.layer("truth")
    browser.shows("truth 0")
    assert not tab.is_visible("#missing")
    tab.keyboard.press("ArrowRight")
    browser.shows("truth 1")
    assert tab.inner_text("#missing") == "Ground truth: none for this frame"


def test_hostile_names_are_texts(browser, tmp_path):
    for name in (HOSTILE, "plain"):
        write_results(tmp_path, name, frames=3)
    files.write_text(tmp_path / f"models/{HOSTILE}/<img src=q onerror=window.hit=3>_log.csv",
                     "iteration,seconds,loss\n1,1,0.5\n2,1,0.4\n")
    path = tmp_path / "out/report.html"
    bad = "</script><img src=q onerror=window.hit=4>"
    report.write(path, TITLE, sources(tmp_path), [HOSTILE, "plain"], [(bad, 1.0)], [(bad, bad)])
    tab = browser.open(path).tab
    assert tab.title() == TITLE == tab.inner_text("h1")
    assert tab.locator("#sequences button").all_inner_texts() == [HOSTILE, "plain"]
    assert f"{HOSTILE} · object 1" in tab.inner_text("#figures")
    assert "<img src=q onerror=window.hit=3>" in tab.inner_text("#trainings")
    assert tab.inner_text("#commands pre") == bad and bad in tab.inner_text("#timings")
    tab.click("#sequences button:last-child")
    tab.keyboard.press("End")
    browser.shows("labels 2")
    tab.wait_for_timeout(100)
    assert tab.evaluate("window.hit") is None
    assert tab.locator("img, #bad").count() == 0


def test_curves_and_figures_are_those_of_the_metrics(page):
    facts, shown = facts_of(page)
    sequence, = facts["sequences"]
    expected = []
    for k, curve, figures in zip((1, 2), sequence["curves"], sequence["figures"]):
        truths = [synthetic.frame(3, 0, i, size=SIZE, objects=OBJECTS)[1] for i in range(FRAMES)]
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


def test_void_counts_for_nothing_and_sparse_truth_is_enough(results, tmp_path):
    for number in (0, 3, 7):
        truth = synthetic.frame(3, 0, number, size=SIZE, objects=OBJECTS)[1]
        truth[np.roll(truth, number, axis=1) != truth] = davis.VOID
        davis.write_labels(tmp_path / f"truth/toy/{number:05}.png", truth)
    path = tmp_path / "report.html"
    report.write(path, "sparse", sources(results, annotations=tmp_path / "truth"), ["toy"])
    facts, shown = facts_of(path)
    curve = facts["sequences"][0]["curves"][0]
    assert [i for i, value in enumerate(curve["J"]) if value is not None] == [0, 3, 7]
    assert curve["J"][3] == 1.0 and facts["sequences"][0]["figures"][0]["frames"] == 1
    errors = rgba(base64.b64decode(shown["errors"][3]))
    assert {tuple(pixel) for pixel in errors.reshape(-1, 4) if pixel[3]} == {
        (*pictures.ERRORS[3][1], 110)}


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


def test_json_in_the_page_cannot_end_its_element():
    text = report_page.block("x", {"</script><!--": "&<>\u2028"})
    inside = text.removeprefix('<script type="application/json" id="x">').removesuffix(
        "</script>\n")
    assert not set(inside) & set("<>&\u2028")
    assert json.loads(inside) == {"</script><!--": "&<>\u2028"}
    with pytest.raises(ValueError):
        report_page.block("x", [float("nan")])


def test_timings_of_json_and_of_a_table(tmp_path):
    rows = [("train object 1", 46.0), ("labels", 1.0)]
    table, values = tmp_path / "summary.md", tmp_path / "timings.json"
    table.write_text("# Demo\n\n| step | seconds |\n|---|---:|\n| train object 1 | 46.0 |\n"
                     "| labels | 1.0 |\n| total | 47.0 |\n")
    values.write_text(json.dumps(dict(rows)))
    assert report_notes.timings(table) == rows == report_notes.timings(values)


@pytest.mark.parametrize(("content", "words"), [
    ("", "no step"), ("| step | seconds |\n|---|---|\n| labels | soon |", "'soon'"),
    ('{"labels": ', "JSON"), ('{"labels": NaN}', "no seconds"), ('{"labels": -1}', "no seconds"),
    ('{"labels": true}', "no seconds"), ('{"labels": [1]}', "no seconds"), (b"\xff", "UTF-8")])
def test_bad_timings(tmp_path, content, words):
    path = tmp_path / "timings"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=words):
        report_notes.timings(path)


def test_commands_of_text_and_json(tmp_path):
    text, table, plain = (tmp_path / name for name in ("c.txt", "c.json", "d.json"))
    text.write_text("# train\npython solve.py\n\npython b.py\n")
    table.write_text('{"train": "python solve.py"}')
    plain.write_text('["python solve.py"]')
    assert report_notes.commands(text) == [("train", "python solve.py"), ("", "python b.py")]
    assert report_notes.commands(table) == [("train", "python solve.py")]
    assert report_notes.commands(plain) == [("", "python solve.py")]
    for bad in ("{", "3", "[1]", '{"a": 1}', '[["a", "b"]]'):
        table.write_text(bad)
        with pytest.raises(UserError, match="c.json"):
            report_notes.commands(table)


def test_long_logs_are_thinned_and_odd_ones_named(tmp_path):
    path = tmp_path / "toy_obj_12_log.csv"
    rows = [f"{i},0.25,{1 + i % 2}" for i in range(1, 5001)]
    path.write_text("\n".join(["iteration,seconds,loss", *rows, "5001,0.2"]))
    training, = report_notes.trainings(tmp_path, "toy")
    assert training["name"] == "object 12" and training["iterations"] == 5000
    assert training["seconds"] == 1250 and training["xs"][0] == 1 and training["xs"][-1] == 5000
    assert len(training["xs"]) == len(training["ys"]) == report_notes.POINTS
    np.testing.assert_allclose(training["ys"][5:], 1.5)
    assert set(training["raw"]) == {1.0, 2.0}
    assert report_notes.numbers([float("nan"), None, 0.123456789]) == [None, None, 0.12346]
    (tmp_path / "toy_other_log.csv").write_text("a,b\n")
    with pytest.raises(UserError, match="toy_other_log.csv"):
        report_notes.trainings(tmp_path, "toy")


def test_running_mean_passes_over_what_is_not_finite():
    values = np.array([1.0, np.nan, 3.0, *[2.0] * 40])
    mean = report_notes.running_mean(values)
    np.testing.assert_allclose(mean[:3], [1, 1, 2])
    np.testing.assert_allclose(mean[-1], 2)
    assert np.isnan(report_notes.running_mean(np.array([np.nan]))[0])


def arguments(root, output, *more):
    return ["tools/report.py", "--data", root / "data", "--sequences", "toy", "--labels",
            root / "labels", "--output", output, *more]


def test_script_says_what_to_open(results, tmp_path, run):
    timings = tmp_path / "t.json"
    timings.write_text('{"a <b>": 1}')
    result = run(*arguments(results, tmp_path / "out", "--scores", results / "scores",
                            "--timings", timings, "--title", "Mine"))
    assert result.returncode == 0, result.stderr
    path = tmp_path / "out/report.html"
    assert result.stdout.splitlines()[-1] == f"open {path} in a browser"
    facts, _ = facts_of(path)
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
            report.write(page, "odd", sources(results, **{kind: tmp_path / kind}), ["toy"])
    assert page.read_text() == "old" and len(list(page.parent.iterdir())) == 1
