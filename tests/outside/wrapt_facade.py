"""Stands in for `wrapt` in its own tests, as a pytest plugin: what they call is done by safepatch.

Each function here translates a call of wrapt's into one of safepatch's, and its answer or error
back; what is asserted of it is answered by safepatch. wrapt's classes are passed through, since
tests use them as factories, and its FunctionWrapper makes ordinary decorators of wrappers that
are written in wrapt's form. What is wrapt's and has no counterpart here is left out, and fails.

safepatch itself goes on with the real wrapt, which it has imported by then.
"""

import builtins
import contextlib
import functools
import inspect
import sys
import types

import wrapt as real

import safepatch
import safepatch.proxies  # gets the real wrapt
from safepatch import Patch, imports, targets
from safepatch.errors import TargetError

_KEPT = {name for name in real.__all__ if inspect.isclass(getattr(real, name))}
_KEPT |= {"__all__", "MISSING"}


def __getattr__(name):
    if name in _KEPT:
        return getattr(real, name)
    raise AttributeError(name)


# Places.


def _target(target, name):
    """A target for a module, by name or itself, or for another object and a path from it."""
    *path, last = name.split(".")
    if isinstance(target, str):
        return f"{target}:{name}"
    if path and isinstance(target, types.ModuleType):
        return f"{target.__name__}:{name}"
    return functools.reduce(getattr, path, target), last


@contextlib.contextmanager
def _errors():
    """Errors of safepatch's as wrapt's, with the same text and cause."""
    try:
        yield
    except TargetError as error:
        cause = error.__cause__
        no_module = isinstance(cause, ModuleNotFoundError)
        kind = real.TargetModuleNotFoundError if no_module else real.PathResolutionError
        raise kind(str(error)) from cause


def resolve_path(target, name):
    return _resolved(_target(target, name))


def _resolved(target):
    """The owner, the name, and what stands there."""
    with _errors():
        safepatch.explain(target)  # whether there is anything
        place = targets.resolve(target)
    look = inspect.getattr_static if inspect.isclass(place.owner) else getattr
    return place.owner, place.name, look(place.owner, place.name)


def resolve_owner(target, name):
    raise NotImplementedError("safepatch does not tell who defines an attribute")


# Patching. The handle is the Patch.


def _in_wrapts_form(wrapper):
    return lambda wrapped: real.FunctionWrapper(wrapped, wrapper)


def wrap_object(target, name, factory, args=(), kwargs=None):
    with _errors():
        return safepatch.apply(
            _target(target, name),
            lambda wrapped: factory(wrapped, *args, **(kwargs or {})),
            aliases="ignore",
        )


def wrap_object_attribute(target, name, factory, args=(), kwargs=None):
    """A property is patched by its getter."""
    return wrap_object(
        target, name, lambda get: lambda self: factory(get(self), *args, **(kwargs or {}))
    )


def wrap_function_wrapper(target, name, wrapper, **options):
    deferred = isinstance(target, str) and target.endswith("?")
    if deferred:
        target = target[:-1]
    with _errors():
        patch = safepatch.apply(
            _target(target, name),
            _in_wrapts_form(wrapper),
            aliases="ignore",
            when="import" if deferred else "now",
            **options,
        )
    return None if patch.state == "pending" else patch


def patch_function_wrapper(target, name, *, enabled=None):
    def decorate(wrapper):
        conditions = {} if enabled is None else {"only_if": _condition(enabled)}
        wrap_function_wrapper(target, name, wrapper, **conditions)
        return wrapper

    return decorate


def _condition(enabled):
    return enabled if callable(enabled) else lambda: enabled


def unwrap_object(target, name, handle, *, missing_ok=False):
    """Undone by its handle alone, wherever it is in the stack."""
    try:
        safepatch.undo(handle)
    except TargetError as error:
        if missing_ok:
            return None
        raise real.WrapperNotFoundError(str(error)) from error
    return handle


def find_wrapper(obj, handle=None):
    """Whether a patch is applied, and what stands at its site, which `obj` is, leads to it."""
    if not isinstance(handle, Patch) or handle.state != "applied" or handle.superseded:
        return None
    return handle if obj is _resolved(handle.target)[2] else None


def is_wrapped_by(obj, handle=None):
    return find_wrapper(obj, handle) is not None


def apply_patch(parent, attribute, replacement):
    """Somebody else's doing."""
    setattr(parent, attribute, replacement)


@contextlib.contextmanager
def scoped_function_wrapper(target, name, wrapper):
    with _errors(), safepatch.patch(_target(target, name), _in_wrapts_form(wrapper)):
        yield


class transient_function_wrapper:
    def __init__(self, target, name):
        self.target = _target(target, name)

    def __call__(self, wrapper):
        return _Bindable(wrapper, lambda by: safepatch.patch(self.target, _in_wrapts_form(by)))


class _Bindable:
    """A decorator made of a wrapper, which may be a method and is bound as one."""

    def __init__(self, wrapper, make):
        self.wrapper, self.make = wrapper, make

    def __get__(self, instance, owner):
        return _Bindable(self.wrapper.__get__(instance, owner), self.make)

    def __call__(self, function):
        return self.make(self.wrapper)(function)


# Decorators: a patch of the place where the function goes.

_in_class_bodies = {}
_build_class = builtins.__build_class__


def decorator(wrapper=None, /, *, enabled=None):
    if wrapper is None:
        return functools.partial(decorator, enabled=enabled)
    conditions = {} if enabled is None else {"only_if": _condition(enabled)}
    return _Bindable(wrapper, lambda by: _Placed(_in_wrapts_form(by), conditions))


function_wrapper = decorator


class _Placed:
    def __init__(self, decorate, options):
        self.decorate, self.options = decorate, options

    def __call__(self, function):
        around = sys._getframe(2)
        if "__qualname__" in around.f_locals and around.f_locals is not around.f_globals:
            _in_class_bodies.setdefault(id(function), (function, []))[1].append(self)
            return function
        name = getattr(function, "__name__", "function")
        module = types.ModuleType(function.__module__)
        vars(module)[name] = function
        safepatch.apply((module, name), self.decorate, **self.options, aliases="ignore")
        return vars(module)[name]


def _building_class(*args, **kwargs):
    """Patch what was decorated in the body of a class, once there is the class."""
    cls = _build_class(*args, **kwargs)
    for name, raw in list(vars(cls).items()):
        for inner in (raw, getattr(raw, "__func__", None)):
            _, placed = _in_class_bodies.pop(id(inner), (None, []))
            for one in placed:
                safepatch.apply((cls, name), one.decorate, **one.options, aliases="ignore")
    return cls


builtins.__build_class__ = _building_class

# Imports: safepatch's own hook, which users meet as `when="import"` and not by itself.

#: Tests forget in it what they waited for earlier.
_post_import_hooks = {}


def register_post_import_hook(hook, name):
    if isinstance(hook, str):
        raise NotImplementedError("safepatch's callbacks are functions")
    if imports.complete(name):
        hook(sys.modules[name])
        return

    def imported():
        imports.cancel(name, imported)
        hook(sys.modules[name])

    imports.watch(name, imported)


def when_imported(name):
    def decorate(hook):
        register_post_import_hook(hook, name)
        return hook

    return decorate


sys.modules |= dict.fromkeys(("wrapt", "wrapt.patches", "wrapt.importer"), sys.modules[__name__])
