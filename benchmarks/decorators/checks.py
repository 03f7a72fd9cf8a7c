"""What caches do where it is easy to go wrong: each check tells it in a word or two.

Who calls a check gives it a deadline, for some of the caches hang in it.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

#: Seconds that a cached function takes where others are to come meanwhile.
A_WHILE = 0.2


def times(calls: list[Any]) -> str:
    return f"{len(calls)} call{'s'[: len(calls) != 1]}"


def _counting(decorator: Any, result: Callable[..., Any] = lambda *args: None) -> tuple[Any, Any]:
    calls: list[Any] = []

    def function(a: Any, b: Any = 0) -> Any:
        calls.append(a)
        return result(a)

    return decorator(function), calls


def spellings(decorator: Any) -> str:
    cached, calls = _counting(decorator)
    cached(1), cached(1, 0), cached(1, b=0), cached(a=1)
    return times(calls)


def changed_list(decorator: Any) -> str:
    cached, _ = _counting(decorator, lambda a: [a])
    cached(1).append("spoilt")
    return "safe" if cached(1) == [1] else "spoilt"


def unhashable(decorator: Any) -> str:
    cached, calls = _counting(decorator)
    try:
        cached([1])
    except TypeError:
        return "TypeError"
    return "calls it" if calls else "no call"


def generator_function(decorator: Any) -> str:
    def generator(a: int) -> Iterator[int]:
        yield a

    try:
        cached = decorator(generator)
    except TypeError:
        return "refused"
    return "works" if [*cached(1)] == [*cached(1)] == [1] else "then empty"


def error_twice(decorator: Any) -> str:
    def fail(a: Any) -> Any:
        raise OSError(a)

    cached, calls = _counting(decorator, fail)
    errors = []
    for _ in range(2):
        try:
            cached(1)
        except OSError as error:
            errors.append(error)
    if len(calls) != 2 or errors[0] is errors[1]:
        return "the same error"
    return "raised" if errors[0].__context__ is None else "with a foreign context"


def at_once(decorator: Any) -> str:
    cached, calls = _counting(decorator, lambda a: time.sleep(A_WHILE))
    _in_threads(*[lambda: cached(1)] * 8)
    return times(calls)


def errors_at_once(decorator: Any) -> str:
    running = most = 0
    lock = threading.Lock()

    def fail(a: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(A_WHILE)
        with lock:
            running -= 1
        raise OSError(a)

    cached, calls = _counting(decorator, fail)
    errors: list[Any] = []

    def call() -> None:
        try:
            cached(1)
        except OSError as error:
            errors.append(error)

    _in_threads(*[call] * 8)
    if most == 1 and len(calls) > 1:
        return "one by one"
    return "each its own" if len({*map(id, errors)}) == 8 else "one shared error"


def recursion(decorator: Any) -> str:
    depth = 0

    def again(a: Any) -> Any:
        nonlocal depth
        depth += 1
        return cached(a) if depth < 3 else a

    cached, _ = _counting(decorator, again)
    return "works" if cached(1) == 1 else "wrong"


def circle(decorator: Any) -> str:
    other = {1: 2, 2: 1}
    inside = threading.local()

    def ask_the_other(a: Any) -> Any:
        time.sleep(A_WHILE)
        if not getattr(inside, "asking", False):
            inside.asking = True
            cached(other[a])
        return a

    cached, _ = _counting(decorator, ask_the_other)
    _in_threads(lambda: cached(1), lambda: cached(2))
    return "works"


def greenlets(decorator: Any) -> str:
    import gevent

    cached, calls = _counting(decorator, lambda a: gevent.sleep(A_WHILE))
    gevent.joinall([gevent.spawn(cached, 1) for _ in range(2)], raise_error=True)
    return times(calls)


def fork(decorator: Any) -> str:
    cached, _ = _counting(decorator, lambda a: time.sleep(A_WHILE))
    leader = threading.Thread(target=cached, args=(1,))
    leader.start()
    time.sleep(A_WHILE / 2)
    pid = os.fork()
    if pid == 0:
        signal.alarm(2)
        cached(1)
        os._exit(0)
    return "works" if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 else "hangs"


def clear_meanwhile(decorator: Any) -> str:
    current = ["old"]

    def read(a: Any) -> str:
        found = current[0]
        time.sleep(A_WHILE)
        return found

    cached, _ = _counting(decorator, read)
    clear = getattr(cached, "cache_clear", None) or getattr(cached, "clear_cache", None)
    if clear is None and hasattr(cached, "cache"):
        clear = cached.cache.clear
    if clear is None:
        return "no clear"
    leader = threading.Thread(target=cached, args=(1,))
    leader.start()
    time.sleep(A_WHILE / 2)
    current[0] = "new"
    clear()
    leader.join()
    return "fresh" if cached(1) == "new" else "stale"


def instance(decorator: Any) -> str:
    class Owner:
        method = decorator(lambda self: None)

    owner = Owner()
    owner.method()
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    return "kept alive" if gone() else "freed"


def _in_threads(*works: Callable[[], Any]) -> None:
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], Any]) -> None:
        barrier.wait()
        work()

    threads = [threading.Thread(target=begin, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


CHECKS: dict[str, Callable[[Any], str]] = {
    "f(1), f(1, 0), f(1, b=0), f(a=1)": spellings,
    "a caller changes the list it got": changed_list,
    "an argument without a hash": unhashable,
    "a generator function": generator_function,
    "the function raises, twice": error_twice,
    "8 threads at once": at_once,
    "8 threads at once, it raises": errors_at_once,
    "the function calls itself, same arguments": recursion,
    "f(1) calls f(2), f(2) calls f(1), in 2 threads": circle,
    "2 greenlets, gevent not patched": greenlets,
    "a fork while another thread is in it": fork,
    "a clear while a thread is in it": clear_meanwhile,
    "on a method: an instance nobody holds": instance,
}
