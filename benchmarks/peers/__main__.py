"""Ask each tool that patches the same questions.

    python -m benchmarks.peers

Writes the answers to benchmarks/results/, and the table of docs/explanation/peers.md. Each tool
runs in a process of its own, since some change more than they are asked to.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
import subprocess
import sys
from types import ModuleType
from typing import Any

from benchmarks.peers.cases import CASES
from benchmarks.peers.page import in_page, text
from benchmarks.peers.tools import TOOLS, Tool, Undo, version

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "explanation" / "peers.md"


class RefusedError(Exception):
    """The tool raised an error when it was to patch."""


def victims(number: int) -> ModuleType:
    """A copy of the module that is patched, imported under a name of its own."""
    name, path = f"victims_{number}", pathlib.Path(__file__).with_name("victims.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def noting_refusals(tool: Tool) -> Tool:
    def put(owner: Any, name: str, log: list[str], label: str) -> Undo:
        try:
            return tool(owner, name, log, label)
        except Exception as error:
            raise RefusedError(f"{type(error).__name__}: {error}") from error

    return put


def answers(tool: Tool) -> dict[str, str]:
    """What became of each case: "yes", or "refuses: ..." or "no: ..." with what was found."""
    found = {}
    for number, case in enumerate(CASES):
        try:
            case(noting_refusals(tool), victims(number))
            found[case.__name__] = "yes"
        except RefusedError as error:
            found[case.__name__] = f"refuses: {first_line(error)}"
        except AssertionError as error:
            found[case.__name__] = f"no: {first_line(error)}"
        except Exception as error:
            found[case.__name__] = f"no: {type(error).__name__}: {first_line(error)}"
    return found


def first_line(error: Exception) -> str:
    """What an error says, without what is another each time."""
    line = str(error).strip().partition("\n")[0]
    line = re.sub(r" from '[^']*'| at 0x\w+", "", line)
    return re.sub(r"victims_\d+", "victims", line)


def asked(tool: str) -> dict[str, Any]:
    """The answers of a tool, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers", tool]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if ran.returncode:
        raise SystemExit(f"{tool}: {ran.stderr}")
    return {"version": version(tool), "answers": json.loads(ran.stdout.splitlines()[-1])}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(answers(TOOLS[sys.argv[1]])))
        return
    found = {tool: asked(tool) for tool in TOOLS}
    (RESULTS / "peers.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "peers.txt").write_text(text(found))
    PAGE.write_text(in_page(PAGE.read_text(), found))
    print(text(found), end="")


if __name__ == "__main__":
    main()
