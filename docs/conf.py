"""Sphinx configuration."""

import safepatch

project = "safepatch"
author = "the safepatch authors"
release = version = safepatch.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "safepatch"
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
