"""`safepatch run` beside the commands of other tools, which start by a sitecustomize as well."""

import os
import sys

import pytest
from running import runner

BIN = os.path.dirname(sys.executable)
OTHERS = {"ddtrace": "ddtrace-run", "opentelemetry": "opentelemetry-instrument"}
# None of them is to look for a server.
QUIET = {
    "DD_TRACE_ENABLED": "true",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
}
PATCH = ["--patch", "colorsys:rgb_to_hls=memoize"]
TELL = (
    "import colorsys, safepatch, sys; "
    "print(len(safepatch.live()), {module!r} in sys.modules or sys.argv)"
)


@pytest.mark.parametrize("module", OTHERS)
def test_another_tool_that_is_started_within_the_run_starts_as_well(module, tmp_path):
    there = [os.path.join(BIN, OTHERS[module]), sys.executable, "-c", TELL.format(module=module)]

    code, printed, complaints = runner(
        sys.executable, *PATCH, "--", *there, folder=tmp_path, **QUIET
    )

    assert (code, printed) == (0, "1 True\n"), complaints


@pytest.mark.parametrize("module", OTHERS)
def test_another_tool_that_starts_the_run_starts_as_well(module, tmp_path):
    there = [sys.executable, "-m", "safepatch.runner", *PATCH]
    outside = [os.path.join(BIN, OTHERS[module]), *there, "--", sys.executable, "-c"]

    # Started by a run of nothing, only because that is what `runner` does.
    code, printed, complaints = runner(
        sys.executable, "--", *outside, TELL.format(module=module), folder=tmp_path, **QUIET
    )

    assert (code, printed) == (0, "1 True\n"), complaints
