"""`safepatch run` beside the commands of other tools, which start by a sitecustomize as well."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from running import clean_environ, runner

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


TASKS = """
    import colorsys, pathlib
    from celery import Celery

    folder = pathlib.Path(__file__).parent / "queue"
    folder.mkdir(exist_ok=True)
    app = Celery("tasks", broker="filesystem://", backend=folder.as_uri())
    app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder}

    @app.task
    def look():
        for _ in range(5):
            colorsys.rgb_to_hls(0.1, 0.2, 0.3)
        return colorsys.rgb_to_hls.__code__.co_filename
"""
ASK = "import tasks; print([one.get(timeout=60) for one in [tasks.look.delay() for _ in range(4)]])"


def test_the_workers_of_celery_are_patched_and_counted(tmp_path):
    (tmp_path / "tasks.py").write_text(textwrap.dedent(TASKS))
    worker = ["-m", "celery", "--app", "tasks", "worker", "--concurrency=2", "--loglevel=ERROR"]
    at = {"cwd": tmp_path, "env": clean_environ(C_FORCE_ROOT="1")}
    process = subprocess.Popen(
        [sys.executable, "-m", "safepatch.runner", *PATCH, "--report=report.json", "--", *worker],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **at,
    )  # fmt: skip
    try:
        asked = subprocess.run(
            [sys.executable, "-c", ASK], capture_output=True, text=True, timeout=90, **at
        )
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=60)
    finally:
        process.kill()

    assert asked.stdout == f"{['<safepatch>'] * 4}\n", asked.stderr
    assert process.returncode == 0, complaints
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["patches"]["colorsys-rgb_to_hls"]["calls"] == 20
