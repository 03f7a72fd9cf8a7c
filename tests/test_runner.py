"""`safepatch run`: what it refuses, and that the command cannot tell that it was not started
directly."""

import contextlib
import importlib.metadata
import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from running import PACKAGE, clean_environ, runner

from safepatch import commands, reports, runs
from safepatch import runner as running
from safepatch.errors import TargetError
from safepatch.runs import Run

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
PATCH = ["--patch", "colorsys:rgb_to_hls=memoize"]


@pytest.fixture
def refused(monkeypatch, tmp_path, capsys):
    """Run a command that must not be started; the one line that says why."""
    for name in [name for name in os.environ if name.startswith("SAFEPATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name in ("become", "attend"):
        monkeypatch.setattr(commands, name, None)

    def refused(**options):
        code = running.run([sys.executable, "-c", "raise SystemExit(3)"], **options)
        printed, complaints = capsys.readouterr()
        assert (code, printed) == (2, "")
        return complaints

    return refused


# What is refused before anything is started.


@pytest.mark.parametrize(
    ("patch", "parts"),
    [
        ("socket:getaddrinf=memoize", ["'socket:getaddrinf'", "did you mean 'getaddrinfo'"]),
        ("socket:getaddrinfo=memoise", ["'memoise'", "did you mean 'memoize'"]),
        ("socket:getaddrinfo=ttl_cache(tt=1)", ["ttl_cache", "'ttl'"]),
        ("socket:getaddrinfo=ttl_cache(ttl=-1)", ["ttl"]),
        ("socket:getaddrinfo=ttl_cache(ttl=open('x'))", ["open('x') is no plain value"]),
        ("socket:getaddrinfo=nowhere.at_all:decorator", ["nowhere.at_all:decorator"]),
        ("socket:getaddrinfo", ["is no patch; write it as"]),
    ],
)
def test_an_expression_that_is_wrong_is_told_before_anything_is_started(refused, patch, parts):
    complaints = refused(patches=[patch])

    assert complaints.startswith("safepatch run: ")
    assert all(part in complaints for part in parts), complaints


def test_a_name_that_is_neither_configured_nor_offered_names_the_nearest(refused):
    complaints = refused(names=["dns-cach"])

    assert complaints == (
        "safepatch run: no patch 'dns-cach' is configured, or offered by a package; "
        "did you mean 'dns-cache'?\n"
    )


CONFIGURED = """
    [patches.colours]
    target = "colorsys:rgb_to_hls"
    decorators = ["memoize"]
    {}
"""


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("requires = ['requests<1']", ["'colorsys:rgb_to_hls'", "requests<1"]),
        ("signature = '(red, green)'", ["'colorsys:rgb_to_hls'", "(r, g, b)"]),
        ("requirs = []", ["safepatch.toml", "patches.colours.requirs", "'requires'"]),
        ("target = ", ["safepatch.toml", "no TOML", "line 5"]),
    ],
    ids=["a version", "a signature", "a key", "no TOML"],
)
def test_a_configuration_that_is_wrong_is_told_before_anything_is_started(
    refused, tmp_path, line, parts
):
    (tmp_path / "safepatch.toml").write_text(CONFIGURED.format(line))

    complaints = refused()

    assert all(part in complaints for part in parts), complaints


def test_a_current_directory_that_was_removed_is_told(refused, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert refused() == (
        "safepatch run: the current directory was removed; go to one that there is\n"
    )


def test_nothing_to_run_is_told(capsys):
    assert running.run([]) == 2
    assert capsys.readouterr().err == "safepatch run: say which command to run\n"


def test_a_configuration_that_is_named_and_is_not_there_is_told(refused, monkeypatch):
    monkeypatch.setenv("SAFEPATCH_CONFIG", "nowhere.toml")

    assert "nowhere.toml: there is no such file; SAFEPATCH_CONFIG names it" in refused()


def test_a_configuration_that_is_named_from_here_is_found_by_processes_elsewhere(tmp_path):
    (tmp_path / "mine.toml").write_text(textwrap.dedent(CONFIGURED.format("")))
    program = (
        "import os, sys; os.chdir('/'); os.execv(sys.executable, [sys.executable, '-c', "
        "'import colorsys, safepatch; print(safepatch.apply_all())'])"
    )

    code, printed, complaints = runner(
        sys.executable, "--", "-c", program, folder=tmp_path, SAFEPATCH_CONFIG="mine.toml"
    )

    assert (code, printed, complaints) == (0, "[<Patch 'colours' applied>]\n", "")


def test_patches_of_a_run_are_applied_from_where_they_are_configured(tmp_path):
    (tmp_path / "safepatch.toml").write_text(textwrap.dedent(CONFIGURED.format("")))
    program = (
        "import colorsys, safepatch; print(safepatch.explain().to_dict()"
        "['sites'][0]['lines'][0]['applied_from'])"
    )

    code, printed, complaints = runner(sys.executable, "--", "-c", program, folder=tmp_path)

    assert (code, printed, complaints) == (0, f"{tmp_path}/safepatch.toml:2\n", "")


def test_a_configuration_is_no_matter_where_expressions_alone_are_wanted(refused, tmp_path):
    (tmp_path / "safepatch.toml").write_text("[patches.nonsense]\nnonsense = 1\n")

    assert "nonsense" in refused()
    with pytest.raises(TypeError):  # there is nothing to start it
        refused(patches=PATCH[1:])


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_report_that_cannot_be_written_is_told_before_anything_is_started(
    refused, monkeypatch, tmp_path, how
):
    path = str(tmp_path / "nowhere" / "report.json")
    if how == "variable":
        monkeypatch.setenv("SAFEPATCH_REPORT", path)

    complaints = refused(patches=PATCH[1:], report=path if how == "option" else False)

    assert complaints == (
        f"safepatch run: the report cannot be written to {path!r}; name a file in a folder that "
        "there is\n"
    )


def test_a_report_that_cannot_be_written_at_the_end_is_printed_and_the_exit_code_stays(tmp_path):
    (tmp_path / "out").mkdir()
    program = "import os; os.rmdir('out'); raise SystemExit(3)"

    code, _, complaints = runner(
        sys.executable, *PATCH, "--report=out/r.json", "--", "-c", program, folder=tmp_path
    )

    first, *printed = complaints.splitlines()
    assert first.endswith("out/r.json': No such file or directory")
    assert first.startswith("safepatch run: the report cannot be written to '")
    assert printed[0] == "safepatch: 1 Python process"
    assert code == 3


@posix
def test_nobody_reading_the_report_does_not_change_the_exit_code():
    reading, writing = os.pipe()
    os.close(reading)
    command = [*PATCH, "--report", "--", "-c", "raise SystemExit(3)"]

    ran = subprocess.run(
        [sys.executable, "-m", "safepatch.runner", *command],
        env=clean_environ(), stderr=writing, timeout=60,
    )  # fmt: skip

    os.close(writing)
    assert ran.returncode == 3


def test_a_process_that_ends_while_the_report_is_read_leaves_no_file_behind(tmp_path, monkeypatch):
    (tmp_path / "spool").mkdir()
    spool = str(tmp_path / "spool")
    monkeypatch.setattr(running.tempfile, "mkdtemp", lambda prefix: spool)
    monkeypatch.setattr(commands, "attend", lambda *args: 3)
    rmdir = os.rmdir

    def late(path, **options):
        with contextlib.suppress(OSError):
            (tmp_path / "spool" / "late.json").write_text("{}")
        rmdir(path, **options)

    monkeypatch.setattr(os, "rmdir", late)

    assert running.run(["true"], patches=PATCH[1:], report=tmp_path / "report.json") == 3

    assert os.listdir(tmp_path) == ["report.json"]


def test_what_was_tried_before_the_start_is_undone_and_warns_nobody(tmp_path, recwarn):
    (tmp_path / "safepatch.toml").write_text(
        CONFIGURED.format("signature = '(red, green)'\non_mismatch = 'skip'")
    )
    import colorsys

    running.check(Run(patches=("colorsys:rgb_to_hls=memoize",)))
    running.check(Run(config=str(tmp_path / "safepatch.toml")))

    assert colorsys.rgb_to_hls.__code__.co_filename == colorsys.__file__
    assert [str(warning.message) for warning in recwarn] == []


def test_a_patch_that_is_switched_off_is_told_by_the_program_alone(tmp_path):
    code, printed, complaints = runner(
        sys.executable, *PATCH, "--", "-c", "import colorsys", SAFEPATCH_DISABLE="*"
    )

    assert (code, printed) == (0, "")
    assert complaints.count("SAFEPATCH_DISABLE names it") == 1


NOT_EXECUTABLE = "not executable; make it so with `chmod +x`, or write before it what runs it"


@pytest.mark.parametrize(
    ("command", "code", "why"),
    [
        ("no-such-program", 127, "there is no such program"),
        ("./no-such-program", 127, "there is no such program"),
        ("./a-file", 126, f"it is {NOT_EXECUTABLE}"),
        ("a-file", 126, f"'./a-file' is {NOT_EXECUTABLE}"),
        ("./a-folder", 126, "it is a directory"),
        ("a-folder", 127, "there is no such program"),
        ("./nonsense", 126, "Exec format error"),
    ],
)
@pytest.mark.parametrize("report", [False, "report.json"])
@posix
def test_a_command_that_cannot_be_run_has_the_exit_code_of_shells(
    tmp_path, monkeypatch, capsys, command, code, why, report
):
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "nonsense").write_bytes(b"\x00nonsense")
    (tmp_path / "nonsense").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}.")

    assert running.run([command], patches=PATCH[1:], report=report) == code
    assert capsys.readouterr().err == f"safepatch run: cannot run {command!r}: {why}\n"


# What is run.


def test_the_file_that_starts_us_is_installed_with_the_package():
    files = {str(path) for path in importlib.metadata.files("safepatch-py")}

    assert {"safepatch-py.pth", "_safepatch_py_start.py", "_safepatch_py_pytest.py"} <= files
    assert running.has_start_file()


def test_scripts_and_options_are_run_by_this_python():
    assert commands.line(["script.py", "a"]) == [sys.executable, "script.py", "a"]
    assert commands.line(["-m", "module"]) == [sys.executable, "-m", "module"]
    assert commands.line(["gunicorn", "app:app"]) == ["gunicorn", "app:app"]


def test_a_program_beside_this_python_is_found_only_where_path_has_none(tmp_path, monkeypatch):
    for folder in ("on-path", "beside"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "gunicorn").write_text("#!/bin/sh\n")
        (tmp_path / folder / "gunicorn").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside" / "python"))

    on_path = commands.find("gunicorn", {"PATH": str(tmp_path / "on-path")})
    beside = commands.find("gunicorn", {"PATH": str(tmp_path)})

    assert on_path == str(tmp_path / "on-path" / "gunicorn")
    assert beside == str(tmp_path / "beside" / "gunicorn")


def attend(source, **environ):
    """A process that attends to a shell script, and nothing else."""
    code = (
        "import os, signal, sys; from safepatch import commands; "
        # A shell has what it starts in the background ignore these.
        "[signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGQUIT)]; "
        "sys.exit(commands.attend('/bin/sh', ['sh', '-c', sys.argv[1]], os.environ))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, source],
        env=clean_environ(PYTHONPATH=str(PACKAGE.parent)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "code"), [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
@posix
def test_the_exit_code_is_that_of_the_command_or_128_and_its_signal(source, code):
    assert commands.attend("/bin/sh", ["sh", "-c", source], os.environ) == code


@posix
def test_the_end_of_a_command_is_seen_where_another_thread_is_told_of_it():
    ended = threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()

    try:
        codes = [commands.attend("/bin/sh", ["sh", "-c", "exit 7"], os.environ) for _ in range(3)]
    finally:
        ended.set()
        other.join()

    assert codes == [7, 7, 7]


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "TTIN", "WINCH"])
@posix
def test_what_is_sent_to_us_is_passed_on(name):
    process = attend(f'trap "echo got it; exit 5" {name}; echo ready; while :; do sleep 0.02; done')
    assert process.stdout.readline() == "ready\n"

    process.send_signal(getattr(signal, f"SIG{name}"))

    printed, complaints = process.communicate(timeout=30)
    assert (process.returncode, printed, complaints) == (5, "got it\n", "")


@posix
def test_streams_are_those_of_the_command():
    process = attend("cat; echo complaint >&2")

    printed, complaints = process.communicate("given\n", timeout=30)

    assert (process.returncode, printed, complaints) == (0, "given\n", "complaint\n")


@posix
def test_what_python_ignores_or_we_block_the_command_does_not():
    """A pipe that nobody reads from any more ends a command, but for who ignores SIGPIPE."""
    count = "import signal, sys; sys.exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"

    blocked = commands.attend(sys.executable, [sys.executable, "-c", count], os.environ)
    piped = commands.attend("/bin/sh", ["sh", "-c", "kill -PIPE $$"], os.environ)

    assert (blocked, piped) == (0, 128 + signal.SIGPIPE)
    became = runner(sys.executable, *PATCH, "--", "sh", "-c", "kill -PIPE $$; echo alive")
    assert became == (-signal.SIGPIPE, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal of Linux")
@pytest.mark.parametrize(("leave", "times"), [("pass", 1), ("os.setpgid(0, 0)", 0)])
def test_a_terminal_interrupts_the_command_itself_and_not_us(leave, times):
    """One that has left the terminal is not interrupted: nothing is passed on."""
    script = (
        f"import os, signal, sys, time; {leave}\n"
        # Not print, which must not be called again while it still writes.
        "signal.signal(signal.SIGINT, lambda *_: os.write(1, b'interrupted\\n'))\n"
        "os.write(1, b'ready\\n'); time.sleep(0.3); time.sleep(0.1); sys.exit(4)"
    )
    code = (
        "import os, signal, sys; from safepatch import commands; "
        "signal.signal(signal.SIGTTOU, signal.SIG_IGN); "
        "sys.exit(commands.attend(sys.executable, [sys.executable, '-c', sys.argv[1]], os.environ))"
    )
    environ = clean_environ(PYTHONPATH=str(PACKAGE.parent))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", code, script], environ)
    printed = b""
    while b"ready" not in printed:
        printed += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while more := os.read(terminal, 1000):
            printed += more
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 4
    assert printed.count(b"interrupted") == times


@posix
def test_without_signals_that_can_be_waited_for_the_command_is_attended_too(monkeypatch):
    monkeypatch.setattr(sys, "platform", "another")
    before = signal.getsignal(signal.SIGTERM)

    codes = [
        commands.attend("/bin/sh", ["sh", "-c", source], os.environ)
        for source in ("exit 7", "kill -TERM $PPID; sleep 5", "kill -KILL $$")
    ]

    assert codes == [7, 143, 137]
    assert signal.getsignal(signal.SIGTERM) is before


@posix
def test_a_signal_that_comes_while_the_command_is_started_is_passed_on_too(monkeypatch):
    def starting(*args, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return started(*args, **options)

    started = subprocess.Popen
    monkeypatch.setattr(sys, "platform", "another")
    monkeypatch.setattr(subprocess, "Popen", starting)

    assert commands.attend("/bin/sh", ["sh", "-c", "sleep 20"], os.environ) == 143


# What goes wrong in a process of the run, where the runner has not seen it.


def python(run, *, program="print('ran')"):
    """A Python process that belongs to a run, started as where no .pth file is installed."""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=clean_environ(
            PYTHONPATH=os.pathsep.join(map(str, [PACKAGE / "bootstrap" / "path", PACKAGE.parent])),
            SAFEPATCH_RUN=run if isinstance(run, str) else json.dumps(run),
        ),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ("nonsense", "Expecting value"),
        ({"config": "/nowhere/safepatch.toml"}, "there is no such file"),
        ({"patches": ["time:slep=memoize", "colorsys:rgb_to_hls=memoize"]}, "'time:slep'"),
    ],
)
def test_a_process_that_cannot_be_patched_says_so_once_and_runs_unpatched(run, why):
    code, printed, complaints = python(run)

    assert (code, printed) == (0, "ran\n")
    assert complaints.startswith("safepatch: process ")
    assert why in complaints
    assert "runs unpatched" in complaints
    assert complaints.count("\n") == 1


def test_a_process_of_a_strict_run_that_cannot_be_patched_ends():
    code, printed, complaints = python({"patches": ["time:slep=memoize"], "strict": True})

    assert (code, printed) == (2, "")
    assert "runs not: the patch 'time:slep=memoize': cannot find 'time:slep'" in complaints


def test_a_process_that_could_not_be_patched_is_in_the_report(tmp_path):
    python({"patches": ["time:slep=memoize"], "spool": str(tmp_path)})
    told = reports.read(tmp_path)

    assert (told["processes"], told["patches"]) == (1, {})
    why = "the patch 'time:slep=memoize': cannot find 'time:slep'"
    assert f"1 could not be patched: {why}" in reports.text(told)


def test_one_patch_that_fails_has_none_applied(patches):
    import quopri

    with pytest.raises(TargetError, match="'time:slep'"):
        runs.apply(Run(patches=("quopri:ishex=memoize", "time:slep=memoize")), patches)

    assert (patches.handles(), quopri.ishex.__code__.co_name) == ([], "ishex")


def test_what_the_processes_of_a_run_are_told_comes_through_to_any_version():
    told = Run("a", ("b",), ("c",), ("d",), "e", True)

    assert runs.read(runs.write(told)) == told
    assert runs.read('{"patches": ["c"], "to_come": 1}') == Run(patches=("c",))


def test_a_patch_that_a_guard_skips_late_is_told_and_the_program_goes_on(tmp_path):
    (tmp_path / "safepatch.toml").write_text(CONFIGURED.format("signature = '(red, green)'"))

    code, printed, complaints = python(
        {"config": str(tmp_path / "safepatch.toml")}, program="import colorsys; print('ran')"
    )

    assert (code, printed) == (0, "ran\n")
    assert "GuardWarning: cannot patch 'colorsys:rgb_to_hls'" in complaints
    assert "(skipped)" in complaints


# Selecting.


def test_only_what_is_named_is_applied_enabled_or_not(tmp_path):
    (tmp_path / "safepatch.toml").write_text(
        CONFIGURED.format("enabled = false") + CONFIGURED.format("").replace("colours", "others")
    )
    every = Run(config=str(tmp_path / "safepatch.toml"))
    named = every._replace(names=("colours", "dns-cache", "colours"))
    expressions = every._replace(patches=("time:sleep=memoize",))

    selected = [[one.name for one in runs.selected(run)] for run in (every, named, expressions)]

    assert selected == [["others"], ["colours", "dns-cache"], ["time-sleep"]]
    assert all(one.enabled for one in runs.selected(named))


def test_decorators_beside_the_configuration_are_found_and_the_path_is_as_before(tmp_path):
    (tmp_path / "own_decorators.py").write_text("def same(wrapped): return lambda *a: 'patched'\n")
    (tmp_path / "safepatch.toml").write_text(
        CONFIGURED.format("").replace("memoize", "own_decorators:same")
    )
    (tmp_path / "below").mkdir()
    program = f"import colorsys, sys; print(colorsys.rgb_to_hls(), {str(tmp_path)!r} in sys.path)"

    ran = runner(sys.executable, "--", "-c", program, folder=tmp_path / "below")

    assert ran == (0, "patched False\n", "")
