"""The page in a real browser without a screen: it draws, answers, says no error and asks for nothing."""

import shutil

import numpy as np
import pytest

from hdlif_jax.commands import report, train
from tests.commands.report_pages import HOSTILE, LABELS, LOGITS, T, costs, predictions, records
from tests.data.own.make import frames

pytest.importorskip("plotly")
playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here"),
    # Of the machinery that drives the browser.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield browser
        browser.close()


class Opened:
    """A page with what went wrong and what it asked for.

    Args:
      browser: to open it in.
      file: of the page.
      width: of the window.
    """

    def __init__(self, browser, file, width=1280):
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector(".main-svg")

    def check_quiet(self, file):
        """No error was said, and nothing was asked for but the file itself."""
        assert self.said == []
        assert [url for url in self.asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]

    def tab(self, name):
        self.page.get_by_role("tab", name=name).click()
        return self.page.locator("section:not([hidden])")

    def step(self, number):
        self.page.locator("#step").fill(str(number))

    def text(self, place):
        return self.page.locator(place).text_content()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    from hdlif_jax.commands.support.report.build import build

    folder = tmp_path_factory.mktemp("pages")
    (folder / "report.html").write_text(build(records(folder / "run"), predictions(), costs(), HOSTILE, ["a note"]))
    return folder / "report.html"


def test_every_tab_draws_its_charts(browser, file):
    opened = Opened(browser, file)
    charts = {"Learning": 4, "Activity": 2, "Predictions": 2, "Costs": 1, "Configuration": 0}
    for name, count in charts.items():
        panel = opened.tab(name)
        if count:
            panel.locator(".chart .main-svg").first.wait_for()
        assert panel.locator(".chart:has(.main-svg)").count() == count
    assert opened.page.get_by_role("tab").all_inner_texts() == list(charts)
    opened.page.keyboard.press("ArrowLeft")
    assert opened.page.get_by_role("tab", selected=True).inner_text() == "Costs"
    opened.check_quiet(file)


def test_the_slider_goes_through_the_time_steps(browser, file):
    opened = Opened(browser, file)
    opened.tab("Predictions")
    for step in (1, T):
        opened.step(step)
        right = 100 * np.mean(LOGITS[step - 1].argmax(-1) == LABELS)
        assert opened.text("#step-accuracy") == f"{right:.2f} % of 40 test inputs are right"
        assert opened.text("#confusion .gtitle") == f"Confusion after {step} time-step{'s' * (step > 1)}"
        counts = opened.page.evaluate("document.getElementById('confusion').data[0].z")
        assert sum(counts[label][label] for label in range(4)) == round(0.4 * right)
        marks = opened.page.locator(".example span").all_inner_texts()
        shown = range(0, 40, 5)
        assert [mark.startswith("✓") for mark in marks] == [LOGITS[step - 1, n].argmax() == LABELS[n] for n in shown]
    opened.check_quiet(file)


def test_examples_are_chosen_and_hovered(browser, file):
    opened = Opened(browser, file)
    opened.tab("Predictions")
    before = opened.text("#probabilities .gtitle")
    opened.page.locator(".example").nth(3).click()
    assert opened.text("#probabilities .gtitle") != before
    assert opened.page.locator(".example").nth(3).get_attribute("aria-pressed") == "true"
    opened.page.get_by_role("button", name="wrong at the end").click()
    assert {mark[0] for mark in opened.page.locator(".example span").all_inner_texts()} == {"✗"}
    opened.tab("Learning")
    plot = opened.page.locator("#over-steps .nsewdrag")
    plot.hover()
    point = opened.page.locator("#over-steps .points path").nth(1).bounding_box()
    opened.page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    opened.page.locator("#over-steps .hoverlayer .hovertext").first.wait_for()
    opened.check_quiet(file)


def test_names_are_shown_as_they_are(browser, file):
    opened = Opened(browser, file)
    opened.tab("Predictions")
    assert opened.page.locator("main b, main script, main img[src='x']").count() == 0
    ticks = opened.page.locator("#confusion .yaxislayer-above text, #confusion .ytick text").all_text_contents()
    assert set(ticks) == {name if len(name) <= 18 else f"{name[:17]}…" for name in HOSTILE}
    legend = opened.page.locator("#probabilities .legendtext").all_text_contents()
    assert {name.removesuffix(" (true)") for name in legend} == {
        name if len(name) <= 24 else f"{name[:23]}…" for name in HOSTILE
    }
    opened.check_quiet(file)


def test_a_script_that_is_not_ours_would_not_run(browser, file):
    """If an escape were forgotten: the policy is the second lock."""
    foreign = "<script>document.title = 'ran'</script><img src=x onerror=\"document.title = 'ran'\">"
    changed = file.with_name("changed.html")
    changed.write_text(file.read_text().replace("<main>", f"<main>{foreign}"))
    opened = Opened(browser, changed)
    assert opened.page.title() != "ran"
    assert len([text for text in opened.said if "Content Security Policy" in text]) >= 2


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(browser, file, width):
    opened = Opened(browser, file, width)
    for name in ("Learning", "Activity", "Predictions", "Costs", "Configuration"):
        opened.tab(name)
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    opened.check_quiet(file)


def test_a_run_of_event_frames_in_a_folder_of_a_strange_name(browser, tmp_path, monkeypatch):
    inputs, labels = frames(num_steps=2)
    np.savez(tmp_path / "own.npz", inputs=inputs * 0.5 - 7.0, labels=labels, class_names=np.array(HOSTILE[:3]))
    run = tmp_path / "<i>run & co"
    words = ["--data.name", "npz", "--data.dir", tmp_path / "own.npz", "--model.widths", 4, "--model.num-steps", 2]
    words += ["--batch-size", 8, "--optimizer.warmup-epochs", 0, "--epochs", 1, "--out", run]
    for command, arguments in ((train, words), (report, [run])):
        monkeypatch.setattr("sys.argv", ["command", *map(str, arguments)])
        command.main()
    opened = Opened(browser, run / "report.html")
    assert "<i>run & co" in opened.text("header")
    opened.tab("Predictions")
    pictures = []
    for step in (1, 2):
        opened.step(step)
        pictures.append(opened.page.locator("#picture").get_attribute("src"))
    assert pictures[0] != pictures[1]  # the frame of the step
    opened.check_quiet(run / "report.html")
