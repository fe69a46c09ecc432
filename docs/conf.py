"""How Sphinx builds these pages: `python -m sphinx -W -E docs docs/build`, after `pip install .[docs]`."""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import generators  # noqa: E402

import zoo  # noqa: E402

project = "keras-zoo"
version = release = zoo.__version__
copyright = "the authors of keras-zoo, Apache 2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["build", "generated/parts"]  # parts of other pages
suppress_warnings = ["config.cache"]  # functions among the settings

html_theme = "furo"
html_title = f"keras-zoo {version}"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_inherit_docstrings = False
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Call arguments", "params_style"), ("Reference", "notes_style")]
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"

# Prompts of examples are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app):
    app.connect("builder-inited", lambda app: generators.write(HERE / "generated"))
    app.connect("autodoc-process-docstring", generators.adapt, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", generators.sign)
    app.connect("autodoc-skip-member", generators.skip)
