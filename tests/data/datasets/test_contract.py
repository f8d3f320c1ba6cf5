"""What every dataset of the catalogue must keep; a new one is tested by its line there."""

import importlib
import pkgutil
import re

import numpy as np
import pytest

from hdlif_jax.data import CATALOG, DataError, InstalledEntry, PreparedEntry, datasets, open_dataset, prepare

PREPARED = [name for name, entry in CATALOG.items() if isinstance(entry, PreparedEntry)]
INSTALLED = [name for name, entry in CATALOG.items() if isinstance(entry, InstalledEntry)]
MD5 = re.compile("[0-9a-f]{32}")


def accept(name, content, where):
    """Checks no digest."""


def one_line(error):
    message = str(error.value)
    assert "\n" not in message
    return message


def test_every_file_of_a_dataset_has_its_line_in_the_catalogue():
    modules = [
        importlib.import_module(f"{datasets.__name__}.{found.name}")
        for found in pkgutil.iter_modules(datasets.__path__)
    ]
    entries = [module.ENTRY for module in modules if hasattr(module, "ENTRY")]
    assert sorted(entry.name for entry in entries) == sorted(CATALOG)
    assert all(name == entry.name for name, entry in CATALOG.items())
    assert len({entry.title for entry in entries}) == len(entries)
    assert len(PREPARED) + len(INSTALLED) == len(CATALOG)


@pytest.mark.parametrize("name", CATALOG)
def test_the_input_spec_is_what_the_entry_says(name):
    entry = CATALOG[name]
    spec = entry.input_spec()
    assert entry.title
    assert (spec.num_classes, spec.is_sequence) == (entry.num_classes, entry.kind == "events")
    assert spec.num_classes >= 2
    assert all(side >= 1 for side in spec.shape)
    if spec.is_sequence:
        assert spec.shape[2] == 2  # OFF and ON
    if entry.frame_size is None:
        assert all(expected in (None, side) for side, expected in zip(spec.shape, entry.shape, strict=True))
    else:
        assert spec.is_sequence
        assert spec.shape == (entry.frame_size, entry.frame_size, 2)


@pytest.mark.parametrize("name", CATALOG)
def test_sizes_change_what_varies_and_nothing_else(name):
    entry = CATALOG[name]
    frames, images = entry.input_spec(frame_size=7), entry.input_spec(image_size=65)
    assert frames == (entry.input_spec()._replace(shape=(7, 7, 2)) if entry.is_sequence else entry.input_spec())
    varies = None in entry.shape
    assert images == (entry.input_spec()._replace(shape=(65, 65, entry.shape[2])) if varies else entry.input_spec())
    with pytest.raises(ValueError, match="image_size=0 must be at least 1"):
        entry.input_spec(image_size=0)
    if entry.is_sequence:
        for size in (0, max(entry.shape) + 1):
            with pytest.raises(ValueError, match=f"frame_size={size} must be between 1 and .* the sensor of {name}"):
                entry.input_spec(frame_size=size)


@pytest.mark.parametrize("name", PREPARED)
def test_a_prepared_entry_agrees_with_itself(name):
    entry = CATALOG[name]
    assert {"train", entry.test} == set(entry.counts)
    assert entry.test != "train"
    assert all(count >= entry.num_classes for count in entry.counts.values())
    assert len(entry.mean) == len(entry.std) == entry.shape[2]
    assert all(value > 0 for value in entry.std)
    digests = [original.md5 for original in entry.originals if original.md5] + list(entry.known.values())
    assert all(MD5.fullmatch(digest) for digest in digests)
    assert len({original.name for original in entry.originals}) == len(entry.originals)
    assert [other for other in PREPARED if CATALOG[other].prepared_name == entry.prepared_name] == [name]
    line = entry.what_to_get()
    assert "\n" not in line
    assert all(original.name in line and (original.url or "") in line for original in entry.originals)


@pytest.mark.parametrize("name", PREPARED)
def test_an_empty_folder_is_refused_with_what_to_get(name, tmp_path):
    (tmp_path / "inner").mkdir()
    with pytest.raises(DataError) as caught:
        CATALOG[name].open_originals(tmp_path, accept)
    assert f"{tmp_path} holds no files; {name} needs {CATALOG[name].what_to_get()}" == one_line(caught)


@pytest.mark.parametrize("name", PREPARED)
def test_a_folder_of_something_else_is_refused(name, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "README").write_text("nothing of interest")
    with pytest.raises(DataError, match=name) as caught:
        prepare(name, tmp_path / "in", tmp_path / "out", partial=True)
    one_line(caught)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", PREPARED)
def test_missing_data_says_what_to_get_and_where_to_put_it(name, tmp_path):
    with pytest.raises(DataError) as caught:
        open_dataset(name, tmp_path, num_steps=4)
    message = one_line(caught)
    for original in CATALOG[name].originals:
        assert original.name in message
    assert f"hdlif prepare-data {name} --from FOLDER_WITH_THESE_FILES --to {tmp_path}" in message


@pytest.mark.parametrize("name", INSTALLED)
def test_an_installed_dataset_is_what_its_entry_says(name, tmp_path):
    dataset, spec = open_dataset(name, tmp_path, num_steps=4), CATALOG[name].input_spec()
    assert dataset.name == name
    assert (dataset.input_shape, dataset.num_classes) == (spec.shape, spec.num_classes)
    assert (len(dataset.train.shape) == 5) == spec.is_sequence
    assert len(dataset.mean) == len(dataset.std) == spec.shape[2]
    assert set(np.unique(dataset.train.labels)) == set(range(spec.num_classes))
    with pytest.raises(DataError, match=f"{name} comes with a package and is never prepared") as caught:
        prepare(name, tmp_path, tmp_path / "out")
    one_line(caught)


def test_an_unknown_name_is_refused_with_those_that_exist(tmp_path):
    with pytest.raises(DataError, match=f"dataset 'none' is unknown; choose one of {', '.join(CATALOG)}"):
        open_dataset("none", tmp_path, num_steps=4)
