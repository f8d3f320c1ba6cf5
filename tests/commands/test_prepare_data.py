import sys

import numpy as np
import pytest

from hdlif_jax.commands import prepare_data
from hdlif_jax.data import CATALOG, open_prepared
from tests.data import originals


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["prepare_data", *map(str, arguments)])
    prepare_data.main()


def test_the_command_prepares_and_can_be_repeated(tmp_path, monkeypatch, capsys):
    generator = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    parts = originals.write_cifar100_binary(tmp_path / "in", generator)
    for _ in range(2):
        command(monkeypatch, "cifar100", "--from", tmp_path / "in", "--to", tmp_path / "out", "--partial")
        assert "3.0.2 is ready" in capsys.readouterr().out
    dataset = open_prepared("cifar100", tmp_path / "out", num_steps=4)
    np.testing.assert_array_equal(dataset.train.load().inputs, parts["train"][0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar"], "unknown dataset 'cifar'; the datasets are mnist, fashion-mnist, cifar10, cifar100"),
        (["cifar100"], "cifar100 is made from cifar-100-binary.tar.gz"),
        (["cifar100", "--download", "--from", "x"], "with --from, or fetch with --download"),
        (["cifar100", "--from", "nowhere"], "nowhere does not exist; give the folder or archive"),
        (["imagenet", "--download"], "imagenet cannot be fetched without an account; get ILSVRC2012_img_train.tar"),
        (["cifar100", "--fro", "x"], "--fro"),
        ([], "NAME"),
    ],
)
def test_mistakes_end_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        command(monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_a_broken_file_ends_in_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    originals.write_cifar100_binary(tmp_path, np.random.default_rng(0))
    (tmp_path / "test.bin").write_bytes((tmp_path / "test.bin").read_bytes()[:-1])
    with pytest.raises(SystemExit):
        command(monkeypatch, "cifar100", "--from", tmp_path, "--to", tmp_path / "out", "--partial")
    assert "test.bin, byte 6148: 3073 bytes of a 3074-byte record" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_help_names_what_can_be_prepared_and_nothing_else(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        command(monkeypatch, "--help")
    assert f"one of {', '.join(name for name in CATALOG if name != 'digits')}." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command(monkeypatch, "digits")
    assert "unknown dataset 'digits'; the datasets are mnist" in capsys.readouterr().err


def test_damaged_files_are_left_out_and_named(tmp_path, monkeypatch, capsys):
    good = originals.nmnist([1, 2], [0, 1], [0, 0], [1, 1])
    for part in ("Train", "Test"):
        for number in range(12 if part == "Train" else 1):
            (originals.folder(tmp_path / "in" / part / "0") / f"{number:05d}.bin").write_bytes(good)
            (tmp_path / "in" / part / "0" / f"{number:05d}-cut.bin").write_bytes(good[:-1])
    arguments = ("nmnist", "--from", tmp_path / "in", "--to", tmp_path / "out", "--partial")
    with pytest.raises(SystemExit):
        command(monkeypatch, *arguments)
    assert "--skip-damaged goes on without it" in capsys.readouterr().err
    command(monkeypatch, *arguments, "--skip-damaged")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("left out of t")
    assert "-cut.bin, byte 5: 4 bytes of a 5-byte event" in lines[0]
    path = tmp_path / "out" / "nmnist" / "1.0.0"
    assert lines[-2] == f"damaged: 13 files, of which 13 were left out; the list is {path / 'damaged.txt'}"
    assert len((path / "damaged.txt").read_text().splitlines()) == 13
