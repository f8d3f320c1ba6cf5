"""Configurations from files."""

import dataclasses

import pytest

from hdlif_jax.commands.config import ModelConfig, OptimizerConfig, TrainConfig
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.train import parse_arguments


def test_a_run_s_own_configuration_is_run_again(finished_run):
    directory, _ = finished_run
    asked = parse_arguments(["--config", str(directory / "config.json"), "--seed", "3"])
    assert asked.config == dataclasses.replace(RunDirectory(directory).config(), seed=3)
    assert not asked.resumed
    assert asked.directory.path.name.startswith("digits-")


FIELDS = {
    "fields.json": '{"epochs": 3, "model": {"widths": [4, 8]}, "optimizer": {"learning_rate": 1e-3}}',
    "fields.yaml": "epochs: 3\nmodel:\n  widths: [4, 8]\noptimizer: {learning_rate: 1e-3}\n",
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_configuration_of_some_fields(name, tmp_path):
    (tmp_path / name).write_text(FIELDS[name])
    config = parse_arguments(["--config", str(tmp_path / name), "--batch-size", "8"]).config
    expected = TrainConfig(
        epochs=3, batch_size=8, model=ModelConfig(widths=(4, 8)), optimizer=OptimizerConfig(learning_rate=1e-3)
    )
    assert config == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "a.json is not valid JSON"),
        ("a.json", "epochs: 3", "YAML files end in .yaml"),
        ("a.yaml", "{a: [", "a.yaml is not valid YAML"),
        ("a.yaml", "epochs: 3\nseed: 1\nepochs: 4", "a.yaml is not valid YAML .epochs stands there twice"),
        ("a.json", '{"model": {"width": 3, "width": 4}}', "a.json is not valid JSON .width stands there twice"),
        ("a.yaml", "{[1]: 2}", r"a.yaml is not valid YAML (.|\n)*unhashable"),
        ("a.yaml", "just words", "a.yaml is no configuration; expected fields"),
        ("a.json", '{"epoch": 3}', "a.json is not a valid configuration: TrainConfig has no field epoch"),
        ("a.yaml", "epochs: many", "a.yaml is not a valid configuration: .*epochs='many' must be"),
        ("a.json", '{"schema": 99, "config": {}}', "a.json has schema 99, this version reads 1"),
    ],
)
def test_what_is_no_configuration_is_refused(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(CommandError, match=message):
        parse_arguments(["--config", str(tmp_path / name)])
