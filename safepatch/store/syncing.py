"""Have the kernel sync files (Linux AIO), while a loop of gevent goes on.

A thread that does it waits for the interpreter twice, to begin and to tell that it is over, and
mostly on another processor, which has to wake up first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import types
from collections.abc import Callable
from importlib import import_module
from typing import Any

from safepatch.decorators.locks import give_lock
from safepatch.store.threads import raise_later

#: Is given what went wrong, or None.
Then = Callable[[BaseException | None], object]
_MOST = 64  # under way at a time


class _Sync:
    __slots__ = ("results", "teller", "then")

    def __init__(self, then: Then) -> None:
        self.then = then
        self.teller: object = None  # who tells, once it is over
        self.results: list[int] = []  # one, when it is over; of an error its number, negative

    def tell(self) -> None:
        code = -self.results[0] % (1 << 64)  # which comes without a sign
        self.then(OSError(code, os.strerror(code)) if code else None)


class _Syncs:
    """Those of a process. They are begun by the main thread's loop, and told by who looks first."""

    def __init__(self, aio: Any) -> None:
        self._context: Any = aio.Context(_MOST)  # None in the child of a fork
        os.set_inheritable(self._context.fileno, False)
        self._fdatasync = aio.Operation.fdsync
        self._under_way: dict[Any, _Sync] = {}  # by their requests
        self._loop: Any = None
        self._watcher: Any = None
        self.lock: Any
        give_lock(self)

    def begin(self, here: Any, descriptor: int, then: Then) -> bool:
        if here.loop is not self._loop:
            self._watch(here.loop)
        request, sync = self._fdatasync(descriptor), _Sync(then)
        request.set_callback(sync.results.append)
        try:
            self._under_way[request] = sync
            try:
                self._context.submit(request)
            except Exception:  # it takes no more just now
                sync.results.append(_synced(descriptor))
                self._loop.run_callback(self._look)
        except BaseException as error:
            if request.context is None and not sync.results:
                self._under_way.pop(request, None)  # for Ctrl-C came first
                raise
            raise_later(here, error)
        return True

    def _watch(self, loop: Any) -> None:
        self._unwatch()
        self._watcher = loop.io(self._context.fileno, 1, ref=False)
        # Not `_look` itself: gevent stops a watcher like this one if that raises, for Ctrl-C.
        self._watcher.start(loop.run_callback, self._look)
        self._loop = loop

    def _unwatch(self) -> None:
        if self._watcher is not None:
            with contextlib.suppress(ValueError):  # of a loop that was destroyed
                self._watcher.stop()
                self._watcher.close()

    def _look(self) -> None:
        if self._context is None:
            return
        try:
            with contextlib.suppress(BlockingIOError):
                self._context.poll()
            self.look()
        except BaseException:  # Ctrl-C
            self._loop.run_callback(self._look)
            raise

    def look(self) -> None:
        me = object()
        try:
            while (request := self._next_over(me)) is not None:
                self._under_way[request].tell()
                self._under_way.pop(request, None)
        except BaseException:  # Ctrl-C
            for sync in [*self._under_way.values()]:
                if sync.teller is me:
                    sync.teller = None  # whoever looks next tells it again
            raise

    def _next_over(self, teller: object) -> Any:
        with self.lock:
            if self._under_way:
                try:
                    self._context.process_events(_MOST)
                except SystemError as error:
                    if error.args[0] != errno.EINTR:  # a signal
                        raise
            for request, sync in self._under_way.copy().items():
                if sync.results and sync.teller is None:
                    sync.teller = teller
                    return request
        return None

    def forget(self) -> None:
        """In the child of a fork, which may be amid any of these: there is nothing under way."""
        self._unwatch()
        self._context, self._under_way = None, {}


def _synced(descriptor: int) -> int:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        return -(error.errno or errno.EIO)
    return 0


_syncs: _Syncs | None = None
_is_impossible = False


def prepare(here: Any) -> None:
    """Find out whether the kernel can do it, once, for the main thread's loop.

    It takes as long as importing asyncio, for caio. Not in a thread: with an older gevent a
    greenlet that imports the same at that time may never be told that the thread has it.
    """
    global _syncs, _is_impossible
    if _syncs is None and not _is_impossible and here.loop is not None and here.loop.default:
        try:
            aio = import_module("caio.linux_aio")
            _syncs = _syncs or _Syncs(aio)  # for others may have run meanwhile
        except Exception:  # there is no caio, or the kernel refuses
            _is_impossible = True


def may_begin() -> bool:
    """Say whether the kernel can do it, and nobody expects to see calls of `os.fdatasync`."""
    return _syncs is not None and type(os.fdatasync) is types.BuiltinFunctionType


def begin(here: Any, descriptor: int, then: Then) -> bool:
    """Have the content of a file on disk, by the kernel; whether that is under way.

    `then` is called by the loop that begins it, or by who calls `look`: with the error or None,
    once, but again if it raises.
    """
    return _syncs is not None and _syncs.begin(here, descriptor, then)


def look() -> None:
    """Tell of what is over, in place of the loop that began it. Safe in threads and greenlets."""
    if _syncs is not None:
        _syncs.look()


def _forget() -> None:
    # In the child of a fork, which shares the descriptor, but has nothing under way.
    global _syncs
    if _syncs is not None:
        _syncs.forget()
    _syncs = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
