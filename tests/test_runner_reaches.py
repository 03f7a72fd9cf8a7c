"""`safepatch run` reaches Python processes however they are started, beside other tools."""

import http.client
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from running import PACKAGE, STARTS, clean_environ, environment, runner

pytestmark = pytest.mark.skipif(os.name != "posix", reason="starts processes in POSIX's ways")

PATCH = ["--patch", "colorsys:rgb_to_hls=memoize(maxsize=5)"]
# Says whether it is patched where it runs.
TELL = "from colorsys import rgb_to_hls as f; print({where!r}, f.__code__.co_filename[0] == '<')"


@pytest.fixture(scope="module")
def pythons(tmp_path_factory):
    return {start: environment(tmp_path_factory.mktemp("env"), start) for start in STARTS}


@pytest.fixture(params=STARTS)
def python(request, pythons):
    return pythons[request.param]


@pytest.fixture
def bare_python(pythons):
    """A Python without a .pth file of ours."""
    return pythons["a sitecustomize"]


FAMILY = """
    import colorsys, multiprocessing, os, subprocess, sys

    def tell(where):
        for _ in range(10):
            colorsys.rgb_to_hls(0.1, 0.2, 0.3)
        print(where, colorsys.rgb_to_hls.__code__.co_filename[0] == "<", flush=True)

    if __name__ == "__main__":
        tell("script")
        subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
        for how in ("fork", "spawn", "forkserver"):
            context = multiprocessing.get_context(how)
            process = context.Process(target=tell, args=(how,))
            process.start()
            process.join()
        if os.fork() == 0:
            tell("os.fork")
            os._exit(0)
        os.wait()
        if os.fork() == 0:
            tell("killed")
            os.kill(os.getpid(), 9)
        os.wait()
        sys.exit(7)
"""


def test_every_child_process_is_patched_and_counted_whatever_it_died_of(python, tmp_path):
    (tmp_path / "family.py").write_text(textwrap.dedent(FAMILY))
    report = tmp_path / "report.json"

    code, printed, complaints = runner(
        python, *PATCH, f"--report={report}", "--", "family.py",
        TELL.format(where="subprocess"), folder=tmp_path,
    )  # fmt: skip

    assert (code, complaints) == (7, "")
    assert printed.split("\n")[:-1] == [
        f"{where} True"
        for where in ("script", "subprocess", "fork", "spawn", "forkserver", "os.fork", "killed")
    ]
    told = json.loads(report.read_text())
    patch = told["patches"]["colorsys-rgb_to_hls"]
    # Each but the one that only tells makes ten calls; forked ones have the cache already.
    assert (patch["calls"], patch["original_calls"], patch["hits"]) == (60, 3, 57)
    # The tracker of multiprocessing, and its server, may be there or about to be.
    assert told["processes"] in (7, 8, 9)


def test_without_a_report_the_process_becomes_the_command(bare_python):
    code, printed, complaints = runner(
        bare_python,
        *PATCH,
        "--",
        "-c",
        f"import os, sys; {TELL.format(where='')}; sys.stdout.flush(); os.kill(os.getpid(), 15)",
    )

    assert (code, complaints) == (-15, "")
    assert printed == " True\n"


CUSTOM = {
    # As OpenTelemetry's, it runs no other.
    "alone": "import sys; sys.told = [*getattr(sys, 'told', []), 'other']",
    # As ddtrace's and ours, it runs the next one.
    "in a chain": """
        import os, sys
        sys.told = [*getattr(sys, "told", []), "other"]
        here = os.path.dirname(__file__)
        at = sys.path.index(here)
        del sys.path[at]
        mine = sys.modules.pop("sitecustomize")
        try:
            import sitecustomize
        except ImportError:
            sys.modules["sitecustomize"] = mine
        finally:
            sys.path.insert(at, here)
        """,
    "raising": "raise RuntimeError('broken')",
}
TOLD = f"import sys; {TELL.format(where='program')}; print(getattr(sys, 'told', []))"


@pytest.mark.parametrize("how", CUSTOM)
def test_another_tool_that_was_there_before_starts_as_well(bare_python, how, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(CUSTOM[how]))

    _, printed, complaints = runner(bare_python, *PATCH, "--", "-c", TOLD, PYTHONPATH=str(tmp_path))

    assert printed == f"program True\n{[] if how == 'raising' else ['other']}\n"
    assert ("RuntimeError: broken" in complaints) == (how == "raising")


@pytest.mark.parametrize(("start", "how"), [(STARTS[0], "alone"), (STARTS[1], "in a chain")])
def test_another_tool_that_starts_within_the_run_starts_as_well(pythons, start, how, tmp_path):
    """As `safepatch run -- ddtrace-run python`, which puts its folder in front of ours."""
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(CUSTOM[how]))
    other = (
        "import os, sys; old = os.environ.get('PYTHONPATH'); "
        f"os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [{str(tmp_path)!r}, old])); "
        f"os.execv(sys.executable, [sys.executable, '-c', {TOLD!r}])"
    )

    _, printed, complaints = runner(pythons[start], *PATCH, "--", "-c", other)

    assert (printed, complaints) == ("program True\n['other']\n", "")


def test_a_process_is_patched_once_though_both_ways_lead_to_it(pythons, tmp_path):
    program = "import colorsys, safepatch; print([len(p.wrappers) for p in safepatch.live()])"
    ours = str(PACKAGE / "bootstrap" / "path")
    report = tmp_path / "report.json"

    _, printed, _ = runner(
        pythons[STARTS[0]], *PATCH, f"--report={report}", "--", "-c", program, PYTHONPATH=ours
    )

    assert printed == "[3]\n"  # with those that count below and above
    assert json.loads(report.read_text())["processes"] == 1


def test_a_program_finds_the_path_that_it_has_without_us(bare_python):
    program = "import sys; print(sys.path[1:])"
    plain = subprocess.run(
        [bare_python, "-c", program],
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert runner(bare_python, *PATCH, "--", "-c", program) == (0, plain.stdout, "")


def test_a_run_within_a_run_is_in_the_report_of_the_outer(bare_python, tmp_path):
    inner = ["-m", "safepatch.runner", "--patch", "colorsys:hls_to_rgb=memoize", "--"]
    program = "import colorsys; colorsys.hls_to_rgb(0.1, 0.2, 0.3)"

    code, _, complaints = runner(
        bare_python, *PATCH, "--", *inner, "-c", program, SAFEPATCH_REPORT=str(tmp_path / "r.json")
    )

    assert (code, complaints) == (0, "")
    patches = json.loads((tmp_path / "r.json").read_text())["patches"]
    assert patches["colorsys-hls_to_rgb"]["calls"] == 1


def test_a_python_that_has_no_safepatch_runs_as_ever(bare_python, tmp_path):
    there = "-c", "import sys; print('ran', 'safepatch' in sys.modules)"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)

    code, printed, complaints = runner(
        bare_python, *PATCH, "--", tmp_path / "other" / "bin" / "python", *there
    )

    assert (code, printed, complaints) == (0, "ran False\n", "")


def test_where_nothing_is_configured_nothing_is_imported_nor_set(python, tmp_path):
    program = (
        "import os, sys; print([name for name in sys.modules if 'safepatch' in name], "
        "[name for name in os.environ if name in ('SAFEPATCH_RUN', 'PYTHONPATH')])"
    )

    code, printed, complaints = runner(python, "--", "-c", program, folder=tmp_path)
    plain = subprocess.run(
        [python, "-c", program], env=clean_environ(), capture_output=True, text=True, timeout=30
    )

    assert (code, printed) == (0, "[] []\n")
    assert "nothing is configured" in complaints
    assert (plain.stdout, plain.stderr) == ("[] []\n", "")


APP = """
    import colorsys, os

    def app(environ, start_response):
        start_response("200 OK", [])
        colorsys.rgb_to_hls(0.1, 0.2, 0.3)
        return [f"{os.getpid()} {colorsys.rgb_to_hls.__code__.co_filename[0] == '<'}".encode()]
"""
CONFIGURED = """
    [patches.colours]
    target = "colorsys:rgb_to_hls"
    decorators = [{use = "ttl_cache", ttl = 60}]
"""


def wait_for(path, process):
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text().count("ready") >= 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, path.read_text() if path.exists() else "no log"
        time.sleep(0.02)


def test_the_workers_of_gunicorn_are_patched_by_a_configuration_and_counted(bare_python, tmp_path):
    pytest.importorskip("gunicorn")
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    (tmp_path / "safepatch.toml").write_text(textwrap.dedent(CONFIGURED))
    (tmp_path / "gunicorn.conf.py").write_text(
        "def post_worker_init(worker):\n"
        "    open('ready', 'a').write('ready ')\n"
        "def when_ready(server):\n"
        "    open('port', 'w').write(str(server.LISTENERS[0].getsockname()[1]))\n"
    )
    options = ["-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:0", "app:app"]
    process = subprocess.Popen(
        [bare_python, "-m", "safepatch.runner", "--report=report.json", "--", *options],
        env=clean_environ(), cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(tmp_path / "ready", process)
        answers = []
        for _ in range(5):
            asked = http.client.HTTPConnection(
                "127.0.0.1", int((tmp_path / "port").read_text()), timeout=30
            )
            asked.request("GET", "/")
            answers.append(asked.getresponse().read().decode())
            asked.close()
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=30)
    finally:
        process.kill()

    assert process.returncode == 0, complaints
    assert {answer.split()[1] for answer in answers} == {"True"}
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["patches"]["colours"]["calls"] == 5
    assert told["patches"]["colours"]["states"]["applied"] >= 1
    assert told["processes"] >= 3
