"""Sphinx configuration."""

import re
from typing import Any

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
# With types, a decorator of fourteen options has two overloads to be read before its first word.
# Type checkers and editors know them; a reader wants names and defaults.
autodoc_typehints = "none"
python_maximum_signature_line_length = 80
# Single backticks in docstrings are code, as they are in the pages.
default_role = "code"


def by_name(*given: Any) -> tuple[str | None, str | None]:
    """Show a default that is a class or function by its name, `Exception` or `monotonic`."""
    *_, shown, result = given
    return shown and re.sub(r"<(?:class|built-in function) '?(\w+)'?>", r"\1", shown), result


def setup(app: Any) -> None:
    app.connect("autodoc-process-signature", by_name)
