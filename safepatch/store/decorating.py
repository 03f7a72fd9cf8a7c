"""`durable`: a call is a transaction, and what it did is on disk before it returns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeVar

from safepatch.decorators.wrapping import kind_of, name_of, need_callable
from safepatch.store.store import Store
from safepatch.store.transactions import Reading, Transaction

F = TypeVar("F", bound=Callable[..., Any])


def durable(store: Store, *, reads_only: bool = False) -> Callable[[F], F]:
    """Make each call of a function a transaction of a store.

    ::

        @durable(store)
        def subscribe(address): ...

    When the call returns, what it wrote is on disk, and so is what it read. An exception brings
    back all documents that it touched, and passes on. A call within another transaction is part of
    it, and on disk with it; its exception brings back what it touched itself.

    In threads one body runs at a time, and the disk is waited for outside of that. Under gevent
    nothing keeps a body out while another one waits for something: the documents that were touched
    stay with who touched them, and a transaction that touches one of them gets ConflictError.

    With `reads_only=True` documents are not kept, so that looking at very many is quick;
    assigning and removing raise ReadOnlyError, and a document that somebody else has changed and
    not committed raises ConflictError. What is changed within a document is not seen then.

    Of a generator, be it a generator function or what a function returns, each step is a
    transaction. Raises TypeError for coroutine functions: call a plain one by
    `asyncio.to_thread()`; and ValueError for a store in snapshot mode. Raises FailedError if the
    disk fails, whereupon the store accepts nothing more.

    Assumes that a call's work is done in its own thread or greenlet.
    """
    if not isinstance(store, Store):
        raise TypeError(f"got {store!r} for a store; write @durable(store)")
    store.need_transactions()
    kind = Reading if reads_only else Transaction

    def decorate(wrapped: F) -> F:
        need_callable("make durable", wrapped)
        if kind_of(wrapped) in ("coroutine", "async generator"):
            raise _is_async(name_of(wrapped))

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            kept, transaction = store._kept or store.opened(), kind()
            with kept.lock:
                try:
                    kept.begin(transaction)
                    result = wrapped(*args, **kwargs)
                    if type(result) in _LATE:
                        result = _late(store, reads_only, wrapped, result)
                    ticket = kept.commit(transaction)
                except BaseException:
                    try:
                        kept.undo(transaction)
                    finally:  # once more, if Ctrl-C came before it or amid it
                        kept.undo(transaction)
                    raise
            kept.commits.wait(ticket)
            return result

        return wrapper  # type: ignore[return-value]

    return decorate


# What does its work after the call.
_LATE = {GeneratorType, CoroutineType, AsyncGeneratorType}


def _late(store: Store, reads_only: bool, wrapped: Any, result: Any) -> Any:
    if type(result) is GeneratorType:
        return _steps(store, reads_only, result)
    if type(result) is CoroutineType:
        result.close()
    raise _is_async(name_of(wrapped))


def _is_async(name: str) -> TypeError:
    return TypeError(
        f"cannot make {name!r} durable: it is asynchronous, so that its work is done after the "
        "call; put the transaction into a plain function, and call that by asyncio.to_thread()"
    )


def _steps(store: Store, reads_only: bool, generator: Any) -> Generator[Any, Any, Any]:
    """A generator whose steps are transactions."""
    step: Callable[[], Any] = functools.partial(next, generator)
    while True:
        try:
            with store.transaction(reads_only=reads_only):
                try:
                    item = step()
                except StopIteration as end:
                    return end.value
        except BaseException:
            if generator.gi_frame is not None:  # it has waited since, and is to end likewise
                with store.transaction(reads_only=reads_only):
                    generator.close()
            raise
        try:
            sent = yield item
            step = functools.partial(generator.send, sent)
        except GeneratorExit:
            with store.transaction(reads_only=reads_only):
                generator.close()
            raise
        except BaseException as error:
            step = functools.partial(generator.throw, error)
