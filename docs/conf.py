"""How the site is built: `python -m sphinx -W -n --keep-going docs docs/_build`."""

import importlib.metadata
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

project = "hdlif_jax"
author = "the authors of hdlif_jax"
copyright = "2026, the authors of hdlif_jax. Apache-2.0"
release = version = importlib.metadata.version("hdlif_jax")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
    "made",  # pages and pictures that are made before the others are read
    "names",  # what stands in backticks links to what it names
    "formulas",  # MathML, which browsers show without a network
    "checks",  # every public name is documented, every link and anchor of the built site exists
]
exclude_patterns = ["_build", "jupyter_execute", "**.ipynb_checkpoints"]
nitpicky = True
nitpick_ignore = [("py:class", "TrainConfig"), ("py:exc", "CommandError")]  # of the commands, not of the library
OTHERS = ["jax", "flax", "numpy", "nnx", "optax", "orbax", "chex", "grain", "matplotlib", "nir", "safetensors"]
nitpick_ignore_regex = [
    # Other libraries' names; the site is built without a network, and their inventories are not here.
    ("py:.*", rf"({'|'.join([*OTHERS, *sys.stdlib_module_names])})(\..*)?"),
]
default_role = "known"

autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
toc_object_entries = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are stored as they were executed, which tests do

html_theme = "furo"
html_title = "hdlif_jax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
