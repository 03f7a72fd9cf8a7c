"""`safepatch monitor top`: a monitor on the terminal, by its API, or one that checks by itself."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from safepatch.cli import monitoring, printing
from safepatch.cli.monitoring import exits, monitor
from safepatch.cli.telling import counted

if TYPE_CHECKING:
    from safepatch.monitor.monitor import Monitor

__all__ = ["monitor"]  # with this command, too

_STYLES = {"down": "bold red", "warning": "yellow", "unknown": "magenta", "new": "dim"}
_WHERE = "http://127.0.0.1:8787"

Seen = tuple[dict[str, Any], list[dict[str, Any]]]  # as /api/v1/status and /api/v1/endpoints say


@monitor.command(
    epilog=exits("0  it was ended", "2  an error: a wrong option or source, or no monitor answers")
)
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@click.option("--url", default=_WHERE, show_default=True, help="Where the pages of a monitor are.")
@click.option("--token-env", metavar="NAME", help="The environment variable with a token for it.")
@click.option("--every", type=click.FloatRange(min=0.1), default=2.0, show_default=True,
              metavar="SECONDS", help="How often to look.")  # fmt: skip
@monitoring.interval
def top(
    sources: tuple[str, ...],
    url: str,
    token_env: str | None,
    every: float,
    interval: float | None,
) -> None:
    """Look at a monitor, what is down first.

    Without a SOURCE that is the one that runs at --url. With sources they are checked by this
    command itself, and nothing is kept or alerted. Control-C ends it. Where no terminal is there,
    what is seen first is printed.
    """
    if sources:
        monitoring.patch()
    with monitoring.errors(), contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as on:
        if sources:
            look = on.enter_context(_own(sources, interval))
        else:
            if token_env and token_env not in os.environ:
                raise ValueError(f"the environment variable {token_env} is not set; set it")
            token = os.environ[token_env] if token_env else ""

            def look() -> Seen:
                return fetched(url, token)

        show(look, every)


def show(look: Callable[[], Seen], every: float) -> None:
    """Draw what is seen again and again on a terminal; elsewhere print it once."""
    to = printing.console()
    if not to.is_terminal:
        status, rows = look()
        printing.line(headline(status))
        if rows:
            printing.table(("state", "endpoint", "since", "took", ""), map(cells, rows))
        return
    from rich.live import Live

    with Live(console=to, screen=True, auto_refresh=False) as live:
        while True:
            status, rows = look()
            live.update(drawn(status, rows[: max(1, to.height - 4)]), refresh=True)
            time.sleep(every)  # gevent's, by now, if checks are made here


def headline(status: dict[str, Any]) -> str:
    """The monitor in a line."""
    counts, pace = status["counts"], status["pace"]
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    late = pace.get("lateness", {}).get("median", 0.0) * 1e3
    said = [f"{counted(status['total'], 'endpoint')}: {', '.join(parts)}",
            f"{pace.get('per_second', 0.0):.1f} checks/s, {late:.0f} ms late"]  # fmt: skip
    said += ["OVERLOADED"] if pace.get("overloaded") else []
    said += [f"BLIND: {status['blind']}"] if status.get("blind") else []
    said += [f"the sources are wrong: {problem}" for problem in status.get("problems", [])[:1]]
    return _plain("; ".join(said))


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table: state, name, since when, how long it took, what is said."""
    said = row["message"] or "; ".join(row["warnings"])
    muted = f"({row['muted']}) " if row["muted"] else ""
    took = row["phases"].get("total")
    shown = (
        shown_state(row), row["name"], _ago(row["since"]),
        "" if took is None else f"{took * 1e3:.0f} ms", muted + said,
    )  # fmt: skip
    return tuple(map(_plain, shown))


def _plain(text: str) -> str:
    """A text from elsewhere, without what would move the cursor."""
    return "".join(each if each.isprintable() else "?" for each in text)


def shown_state(row: dict[str, Any]) -> str:
    """The state, as the pages group it: what is up but not quite well is "warning"."""
    unwell = row["failing"] or row["warnings"] or row["flapping"]
    return "warning" if row["state"] == "up" and unwell else str(row["state"])


def _ago(since: float, now: Callable[[], float] = time.time) -> str:
    """How long ago, in the largest unit that has two of them."""
    if not since:
        return ""
    passed = max(0.0, now() - since)
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if passed >= 2 * size:
            return f"{passed / size:.0f} {unit}"
    return f"{passed:.0f} s"


def drawn(status: dict[str, Any], rows: list[dict[str, Any]]) -> Group:
    """The screen."""
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    shares = [("state", None), ("endpoint", 2), ("since", None), ("took", None), ("", 3)]
    for head, ratio in shares:
        table.add_column(head, ratio=ratio, no_wrap=True, overflow="ellipsis")
    for row in rows:
        state, *others = cells(row)
        table.add_row(Text(state, _STYLES.get(state, "green")), *map(Text, others))
    bad = status.get("blind") or status["pace"].get("overloaded")
    return Group(Text(headline(status), "bold red" if bad else "bold"), Text(""), table)


def fetched(url: str, token: str = "", seconds: float = 10.0) -> Seen:
    """What a monitor says of itself. Raises MonitorError, if none answers there."""
    from safepatch.monitor.engine.keeping import MonitorError

    url = url if "://" in url else f"http://{url}"
    try:
        status = _fetch(f"{url.rstrip('/')}/api/v1/status", token, seconds)
        found = _fetch(f"{url.rstrip('/')}/api/v1/endpoints?per_page=200", token, seconds)
        return status, found["endpoints"]
    except urllib.error.HTTPError as error:
        error.close()
        hint = "is that a monitor?"
        if error.code in (401, 403):
            hint = "is the token among its tokens?" if token else "give a token by --token-env"
        raise MonitorError(f"{url} answers {error.code} {error.reason}; {hint}", url=url) from error
    except (OSError, ValueError, KeyError) as error:
        why = getattr(error, "reason", error)  # what urllib has wrapped
        why = getattr(why, "strerror", None) or why
        raise MonitorError(
            f"no monitor answers at {url}: {why}; start one by `safepatch monitor run`, name "
            "another by --url, or give sources to be checked here",
            url=url,
        ) from error


def _fetch(url: str, token: str, seconds: float) -> Any:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("it is no address of http or https")
    request = urllib.request.Request(url)  # noqa: S310
    if token:  # which is for this host, and for none that it redirects to
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
        return json.load(answer)


@contextlib.contextmanager
def _own(sources: tuple[str, ...], interval: float | None) -> Iterator[Callable[[], Seen]]:
    """A monitor that keeps nothing and tells nobody, and a look at it."""
    from safepatch.monitor.monitor import Monitor

    with (
        monitoring.interruptible(),
        tempfile.TemporaryDirectory() as state,
        Monitor(
            monitoring.with_defaults(sources, interval, None, False),
            state=state, listen="", quiet=True,
        ) as watching,
    ):  # fmt: skip
        if not printing.console().is_terminal:
            _wait_for_results(watching)
        yield lambda: own_look(watching)


def _wait_for_results(watching: Monitor, seconds: float = 60.0) -> None:
    """Until all were checked once, for so long at most."""
    import gevent

    until = time.monotonic() + seconds
    waiting = set(watching.plan.endpoints)
    while waiting and time.monotonic() < until:
        gevent.sleep(0.05)
        waiting = {name for name in waiting if not watching.statuses[name].checked}


def own_look(watching: Any, most: int = 200) -> Seen:
    """What the API would say, of a monitor in this process."""
    rows = [
        {
            "name": name, "state": status.state, "since": status.since, "failing": status.failing,
            "message": status.message, "muted": status.muted, "warnings": [*status.warnings],
            "flapping": status.flapping, "phases": status.result.phases if status.result else {},
        }
        for name, status in watching.statuses.items()
    ]  # fmt: skip
    order = ["down", "warning", "unknown", "new", "up"]
    rows.sort(key=lambda row: (order.index(shown_state(row)), row["name"]))
    counts = {state: sum(shown_state(row) == state for row in rows) for state in order}
    status = {
        "total": len(rows), "counts": counts, "blind": watching.blind,
        "problems": [": ".join(each) for each in watching.problems],
        "pace": watching.pace.figures(),
    }  # fmt: skip
    return status, rows[:most]
