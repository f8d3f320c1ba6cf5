"""What `train --help` shows a newcomer."""

import pytest

from hdlif_jax.commands.presets import GROUPS, PRESETS
from hdlif_jax.commands.support import preset_help
from hdlif_jax.commands.train import Arguments, option_names, parse_arguments


def test_help_shows_every_preset_first_and_then_how_to_go_on(capsys):
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(["--help"])
    assert exit_.value.code in (None, 0)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(PRESETS)
    rows = [line.split()[0] for line in lines[: lines.index("examples:")] if line.startswith("  ") and line[2] != " "]
    assert rows == [name for group in GROUPS.values() for name in group]
    assert "`hdlif train digits --help` explains every field" in lines[-2]


@pytest.mark.parametrize("words", preset_help.EXAMPLES)
def test_the_examples_of_the_help_are_configurations(words):
    assert parse_arguments(words.split()).config.preset in PRESETS


def test_help_of_a_preset_explains_every_field_and_says_what_is_known_of_it(capsys):
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(["imagenet200-vgg13-dct-snn", "--help"])
    assert exit_.value.code in (None, 0)
    output = capsys.readouterr().out
    assert [option for option in option_names(Arguments()) if option not in output] == ["--preset"]  # the word itself
    for known in ("Table 1: 56.90 %", "Garg et al.: 52.43 %", "Its script"):
        assert known in output
