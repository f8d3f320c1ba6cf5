"""Studies that ship; `hdlif study NAME` runs one."""

from hdlif_jax.commands.studies.baselines import BASELINES
from hdlif_jax.commands.studies.hd_lif import TABLES
from hdlif_jax.commands.studies.quick import QUICK
from hdlif_jax.commands.studies.study import Study, Variant, read_study

STUDIES: dict[str, Study] = {"quick": QUICK, "baselines-digits": BASELINES} | TABLES

__all__ = ["STUDIES", "Study", "Variant", "read_study"]
