"""What may block, and what must let others run."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from _queue import SimpleQueue  # the native one, whatever gevent patches
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from safepatch.decorators.threads import get_ident
from safepatch.decorators.waiting import hub
from safepatch.store.errors import StoreError

try:
    import greenlet
except ImportError:
    greenlet: Any = None  # type: ignore[no-redef]

R = TypeVar("R")
_PATIENCE = 10.0  # seconds that the end of the program waits for threads

#: What runs here: a greenlet, of which each thread has one at least, or a thread.
current: Callable[[], Any] = get_ident if greenlet is None else greenlet.getcurrent
# What the switch of a hub ends in, which takes longer.
_switch: Any = None if greenlet is None else greenlet.greenlet.switch


def pause(seconds: float = 0) -> None:
    """Let other greenlets run, if there are any."""
    here = hub()
    if here is not None:
        here.wait(here.loop.timer(seconds))


def off_loop(function: Callable[..., R], *arguments: Any) -> R:
    """Call what blocks in a thread, if there is a loop of gevent that must go on.

    It is over when this ends, also by a timeout or Ctrl-C: nobody closes a file amid it.
    """
    here = hub()
    if here is None:
        return function(*arguments)
    running = here.threadpool.spawn(_outcome, function, arguments)
    try:
        result, error = running.get()
    except BaseException:
        running.wait()
        raise
    if error is not None:
        raise error
    returned: R = result
    return returned


def _outcome(function: Callable[..., R], arguments: Any) -> tuple[R | None, BaseException | None]:
    # For what is raised in its threads gevent prints, with all that the function is bound to.
    try:
        return function(*arguments), None
    except BaseException as error:
        return None, error


def native(module: str, name: str) -> Any:
    """A function of Python itself, whether or not gevent has put another in its place."""
    original = getattr(sys.modules.get("gevent.monkey"), "get_original", None)
    if original is None:  # or it is only being imported
        return getattr(sys.modules[module], name)
    return original(module, name)


def when_idle(here: Any, work: Callable[[], object]) -> None:
    """Do something when a loop has nothing else to do, or has been busy for some milliseconds.

    It is done again if it raises, as for Ctrl-C.

    Those milliseconds are Python's own: as long as it lets a thread wait for a busy one. Only for
    the main thread's loop; others may end before that, and do it at once.
    """
    if not here.loop.default:
        work()
        return
    idle, turn = here.loop.idle(), here.loop.prepare()
    latest = time.perf_counter() + sys.getswitchinterval()

    def do() -> None:
        work()
        for watcher in (idle, turn):
            watcher.stop()
            watcher.close()

    def look() -> None:
        if time.perf_counter() > latest:
            do()

    idle.start(do)
    turn.start(look)


def raise_later(here: Any, error: BaseException) -> None:
    """Raise what came amid something, such as Ctrl-C, after it, in the loop."""

    def interrupt() -> None:
        raise error

    here.loop.run_callback(interrupt)


def latch() -> tuple[Callable[[float], object], Callable[[], object]]:
    """Functions to wait in a thread, some seconds at most, and to let it go on, once.

    Of a native lock: an event of gevent's, which it puts in the place of Python's, may keep a
    thread that has no loop waiting for ever.
    """
    lock = native("_thread", "allocate_lock")()
    lock.acquire()

    def wait(seconds: float) -> None:
        if lock.acquire(timeout=seconds):
            lock.release()  # for a signal handler that came in between, and waits as well

    return wait, lock.release


def beside(work: Callable[[], object], name: str) -> None:
    """Do something that takes long in a daemon thread, of gevent's where that has patched them.

    A greenlet, if it is that, runs in the loop of the thread that begins it. Only the main one's
    goes on for certain.
    """
    if native("_thread", "get_native_id")() == threading.main_thread().native_id:
        threading.Thread(target=work, name=name, daemon=True).start()
    else:
        worker = Worker()
        worker.do(work)
        worker.end()


def need_libev() -> None:
    """Raise StoreError where gevent is to run by another loop, which lacks what is needed here."""
    config = getattr(sys.modules.get("gevent"), "config", None)
    if config is not None and "libuv" in config.loop.__module__:
        raise StoreError(
            "cannot open a store where gevent's loop is libuv; set GEVENT_LOOP=libev-cext, or let "
            "it choose"
        )


class Crowd:
    """Greenlets of one hub that wait for the same thing, once.

    An event of gevent's does it too; with a timeout, as it is needed for threads, it costs each
    greenlet three times as much. Whoever goes on, and soon waits again, switches to the next one
    and not to the hub, which takes half as many switches.
    """

    __slots__ = ("_hub", "_over", "_turn", "_waiters", "_watcher")

    def __init__(self, here: Any) -> None:
        self._hub, self._over = here, False
        self._waiters: dict[Any, None] = {}
        self._turn = _turns.setdefault(here, deque())
        # It keeps the loop from ending, too, when there is nothing else to wait for.
        self._watcher = here.loop.async_()
        self._watcher.start(self._wake)

    def wait(self, seconds: float) -> None:
        """Wait, however long it takes; or return earlier, for whatever reason."""
        me, here, turn = current(), self._hub, self._turn
        if not self._over:
            if me is here:
                here.switch()  # which refuses it
            # From the look at `_over` to the switch there is no call, after which the handler of a
            # signal may run, and have them woken.
            self._waiters[me] = None
            try:
                _switch(turn[0] if turn else here)
            finally:
                if turn and turn[0] is me:
                    turn.popleft()
                elif not self._over:  # such as a timeout's, or Ctrl-C
                    self._waiters.pop(me, None)  # here, for Ctrl-C may come as a function begins
                elif me in turn:
                    turn.remove(me)

    def wake(self) -> None:
        """Let them go on, when it is the hub's turn. To be called once, from any thread."""
        if current() is self._hub:
            self._wake()
        else:
            self._watcher.send()

    def _wake(self) -> None:
        turn = self._turn
        try:
            if not self._over:
                self._over = True
                turn += self._waiters  # both before any call, and so before Ctrl-C: once only
            self._watcher.stop()
            self._watcher.close()
            while turn:
                waiter = turn[0]
                try:
                    waiter.switch()
                except BaseException:
                    if turn and turn[0] is waiter:
                        raise  # Ctrl-C, before it went on
                    # Of a bare greenlet, whose parent the hub is: this one, or one after it.
                    self._hub.handle_error(self, *sys.exc_info())
        except BaseException:  # Ctrl-C, before all went on, and nobody may call again
            self._hub.loop.run_callback(self._wake)
            raise


# Of each hub, the greenlets that are to go on, the first of them next.
_turns: WeakKeyDictionary[Any, deque[Any]] = WeakKeyDictionary()


class Worker:
    """A native thread that does one piece of work after the other.

    That takes a tenth of the time that a thread of gevent's pool takes. It is a daemon, and yet the
    program does not end amid its work.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self.do = self._work.put
        self._wait, self._over = latch()
        native("_thread", "start_new_thread")(self._run, ())
        _running.add(self)

    def _run(self) -> None:
        try:
            while (work := self._work.get()) is not None:
                work()
        finally:
            try:
                # gevent makes one for what it has patched, if that was called here.
                made = hub()
                if made is not None:
                    made.destroy(destroy_loop=True)
            finally:
                _running.discard(self)
                self._over()

    def end(self) -> None:
        """When all that it was given is done."""
        self._work.put(None)

    def join(self, seconds: float) -> None:
        """Wait until it has ended, some seconds at most, without letting other greenlets run."""
        self._wait(seconds)


_running: set[Worker] = set()


def _end_all() -> None:
    # A thread that is amid a switch of greenlets when Python takes itself apart crashes: it is
    # ended right there, and what greenlet has on its stack with it, which is no longer valid. One
    # that hangs is amid something else.
    until = time.monotonic() + _PATIENCE
    for worker in [*_running]:
        worker.end()
        worker.join(max(0.0, until - time.monotonic()))


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)
