"""The command line: it only asks what lies below, and prints that."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import safepatch
from safepatch import config
from safepatch.cli.commands import program
from safepatch.cli.printing import complain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _print_anything()
    try:
        _find_modules_from(str(config.here()))
        program.main(_spelled(arguments), prog_name=_name())
    except safepatch.PatchError as error:
        complain(str(error))
        return 2
    except OSError as error:  # a file that cannot be read, an output that is full
        complain(f"{type(error).__name__}: {error}")
        return 2
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


def _name() -> str:
    """As it was called, since completion goes by that; with `python -m` it is safepatch."""
    return "safepatch-py" if Path(sys.argv[0]).stem == "safepatch-py" else "safepatch"


def _find_modules_from(here: str) -> None:
    """Modules in the current directory are found, as by `python -m`; scripts do not look there.
    Those beside the configuration are found too, as by the runner."""
    if sys.flags.safe_path:
        return
    file = config.find()
    if not {"", here} & {*sys.path}:
        sys.path.insert(0, here)
    if file is not None and str(file.parent) not in (here, *sys.path):
        sys.path.insert(1, str(file.parent))


def _print_anything() -> None:
    """Sources have letters that the encoding of the output may lack; they are escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _spelled(arguments: list[str]) -> list[str]:
    """`run --report` takes a file only after `=`; click would take the command for one."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [
        "--report=" if argument == "--report" and place < end else argument
        for place, argument in enumerate(arguments)
    ]
