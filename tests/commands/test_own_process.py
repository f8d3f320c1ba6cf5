"""Work in a process of its own: how it ends, and how its end is told."""

import functools
import os
import pathlib
import signal
import sys
import time

import pytest

from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support import planned, stopping
from hdlif_jax.commands.support.errors import CommandError, Stopped
from hdlif_jax.commands.support.own_process import in_own_process
from hdlif_jax.commands.support.planned import Epochs, Planned, do_all
from hdlif_jax.commands.support.run_directory import RunDirectory, write_json

CONFIG = PRESETS["digits"].config


def test_what_fails_is_told_in_its_last_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("of an earlier time\n")
    with pytest.raises(CommandError, match=r"^invalid literal for int\(\) with base 10: 'seven'$"):
        in_own_process(functools.partial(int, "seven"), log)
    assert log.read_text().startswith("of an earlier time\nerror: invalid literal")


def fails_before_another_prints(log):
    print("error: what is wrong", file=sys.stderr)
    with log.open("a") as file:
        file.write("epoch 39/40 of another process\n")
    sys.exit(2)


def test_a_log_of_two_processes_does_not_hide_the_error(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(CommandError, match=r"^what is wrong$"):
        in_own_process(functools.partial(fails_before_another_prints, log), log)


def touch_later(path):
    time.sleep(60)
    path.touch()


def test_a_request_to_stop_is_handed_on(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stop:
        in_own_process(
            functools.partial(touch_later, tmp_path / "done"),
            tmp_path / "log",
            lambda: os.kill(os.getpid(), signal.SIGTERM),
        )
    assert not (tmp_path / "done").exists()
    assert stop.value.status == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_kill_is_no_error_of_the_work(tmp_path):
    with pytest.raises(Stopped, match="ended by SIGABRT") as stop:
        in_own_process(os.abort, tmp_path / "log")
    assert stop.value.status == 128 + signal.SIGABRT


class InPlace:
    """In the place of `in_own_process`: does the work here, after what it is told to raise."""

    def __init__(self, monkeypatch, error=None):
        self.calls, self.error = [], error
        monkeypatch.setattr(planned, "in_own_process", self)

    def __call__(self, work, log, watch):
        self.calls.append((work, log))
        watch()
        if self.error is not None:
            raise self.error
        work()


def trained(config, path):
    directory = RunDirectory(path)
    if not (path / "config.json").exists():
        directory.create(config)
    write_json(path / "summary.json", {"test_accuracy": 0.5})


def test_runs_are_begun_gone_on_with_and_found(monkeypatch, tmp_path, capsys):
    path = tmp_path / "a" / "seed-0"
    runs = [Planned("a", 0, CONFIG, path)]

    def is_done(path):
        return RunDirectory(path).is_finished

    with pytest.raises(Stopped, match="a, seed 0: ended by SIGKILL; call again to go on") as stop:
        InPlace(monkeypatch, Stopped("ended by SIGKILL", 137)) and do_all(runs, trained, is_done)
    assert stop.value.status == 137
    with pytest.raises(CommandError, match=rf"seed-0: no space \(all of it in {tmp_path}/a/seed-0.log\)"):
        InPlace(monkeypatch, CommandError("no space")) and do_all(runs, trained, is_done)
    worker = InPlace(monkeypatch)
    do_all(runs, trained, is_done)
    assert "a, seed 0: test accuracy 50.00 %" in capsys.readouterr().out
    do_all(runs, trained, is_done)
    assert len(worker.calls) == 1  # it is done
    other = Planned("b", 0, CONFIG, tmp_path / "b" / "seed-0")
    with pytest.raises(CommandError, match="holds a run of another configuration"):
        do_all([other, runs[0]._replace(seed=1, config=PRESETS["digits-tet"].config)], trained, is_done)
    assert not other.path.exists()


def test_progress_is_read_off_the_log(tmp_path):
    directory = RunDirectory(tmp_path)
    epochs = Epochs(tmp_path, 4)
    assert (epochs.share(), str(epochs)) == (0, "starting")
    directory.append_metrics("step", {"step": 1, "epoch": 1, "loss": 1.0})
    directory.append_metrics("epoch", {"step": 1, "epoch": 1, "train_accuracy": 0.25})
    with directory.metrics.open("a") as file:
        file.write('{"kind": "epoch", "epo')  # as far as it is written
    assert (epochs.share(), str(epochs)) == (0.25, "epoch 1/4, training accuracy 25.0 %")
    directory.metrics.write_text("")  # a run that goes on from its start
    assert epochs.share() == 0
    directory.append_metrics("epoch", {"step": 4, "epoch": 4, "train_accuracy": 0.5})
    assert (epochs.share(), str(epochs)) == (1, "testing, and what comes after")


@pytest.fixture
def ctrl_c_ends():
    """As in a terminal; processes in the background of a script ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_ends")
def test_a_signal_that_comes_on_two_ways_is_one_request(monkeypatch):
    with stopping.stop_requests() as should_stop:
        assert not should_stop(0)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)  # from the process that started this one
        assert should_stop(0)
        monkeypatch.setattr(stopping, "SAME_REQUEST", -1.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_files_of_two_processes_that_write_the_same_stay_whole(tmp_path, monkeypatch):
    write_json(tmp_path / "plan.json", {})
    monkeypatch.setattr(os, "replace", lambda partial, path: None)  # killed before
    write_json(tmp_path / "plan.json", {"other": 1})
    (partial,) = tmp_path.glob("*.partial")
    assert str(os.getpid()) in partial.name
    RunDirectory(tmp_path / "new").check_free(CONFIG)
    (tmp_path / "new").mkdir()
    partial.rename(tmp_path / "new" / partial.name)
    RunDirectory(pathlib.Path(tmp_path / "new")).check_free(CONFIG)
