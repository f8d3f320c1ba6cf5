# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Studies: from a question to a table with error bars
#
# One run says little: another seed gives another number. A study is a question as a small file: variants of a preset,
# seeds, a budget. One command runs what is missing, each run in a directory of its own, and writes a table, pictures
# and `study.json`, whose numbers name the runs that they come from. Killed and called again, it goes on where it
# stopped.

# %%
import importlib.util
import pathlib
import subprocess
import sys

found = importlib.util.find_spec("hdlif_jax")
if found is None or found.origin is None:  # as on Colab; where it is installed, nothing happens
    # It is on no package index: it comes from a wheel beside this notebook, which `python -m pip wheel --no-deps .` in
    # a clone makes (on Colab, upload it to Files), or from the clone that this notebook lies in.
    here = pathlib.Path.cwd()
    clones = [here.parent] if (here.parent / "hdlif_jax" / "__init__.py").exists() else []
    sources = [*sorted(here.glob("hdlif_jax-*.whl")), *clones]
    if not sources:
        raise ModuleNotFoundError(f"upload a wheel of hdlif_jax to {here}; a comment in this cell says how to make one")
    package = f"hdlif_jax[commands] @ {sources[0].as_uri()}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %% [markdown]
# ## The question
#
# Does HD-LIF learn better online than LIF, where there is little time? The first variant is what the others are
# compared with. Fields are named as the options of `train`; those of a scale go to all variants.

# %%
import json
import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from hdlif_jax import viz

# %matplotlib inline

folder = pathlib.Path(tempfile.mkdtemp())
(folder / "neurons.yaml").write_text("""
description: Does HD-LIF learn better online than LIF, in eight epochs?
variants:
  lif: {preset: digits, fields: {model.neuron: lif}}
  hd-lif: {preset: digits, fields: {model.parallel: false}}
seeds: [0, 1]
scales: {short: {epochs: 8, model.widths: [24], optimizer.warmup_epochs: 1}}
""")
out = folder / "neurons"

# %% [markdown]
# ## The runs
#
# Four, one after the other. On a cluster `--only 1/4` … `--only 4/4` share them among four jobs. The second call finds
# all of them done and does nothing but the table; it is what one types after a kill, too. `--no-deploy` leaves out the
# integer artifact of each network, which a study else makes and proves on the test set.

# %%
command = [sys.executable, "-m", "hdlif_jax.commands.study", "neurons.yaml", "--out", "neurons", "--no-deploy"]


def call():
    """Calls it, and says when each of the runs that are there ended."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {str(path.parent.relative_to(out)): path.stat().st_mtime_ns for path in out.glob("runs/*/*/summary.json")}


first, second = call(), call()
assert first == second  # none was trained again
print("finished:", *sorted(first))

# %% [markdown]
# ## Read
#
# `study.md` is the table as text. The same numbers are in `study.json`: of each row and figure the mean, the standard
# deviation over seeds and the values, the paired difference to the first row with its 95 % interval (of two seeds it is
# wide), and where the runs are. So any of them can be computed again.

# %%
study = json.loads((out / "study.json").read_text())
rows = study["rows"]
for row in rows.values():
    summaries = [json.loads((out / run / "summary.json").read_text()) for run in row["runs"].values()]
    again = 100 * np.mean([summary["test_accuracy"] for summary in summaries])
    assert np.isclose(again, row["figures"]["accuracy"]["mean"])
versus = rows["hd-lif"]["accuracy_versus_first"]
print(f"HD-LIF − LIF: {versus['mean']:+.2f} points, 95 % interval {versus['low']:+.2f} to {versus['high']:+.2f}")
Markdown((out / "study.md").read_text())

# %% [markdown]
# ## Draw
#
# Beside the table lie `steps.png`, `pareto.png`, `radar.png` and `curves.png`. `hdlif_jax.viz` draws the same of any
# arrays: accuracy after each time-step, with the deviation over seeds, and what that takes in energy.

# %%
figure, (step_axes, cost_axes) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
accuracies = {name: np.array([step["values"] for step in row["accuracy_per_step"]]).T for name, row in rows.items()}
energies = {name: 1e6 * np.array(row["figures"]["power_mj"]["values"]) for name, row in rows.items()}
viz.steps({name: values / 100 for name, values in accuracies.items()}, axes=step_axes)
last = {name: values[:, -1] for name, values in accuracies.items()}
viz.pareto(energies, last, xlabel="energy of an inference (nJ)", axes=cost_axes)
step_axes.legend()
plt.show()
