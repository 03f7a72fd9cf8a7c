"""`python -m safepatch explain socket:getaddrinfo`: who patched this?"""

from __future__ import annotations

import argparse
import sys

import safepatch


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 if all went well, 2 for a target that cannot be explained."""
    parser = argparse.ArgumentParser(prog="safepatch", description=safepatch.__doc__)
    parser.add_argument("--version", action="version", version=safepatch.__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
    explain = commands.add_parser("explain", help="say who patched a target, and what it is")
    explain.add_argument("target", help="package.module:function or package.module:Class.method")
    arguments = parser.parse_args(argv)
    try:
        print(safepatch.explain(arguments.target))
    except safepatch.PatchError as error:
        print(f"safepatch: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
