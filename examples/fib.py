"""The example that it began with: Fibonacci numbers, by a function that somebody else wrote.

    python examples/fib.py [n]

`fib` calls itself by its name in its module, so a patch of that name is met by each of its own
calls too. That is all that memoising it needs; the function is not changed, and knows nothing.
"""

from __future__ import annotations

import sys
from typing import Any

import safepatch
from safepatch.decorators import count_calls, memoize


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 22
    here, original = sys.modules[__name__], fib

    # The count is below the cache, so it sees what the cache lets through.
    with safepatch.patch((here, "fib"), count_calls()) as counted:
        tell("as it is", n, counted)
        with safepatch.patch((here, "fib"), memoize()):
            tell("memoised", n, counted)

    assert fib is original


def tell(how: str, n: int, counted: safepatch.Patch[Any]) -> None:
    before = counted.wrapper.stats().calls
    value = fib(n)
    print(f"{how}: fib({n}) = {value}, in {counted.wrapper.stats().calls - before:,} calls")


if __name__ == "__main__":
    main()
