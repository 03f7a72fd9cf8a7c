"""What a transparent decorator promises, and what one that breaks a promise assumes instead."""

from __future__ import annotations

from typing import NamedTuple


class Promise(NamedTuple):
    """Two sentences: what holds, and what a decorator for which it does not hold assumes."""

    kept: str
    assumed: str


PROMISES = {
    "plain functions": Promise(
        "It decorates plain functions.",
        "what it decorates is no plain function",
    ),
    "coroutine functions": Promise(
        "It decorates coroutine functions.",
        "what it decorates is no `async def` function",
    ),
    "generator functions": Promise(
        "It decorates generator functions.",
        "what it decorates is no generator function",
    ),
    "async generator functions": Promise(
        "It decorates async generator functions.",
        "what it decorates is no async generator function",
    ),
    "callable objects": Promise(
        "It decorates builtins, classes, partials and other objects with `__call__`, too.",
        "what it decorates is a function written in Python",
    ),
    "kinds": Promise(
        "A function stays a function, of the kind it was.",
        "nobody asks whether it is a function, a coroutine function or a generator function",
    ),
    "signature": Promise(
        "`inspect.signature()` gives what it gave.",
        "nobody reads the signature",
    ),
    "names": Promise(
        "Name, module, docstring, annotations and attributes stay; `__wrapped__` is the function.",
        "nobody reads the name, module, docstring, annotations, attributes, or `__wrapped__`",
    ),
    "arguments": Promise(
        "The function gets the very objects that the caller gave, by position or name as given.",
        "the function can do with other arguments than the caller gave",
    ),
    "parameter names": Promise(
        "Parameters may have any name.",
        "no parameter has a name that the decorator uses itself",
    ),
    "any object": Promise(
        "Arguments and results may be any object, be it without hash, `==`, truth, length or repr.",
        "arguments and results can be hashed, compared, tested for truth and printed",
    ),
    "results": Promise(
        "The caller gets the very object that the function returned, unused.",
        "callers do not need the very object that the function returned",
    ),
    "errors": Promise(
        "An exception comes out as the very object that was raised, with nothing added to it.",
        "nobody looks closely at an error: which object it is, its context, notes and traceback",
    ),
    "exits": Promise(
        "KeyboardInterrupt, SystemExit, GeneratorExit and CancelledError pass and do no harm.",
        "nobody interrupts, cancels or exits while the function runs",
    ),
    "calls": Promise(
        "One call is one call of the function, at that moment.",
        "the function may be called more or less often, or later, than its callers ask for",
    ),
    "equal calls": Promise(
        "The same call again gives the same again, whatever became of the first result.",
        "nobody makes the same call twice, or changes or uses up what the first returned",
    ),
    "caller": Promise(
        "The function runs in its caller's thread, task and context.",
        "it does not matter in which thread, task or context the function runs",
    ),
    "release": Promise(
        "Arguments, results and errors are let go when the call is over.",
        "arguments, results and errors may stay alive after the call",
    ),
    "recursion": Promise(
        "The function may call itself, also with the same arguments, and through others.",
        "the function never calls itself, nor another decorated function that calls it",
    ),
    "threads": Promise(
        "Threads that call at the same time run at the same time, and get each its own result.",
        "no two threads call at the same time",
    ),
    "tasks": Promise(
        "So do tasks, in any number of event loops, and one that is cancelled is cancelled alone.",
        "no two tasks call at the same time or in different event loops, and none is cancelled",
    ),
    "generators": Promise(
        "Generators begin when asked, and take send, throw and close; what they return arrives.",
        "generators are looped over to their end, and no more",
    ),
    "methods": Promise(
        "Methods, class methods and static methods bind, also when put on a class later.",
        "the function is no method",
    ),
    "pickling": Promise(
        "A function of a module is pickled by its name.",
        "nobody pickles the function, as multiprocessing does",
    ),
    "copying": Promise(
        "`copy.copy()` and `copy.deepcopy()` give the function itself.",
        "nobody copies the function, or an object that has it as an attribute",
    ),
    "weak references": Promise(
        "The function can be referred to weakly, be a key, and be forgotten when it is dropped.",
        "the function is never a key or weakly referred to, and lives for ever",
    ),
    "stacking": Promise(
        "It decorates any number of functions, each any number of times, and changes none of them.",
        "it decorates one function, once, which nobody uses otherwise",
    ),
}
