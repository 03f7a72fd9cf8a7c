"""The public names of the monitor as a user writes them; checked by type checkers, never run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

from safepatch.monitor import Monitor, MonitorError, PlanError, Result, check
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.statuses import Status

result = check("https://example.com/health", status=200, timeout="5s", json={"ok": True})
assert_type(result, Result)
assert_type((result.ok, result.error, result.seconds), tuple[bool, str, float])
assert_type(result.facts, dict[str, Any])

source: Mapping[str, Any] = {"endpoints": {"shop": "https://shop.example.com/"}}
monitor = Monitor([source, Path("sites.txt"), "example.com"], state=Path("state"), listen="")
with monitor as started, started.events() as events:
    for told in events:
        assert_type(told, dict[str, Any])

assert_type(monitor.recheck("shop"), bool)
assert_type(monitor.beat("key", "job", ok=False, message="no space left"), bool)
assert_type(monitor.endpoint("shop"), Endpoint)
assert_type(monitor.statuses, dict[str, Status])
assert_type(monitor.history.raw("shop", 0, 1), list[tuple[float, float, str]])
assert_type(monitor.history.uptime("shop", 86400), float | None)
assert_type((monitor.url, monitor.failed), tuple[str, bool])

try:
    monitor.run(lambda: print("it runs"))
except PlanError as error:
    assert_type(error.problems, list[tuple[str, str]])
except MonitorError as error:
    assert_type(error.facts, dict[str, Any])
