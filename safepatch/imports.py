"""A post-import hook of our own: run something when a module's code has run to its end.

Unlike the ones in use it can be cancelled, runs again after `importlib.reload`, sees the module
that `sys.modules` has then (a module may replace itself there), never breaks the import, and asks
the other finders directly: `importlib.util.find_spec` would import the parent package, which
deadlocks when a package imports itself from a thread that it joins.

It cannot see `__main__`, which is never imported, nor modules put into `sys.modules` by hand.
"""

from __future__ import annotations

import importlib
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from safepatch import stacks
from safepatch.sites import namespace

_waiting: dict[str, list[Callable[[], None]]] = {}
_reported: set[str] = set()  # modules whose code has run, and whose callbacks run now
# Who began to wait in the middle of an import that may have passed our finder by, or may yet come
# to it; until its end is reported, so that it is reported once.
_unreported: set[tuple[str, Callable[[], None]]] = set()


def complete(name: str) -> bool:
    """Whether a module is imported and its code has run to its end."""
    module = sys.modules.get(name)
    if module is None or name in _reported:
        return module is not None
    return not _is_lazy(module) and not getattr(_spec(module), "_initializing", False)


def _is_lazy(module: object) -> bool:
    """Whether a module waits for its first use, as importlib's LazyLoader makes them."""
    return type(module).__name__ == "_LazyModule"


def _spec(module: object) -> Any:
    # Past __getattribute__, which would load a lazy module.
    is_module = issubclass(type(module), ModuleType)
    return namespace(module).get("__spec__") if is_module else getattr(module, "__spec__", None)


def watch(name: str, callback: Callable[[], None]) -> None:
    """Call `callback()` each time the module of that name has been imported or reloaded."""
    with stacks.lock:
        if watched(name, callback):
            return
        _waiting.setdefault(name, []).append(callback)
        if not any(finder is _finder for finder in sys.meta_path):
            sys.meta_path.insert(0, _finder)
    # Another thread's import may have passed by our place, and not have made the module yet. Its
    # end is the end of its lock; to wait for that here would hang if the module waits for us.
    locks = getattr(importlib._bootstrap, "_module_locks", {})
    lock = locks.get(name, lambda: None)()
    if lock is not None and name not in sys.modules:
        _unreported.add((name, callback))
        weakref.finalize(lock, _report_late, name, callback).atexit = False
    spec = _spec(sys.modules.get(name))
    if type(spec) is not ModuleSpec or complete(name):
        return
    # Its import began before anybody watched, so no loader of ours will report its end.
    if _is_lazy(sys.modules.get(name)):
        spec.loader = _ReportingLoader(spec.loader)  # type: ignore[assignment]
    else:
        # The import system marks the end on the spec, whatever thread it runs in.
        spec.__class__ = _ReportingSpec
        if not getattr(spec, "_initializing", False):
            spec.__class__ = ModuleSpec  # it was marked just before, and nobody will be told


def watched(name: str | None, callback: Callable[[], None]) -> bool:
    """Whether a callback waits for a module."""
    return callback in _waiting.get(name or "", ())


def cancel(name: str, callback: Callable[[], None]) -> None:
    """Stop calling a callback; does nothing if it is not waiting."""
    with stacks.lock:
        callbacks = _waiting.get(name, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks:
            _waiting.pop(name, None)
        if not _waiting:
            # A new list: an import in another thread may be walking along the old one, and would
            # pass by the finder that moves into our place.
            sys.meta_path = [finder for finder in sys.meta_path if finder is not _finder]


def _report(name: str) -> None:
    _reported.add(name)
    try:
        for callback in list(_waiting.get(name, ())):
            _unreported.discard((name, callback))
            if callback in _waiting.get(name, ()):  # else another one has cancelled it
                callback()
    finally:
        _reported.discard(name)


def _report_late(name: str, callback: Callable[[], None]) -> None:
    if (name, callback) not in _unreported:
        return
    _unreported.discard((name, callback))
    if complete(name) and watched(name, callback):
        callback()


class _Finder:
    """First on `sys.meta_path`: lets the others find a watched module, and watches its loader."""

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        asking: set[str] = self._asking.__dict__.setdefault("names", set())
        if name not in _waiting or name in asking:
            return None
        asking.add(name)  # another finder may ask all finders, as we do
        try:
            spec = self._ask_the_others(name, path, target)
        finally:
            asking.discard(name)
        if spec is not None and type(spec.loader).__name__ == "LazyLoader":
            # Its exec_module() runs nothing; what it will call at the first use does.
            lazy: Any = spec.loader
            spec.loader = type(lazy)(_ReportingLoader(lazy.loader))
        elif spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _ReportingLoader(spec.loader)  # type: ignore[assignment]
        return spec

    def _ask_the_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        finders = iter(list(sys.meta_path))
        # Those in front of ours have been asked already, or are asking us.
        any(finder is self for finder in finders)
        for finder in finders:
            if hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


class _ReportingLoader:
    """Loads as the real loader does, then reports; the module only ever sees the real one."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        if spec is not None and spec.loader is self:
            spec.loader = self._loader
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        self._loader.exec_module(module)
        _report(module.__name__ if spec is None else spec.name)


class _ReportingSpec(ModuleSpec):
    """The spec of a module whose import had begun when somebody started to wait for it."""

    @property
    def _initializing(self) -> bool:
        return bool(self.__dict__.get("_initializing"))

    @_initializing.setter
    def _initializing(self, running: bool) -> None:
        self.__dict__["_initializing"] = running
        if not running:
            self.__class__ = ModuleSpec  # type: ignore[assignment]
            if self.name in sys.modules:  # a failed import takes the module out again
                _report(self.name)


_finder = _Finder()
