"""Decorators by name: ours, and any other as "module:callable"."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from safepatch import decorators, references, shapes
from safepatch.errors import ConfigError, nearest

Decorator = Callable[[Any], Any]
#: What is wrong with an option: its name, or "" for all together, and a sentence.
Wrong = tuple[str, str]


class Use(NamedTuple):
    """A decorator as it is written down: `called` is whether there are parentheses."""

    use: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    called: bool = False


def names() -> list[str]:
    """The names of our own decorators."""
    return [name for name in decorators.__all__ if inspect.isfunction(getattr(decorators, name))]


def decorator(use: str, /, *arguments: Any, **options: Any) -> Decorator:
    """Make a decorator by its name: one of ours, or "module:callable", whose module is imported.

    With arguments or options it is called with them; "module:callable" without is the decorator
    itself, as in `@decorator`. An option that is {"object": "module:name"} is that object. Raises
    ConfigError, naming the nearest decorator or option, and what the callable raises.
    """
    return make(Use(use, arguments, options, bool(arguments or options)))


def make(use: Use) -> Decorator:
    """Make what is written down; see `decorator`."""
    for _, text in wrong(use):
        raise ConfigError(text)
    found: Decorator = find(use.use)
    if use.use not in names():
        if not use.called:
            if _takes_no_function(found):
                raise ConfigError(
                    f"{use.use!r} does not take a function, as a decorator does; to call it, give "
                    f"options, or write '{use.use}()'"
                )
            return found
        for _, text in wrong_options(found, use.use, use.options):
            raise ConfigError(text)
    made: Decorator = _called(found, use.arguments, use.options)
    if not callable(made):
        raise ConfigError(
            f"{use.use!r} returned {shapes.shown(made)}, which is no decorator; with options, or "
            "parentheses, it is called, and is to return one"
        )
    return made


def _takes_no_function(found: Any) -> bool:
    """Whether it cannot be called with a function alone, or would take it for something else."""
    try:
        signature = inspect.signature(found)
        signature.bind(None)
    except ValueError:
        return False  # it does not tell
    except TypeError:
        return True
    # Those that are decorators with and without options have None there.
    first = next(iter(signature.parameters.values()))
    return first.default is not first.empty and first.default is not None


def find(use: str) -> Any:
    """The function that a decorator's name stands for."""
    return getattr(decorators, use) if use in names() else references.load(use)


def wrong(use: Use) -> Iterator[Wrong]:
    """What can be said to be wrong without importing what is not ours."""
    if use.use not in names():
        if not references.is_reference(use.use):
            otherwise = f"there are {', '.join(names())}, and any 'module:callable'"
            hint, _ = nearest(use.use, use.use, names(), otherwise)
            yield "use", f"there is no decorator {use.use!r}; {hint}"
        return
    found = find(use.use)
    said = [
        *wrong_options(found, use.use, use.options),
        *_missing(found, use),
        *wrong_shapes(found, use.use, use.options),
    ]
    yield from said
    # Their values are looked at by the decorator itself, if it can be made without an import.
    if not said and not any(map(_names_object, [*use.arguments, *use.options.values()])):
        try:
            _called(found, use.arguments, use.options)
        except Exception as error:
            yield "", f"{use.use}: {error}"


def _missing(function: Any, use: Use) -> Iterator[Wrong]:
    parameters = inspect.signature(function).parameters
    by_position = [
        option
        for option in _parameters(function) or ()
        if parameters[option].kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    if len(use.arguments) > len(by_position):  # the next would be taken for the function
        example = next(iter(_parameters(function) or ()), "option")
        yield "", f"{use.use} takes its options by name, such as {example}=..."
        return
    for option in required_options(function)[len(use.arguments) :]:
        if option not in use.options:
            yield "", f"{use.use} needs the option {option!r}"


def wrong_options(function: Any, label: str, options: Mapping[str, Any]) -> Iterator[Wrong]:
    """The options that a function does not have, by its real signature."""
    known = _parameters(function)
    if known is None:
        return
    for option in options:
        if option not in known:
            hint, _ = nearest(option, option, known, _told(known))
            yield option, f"{label} has no option {option!r}; {hint}"


def wrong_shapes(function: Any, label: str, options: Mapping[str, Any]) -> Iterator[Wrong]:
    """The options that have values of a wrong type, by its type hints."""
    shapes_of = option_shapes(function)
    for option, value in options.items():
        wanted = shapes_of.get(option, {})
        if not (shapes.is_object(value) or shapes.fits(value, wanted)):
            yield option, f"{label}: {option} = {shapes.shown(value)} is not {shapes.told(wanted)}"


def option_shapes(function: Any) -> dict[str, shapes.Shape]:
    """The shapes of a function's options, by its type hints."""
    import logging

    # What log_calls imports only for type checkers.
    hints = typing.get_type_hints(function, localns={"logging": logging})
    return {
        option: shapes.shape(hints[option], shapes.OBJECT)
        for option in _parameters(function) or ()
        if option in hints
    }


def required_options(function: Any) -> list[str]:
    """The options that a function cannot be called without."""
    parameters = inspect.signature(function).parameters
    return [
        option
        for option in _parameters(function) or ()
        if parameters[option].default is inspect.Parameter.empty
    ]


def loaded(value: Any) -> Any:
    """A value with each {"object": "module:name"} in it replaced by that object."""
    if shapes.is_object(value):
        return references.load(value["object"])
    if isinstance(value, (list, tuple)):
        return type(value)(map(loaded, value))
    return value


def _called(function: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    options = {option: loaded(value) for option, value in options.items()}
    by_position = [options.pop(name) for name in _given_by_position(function) if name in options]
    return function(*map(loaded, arguments), *by_position, **options)


def _given_by_position(function: Any) -> list[str]:
    """The parameters that cannot be given by name, as far as a function tells."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return []
    return [one.name for one in parameters if one.kind is one.POSITIONAL_ONLY]


def _parameters(function: Any) -> list[str] | None:
    """The names of a function's options; None if it takes any, or does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    # The function to decorate is no option, in ours and in those written alike.
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind is not parameter.VAR_POSITIONAL and parameter.name != "wrapped"
    ]


def _told(options: list[str]) -> str:
    return f"there are {', '.join(options)}" if options else "it has none"


def _names_object(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_names_object, value))
    return shapes.is_object(value)
