"""The page of a run: what it says is what the run left, and no text of a user is code in it."""

import base64
import html.parser
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.commands import report
from hdlif_jax.commands.support.report.page import as_json
from hdlif_jax.commands.support.report.pictures import as_uris
from hdlif_jax.commands.support.report.seen import choose
from hdlif_jax.commands.support.run_directory import RunDirectory
from tests.commands.conftest import read_json
from tests.commands.report_pages import HOSTILE, LABELS, LOGITS, K, N, T, costs, predictions, records

pytest.importorskip("plotly")
from hdlif_jax.commands.support.report.build import build


class Parsed(html.parser.HTMLParser):
    """A page taken apart: its elements, its scripts and its texts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.lasttag == "script" and self.scripts:
            self.scripts[-1] += data
        else:
            self.texts.append(data.strip())

    def handle_endtag(self, tag):
        self.lasttag = ""

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def charts(self):
        return json.loads(self.scripts[0])

    @property
    def predictions(self):
        return json.loads(self.scripts[1])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "<u>run</u>"
    return Parsed(build(records(path), predictions(), costs(), HOSTILE, ["a <b>note</b>"]))


def test_texts_of_users_are_texts(page):
    assert [script.get("type") for script in page.of("script")] == ["application/json", "application/json", None, None]
    kinds = {name for name, _ in page.elements}
    assert not kinds & {"b", "i", "u", "iframe", "object", "embed", "form"}
    assert len(page.of("img")) == 1  # that of the chosen example, which the script fills
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert {"a <b>note</b>", "64 test inputs of <b>mine</b>"} <= {text.removeprefix("Counted on ").rstrip(".")
                                                                  for text in page.texts}  # fmt: skip
    assert any(HOSTILE[0] in text for text in page.texts)
    assert any("<u>run</u>" in text for text in page.texts)
    assert page.predictions["classes"] == HOSTILE
    shown = page.charts["confusion"]["layout"]["xaxis"]["ticktext"]
    assert not any("<" in text for text in shown)  # plotly would take tags


def test_the_page_reaches_for_nothing(page):
    (policy,) = (meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    links = [attributes[name] for _, attributes in page.elements for name in ("src", "href") if name in attributes]
    assert links == ["data:,"]


def test_charts_are_what_plotly_knows(page):
    from plotly import graph_objects

    assert page.charts.keys() == {
        "loss", "accuracy", "over-steps", "coherence", "rate-map", "rate-curves", "confusion", "operations"
    }  # fmt: skip
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert page.charts.keys() <= ids
    for chart in page.charts.values():
        graph_objects.Figure(chart)  # refuses names and values that are none


def test_numbers_are_those_of_the_predictions(page):
    predicted = LOGITS.argmax(-1)
    for step in range(T):
        expected = np.zeros((K, K), int)
        for true, found in zip(LABELS, predicted[step], strict=True):
            expected[true, found] += 1
        assert page.predictions["confusion"][step] == expected.tolist()
        assert page.predictions["accuracy"][step] == pytest.approx(np.trace(expected) / N)
    for example in page.predictions["examples"]:
        place = example["index"]
        assert example["predicted"] == predicted[:, place].tolist()
        assert example["label"] == LABELS[place]
        exponentials = np.exp(LOGITS[:, place])
        expected = exponentials / exponentials.sum(-1, keepdims=True)
        np.testing.assert_allclose(example["probabilities"], expected, atol=1e-4)
    np.testing.assert_allclose(
        page.charts["over-steps"]["data"][0]["y"], 100 * np.array(page.predictions["accuracy"]), rtol=1e-9
    )
    assert page.charts["loss"]["data"][1]["x"] == [5, 15, 25]  # the middles of epochs of ten batches


def test_of_many_classes_there_is_no_map(tmp_path):
    found = predictions()
    many = found._replace(logits=np.concatenate([found.logits, np.full((T, N, 200), -9.0)], -1))
    parsed = Parsed(build(records(tmp_path / "run"), many, None, [str(name) for name in range(204)], []))
    assert parsed.predictions["confusion"] is None
    assert "confusion" not in parsed.charts
    assert "Most often confused, after all time-steps" in parsed.texts
    assert "Costs" not in parsed.texts


def test_logits_that_are_not_finite_have_no_probabilities(tmp_path):
    found = predictions()
    logits = found.logits.copy()
    logits[1:, 0] = np.nan
    parsed = Parsed(build(records(tmp_path / "run"), found._replace(logits=logits), costs(), HOSTILE, []))
    first, second = parsed.predictions["examples"][:2]
    assert [set(map(type, row)) for row in first["probabilities"]] == [{float}, {type(None)}, {type(None)}]
    assert np.all(np.isfinite(second["probabilities"]))


def test_an_unfinished_run_without_predictions(tmp_path):
    parsed = Parsed(build(records(tmp_path / "run", finished=False, epochs=0), None, None, ["a", "b"], []))
    assert parsed.predictions is None
    assert list(parsed.charts) == ["loss", "coherence"]
    assert any(text.startswith("not finished: 0 of 40 epochs are done") for text in parsed.texts)


def test_json_ends_no_script():
    texts = {"a": "</script><!-- & \u2028"}
    assert not set("<>&") & set(as_json(texts))
    assert json.loads(as_json(texts)) == texts
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json(float("nan"))


def decoded(uri):
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_pictures_of_all_inputs():
    generator = np.random.default_rng(0)
    for channels in (1, 3):
        images = generator.integers(0, 256, (2, 5, 4, channels)).astype(np.uint8)
        for image, (uri,) in zip(images, as_uris(images), strict=True):
            np.testing.assert_array_equal(decoded(uri).reshape(image.shape), image)
    floats = generator.normal(size=(2, 5, 4, 1)) - 7
    pixels = np.stack([decoded(uri) for (uri,) in as_uris(floats)])
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.unravel_index(pixels.argmax(), pixels.shape) == np.unravel_index(floats.argmax(), pixels.shape)
    frames = np.zeros((1, 3, 5, 4, 2), np.uint8)
    frames[0, 1, 2, 3, 0] = frames[0, 2, 0, 0, 1] = 4
    (uris,) = as_uris(frames)
    assert [np.argwhere(decoded(uri).sum(-1)).tolist() for uri in uris] == [[], [[2, 3]], [[0, 0]]]
    assert as_uris(floats[:0]) == []
    assert decoded(as_uris(np.zeros((1, 3, 3, 5), np.float32))[0][0]).shape == (3, 3)


def test_examples_are_of_all_kinds():
    labels = np.zeros(100, int)
    predicted = np.zeros((2, 100), int)
    predicted[:, :50] = 1  # wrong
    predicted[0, 50:60] = 1  # right late
    chosen = choose(predicted, labels, 24)
    assert len(chosen) == 24
    assert np.all(np.diff(chosen) > 0)
    assert [np.sum(chosen < 50), np.sum((chosen >= 50) & (chosen < 60)), np.sum(chosen >= 60)] == [8, 8, 8]
    assert choose(predicted, labels, 0).tolist() == []
    assert len(choose(predicted, labels, 500)) == 100
    assert len(choose(np.zeros_like(predicted), labels, 10)) == 10


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["report", *map(str, words)])
    report.main()


def test_a_finished_run(finished_run, monkeypatch, capsys, tmp_path):
    directory, _ = finished_run
    out = tmp_path / "page.html"
    before = {file.name for file in directory.iterdir()}
    call(monkeypatch, directory, "--out", out, "--examples", 6)
    assert "written to" in capsys.readouterr().out
    parsed, summary = Parsed(out.read_text()), read_json(directory / "summary.json")
    assert parsed.predictions["accuracy"] == pytest.approx(summary["accuracy_per_step"], abs=1e-9)
    assert len(parsed.predictions["examples"]) == 6
    assert parsed.predictions["count"] == 359
    assert len(parsed.charts["rate-map"]["data"][0]["z"]) == 2
    assert {file.name for file in directory.iterdir()} == before


def test_another_checkpoint_and_a_part_of_the_test_set(finished_run, monkeypatch, capsys, tmp_path):
    out = tmp_path / "page.html"
    call(monkeypatch, finished_run[0], "--out", out, "--step", "best", "--images", 50, "--examples", 0)
    printed = capsys.readouterr().out
    assert "Predictions and costs are of the checkpoint of step" in printed
    assert "Predictions are of 50 of 359 test inputs." in printed
    parsed = Parsed(out.read_text())
    assert (parsed.predictions["count"], parsed.predictions["examples"]) == (50, [])
    assert np.sum(parsed.predictions["confusion"][0]) == 50


def test_where_checkpoints_are_gone_the_records_are_left(finished_run, monkeypatch, capsys, tmp_path):
    copy = RunDirectory(tmp_path / "copy")
    copy.path.mkdir()
    for name in ("config.json", "metrics.jsonl"):
        (copy.path / name).write_bytes((finished_run[0] / name).read_bytes())
    call(monkeypatch, copy.path)
    assert "there is no checkpoint to read" in capsys.readouterr().out
    parsed = Parsed((copy.path / "report.html").read_text())
    assert list(parsed.charts) == ["loss", "accuracy", "rate-curves"]
    (copy.path / "metrics.jsonl").write_text("")
    with pytest.raises(SystemExit):
        call(monkeypatch, copy.path)
    error = capsys.readouterr().err
    assert "has logged nothing yet; train it first" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "is not a run directory"),
        ((".", "--out", "."), "--out . must be a file in a folder that exists"),
        ((".", "--out", "no/such/page.html"), "must be a file in a folder that exists"),
        ((".", "--images", "0"), "images=0 must be at least 1"),
    ],
)
def test_bad_arguments(words, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        call(monkeypatch, *words)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_plotly_it_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path)
    assert capsys.readouterr().err == "error: the report needs plotly: python -m pip install 'hdlif_jax[report]'\n"
