"""What the patches of a run did, over all its processes: as data, and as a table."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from safepatch import figures
from safepatch.figures import Figures

# The furthest that a part has got, as for a group of patches.
_FURTHEST = ("applied", "pending", "failed", "skipped", "undone", "declared")


def read(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Add up what the processes of a run have left in its spool directory.

    Gives {"format": 1, "processes": 3, "unpatched": [...], "patches": {name: ...}}, where
    "unpatched" has the error of each process that could not be patched; and of each patch:

    - "calls", and of these "errors" (any exception) and "hits": calls less those of the original,
      if there are fewer of these. "original_calls" of retries may be more.
    - "saved_seconds": what the calls would have taken if each had called the original, in the mean
      time that it took when it was called, less what they took. So a patch that waits, or tries
      again, saves less than nothing. None if the original was never called.
    - "states": in how many processes it is "applied", "pending", "skipped", "failed" by what they
      told when they began, or, of those that ended of themselves, at their end.
    - "guards": pairs of "guard" and "reason", which is None where it agreed; "reasons": why a
      process skipped the patch, or failed to apply it.
    - "targets": the same numbers for each, with "seconds" and "original_seconds".
    """
    spool = Path(directory)
    by_target: dict[str, dict[str, list[Figures]]] = {}
    for name, target, found in figures.read(spool):
        by_target.setdefault(name, {}).setdefault(target, []).append(found)
    facts = figures.read_facts(spool)
    told = [_by_name(one["patches"]) for one in facts]
    names = dict.fromkeys([name for parts in told for name in parts] + [*by_target])
    patches = {
        name: _patch(by_target.get(name, {}), [parts[name] for parts in told if name in parts])
        for name in names
    }
    return {
        "format": 1,
        "processes": figures.processes(spool),
        "unpatched": [one["error"] for one in facts if one.get("error")],
        "patches": patches,
    }


def _by_name(parts: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        found.setdefault(part["name"], []).append(part)
    return found


def _patch(
    by_target: dict[str, list[Figures]], processes: list[list[dict[str, Any]]]
) -> dict[str, Any]:
    targets = {target: _numbers(_sum(found)) for target, found in by_target.items()}
    saved = [numbers["saved_seconds"] for numbers in targets.values() if numbers["calls"]]
    known = [seconds for seconds in saved if seconds is not None]
    states = Counter(_state(parts) for parts in processes)
    parts = [part for parts in processes for part in parts]
    return {
        **{
            key: sum(numbers[key] for numbers in targets.values())
            for key in ("calls", "errors", "hits", "original_calls")
        },
        "saved_seconds": sum(known) if known or not saved else None,
        "states": dict(states),
        "guards": _once(guard for part in parts for guard in part["guards"]),
        "reasons": _once(
            part["reason"] for part in parts if part["state"] in ("skipped", "failed")
        ),
        "targets": targets,
    }


def _once(found: Any) -> list[Any]:
    """In order, each once; they may be dicts."""
    return [json.loads(text) for text in dict.fromkeys(json.dumps(one) for one in found)]


def _state(parts: list[dict[str, Any]]) -> str:
    states = {part["state"] for part in parts}
    return next(state for state in _FURTHEST if state in states)


def _sum(found: list[Figures]) -> Figures:
    return Figures(*map(sum, zip(*found, strict=True)))


def _numbers(found: Figures) -> dict[str, Any]:
    calls, original_calls = int(found.calls), int(found.original_calls)
    saved = None
    if original_calls:
        saved = calls * (found.original_seconds / original_calls) - found.seconds
    return {
        "calls": calls,
        "errors": int(found.errors),
        "hits": max(0, calls - original_calls),
        "original_calls": original_calls,
        "seconds": found.seconds,
        "original_seconds": found.original_seconds,
        "saved_seconds": saved if calls else 0.0,
    }


def write(data: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a report as JSON, at once: who reads the file finds the old one, or all of the new.

    What is no file, such as a pipe or /dev/null, is written to, and never replaced.
    """
    text = json.dumps(data, indent=2) + "\n"
    place = Path(path).resolve()  # what a link leads to, so that the link stays
    if place.exists() and not place.is_file():
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    temporary = Path(f"{place}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(place)


_HEAD = ("patch", "calls", "hits", "original", "errors", "time saved", "state", "guards")


def text(data: dict[str, Any]) -> str:
    """A report as a table of plain text, with a line for each reason not to patch."""
    lines = [_reached(data["processes"])]
    lines += [
        f"{count} could not be patched: {why}" for why, count in Counter(data["unpatched"]).items()
    ]
    if data["patches"]:
        rows = [_HEAD, *(_row(name, patch) for name, patch in data["patches"].items())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["", *(_line(row, widths) for row in rows)]
    for name, patch in data["patches"].items():
        lines += [f"{name}: {reason}" for reason in patch["reasons"]]
    return "\n".join(lines)


def _reached(processes: int) -> str:
    if processes:
        return f"safepatch: {processes} Python process{'es' * (processes != 1)}"
    return (
        "safepatch: no Python process was reached; safepatch must be installed where the Python of "
        "the command is, and Python not be started with -S"
    )


def _row(name: str, patch: dict[str, Any]) -> tuple[str, ...]:
    saved = patch["saved_seconds"]
    numbers = [str(patch[key]) for key in ("calls", "hits", "original_calls", "errors")]
    state = next((state for state in _FURTHEST if state in patch["states"]), "applied")
    also = [state for state in ("skipped", "failed") if patch["states"].get(state)]
    told = [f"{one} in {patch['states'][one]}" for one in also if len(patch["states"]) > 1]
    against = sum(guard["reason"] is not None for guard in patch["guards"])
    guards = f"{against} against" if against else "ok" if patch["guards"] else "none asked"
    return (
        name,
        *numbers,
        "unknown" if saved is None else f"{saved:.3f} s",
        ", ".join([state, *told]) if state not in also else ", ".join(told) or state,
        guards,
    )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    """Words to the left, numbers to the right."""
    cells = [
        cell.rjust(width) if 0 < at < 6 else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
