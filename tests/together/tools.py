"""The tools: how each comes and goes, and what is known of it beside that."""

import contextlib
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import ddtrace.contrib.internal.requests.patch as ddtrace_requests
import ddtrace.contrib.internal.urllib3.patch as ddtrace_urllib3
import ddtrace.internal.utils.wrappers
import ddtrace.trace
import opentelemetry.instrumentation.utils
import pytest
import wrapt
from helpers import noting
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import safepatch


@dataclass(frozen=True, eq=False)
class Tool:
    """`install(place, heard, mark)` makes calls append the mark; it gives the way to undo that.

    `undoing` is the tool's word about it, for `chains`. `told` is how explain() names it.
    """

    name: str
    install: Callable[[Any, list, str], Callable[[], None]]
    undoing: str
    told: str = ""
    in_place: bool = False
    heard_at_the_end: bool = False
    is_function: bool = True
    is_proxy: bool = False
    says_what_it_wraps: bool = True
    calls_what_it_wraps: bool = True
    takes_off: Callable[[Any], bool] = lambda standing: True

    @property
    def is_ours(self):
        return self.undoing == "takes itself out"


# Ours.


def apply(place, heard, mark):
    target = (place.owner, place.name)
    return safepatch.apply(target, noting(heard, mark), name=mark, aliases="ignore").undo


def apply_in_place(place, heard, mark):
    return safepatch.apply(place.function, noting(heard, mark), name=mark).undo


OURS = Tool("ours", apply, "takes itself out")
IN_PLACE = Tool("in-place", apply_in_place, "takes itself out", in_place=True)


# Those that put back what they saw.


def start_a_mock(place, heard, mark):
    def effect(*args, **kwargs):
        heard.append(mark)
        return mock.DEFAULT

    patcher = mock.patch.object(
        place.owner, place.name, return_value=place.result, side_effect=effect
    )
    patcher.start()
    return patcher.stop


def start_a_spy(place, heard, mark):
    spied = noting(heard, mark)(getattr(place.owner, place.name))
    patcher = mock.patch.object(place.owner, place.name, autospec=True, side_effect=spied)
    patcher.start()
    return patcher.stop


def set_by_monkeypatch(place, heard, mark):
    raw = inspect.getattr_static(place.owner, place.name)
    if type(raw) in (staticmethod, classmethod):
        wrapper = type(raw)(noting(heard, mark)(raw.__func__))
    else:
        wrapper = noting(heard, mark)(getattr(place.owner, place.name))
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(place.owner, place.name, wrapper)
    return monkeypatch.undo


MOCK = Tool(
    "mock",
    start_a_mock,
    "puts back what it saw",
    told="unittest.mock:MagicMock",
    is_function=False,
    says_what_it_wraps=False,
    calls_what_it_wraps=False,
)
SPY = Tool(
    "spy",
    start_a_spy,
    "puts back what it saw",
    told="<string>",  # mock compiles a function with the signature of what it stands for
    says_what_it_wraps=False,
)
MONKEYPATCH = Tool(
    "monkeypatch", set_by_monkeypatch, "puts back what it saw", told="helpers.noting"
)


# Those that take off the outermost.


def wrap(place, heard, mark):
    def wrapper(wrapped, instance, args, kwargs):
        heard.append(mark)
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(place.owner, place.name, wrapper)


def wrap_like_ddtrace(place, heard, mark):
    wrap(place, heard, mark)
    return lambda: unwrap_like_ddtrace(place)


def unwrap_like_ddtrace(place):
    with contextlib.suppress(AttributeError):  # if there stands nothing that wraps something
        ddtrace.internal.utils.wrappers.unwrap(place.owner, place.name)


def wrap_like_opentelemetry(place, heard, mark):
    wrap(place, heard, mark)
    return lambda: opentelemetry.instrumentation.utils.unwrap(place.owner, place.name)


class Ear(ddtrace.trace.TraceFilter):
    """Hears of ddtrace's spans, and lets none of them leave."""

    def __init__(self):
        self.listeners = {}

    def process_trace(self, trace):
        for span in trace:
            listen = self.listeners.get(span.get_tag("component"))
            if listen is not None:
                listen()


EAR = Ear()
ddtrace.trace.tracer.configure(trace_processors=[EAR])


def patch_with_ddtrace(integration, component, place, heard, mark):
    EAR.listeners[component] = functools.partial(heard.append, mark)
    integration.patch()

    def unpatch():
        with contextlib.suppress(AttributeError):  # as above
            integration.unpatch()

    return unpatch


class Recorder(SpanProcessor):
    """Hears of OpenTelemetry's spans when they begin."""

    def __init__(self, listen):
        self.listen = listen

    def on_start(self, span, parent_context=None):
        self.listen()


def instrument_with_opentelemetry(instrumentor, place, heard, mark):
    provider = TracerProvider()
    provider.add_span_processor(Recorder(functools.partial(heard.append, mark)))
    instrumentor().instrument(tracer_provider=provider)
    return instrumentor().uninstrument


def off_the_outermost(name, install, told, **known):
    return Tool(name, install, "takes off the outermost", told=told, **known)


PROXY = {"is_function": False, "is_proxy": True}
LIKE_DDTRACE = off_the_outermost("like-dd", wrap_like_ddtrace, "tools.wrap.", **PROXY)
LIKE_OTEL = off_the_outermost(
    "like-otel",
    wrap_like_opentelemetry,
    "tools.wrap.",
    takes_off=lambda standing: standing.is_proxy,
    **PROXY,
)
DDTRACE_REQUESTS = off_the_outermost(
    "ddtrace",
    functools.partial(patch_with_ddtrace, ddtrace_requests, "requests"),
    "ddtrace.contrib.internal.requests.",
    heard_at_the_end=True,
    **PROXY,
)
DDTRACE_URLLIB3 = off_the_outermost(
    "ddtrace",
    functools.partial(patch_with_ddtrace, ddtrace_urllib3, "urllib3"),
    "ddtrace.contrib.internal.urllib3.",
    heard_at_the_end=True,
    **PROXY,
)
OTEL_REQUESTS = off_the_outermost(
    "otel",
    functools.partial(instrument_with_opentelemetry, RequestsInstrumentor),
    "opentelemetry.instrumentation.requests.",
    takes_off=lambda standing: OTEL_REQUESTS in standing.marked,
)
OTEL_URLLIB3 = off_the_outermost(
    "otel",
    functools.partial(instrument_with_opentelemetry, URLLib3Instrumentor),
    "opentelemetry.instrumentation.urllib3.",
    takes_off=lambda standing: standing.is_proxy,
    **PROXY,
)


# In our place, to see what others do without us.


def wrap_with_a_switch(place, heard, mark):
    """What one who knew of all this would do with wrapt alone: be there for ever, and do nothing
    from some time on."""
    switched_on = [True]

    def wrapper(wrapped, instance, args, kwargs):
        heard.append(mark)
        return wrapped(*args, **kwargs)

    options = {"enabled": lambda: bool(switched_on)}
    wrapt.wrap_object(place.owner, place.name, wrapt.FunctionWrapper, (wrapper,), options)
    return switched_on.clear


SWITCHED = Tool("ours", wrap_with_a_switch, "takes itself out")
NOBODY = Tool("ours", lambda place, heard, mark: lambda: None, "takes itself out")
