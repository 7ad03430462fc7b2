"""The page in a browser, as a user draws on it."""

import errno
import os
import threading

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from segspn import files
from segspn.annotate.drawings import Drawings
from segspn.data import annotations, davis
from tests.support.annotating import FRAMES, SIZE, Served, ground_and_truth, parts, write_video
from tests.support.workflows import wait_until

ROWS, COLUMNS = np.indices(SIZE) + 0.5  # of the pixels' centres
EXPECTED = ("status of 4", "status of 507")  # what the browser says of answers that tests ask for


class Tab:
    """A page that is open; places are in px of the frame."""

    def __init__(self, context, address, complaints):
        self.tab = context.new_page()
        self.tab.on("console", lambda message: complaints.append(message.text))
        self.tab.on("pageerror", lambda error: complaints.append(str(error)))
        self.open(address)

    def open(self, address):
        self.tab.goto(address)
        self.shows("00000" if "#" not in address else address.partition("#")[2])

    def shows(self, stem):
        self.tab.wait_for_function(
            "stem => document.getElementById('canvas').dataset.shown === stem"
            " && editor.drawing?.stem === stem", arg=stem)
        return self

    def place(self, x, y):
        box = self.tab.locator("#canvas").bounding_box()
        left, top = self.tab.evaluate("point => editor.view.toStage(point)", [x, y])
        return box["x"] + left, box["y"] + top

    def at(self, x, y):
        """What place() gives as the page understands it: mouse events have floats."""
        return self.tab.evaluate("""([x, y]) => {
            const box = editor.view.canvas.getBoundingClientRect();
            return editor.view.toFrame([x - box.left, y - box.top]); }""", self.place(x, y))

    def click(self, *points):
        for point in points:
            self.tab.mouse.click(*self.place(*point))

    def drag(self, first, *others):
        self.tab.mouse.move(*self.place(*first))
        self.tab.mouse.down()
        for point in others:
            self.tab.mouse.move(*self.place(*point), steps=3)
        self.tab.mouse.up()

    def keys(self, *keys):
        for key in keys:
            self.tab.keyboard.press(key)

    def ids(self):
        """What the page has of its frame."""
        return np.array(self.tab.evaluate("[...editor.drawing.ids]"), np.uint8).reshape(SIZE)

    def saved(self):
        self.tab.wait_for_function(
            "() => !editor.busy && document.getElementById('saved').dataset.state === 'saved'")
        return self

    def trouble(self):
        self.tab.wait_for_selector("#trouble:not([hidden])")
        return self.tab.inner_text("#trouble span")


@pytest.fixture
def served(data):
    made = Served(parts(data))
    yield made
    made.close()


@pytest.fixture
def opened(chromium, tmp_path):
    """Opens tabs of one browser, which may not complain of more than `complaints` allows."""
    context, complaints = chromium.new_context(viewport={"width": 1366, "height": 800}), []

    def open_tab(address):
        return Tab(context, address, complaints)
    yield open_tab
    for number, tab in enumerate(context.pages):
        tab.screenshot(path=tmp_path / f"screenshot-{number}.png")
    context.close()
    assert not [text for text in complaints if not any(word in text for word in EXPECTED)]


@pytest.fixture
def tab(opened, served):
    return opened(served.address)


def drawn(folder, stem="00000"):
    return davis.read_annotation(folder / f"{stem}.png")


def polygon_of(points):
    """bool: the pixels whose centres are inside."""
    inside = Outline(points).contains_points(np.stack([COLUMNS.ravel(), ROWS.ravel()], 1))
    return inside.reshape(SIZE)


def strokes(points, size):
    """bool: the pixels whose centres are within half the brush's size of a line."""
    result = np.zeros(SIZE, bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        dx, dy = x1 - x0, y1 - y0
        at = np.clip(((COLUMNS - x0) * dx + (ROWS - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        result |= np.hypot(COLUMNS - x0 - at * dx, ROWS - y0 - at * dy) <= size / 2
    return result


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


CORNERS = [(20.3, 15.2), (90.7, 30.1), (60.2, 100.6), (45.1, 50.4), (15.6, 80.3)]


def test_a_polygon_is_saved_exactly(tab, folder):
    exact = [tab.at(*point) for point in CORNERS]
    tab.click(*CORNERS, CORNERS[0])
    tab.saved()
    expected = polygon_of(exact)
    assert expected.sum() > 2000
    np.testing.assert_array_equal(drawn(folder), expected)
    assert [path.name for path in folder.iterdir()] == ["00000.png"]
    tab.click((120, 20), (150, 20), (150, 60))
    tab.keys("Backspace", "Escape")  # nothing more
    tab.click((120, 20), (150, 20), (150, 60))
    tab.keys("Enter")
    tab.saved()
    second = polygon_of([(120, 20), (150, 20), (150, 60)])
    assert overlap(drawn(folder) > 0, expected | second) > 0.98


def test_brush_eraser_undo_and_redo(tab, folder):
    line = [(30, 30), (100, 60), (60, 100)]
    tab.keys("b")
    tab.drag(*line)
    tab.saved()
    first, size = drawn(folder), tab.tab.evaluate("editor.size")
    assert overlap(first > 0, strokes(line, size)) > 0.99
    tab.keys("e")
    tab.drag((30, 30), (60, 43))
    tab.saved()
    second = drawn(folder)
    gone = (first > 0) & (second == 0)
    assert gone.sum() > 200 and not (gone & ~strokes([(30, 30), (60, 43)], size + 1)).any()
    for key, expected in ("z", first), ("Shift+Z", second), ("z", first):
        tab.keys(f"Control+{key}")
        tab.saved()
        np.testing.assert_array_equal(drawn(folder), expected)
    tab.keys("Control+z")
    tab.saved()
    assert not (folder / "00000.png").exists()
    tab.keys("Control+y", "Control+y")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), second)


def test_keys_wait_for_the_end_of_a_stroke(tab, folder):
    """None may change, or send, what is half drawn; escape gives it up."""
    line = [(30, 30), (100, 60)]
    tab.keys("b")
    tab.drag((30, 90), (60, 100))
    tab.saved()
    before = drawn(folder)

    def stroke(*keys):
        mouse = tab.tab.mouse
        mouse.move(*tab.place(*line[0]))
        mouse.down()
        mouse.move(*tab.place(*line[1]), steps=3)
        tab.keys(*keys)
        assert (tab.tab.evaluate("editor.stem"), tab.tab.evaluate("editor.busy")) == ("00000", 0)
        mouse.up()
        tab.saved()

    stroke("Escape")
    np.testing.assert_array_equal(drawn(folder), before)
    np.testing.assert_array_equal(tab.ids(), before)
    stroke("s", "r", "t", "Control+z", "ArrowRight", "p", "2", "[", "Enter")
    size = tab.tab.evaluate("editor.size")
    assert overlap(drawn(folder) > 0, (before > 0) | strokes(line, size)) > 0.99
    assert set(np.unique(drawn(folder))) == {0, 1}


def test_the_smallest_brush_paints_what_it_points_at(tab, folder):
    tab.keys("b", *["["] * 30)
    assert tab.tab.inner_text("#size-shown") == "1 px"
    tab.click((50.5, 40.5), (80.9, 70.9))
    tab.saved()
    ids = drawn(folder)
    assert ids[40, 50] and ids[70, 80] and 2 <= ids.sum() <= 8


def test_second_object_keeps_out_of_the_first(tab, folder, data):
    tab.click((20, 20), (80, 20), (80, 80), (20, 80), (20, 20))
    tab.keys("n")
    tab.click((50, 50), (120, 50), (120, 110), (50, 110), (50, 50))
    tab.saved()
    ids = drawn(folder)
    assert (ids[21:79, 21:79] == 1).all() and (ids[52:108, 82:118] == 2).all()
    assert davis.objects_of(ids) == [1, 2]
    tab.tab.click("#keep")  # now it takes what it paints over
    tab.keys("b")
    tab.drag((30, 30), (70, 30))
    tab.saved()
    assert (drawn(folder)[30, 30:70] == 2).all()
    tab.tab.fill("#objects li:last-child input", "a red bar")
    tab.keys("Enter")
    wait_until(lambda: annotations.names(data, "toy") == {2: "a red bar"}, "the name")
    tab.tab.on("dialog", lambda dialog: dialog.accept())
    tab.tab.click("#objects li:last-child .remove")
    wait_until(lambda: annotations.names(data, "toy") == {}, "its deletion")
    assert davis.objects_of(drawn(folder)) == [1]
    tab.shows("00000")
    assert set(np.unique(tab.ids())) == {0, 1}
    tab.keys("Control+z")  # which does not end what can be undone
    tab.saved()
    assert davis.objects_of(drawn(folder)) == [1, 2]


def test_fill_and_holes(tab, folder):
    tab.keys("b")
    tab.drag((40, 30), (110, 30), (110, 90), (40, 90), (40, 30))
    tab.saved()
    ring = drawn(folder)
    tab.keys("f")
    tab.click((5, 5))
    assert "open to the border" in tab.tab.inner_text("#toast")
    np.testing.assert_array_equal(tab.ids(), ring)
    tab.click((70, 60))
    tab.saved()
    filled = drawn(folder)
    assert (filled[30:90, 40:110] == 1).all() and filled[5, 5] == 0
    tab.keys("Control+z")
    tab.tab.click("#holes")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), filled)


@pytest.mark.parametrize("key, around", [
    ("x", [(20, 25), (80, 88)]),
    ("l", [(20, 30), (50, 22), (82, 40), (82, 80), (50, 88), (20, 75), (18, 40)])])
def test_grabcut_finds_the_object(tab, folder, key, around):
    tab.keys(key)
    tab.drag(*around)
    tab.saved()
    assert overlap(drawn(folder) == 1, ground_and_truth(0)[1] == 1) > 0.95
    tab.keys("Control+z")
    tab.saved()
    assert not (folder / "00000.png").exists()


def test_grabcut_that_finds_nothing_says_so(tab, folder):
    tab.keys("x")
    tab.drag((0, 0), (160, 120))
    tab.tab.wait_for_selector("#toast:not([hidden])")
    assert "nothing is around the outline" in tab.tab.inner_text("#toast")
    assert not folder.exists()


def test_snap_sends_what_is_drawn(opened, data, folder):
    asked = []

    def snapper(frame, hints):
        asked.append((frame, hints))
        return np.roll(hints == 3, 5, axis=1)

    served = Served(parts(data, snapper))
    tab = opened(served.address)
    tab.click((20, 20), (60, 20), (60, 60), (20, 60), (20, 20))
    tab.keys("n")
    tab.click((62, 20), (100, 20), (100, 60), (62, 60), (62, 20))
    tab.saved()
    before = drawn(folder)
    tab.keys("1", "s")
    tab.tab.wait_for_function("() => editor.drawing.done.length === 3")
    tab.saved()
    [(frame, hints)] = asked
    np.testing.assert_array_equal(frame, ground_and_truth(0)[0])
    np.testing.assert_array_equal(hints, np.array([0, 3, 2])[before])
    expected = np.where(np.roll(before == 1, 5, axis=1) & (before != 2), 1, before * (before == 2))
    np.testing.assert_array_equal(drawn(folder), expected)
    served.close()


@pytest.fixture
def long_video(data):
    """Of more frames than the page keeps the pixels of."""
    write_video(data.root, frames=20)
    return data


def look_through(tab, first, last):
    for number in range(first, last + 1):
        tab.keys("ArrowRight")
        tab.shows(f"{number:05}")


def test_what_was_drawn_long_ago_is_undone(opened, long_video, folder):
    served = Served(parts(long_video))
    tab = opened(served.address)
    tab.click(*CORNERS, CORNERS[0])
    tab.keys("b")
    tab.drag((100, 100), (140, 100))
    tab.saved()
    both = drawn(folder)
    look_through(tab, 1, 16)
    decoded = tab.tab.evaluate("[...editor.drawings.loaded.values()].filter(d => d.image).length")
    assert decoded == tab.tab.evaluate("MOST_DECODED")
    tab.keys("Home")
    tab.shows("00000")
    np.testing.assert_array_equal(tab.ids(), both)
    tab.keys("Control+z")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), both * ~strokes([(100, 100), (140, 100)], 18))
    tab.keys("Control+z")
    tab.saved()
    assert not (folder / "00000.png").exists()
    look_through(tab, 1, 16)
    tab.keys("Home")
    tab.shows("00000")
    tab.keys("Control+y", "Control+y")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), both)
    look_through(tab, 1, 16)
    davis.write_labels(folder / "00000.png", both * 2)  # another program
    tab.keys("Home")
    tab.shows("00000")
    np.testing.assert_array_equal(tab.ids(), both * 2)
    tab.keys("Control+z")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), both)
    served.close()


def test_the_answer_for_a_frame_that_was_left_long_ago_is_saved(opened, long_video, folder):
    may_answer = threading.Event()

    def snapper(frame, hints):
        assert may_answer.wait(60)
        return np.roll(hints == 3, 5, axis=1)

    served = Served(parts(long_video, snapper))
    tab = opened(served.address)
    tab.click((20, 20), (60, 20), (60, 60), (20, 60), (20, 20))
    tab.saved()
    before = drawn(folder)
    tab.keys("s")
    look_through(tab, 1, 16)
    tab.tab.click("#objects .remove")  # not while it is at work
    assert "at work" in tab.tab.inner_text("#toast")
    may_answer.set()
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), np.roll(before, 5, axis=1))
    tab.keys("Home")
    tab.shows("00000")
    np.testing.assert_array_equal(tab.ids(), drawn(folder))
    served.close()


def test_a_polygon_is_not_closed_while_the_page_is_at_work(opened, data, folder):
    may_answer = threading.Event()

    def snapper(frame, hints):
        assert may_answer.wait(60)
        return hints == 3

    served = Served(parts(data, snapper))
    tab = opened(served.address)
    tab.click((20, 20), (60, 20), (60, 60), (20, 60), (20, 20))
    tab.saved()
    before = drawn(folder)
    tab.click((80, 20), (120, 20), (120, 60))
    tab.keys("s", "Enter")
    assert "at work" in tab.tab.inner_text("#toast")
    np.testing.assert_array_equal(tab.ids(), before)
    may_answer.set()
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), before)
    tab.keys("Enter")  # its corners are still there
    tab.saved()
    second = polygon_of([(80, 20), (120, 20), (120, 60)])
    assert overlap(drawn(folder) > 0, (before > 0) | second) > 0.98
    served.close()


def test_later_frames_and_reload(tab, folder, served):
    tab.click(*CORNERS, CORNERS[0])
    tab.keys("ArrowRight", "ArrowRight")
    tab.shows("00002")
    assert not tab.ids().any()
    tab.keys("d")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder, "00002"), drawn(folder))
    tab.tab.click("#strip button[data-stem='00004']")
    tab.shows("00004")
    tab.keys("b")
    tab.drag((30, 30), (100, 60))
    tab.tab.reload()  # at once
    tab.shows("00004")
    wait_until((folder / "00004.png").is_file, "the last stroke")
    tab.tab.reload()
    tab.shows("00004")
    assert tab.ids().any()
    np.testing.assert_array_equal(tab.ids(), drawn(folder, "00004"))
    assert tab.tab.locator("#strip .annotated").count() == 3
    tab.keys(",")
    tab.shows("00002")
    tab.keys("End")
    tab.shows(f"{FRAMES - 1:05}")
    tab.open(f"{served.address}#00003")
    tab.keys("c")
    wait_until((folder / "complete.txt").is_file, "that it is complete")
    assert (folder / "complete.txt").read_text() == "00003\n"


def test_closing_loses_nothing(opened, served, folder):
    tab = opened(served.address)
    tab.keys("b")
    tab.drag((30, 30), (100, 60))
    expected = tab.ids()
    with tab.tab.expect_event("close"):
        tab.tab.close(run_before_unload=True)
    wait_until((folder / "00000.png").is_file, "the last stroke")
    np.testing.assert_array_equal(drawn(folder), expected)


def asked_when_closing(tab):
    """Whether the browser asks; the page then stays."""
    asked = []

    def stay(dialog):
        asked.append(dialog.type)
        dialog.dismiss()

    tab.tab.once("dialog", stay)
    tab.tab.close(run_before_unload=True)
    wait_until(lambda: tab.tab.evaluate("true") and asked, "the question")
    assert asked == ["beforeunload"]


def test_closing_asks_while_something_is_on_its_way(tab, folder):
    held = []
    tab.tab.route("**/mask", lambda route: route.continue_() if held else held.append(route))
    tab.keys("b")
    with tab.tab.expect_request("**/mask"):
        tab.drag((30, 30), (100, 60))
    tab.drag((30, 80), (100, 100))
    asked_when_closing(tab)
    assert not folder.exists()
    held[0].continue_()
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), tab.ids())


def test_closing_asks_where_all_is_more_than_may_be_sent(tab, folder):
    """Though each would be sent alone."""
    tab.tab.evaluate("""async () => {
        const { drawings } = editor, next = await drawings.get("00001");
        for (const drawing of [editor.drawing, next]) {
            for (let i = 0; i < 10000; i++) drawing.ids[i] = i % 2;
            editor.commit(drawing);
        }
        clearTimeout(drawings.timer); }""")
    asked_when_closing(tab)
    assert not folder.exists()
    tab.tab.evaluate("window.dispatchEvent(new Event('pagehide'))")
    wait_until((folder / "00000.png").is_file, "what fits")
    tab.tab.wait_for_function("() => editor.drawings.unsaved.length === 1")
    assert tab.tab.inner_text("#saved") == "saving …" and not (folder / "00001.png").exists()
    tab.tab.evaluate("editor.drawings.flush()")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder, "00001"), drawn(folder))
    assert drawn(folder).sum() == 5000


def two_tabs(opened, served, folder):
    """A tab that has not seen what another one has drawn since, and that."""
    one, other = opened(served.address), opened(served.address)
    one.click(*CORNERS, CORNERS[0])
    one.saved()
    return other, drawn(folder)


@pytest.mark.parametrize("choice", ["Take that", "Keep mine"])
def test_two_tabs_do_not_overwrite_each_other(opened, served, folder, choice):
    other, theirs = two_tabs(opened, served, folder)
    other.keys("b")
    other.drag((100, 100), (140, 100))
    assert "Frame 00000 was changed elsewhere" in other.trouble()
    mine = other.ids()
    np.testing.assert_array_equal(drawn(folder), theirs)
    other.tab.click(f"#trouble >> text={choice}")
    other.saved()
    expected = theirs if choice == "Take that" else mine
    np.testing.assert_array_equal(drawn(folder), expected)
    np.testing.assert_array_equal(other.ids(), expected)
    if choice == "Take that":  # and one's own is an undo away
        other.keys("Control+z")
        other.saved()
        np.testing.assert_array_equal(drawn(folder), mine)


@pytest.mark.parametrize("choice", ["Take that", "Keep mine"])
def test_ticking_complete_sees_what_another_tab_has_drawn(opened, served, folder, choice):
    other, theirs = two_tabs(opened, served, folder)
    other.keys("c")
    assert "Frame 00000 was changed elsewhere" in other.trouble()
    assert not other.tab.is_checked("#complete") and not (folder / "complete.txt").exists()
    other.keys("b")
    other.drag((100, 100), (140, 100))
    assert "choose above" in other.tab.inner_text("#toast")
    np.testing.assert_array_equal(drawn(folder), theirs)
    other.tab.click(f"#trouble >> text={choice}")
    other.saved()
    if choice == "Take that":
        np.testing.assert_array_equal(other.ids(), theirs)
        np.testing.assert_array_equal(drawn(folder), theirs)
    else:
        assert not other.ids().any() and not (folder / "00000.png").exists()
    other.keys("c")
    wait_until((folder / "complete.txt").is_file, "that it is complete")
    other.drag((100, 100), (140, 100))
    other.saved()
    np.testing.assert_array_equal(drawn(folder), other.ids())


def test_a_full_disk_loses_nothing(tab, folder, monkeypatch):
    def replace(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", replace)
        tab.click(*CORNERS, CORNERS[0])
        assert tab.trouble() == (f"Not saved: {folder / '00000.png'}: No space left on device; "
                                 "make room. The drawing is kept in this page.")
        assert tab.tab.inner_text("#saved") == "not saved"
        tab.tab.click("#trouble >> text=Try again")
        tab.trouble()
    tab.tab.click("#trouble >> text=Try again")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), tab.ids())
    assert not tab.tab.is_visible("#trouble")


def test_a_png_of_another_size_stands_in_the_frames_place(tab, folder, data):
    path = folder / "00001.png"
    davis.write_labels(path, np.ones((50, 60), np.uint8))
    tab.tab.reload()
    tab.shows("00000")
    tab.keys("ArrowRight")
    tab.tab.wait_for_selector("#unfit:not([hidden])")
    assert f"{path} is 60x50, its frame 160x120" in tab.tab.inner_text("#unfit p")
    tab.drag((30, 30), (100, 60))
    assert path.stat().st_size and davis.read_annotation(path).shape == (50, 60)
    davis.write_labels(path, ground_and_truth(1)[1])
    tab.tab.click("#unfit button")
    tab.shows("00001")
    np.testing.assert_array_equal(tab.ids(), ground_and_truth(1)[1])


def test_zoom_and_pan_do_not_move_the_drawing(tab, folder):
    tab.keys("x")
    before = tab.tab.evaluate("editor.view.scale")
    tab.tab.mouse.move(*tab.place(50, 55))
    tab.tab.mouse.wheel(0, -400)
    tab.tab.keyboard.down(" ")
    tab.drag((50, 55), (60, 60))
    tab.tab.keyboard.up(" ")
    assert tab.tab.evaluate("editor.view.scale") > 2 * before
    assert not folder.exists()
    tab.keys("p")
    corners = [(45.2, 50.3), (60.4, 52.2), (52.3, 66.1)]
    exact = [tab.at(*point) for point in corners]
    np.testing.assert_allclose(exact, corners, atol=1e-6)
    tab.click(*corners, corners[0])
    tab.saved()
    np.testing.assert_array_equal(drawn(folder), polygon_of(exact))
    tab.keys("0")
    assert tab.tab.evaluate("editor.view.scale") == pytest.approx(before)


def test_fingers_and_pens(tab, folder):
    """A finger draws; two zoom, and take back what the first began; beside a pen, they move."""
    def send(name, number, kind, x, y):
        left, top = tab.place(x, y)
        tab.tab.evaluate("""([name, pointerId, pointerType, clientX, clientY]) => {
            const event = new PointerEvent(name, { pointerId, pointerType, clientX, clientY,
              button: name === "pointermove" ? -1 : 0, bubbles: true, cancelable: true });
            editor.view.canvas.setPointerCapture = () => {};
            editor.view.canvas.dispatchEvent(event); }""", [name, number, kind, left, top])

    def stroke(number, kind, *points):
        send("pointerdown", number, kind, *points[0])
        for point in points[1:]:
            send("pointermove", number, kind, *point)
        send("pointerup", number, kind, *points[-1])

    tab.keys("b")
    stroke(1, "touch", (30, 30), (60, 30), (90, 30))
    tab.saved()
    before, scale = drawn(folder), tab.tab.evaluate("editor.view.scale")
    assert (before[30, 30:90] == 1).all()
    send("pointerdown", 1, "touch", 40, 80)
    send("pointermove", 1, "touch", 60, 80)
    send("pointerdown", 2, "touch", 100, 80)
    send("pointermove", 2, "touch", 140, 80)
    send("pointerup", 1, "touch", 60, 80)
    send("pointerup", 2, "touch", 140, 80)
    assert tab.tab.evaluate("editor.view.scale") > 1.5 * scale
    np.testing.assert_array_equal(tab.ids(), before)
    tab.keys("0")
    stroke(3, "pen", (30, 60), (90, 60))
    tab.saved()
    after = drawn(folder)
    assert (after[60, 30:90] == 1).all()
    stroke(4, "touch", (30, 90), (50, 90))
    np.testing.assert_array_equal(tab.ids(), after)


def test_a_result_is_looked_through_and_taken_over(opened, data, folder, tmp_path, monkeypatch):
    made = parts(data)
    labels = tmp_path / "labels"
    for number in range(FRAMES):
        davis.write_labels(labels / f"{number:05}.png", ground_and_truth(number)[1])
    monkeypatch.setattr(made.segmenting, "_labels", lambda: labels)
    served = Served(made)
    tab = opened(served.address)
    tab.tab.click("#show-result")
    tab.tab.wait_for_function("() => editor.result")
    assert tab.tab.inner_text("#badge") == "result of the last run"
    tab.keys("ArrowRight")
    tab.shows("00001")
    tab.tab.wait_for_function("() => editor.result")
    tab.drag((30, 30), (60, 60))
    assert "take it over" in tab.tab.inner_text("#toast")
    assert not folder.exists()
    tab.keys("r")
    tab.tab.wait_for_function("() => !editor.result")
    tab.click((30, 30), (60, 30), (60, 60))
    tab.keys("r")
    tab.tab.wait_for_function("() => editor.result")
    tab.keys("Enter")
    assert not tab.ids().any() and tab.tab.evaluate("editor.tool.points.length") == 3
    tab.keys("Escape")
    tab.keys("t")
    tab.saved()
    truth = ground_and_truth(1)[1]
    np.testing.assert_array_equal(drawn(folder, "00001"), truth * (truth == 1))
    tab.tab.click("#take-all")
    tab.saved()
    np.testing.assert_array_equal(drawn(folder, "00001"), truth)
    served.close()


def test_large_frames_are_drawn_as_small_ones(opened, tmp_path):
    """Of many pixels, and of one more than fits the runs of the wire's smallest."""
    data = write_video(tmp_path / "large", frames=2)
    image = np.random.default_rng(0).integers(0, 255, (2160, 3840, 3), np.uint8)
    for path in data.frames("toy"):
        path.unlink()
    for number in range(2):
        files.write_image(data.images / f"toy/{number:05}.jpg", image)
    served = Served(parts(data))
    tab = opened(served.address)
    tab.keys("b")
    tab.drag((500, 500), (2500, 1500))
    tab.saved()
    ids, _ = Drawings(data, "toy").read("00000")
    assert ids.shape == (2160, 3840) and ids[500, 500] == ids[1500, 2500] == 1
    served.close()
