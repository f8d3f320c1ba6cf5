"""What a run survives: signals, kills, full disks, a second process, and being spread over processes."""

import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import socket

import numpy as np
import pytest

from hdlif_jax.commands import train
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.execution import Execution
from hdlif_jax.commands.support.observers import Profile
from hdlif_jax.commands.support.run_directory import RunDirectory
from tests.commands.conftest import TINY, read_json, wait_for
from tests.commands.survival import final_arrays, survive
from tests.commands.test_train import truncate


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing():
    assert survive(int(os.environ.get("HDLIF_KILLS", "20")))


@pytest.mark.slow
def test_a_scheduler_s_notice_leaves_a_checkpoint(finished_run, command, tmp_path):
    directory = tmp_path / "run"
    process = command.start("train", *TINY, "--out", directory)
    wait_for(directory / "checkpoints" / "5", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.startswith("stopped after step")
    assert errors.count("\n") == 1
    status, _, errors = command.run("train", "--resume", directory)
    assert status == 0, errors
    assert_same_run(directory, finished_run[0])


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_is_skipped(finished_run, command, tmp_path):
    directory = copy_unfinished(finished_run[0], tmp_path)
    truncate(directory / "checkpoints" / "20")
    status, output, errors = command.run("train", "--resume", directory)
    assert (status, errors) == (0, "")
    assert "20 is damaged" in output
    assert "cut short; going on from the checkpoint of step 15" in output
    assert "continuing" in output
    assert_same_run(directory, finished_run[0])


def copy_unfinished(finished, tmp_path):
    directory = tmp_path / "run"
    shutil.copytree(finished, directory)
    (directory / "summary.json").unlink()
    return directory


def assert_same_run(directory, other, **tolerance):
    for ours, theirs in zip(final_arrays(directory), final_arrays(other), strict=True):
        if tolerance:
            assert np.linalg.norm(ours - theirs) <= tolerance["relative"] * np.linalg.norm(theirs)
        else:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_two_processes_on_one_directory(command, tmp_path):
    directory = tmp_path / "run"
    first = command.start("train", *TINY, "--epochs", "500", "--out", directory)
    wait_for(directory / "checkpoints" / "5", first)
    status, _, errors = command.run("train", "--resume", directory)
    assert status == 2
    assert "another process is at work in" in errors
    assert errors.count("\n") == 1
    assert first.poll() is None
    first.kill()
    first.communicate()
    lines = len(RunDirectory(directory).read_metrics("step"))
    assert lines >= 5
    with RunDirectory(directory).locked():  # the lock went with the process
        pass


@pytest.mark.slow
def test_a_disk_that_is_full_ends_the_run_with_a_way_to_go_on(finished_run, command, tmp_path):
    """A limit on the size of a file stands for the disk: what is written beyond it fails in the same way."""
    directory = tmp_path / "run"
    process = command.start("train", *TINY, "--out", directory)
    wait_for(directory / "checkpoints" / "5", process)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.count("\n") == 1, errors
    assert re.search("go on with .*--resume", errors)
    status, output, errors = command.run("train", "--resume", directory)
    assert status == 0, errors
    assert "continuing" in output
    assert_same_run(directory, finished_run[0])


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def start_processes(command, directory, *arguments):
    """Two processes with two devices each, of one run."""
    address = f"localhost:{free_port()}"
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    return [
        command.start(
            "train", *arguments, "--coordinator", address, "--num-processes", 2, "--process-id", index,
            environment=environment,
        )
        for index in range(2)
    ]  # fmt: skip


def finish(processes):
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    return outputs


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["resident", "streaming"])
def test_two_processes_with_two_devices_train_as_one(feed, command, tmp_path):
    """Spikes are unquantised, because sums in another order can move one over the edge of a level."""
    arguments = [*TINY, "--model.spike-bits", "None", "--data.feed", feed, "--data.workers", "1"]
    outputs = finish(start_processes(command, tmp_path / "two", *arguments, "--out", tmp_path / "two"))
    assert "epoch 4/4" in outputs[0][0]
    assert "epoch" not in outputs[1][0]  # the first process speaks for all
    status, _, errors = command.run("train", *arguments, "--devices", "1", "--out", tmp_path / "one")
    assert status == 0, errors
    assert_same_run(tmp_path / "two", tmp_path / "one", relative=1e-5)
    summaries = [read_json(tmp_path / name / "summary.json") for name in ("two", "one")]
    assert [summary["devices"] for summary in summaries] == [4, 1]
    assert summaries[0]["accuracy_per_step"] == summaries[1]["accuracy_per_step"]
    records = [json.loads(line) for line in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "step"] == list(range(1, 21))


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_in_one(command, tmp_path):
    """Whatever process the scheduler gives notice to, all stop at the same step and leave one checkpoint."""
    directory = tmp_path / "run"
    processes = start_processes(command, directory, *TINY, "--epochs", "500", "--out", directory)
    wait_for(directory / "checkpoints" / "5", processes[0])
    processes[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [143, 143], outputs
    stopped = [errors for _, errors in outputs if "stopped after step" in errors]
    assert stopped, outputs
    step = max(int(path.name) for path in (directory / "checkpoints").iterdir())
    assert f"stopped after step {step} " in stopped[0]
    process = command.start("train", "--resume", directory, "--devices", "1")
    wait_for(directory / "checkpoints" / str((step // 5 + 2) * 5), process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert f"at step {step} of" in output


BAD_EXECUTION = {
    "more devices than there are": (["--devices", "99"], "devices=99 but this machine has 4"),
    "no devices": (["--devices", "0"], "devices=0 must be at least 1"),
    "an uneven share": (["--batch-size", "6"], "batch_size=6 cannot be shared evenly by 4 devices"),
    "no coordinator": (["--num-processes", "2"], "belong to --coordinator"),
    "half a coordinator": (["--coordinator", "localhost:1"], "needs --num-processes and --process-id"),
    "devices of several processes": (["--coordinator", "auto", "--devices", "2"], "--devices is for one process"),
}


@pytest.mark.parametrize("case", BAD_EXECUTION)
def test_bad_execution(case, monkeypatch, capsys, tmp_path):
    arguments, message = BAD_EXECUTION[case]
    monkeypatch.setattr("sys.argv", ["train", *arguments, "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as exit_:
        train.main()
    assert exit_.value.code == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_cluster_that_is_none(command, tmp_path):
    """In a process of its own: one that has computed cannot join others."""
    status, _, errors = command.run("train", "--coordinator", "auto", "--out", tmp_path / "run")
    assert status == 2
    assert "--coordinator auto:" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_tensorboard_without_its_package(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboardX" else find_spec(name))
    with pytest.raises(CommandError, match=r"pip install 'hdlif_jax\[tensorboard\]'"):
        Execution(tensorboard=True).start()


def test_a_run_too_short_for_a_profile_says_so(tmp_path, capsys):
    profile = Profile(tmp_path / "profile")
    profile.state(0, {})
    profile.close()
    assert "no profile" in capsys.readouterr().out


@pytest.mark.slow
def test_tensorboard_and_a_profile(command, tmp_path):
    directory = tmp_path / "run"
    status, _, errors = command.run("train", *TINY, "--tensorboard", "--profile", "--out", directory)
    assert status == 0, errors
    assert list((directory / "profile").rglob("*.xplane.pb"))
    (events,) = (directory / "tensorboard").iterdir()
    content = events.read_bytes()
    for name in (b"train/loss", b"validation/accuracy_after_2_steps", b"firing_rate/blocks.0.neuron1"):
        assert name in content
    summary = read_json(directory / "summary.json")
    assert summary["step_milliseconds"] > 0
    assert summary["peak_memory_mb"] > 50
    assert summary["peak_memory_of"] == "process"
