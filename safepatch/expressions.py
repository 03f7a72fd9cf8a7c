"""Patches and decorators written in one line, as on a command line: parsed, never evaluated."""

from __future__ import annotations

import ast
from typing import Any

from safepatch.catalogue import Use
from safepatch.errors import ConfigError

__all__ = ["Use", "parse_decorators", "parse_patch"]

_UNBALANCED = "its brackets do not match"


def parse_patch(text: str) -> tuple[str, list[Use]]:
    """Read "socket:getaddrinfo=ttl_cache(ttl=60), log_calls": a target and its decorators.

    Raises ConfigError for any other text.
    """
    target, equals, decorators = text.partition("=")
    if not equals or not target.strip():
        raise ConfigError(
            f"{text!r} is no patch; write it as 'module:function=decorator(option=value)'"
        )
    return target.strip(), parse_decorators(decorators)


def parse_decorators(text: str) -> list[Use]:
    """Read "ttl_cache(ttl=60), log_calls": decorators, innermost first.

    Each is a name, or "module:callable", with or without arguments, which are literals: numbers,
    texts, True, False, None, tuples, lists and dicts. Raises ConfigError for any other text.
    """
    try:
        # Within an index "module:callable" is grammatical, as a slice is.
        body = ast.parse(f"_[{text}\n]", mode="eval").body
        if not (isinstance(body, ast.Subscript) and isinstance(body.value, ast.Name)):
            raise ValueError(_UNBALANCED)
        index = body.slice
        return [_use(node) for node in (index.elts if isinstance(index, ast.Tuple) else [index])]
    except SyntaxError as error:
        # Python would tell of a bracket that is ours.
        unbalanced = "match" in error.msg or "closed" in error.msg
        raise _unreadable(text, _UNBALANCED if unbalanced else error.msg) from error
    except (ValueError, TypeError, MemoryError, RecursionError) as error:
        raise _unreadable(text, str(error) or "it is nested too deeply") from error


def _unreadable(text: str, why: str) -> ConfigError:
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    return ConfigError(
        f"cannot read the decorators {shown!r}: {why}; "
        "write them as 'ttl_cache(ttl=60), package.module:decorator'"
    )


def _use(node: ast.expr) -> Use:
    module = ""
    if isinstance(node, ast.Slice):
        if node.lower is None or node.upper is None or node.step is not None:
            raise ValueError("a module and a name have one colon between them")
        module, node = f"{_dotted(node.lower)}:", node.upper
    if not isinstance(node, ast.Call):
        return Use(module + _dotted(node))
    arguments = tuple(_value(argument) for argument in node.args)
    options: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError(f"**{ast.unparse(keyword.value)} is no option")
        if keyword.arg in options:
            raise ValueError(f"{keyword.arg} is given twice")
        options[keyword.arg] = _value(keyword.value)
    return Use(module + _dotted(node.func), arguments, options, called=True)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ValueError(f"{ast.unparse(node)} is no name")


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{ast.unparse(node)} is no plain value") from error
