"""How each tool puts a layer on a function, and takes it off again, as its documents say.

`TOOLS[name](owner, attribute, log, label)` has every call append `label` to `log` and then do what
it did; it returns what undoes that. `log` is `LOG` of the module that is patched.
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
from collections.abc import Callable
from typing import Any

Undo = Callable[[], object]
Tool = Callable[[Any, str, list[str], str], Undo]
#: The label of a layer that is to reach who holds the function elsewhere.
EVERYWHERE = "everywhere"


def closure(wrapped: Any, log: list[str], label: str) -> Any:
    """What everybody writes by hand."""

    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        log.append(label)
        return wrapped(*args, **kwargs)

    return wrapper


def wrapt_style(log: list[str], label: str) -> Any:
    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        log.append(label)
        return wrapped(*args, **kwargs)

    return wrapper


def by_hand(owner: Any, name: str, log: list[str], label: str) -> Undo:
    before = getattr(owner, name)
    setattr(owner, name, closure(before, log, label))
    return lambda: setattr(owner, name, before)


def safepatch(owner: Any, name: str, log: list[str], label: str) -> Undo:
    import safepatch

    def decorator(wrapped: Any) -> Any:
        return closure(wrapped, log, label)

    # The one case that asks for it, as a user has to.
    if label == EVERYWHERE:
        return safepatch.apply((owner, name), decorator, aliases="rebind").undo
    return safepatch.apply((owner, name), decorator, aliases="ignore").undo


def wrapt(owner: Any, name: str, log: list[str], label: str) -> Undo:
    import wrapt

    handle = wrapt.wrap_function_wrapper(owner, name, wrapt_style(log, label))
    unwrap: Any = vars(wrapt)["unwrap_object"]
    return lambda: unwrap(owner, name, handle)


def opentelemetry(owner: Any, name: str, log: list[str], label: str) -> Undo:
    import wrapt
    from opentelemetry.instrumentation.utils import unwrap

    wrapt.wrap_function_wrapper(owner, name, wrapt_style(log, label))
    return lambda: unwrap(owner, name)


def ddtrace(owner: Any, name: str, log: list[str], label: str) -> Undo:
    import wrapt
    from ddtrace.internal.utils.wrappers import unwrap

    wrapt.wrap_function_wrapper(owner, name, wrapt_style(log, label))
    return lambda: unwrap(owner, name)


def ddtrace_in_code(owner: Any, name: str, log: list[str], label: str) -> Undo:
    from ddtrace.internal.wrapping import unwrap, wrap

    def wrapper(wrapped: Any, args: Any, kwargs: Any) -> Any:
        log.append(label)
        return wrapped(*args, **kwargs)

    function = getattr(owner, name)
    function = getattr(function, "__func__", function)
    wrap(function, wrapper)
    return lambda: unwrap(function, wrapper)


def newrelic(owner: Any, name: str, log: list[str], label: str) -> Undo:
    from newrelic.common.object_wrapper import wrap_function_wrapper

    wrap_function_wrapper(owner, name, wrapt_style(log, label))
    return no_undo


def mock(owner: Any, name: str, log: list[str], label: str) -> Undo:
    from unittest import mock

    patch = mock.patch.object(owner, name, closure(getattr(owner, name), log, label))
    patch.start()
    return patch.stop


def monkeypatch(owner: Any, name: str, log: list[str], label: str) -> Undo:
    import pytest

    patch: Any = pytest.MonkeyPatch()
    patch.setattr(owner, name, closure(getattr(owner, name), log, label))
    return lambda: patch.undo()


def gorilla(owner: Any, name: str, log: list[str], label: str) -> Undo:
    import gorilla

    new = closure(gorilla.get_attribute(owner, name), log, label)
    settings = gorilla.Settings(allow_hit=True, store_hit=True)
    patch = gorilla.Patch(owner, name, new, settings=settings)
    gorilla.apply(patch)
    return lambda: gorilla.revert(patch)


def aspectlib(owner: Any, name: str, log: list[str], label: str) -> Undo:
    import aspectlib

    def decorator(wrapped: Any) -> Any:
        return closure(wrapped, log, label)

    if isinstance(owner, type):
        rollback = aspectlib.weave(owner, decorator, methods=f"{name}$")
    else:
        rollback = aspectlib.weave(f"{owner.__name__}.{name}", decorator)
    return rollback.rollback  # type: ignore[no-any-return]


def patchy(owner: Any, name: str, log: list[str], label: str) -> Undo:
    """It takes a diff of the source, in which the new line is the first of the body."""
    import patchy
    from patchy.api import _get_source

    function = getattr(owner, name)
    before = _get_source(function).splitlines(keepends=True)
    head = next(number for number, line in enumerate(before) if "def " in line) + 1
    after = [*before[:head], f"    LOG.append({label!r})\n", *before[head:]]
    diff = "".join(difflib.unified_diff(before, after))
    patchy.patch(function, diff)
    return lambda: patchy.unpatch(function, diff)


def mpat(owner: Any, name: str, log: list[str], label: str) -> Undo:
    import mpat

    place = owner.__name__
    if isinstance(owner, type):
        place = f"{owner.__module__}.{owner.__qualname__}"

    def new(original: Any, *args: Any, **kwargs: Any) -> Any:
        log.append(label)
        return original(*args, **kwargs)

    mpat.patch(f"{place}.{name}")(new)
    return no_undo


def no_undo() -> None:
    raise NotImplementedError("it has no undo")


#: By the names that the page has for them.
TOOLS: dict[str, Tool] = {
    "safepatch": safepatch,
    "by hand": by_hand,
    "wrapt": wrapt,
    "mock": mock,
    "monkeypatch": monkeypatch,
    "ddtrace unwrap": ddtrace,
    "ddtrace wrapping": ddtrace_in_code,
    "OpenTelemetry": opentelemetry,
    "newrelic": newrelic,
    "gorilla": gorilla,
    "aspectlib": aspectlib,
    "patchy": patchy,
    "mpat": mpat,
}
DISTRIBUTIONS = {
    "safepatch": "safepatch-py",
    "monkeypatch": "pytest",
    "ddtrace unwrap": "ddtrace",
    "ddtrace wrapping": "ddtrace",
    "OpenTelemetry": "opentelemetry-instrumentation",
}


def version(tool: str) -> str | None:
    """That of its distribution; None for what comes with Python."""
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(tool, tool))
    except importlib.metadata.PackageNotFoundError:
        return None
