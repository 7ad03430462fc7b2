"""The page of a report in a browser, as a user handles it."""

import base64
import re

import numpy as np
import pytest

from segspn import files
from segspn.report import document
from segspn.report import pictures as pictures
from segspn.synthetic import scenes
from tests.support.reports import (
    FRAMES,
    OBJECTS,
    SIZE,
    facts_of,
    rgba,
    sources,
    write_results,
)
from tests.support.workflows import wait_until

TITLE = "</title></script><!--<script>window.hit=2</script><b id=bad>{{data}}"


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
            "what => document.getElementById('picture').dataset.shown === what", arg=what)
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
        tab.wait_for_function(  # charts are drawn anew
            "width => document.documentElement.scrollWidth <= width", arg=width)
        boxes = [tab.locator(place).bounding_box() for place in (
            "#layers", ".screen", ".transport", "#legend", "#correction", ".hint")]
        for above, below in zip(boxes, boxes[1:]):
            assert above["y"] + above["height"] <= below["y"] + 0.5


def test_slider_layer_and_opacity_change_the_picture(browser, page):
    browser.open(page)
    browser.layer("frame")
    frames = [browser.shows("frame 0")]
    browser.tab.locator("#slider").fill("5")
    frames.append(browser.shows("frame 5"))
    for number, shown in zip((0, 5), frames):
        image = scenes.frame(3, 0, number, size=SIZE, objects=OBJECTS)[0][..., ::-1]
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
    wait_until(lambda: np.array_equal(browser.picture(), frames[1]), "the frame alone")


def test_layers_have_the_colours_of_their_pixels(browser, page):
    browser.open(page).tab.locator("#slider").fill("5")
    truth = scenes.frame(3, 0, 5, size=SIZE, objects=OBJECTS)[1]
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
    tab.wait_for_function("() => player.frame >= 3")
    assert tab.get_attribute("#play", "aria-label") == "Pause"
    tab.wait_for_function("() => player.frame <= 2")  # from the last to the first
    tab.keyboard.press("Space")
    stopped = tab.evaluate("player.frame")
    tab.wait_for_timeout(200)
    assert tab.evaluate("player.frame") == stopped and not tab.evaluate("player.isPlaying")
    browser.shows(f"labels {stopped}")
    tab.keyboard.press("Space")
    tab.wait_for_function("from => player.frame !== from", arg=stopped)


def test_without_ground_truth_it_shows_what_there_is(browser, results, tmp_path):
    (tmp_path / "no/toy").mkdir(parents=True)
    path, notes = tmp_path / "out/report.html", []
    document.write(path, "none", sources(results, scores=None, refined=tmp_path / "no", models=None,
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
    document.write(path, "one", sources(results, annotations=tmp_path / "truth"), ["toy"])
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


def test_annotated_frames_are_marked(browser, results, tmp_path):
    path = tmp_path / "out/report.html"
    document.write(path, "some", sources(results, annotated=["00000", "00003", "00005"]), ["toy"])
    tab = browser.open(path).tab
    assert tab.inner_text("#annotated").strip() == "annotated: learned from"
    slider = tab.locator("#slider").bounding_box()
    marks = [mark.bounding_box() for mark in tab.locator("#marks .mark").all()]
    for frame, mark in zip((0, 3, 5), marks, strict=True):
        expected = slider["x"] + 8 + (slider["width"] - 16) * frame / (FRAMES - 1)
        assert mark["x"] + mark["width"] / 2 == pytest.approx(expected, abs=1)
        assert mark["y"] + mark["height"] <= slider["y"] + slider["height"] / 2
    for chart in tab.locator("#curves .chart").all():
        assert chart.locator(".annotated").count() == 3
        hollow = chart.locator("circle.hollow").evaluate_all("all => all.map(c => c.dataset.x)")
        assert sorted(set(hollow)) == ["0", "3", "5", "7"]
    assert "and annotated ones (hollow) are not in" in tab.inner_text("#curves .note")
    assert "and annotated ones, which were learned from." in tab.inner_text("#figures .note")
    assert tab.inner_text("#figures tbody tr:first-child td:nth-child(2)") == str(FRAMES - 4)
    tab.locator("#slider").fill("5")
    browser.shows("labels 5")
    assert tab.get_attribute("#slider", "aria-valuetext") == "frame 00005, annotated"


def test_without_a_choice_no_frame_is_marked(browser, page):
    tab = browser.open(page).tab
    assert not tab.is_visible("#annotated") and not tab.locator("#marks .mark").count()
    assert not tab.locator("svg .annotated").count()
    assert "annotated" not in tab.inner_text("#figures") + tab.inner_text("#curves")


def test_a_frame_that_is_to_be_corrected(browser, page, results):
    tab = browser.open(page).tab
    for number in 0, 6:
        tab.locator("#slider").fill(str(number))
        browser.shows(f"labels {number}")
        assert tab.inner_text("#correct") == (
            f"make annotate VIDEO=toy DATA={results / 'data'} FRAME=0000{number}")
    tab.click("#correct")  # which selects all of it, to be copied
    assert tab.evaluate("String(getSelection())").strip() == tab.inner_text("#correct")
    quoted = tab.evaluate("['00001', 'a b', \"$it's\"].map(quoted)")
    assert quoted == ["00001", "'a b'", "'$$it'\\''s'"]


def test_hostile_words_are_texts(browser, tmp_path):
    for name in ("one", "two"):
        write_results(tmp_path, name, frames=3)
    files.write_text(tmp_path / "models/one/<img src=q onerror=window.hit=3>_log.csv",
                     "iteration,seconds,loss\n1,1,0.5\n2,1,0.4\n")
    path = tmp_path / "out/report.html"
    bad = "</script>\"'><img src=q onerror=window.hit=4>&lt;{{script}}"
    document.write(path, TITLE, sources(tmp_path), ["one", "two"], [(bad, 1.0)], [(bad, bad)])
    tab = browser.open(path).tab
    assert tab.title() == TITLE == tab.inner_text("h1")
    assert tab.locator("#sequences button").all_inner_texts() == ["one", "two"]
    assert "one · object 1" in tab.inner_text("#figures")
    assert "<img src=q onerror=window.hit=3>" in tab.inner_text("#trainings")
    assert tab.inner_text("#commands pre") == bad and bad in tab.inner_text("#timings")
    tab.click("#sequences button:last-child")
    tab.keyboard.press("End")
    browser.shows("labels 2")
    tab.wait_for_timeout(100)
    assert tab.evaluate("window.hit") is None
    assert tab.locator("img, #bad").count() == 0
