"""Damages artifacts and checkpoints at random: each gives the right answer or is refused in one line, by its own error.

`python -m tests.damage [ARTIFACTS [CHECKPOINTS]]` prints what happened and ends with status 1 where anything else did.
"""

import collections
import hashlib
import json
import logging
import pathlib
import random
import shutil
import sys
import tempfile
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hdlif_jax.deploy import ArtifactError, Deployed, load, read
from hdlif_jax.training import CheckpointError, Checkpoints, TrainState

ARTIFACT = pathlib.Path(__file__).parent / "deploy" / "fixtures" / "artifact-v1"
VALUES = (None, True, -1, 0, 1, 3, 2**40, 0.5, "", "x", [], [1], {}, {"x": 1}, "0" * 64, [2, 2])


def flipped(data, generator):
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 8, 64)) if changed else 0):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def cut_short(data, generator):
    return data[: generator.randrange(len(data) + 1)]


def lengthened(data, generator):
    return data + generator.randbytes(generator.choice((1, 8, 5000)))


def zeroed(data, generator):
    start = generator.randrange(len(data) + 1)
    length = min(generator.choice((1, 16, 4096)), len(data) - start)
    return data[:start] + bytes(length) + data[start + length :]


def moved(data, generator):
    """A part of it twice, or not at all."""
    start, end = sorted(generator.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + generator.choice((b"", data[start:end] * 2)) + data[end:]


def edited(data, generator):
    """JSON with one value, anywhere in it, replaced, left out or renamed; other files as `flipped`."""
    try:
        value = json.loads(data)
    except ValueError:
        return flipped(data, generator)
    places = []

    def collect(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                collect(node[key])

    if not isinstance(value, dict | list) or not value:
        return json.dumps(generator.choice(VALUES)).encode()
    collect(value)
    node, key = generator.choice(places)
    how = generator.choice(("replace", "drop", "rename"))
    if how == "replace":
        node[key] = generator.choice(VALUES)
    else:
        found = node.pop(key)
        if how == "rename" and isinstance(node, dict):
            node[f"{key}x"] = found
    return json.dumps(value, sort_keys=True, indent=1).encode()


CHANGES = (flipped, cut_short, lengthened, zeroed, moved, edited)


def damage(directory, files, generator):
    """Damages one to three files of a folder; gives a name for what it did."""
    how = generator.choice(("change", "change", "change", "change", "missing", "extra", "swap"))
    file = generator.choice(files)
    if how == "missing":
        file.unlink()
    elif how == "extra":
        (directory / generator.choice(("notes.txt", ".hidden", "weights.npy"))).write_bytes(generator.randbytes(100))
    elif how == "swap":
        other = generator.choice(files)
        first, second = file.read_bytes(), other.read_bytes()
        file.write_bytes(second)
        other.write_bytes(first)
    else:
        change = generator.choice(CHANGES)
        for one in {file, *generator.sample(files, generator.choice((0, 0, 1)))}:
            one.write_bytes(change(one.read_bytes(), generator))
        how = change.__name__
    return how


def sealed(manifest, generator):
    """An edited manifest whose checksum has been made right again."""
    fields = json.loads(edited(manifest, generator))
    if not isinstance(fields, dict):
        return json.dumps(fields).encode()
    fields.pop("sha256", None)
    text = json.dumps(fields, sort_keys=True, indent=1)
    return json.dumps(fields | {"sha256": hashlib.sha256(text.encode()).hexdigest()}, sort_keys=True, indent=1).encode()


def outcome(answers, refusal, answer):
    """ "right", "refused", or a text that says what else happened."""
    try:
        found = answer()
    except refusal as error:
        text = str(error)
        return "refused" if "\n" not in text and text and len(text) < 700 else f"a refusal of many lines: {text!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]!r}"
    same = all(np.array_equal(one, other) for one, other in zip(found, answers, strict=True))
    return "right" if same else "another answer"


def damaged_artifacts(trials, seed=0):
    """Counts of (what was done, what happened)."""
    generator, counted = random.Random(seed), collections.Counter()
    inputs = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 2)).astype(np.uint8)
    original = read(ARTIFACT)
    expected = [np.asarray(load(ARTIFACT, "float")(inputs))]

    def answer(directory):
        artifact = read(directory)
        if artifact.manifest == original.manifest and artifact.programs == original.programs:
            # The same bytes to compute with: no need to compute.
            return expected if _same(artifact.arrays, original.arrays) else [np.zeros(())]
        return [np.asarray(Deployed(artifact, "float")(inputs))]

    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder) / "artifact"
        for _ in range(trials):
            shutil.copytree(ARTIFACT, directory)
            if generator.random() < 0.1:
                manifest, how = directory / "manifest.json", "edited and sealed"
                manifest.write_bytes(sealed(manifest.read_bytes(), generator))
            else:
                how = damage(directory, sorted(directory.iterdir()), generator)
            counted[how, outcome(expected, ArtifactError, lambda: answer(directory))] += 1
            shutil.rmtree(directory)
    return counted


def damaged_checkpoints(trials, seed=0):
    """Counts of (what was done, what happened)."""
    generator, counted = random.Random(seed), collections.Counter()
    params = {"blocks": {index: {"kernel": jnp.arange(6.0).reshape(2, 3) + index} for index in range(3)}}
    earlier, state = (
        TrainState(jnp.int32(step), params, {"mean": jnp.full(3, step)}, optax.sgd(0.1, 0.9).init(params))
        for step in (3, 4)
    )
    blank = jax.tree.map(jnp.zeros_like, state)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # the storage layer logs what it also raises
        whole, copy = pathlib.Path(folder) / "whole", pathlib.Path(folder) / "run"
        checkpoints = Checkpoints(whole / "checkpoints")
        checkpoints.save(earlier, 0.25)
        checkpoints.save(state, 0.5)
        checkpoints.close()

        def loaded():
            opened = Checkpoints(copy / "checkpoints", reads_only=True)
            try:
                return jax.tree.leaves(opened.load(blank, 4))
            finally:
                opened.close()

        def resumed():
            """The newest that is whole; there is always one, and where it is the earlier one, that is right."""
            opened = Checkpoints(copy / "checkpoints")
            try:
                found, skipped = opened.load_newest_intact(blank)
            finally:
                opened.close()
            whole = state if int(found.step) == 4 else earlier
            fine = len(skipped) == (whole is earlier) and _same(
                dict(enumerate(jax.tree.leaves(found))), dict(enumerate(jax.tree.leaves(whole)))
            )
            return jax.tree.leaves(state) if fine else [np.zeros(())] * len(jax.tree.leaves(state))

        for _ in range(trials):
            shutil.copytree(whole, copy)
            checkpoint = copy / "checkpoints" / "4"
            files = [*sorted(checkpoint.rglob("*")), copy / "checksums" / "4.json"]
            how = damage(checkpoint, [file for file in files if file.is_file()], generator)
            if generator.random() < 0.5:
                counted[f"{how}, then loaded", outcome(jax.tree.leaves(state), CheckpointError, loaded)] += 1
            else:
                counted[f"{how}, then resumed", outcome(jax.tree.leaves(state), (), resumed)] += 1
            shutil.rmtree(copy)
    return counted


def _same(arrays, others):
    return arrays.keys() == others.keys() and all(np.array_equal(arrays[name], others[name]) for name in arrays)


def unexpected(counted):
    """What neither gave the right answer nor was refused."""
    return {case: count for case, count in counted.items() if case[1] not in ("right", "refused")}


def main():
    artifacts, checkpoints = (int(word) for word in (sys.argv[1:] + ["10000", "1000"][len(sys.argv) - 1 :])[:2])
    failed = False
    for kind, function, trials in (
        ("artifacts", damaged_artifacts, artifacts),
        ("checkpoints", damaged_checkpoints, checkpoints),
    ):
        counted = function(trials)
        print(f"{trials} damaged {kind}:")
        for (how, what), count in sorted(counted.items()):
            print(f"  {how}: {what}: {count}", flush=True)
        failed |= bool(unexpected(counted))
    sys.exit(failed)


if __name__ == "__main__":
    main()
