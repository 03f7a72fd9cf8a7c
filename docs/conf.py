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
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
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


NAMES = {
    r"<(?:class|built-in function) '?(\w+)'?>": r"\1",
    r"<function [\w.]*<lambda>>": "...",
    # Of which the value is that of the machine where the documents are made, with its secrets.
    r"environ\(\{.*\}\)": "os.environ",
}


def by_name(*given: Any) -> tuple[str | None, str | None]:
    """Show a default that is a class or function by its name, `Exception` or `monotonic`."""
    *_, shown, result = given
    for value, name in NAMES.items():
        shown = shown and re.sub(value, name, shown, flags=re.DOTALL)
    return shown, result


def is_told_already(*given: Any) -> bool | None:
    """Leave out the fields of a named tuple, which its docstring tells of; None is for others."""
    thing = given[3]
    return True if str(thing.__doc__).startswith("Alias for field number") else None


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", is_told_already)
    app.connect("autodoc-process-signature", by_name)
