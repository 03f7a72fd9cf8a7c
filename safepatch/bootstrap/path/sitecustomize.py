"""Starts safepatch where its .pth file is not installed: on PYTHONPATH, put there by
`safepatch run`, before whichever sitecustomize there is, which runs first all the same."""

import os
import sys


def _run_the_next() -> None:
    """Run the sitecustomize that this one stands before; it stays ours if there is none."""
    # For good: what this folder is for is done, and programs know nothing of it.
    here = os.path.dirname(__file__)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    ours = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except BaseException as error:
        sys.modules["sitecustomize"] = ours  # the import system wants to find one
        if not (isinstance(error, ImportError) and error.name == "sitecustomize"):
            raise


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
