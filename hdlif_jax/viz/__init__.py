"""Seeing inside: functions of arrays and names that give matplotlib figures.

No function touches the state of pyplot or matplotlib's settings. A figure saves itself (`figure.savefig("a.png")`) and
shows itself in a notebook. A function of one panel also draws into `axes` of yours, without a legend then, so that
panels can be put side by side. Series differ in brightness, marker and line as well as in colour (`looks`).
"""

try:
    import matplotlib as _matplotlib  # noqa: F401 - asked for before the imports that would end elsewhere
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("drawing needs matplotlib: python -m pip install 'hdlif_jax[viz]'") from error

from hdlif_jax.viz.accuracy import accuracy, confusion, steps
from hdlif_jax.viz.activity import operations, rate_bars, rate_curves, rates
from hdlif_jax.viz.curves import coherence, curves, learning
from hdlif_jax.viz.epsilon import epsilon_distribution, epsilon_map
from hdlif_jax.viz.gradients import bars_by_layer, cosine_map, cosines_by_layer, errors
from hdlif_jax.viz.intervals import decimals_of_percent, wilson
from hdlif_jax.viz.looks import Look, looks
from hdlif_jax.viz.neurons import membranes, raster
from hdlif_jax.viz.resources import memory, times
from hdlif_jax.viz.trade import pareto, radar

__all__ = [
    "Look",
    "accuracy",
    "bars_by_layer",
    "coherence",
    "confusion",
    "cosine_map",
    "cosines_by_layer",
    "curves",
    "decimals_of_percent",
    "epsilon_distribution",
    "epsilon_map",
    "errors",
    "learning",
    "looks",
    "membranes",
    "memory",
    "operations",
    "pareto",
    "radar",
    "raster",
    "rate_bars",
    "rate_curves",
    "rates",
    "steps",
    "times",
    "wilson",
]
