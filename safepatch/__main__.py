"""`python -m safepatch`, and the scripts `safepatch` and `safepatch-py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code. 2 if what the extra `cli` brings is not installed."""
    try:
        from safepatch import cli
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing not in ("click", "rich"):
            raise
        print(
            f"safepatch: the command line needs {missing}, which is not installed; "
            "pip install 'safepatch-py[cli]'",
            file=sys.stderr,
        )
        return 2
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
