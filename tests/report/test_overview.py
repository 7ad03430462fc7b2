"""overview.html of a run: its figures, its names, and the page in a browser."""

import csv
import html
import json
import re
import shutil

import numpy as np
import pytest

from segspn import files
from segspn.evaluation import davis2017
from segspn.report import overview
from segspn.runs import settings as run_settings
from segspn.runs import steps
from tests.support.frames import fails_in_one_line
from tests.support.workflows import FRAMES, VIDEOS

HOSTILE = "\"'><img src=q onerror=window.hit=1>&lt;"
OTHER = "other"


@pytest.fixture
def settings(data_set, tmp_path, monkeypatch):
    """A run over `toy`, which is evaluated, and another video; two jobs took time."""
    monkeypatch.setattr(run_settings, "RUNS", tmp_path / "runs")
    images = data_set / "JPEGImages/480p"
    shutil.copytree(images / "toy", images / OTHER)
    run = run_settings.Run(
        name="run", data=str(data_set), split=None, videos={"toy": [1, 2], OTHER: [1]},
        whole=False, evaluated=("toy",), backbone=HOSTILE, weights="w", refinement="r",
        iterations=7, snapshot=3, size="64x96")
    for job, seconds in ((("label", ("toy",)), 1800.0), (("evaluate", ()), 5400.0)):
        files.write_text(
            run.folder / "state" / f"{steps.job_path(*job)}.json",
            json.dumps({"state": "done", "begin": 1.0, "commands": [], "peak_mb": 1.0,
                        "seconds": seconds}))
    davis2017.write_tables(run.folder / "evaluation", run.name, [davis2017.Evaluation(
        "toy", ("00001", "00002", "00003"), j=np.array([[0.6, 0.4, 0.8], [0.1, 0.2, 0.3]]),
        f=np.array([[0.3] * 3, [0.1] * 3]))])
    return run


def rows(page):
    """Of each row of the table but the heads, the texts of the cells with figures."""
    return [[html.unescape(cell) for cell in re.findall(r'<td class="figure">([^<]*)</td>', row)]
            for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)[1:]]


def test_figures_are_those_of_the_evaluation(settings):
    total, toy, other = rows(overview.page(settings))
    assert total == ["", "", "40.0", "20.0", "30.0", "2.00"]
    assert toy == ["2", "4", "40.0", "20.0", "30.0", "0.50"]
    assert other == ["1", "4", "", "", "", "0.00"]


def test_without_truth_there_are_no_figures(settings):
    object.__setattr__(settings, "evaluated", ())
    toy, other = rows(overview.page(settings))
    assert toy == ["2", "4", "", "", "", "0.50"] and other[2:5] == [""] * 3


def test_words_are_texts(settings, chromium):
    path = overview.write(settings)
    tab = chromium.new_page()
    tab.goto(path.as_uri())
    assert tab.title() == "Run run" == tab.inner_text("h1")
    assert HOSTILE in tab.inner_text("#subtitle")
    assert tab.locator("tbody td:nth-child(2) > a").all_inner_texts() == ["toy", OTHER]
    assert tab.locator("img").count() == 2 and tab.locator("b, i").count() == 0
    assert tab.evaluate("window.hit") is None
    tab.close()


def test_page_of_a_run_in_a_browser(finished, chromium, tmp_path):
    tab, complaints = chromium.new_page(viewport={"width": 1366, "height": 768}), []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("requestfailed", lambda request: complaints.append(request.url))
    page = finished.folder / "overview.html"
    tab.goto(page.as_uri())
    for image in tab.locator("img").all():
        image.scroll_into_view_if_needed()  # they are loaded when they are seen
    tab.wait_for_function(
        "() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert tab.locator("img").count() == len(VIDEOS)
    tab.screenshot(path=tmp_path / "overview.png", full_page=True)
    for width in (1366, 1000):
        tab.set_viewport_size({"width": width, "height": 768})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    for link in tab.locator("a").all():
        assert (page.parent / link.get_attribute("href")).is_file()
    tab.locator("tbody a", has_text="toy").click()
    tab.wait_for_function("document.getElementById('picture').dataset.shown === 'labels 0'")
    tab.close()
    assert not complaints

    with (finished.folder / "evaluation/global_results-val.csv").open() as file:
        overall = next(csv.DictReader(file))
    total, *videos = rows(page.read_text())
    assert total[2:4] == [f"{100 * float(overall[name]):.1f}" for name in ("J-Mean", "F-Mean")]
    assert [video[:2] for video in videos] == [
        [str(len(objects)), str(FRAMES)] for objects in VIDEOS.values()]
    assert all(float(video[5]) >= 0 for video in videos)


def test_script(finished, run, tmp_path):
    page = finished.folder / "overview.html"
    content = page.read_bytes()
    page.unlink()
    status, output, errors = finished.run(command=[
        finished.root / "tools/overview.py", finished.folder])
    assert status == 0 and f"wrote {page}" in output, errors
    assert rows(page.read_text())[1][:5] == rows(content.decode())[1][:5]
    page.write_bytes(content)
    assert fails_in_one_line(run("tools/overview.py", tmp_path), "settings of a run",
                             "does not exist")
