"""A first look on two cores, in minutes: LIF against HD-LIF on the handwritten digits."""

from hdlif_jax.commands.studies.study import Study, Variant

QUICK = Study(
    "Does HD-LIF learn better online than LIF? Handwritten digits, one random time-step a batch.",
    {
        "lif": Variant("digits", {"model.neuron": "lif"}),
        "hd-lif": Variant("digits", {"model.parallel": False}),
        "hd-lif-parallel": Variant("digits"),
    },
    seeds=(0, 1),
    scales={"cpu": {"epochs": 20}},
)
