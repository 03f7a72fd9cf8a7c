"""Starts safepatch where its .pth file is not installed: on PYTHONPATH, put there by
`safepatch run`, before whichever sitecustomize there is, which runs first all the same."""

import os
import sys


def _run_the_next() -> None:
    """Run the sitecustomize that this one stands before; put ours back if there is none."""
    here, ours, path = os.path.dirname(__file__), sys.modules.pop("sitecustomize"), sys.path[:]
    sys.path[:] = [entry for entry in path if entry != here]
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = ours
    except BaseException:
        sys.modules["sitecustomize"] = ours  # the import system wants to find one
        raise
    finally:
        # Where it was, in what may be another list by now: other tools look for theirs there.
        if here in path and here not in sys.path:
            sys.path.insert(min(path.index(here), len(sys.path)), here)


def _start() -> None:
    try:
        from safepatch.bootstrap import start
    except ImportError:
        return  # a Python of another environment
    start()


try:
    _run_the_next()
finally:
    _start()
