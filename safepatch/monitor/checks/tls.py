"""Checks of TLS: that a port shakes hands, and what its certificate says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safepatch.monitor.checks.securing import reach_tls
from safepatch.monitor.checks.tcp import greeted, with_port
from safepatch.monitor.courses import Course, follow
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools


def check(endpoint: Endpoint, tools: Tools) -> Result:
    """Connect and shake hands; then as for TCP."""
    return follow(endpoint, tools, _walk)


def _walk(endpoint: Endpoint, tools: Tools, course: Course) -> None:
    url = with_port(endpoint)
    connection = reach_tls(endpoint, tools, course, url.host, url.port)
    try:
        greeted(endpoint, course, connection)
    finally:
        connection.close()
