import io
import re
import types

import pytest
import rich.console

from hdlif_jax.commands.support import progress

RECORD = {"step": 120, "epoch": 12, "loss": 1.23456, "accuracy": 0.98765}
EPOCH = {
    "step": 120, "epoch": 12, "train_loss": 1.2, "train_accuracy": 0.9, "validation_accuracy_per_step": [0.5, 0.75],
    "images_per_second": 1234.5,
}  # fmt: skip


@pytest.fixture
def terminal(monkeypatch):
    def of(width, **options):
        console = rich.console.Console(
            file=io.StringIO(), width=width, color_system=None, highlight=False, soft_wrap=True, **options
        )
        monkeypatch.setattr(progress, "console", console)
        return console

    return of


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(perf_counter=iter(range(0, 10**6, 10)).__next__))


def last_frame(console):
    lines = re.sub(r"\x1b\[[?\d;]*\w", "", console.file.getvalue()).splitlines()
    return next(line for line in reversed(lines) if "left" in line)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_bar_and_the_time_left_fit(width, terminal, clock):
    console = terminal(width, force_terminal=True, force_interactive=True)
    with progress.Progress(400, 0, 64, 40) as shown:
        shown.epoch(EPOCH)
        shown.step(RECORD | {"step": 1})
        shown.step(RECORD)
    line = last_frame(console)
    assert line.startswith("epoch 12/40 ")
    assert line.rstrip().endswith(" left")
    assert ":" in line  # hours, minutes and seconds
    assert len(line.rstrip()) <= width
    assert len(line.removeprefix("epoch 12/40 ").partition("%")[0]) >= width - 30  # of which the bar is all but 3
    assert "loss 1.235  accuracy 0.988"[: width - 1] in console.file.getvalue()
    if width == 80:
        assert "validation 0.7500" in console.file.getvalue()
        assert "images/s" in console.file.getvalue()


def test_compiling_is_said_until_something_was_computed(terminal):
    console = terminal(80, force_terminal=True, force_interactive=True)
    shown = progress.Progress(400, 0, 64, 40)
    assert shown.figures.plain == progress.COMPILING
    shown.step(RECORD)
    assert shown.figures.plain.startswith("loss 1.235")
    with progress.phase("reading digits"):
        pass
    assert "reading digits" in console.file.getvalue()


def test_a_file_gets_plain_lines(terminal, clock):
    console = terminal(80)
    with progress.phase("reading digits"), progress.Progress(400, 0, 64, 40) as shown:
        shown.step(RECORD)
        shown.epoch(EPOCH | {"step": 200})
    compiling, line = console.file.getvalue().splitlines()
    assert compiling == progress.COMPILING
    assert line.startswith("epoch 12/40  loss 1.2000  accuracy 0.9000  validation 0.7500  1,234 images/s  0:0")
    assert line.endswith(" left")


def test_a_terminal_that_cannot_redraw_is_like_a_file(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    console = terminal(80, force_terminal=True)
    with progress.phase("reading digits"), progress.Progress(400, 0, 64, 40) as shown:
        shown.step(RECORD)
    assert console.file.getvalue() == f"{progress.COMPILING}\n"


def test_images_are_counted_with_their_rate_on_a_terminal_alone(terminal, clock):
    console = terminal(100, force_terminal=True, force_interactive=True)
    with progress.images_bar("verifying", 300) as move:
        assert "compiling" in console.file.getvalue()
        move(100)  # what the first took, compiling included, says nothing of the rest
        move(250)  # 10 s later by the clock
    frames = re.sub(r"\x1b\[[?\d;]*\w", "", console.file.getvalue())
    assert "verifying" in frames
    assert "250/300 15 images/s" in frames
    file = terminal(100)
    with progress.images_bar("verifying", 300) as move:
        move(100)
    assert file.file.getvalue() == ""
