"""Objects named in text, as "module:name"."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from safepatch.errors import ConfigError, nearest


def is_reference(text: object) -> bool:
    """Whether it is text of the form "module:name" or "package.module:Class.method"."""
    if not isinstance(text, str):
        return False
    module, _, path = text.partition(":")
    return all(part.isidentifier() for part in [*module.split("."), *path.split(".")])


def load(text: str) -> Any:
    """The object that "module:name" names; imports its module.

    Raises ConfigError where there is none.
    """
    module, _, path = text.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        known = [*sys.modules, *sys.stdlib_module_names]
        hint, _ = nearest(text, module, known, "is it installed?")
        raise ConfigError(
            f"cannot find {text!r}: importing {module!r} failed with {error}; {hint}"
        ) from error
    except Exception as error:  # whatever its code raises
        raise ConfigError(
            f"cannot find {text!r}: importing {module!r} failed with {error!r}"
        ) from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            hint, _ = nearest(text, part, dir(found), "check the spelling and the version")
            raise ConfigError(
                f"cannot find {text!r}: {found!r} has no attribute {part!r}; {hint}"
            ) from error
    return found
