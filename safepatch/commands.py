"""Running a command in our place: signals, exit code, terminal and files are as if whoever
started us had started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

#: Exit codes of shells for a command that is there and cannot be run, and for one that is not.
CANNOT_RUN, NOT_FOUND = 126, 127
# Python ignores these, and what is ignored stays so in another program.
_IGNORED_BY_PYTHON = [
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if name in dir(signal)
]
# Of the signals that others send, those that are not passed on: they stop and continue us as well
# as the command, or cannot be waited for, or mean that we are broken.
_OURS = "KILL STOP TSTP CONT SEGV BUS FPE ILL TRAP ABRT SYS PIPE XFSZ"
_SENT_BY_KERNEL = 0x80  # si_code, on Linux


def line(command: Sequence[str]) -> list[str]:
    """A command as it is to be run; `script.py`, and options as in `-m module`, by this Python."""
    if command[0].startswith("-") or command[0].endswith((".py", ".pyz")):
        return [sys.executable, *command]
    return [*command]


def find(name: str, environ: Mapping[str, str]) -> str | None:
    """The program of that name on PATH or, if there is none, beside this Python, as in a virtual
    environment that is not activated."""
    scripts = os.path.dirname(sys.executable)
    return shutil.which(name, path=environ.get("PATH")) or shutil.which(name, path=scripts)


def why_not(name: str, environ: Mapping[str, str]) -> tuple[str, int]:
    """Why `find` finds no program of that name, and the exit code of shells for that."""
    if os.path.dirname(name) and os.path.isdir(name):
        return "it is a directory", CANNOT_RUN
    file = shutil.which(name, os.F_OK, environ.get("PATH"))
    if file is None:
        return "there is no such program", NOT_FOUND
    what = "it" if file == name else repr(file)
    return (
        f"{what} is not executable; make it so with `chmod +x`, or write before it what runs it"
    ), CANNOT_RUN


def become(program: str, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command instead of this process; where there is no such thing, wait for it.

    Raises OSError if it cannot be run.
    """
    if os.name != "posix":
        return attend(program, command, environ)
    _flush()
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in _IGNORED_BY_PYTHON]
    try:
        os.execve(program, [*command], {**environ})  # noqa: S606 - it is what was asked for
    finally:  # it could not
        for number, handler in before:
            signal.signal(number, handler)


def attend(program: str, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command, pass on the signals that come meanwhile, and give its exit code, or 128 and
    the signal's number if it died of one.

    Raises OSError if it cannot be run.
    """
    _flush()
    if sys.platform == "linux":
        return _attend_by_signals(program, command, environ)
    return _attend_plainly(program, command, environ)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _attend_by_signals(program: str, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Nothing is handled, so nothing is missed: signals are blocked, and taken one by one."""
    ours = {getattr(signal, f"SIG{name}") for name in _OURS.split()}
    taken = signal.valid_signals() - ours
    before = signal.pthread_sigmask(signal.SIG_BLOCK, taken)
    try:
        child = os.posix_spawn(
            program, [*command], {**environ}, setsigmask=before, setsigdef=_IGNORED_BY_PYTHON
        )
        while True:
            # Other threads do not block it, so one of those may be told of the end of a child.
            came = signal.sigtimedwait(taken, 0.5)
            # Of its children this may be told once for several.
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return _exit_code(os.waitstatus_to_exitcode(status))
            if came is not None and came.si_signo != signal.SIGCHLD:
                _pass_on(came, child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pass_on(came: signal.struct_siginfo, child: int) -> None:
    # A terminal sends Ctrl-C to the command as well as to us.
    if came.si_code != _SENT_BY_KERNEL:
        os.kill(child, came.si_signo)
    elif came.si_signo in (signal.SIGTTIN, signal.SIGTTOU):
        os.kill(os.getpid(), signal.SIGSTOP)  # as the command is, which the shell is to see


def _attend_plainly(program: str, command: Sequence[str], environ: Mapping[str, str]) -> int:
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        if child is None:
            early.append(number)
        elif number != signal.SIGINT:  # which a terminal sends to the command as well
            child.send_signal(number)

    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    taken = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [(number, signal.signal(number, pass_on)) for number in taken]
    try:
        child = subprocess.Popen([*command], executable=program, env={**environ}, close_fds=False)  # noqa: S603
        for number in early:
            pass_on(number, None)
        while True:
            # A signal that comes just before the wait begins would be heeded only after its end.
            with contextlib.suppress(subprocess.TimeoutExpired):
                return _exit_code(child.wait(0.5))
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _exit_code(code: int) -> int:
    return code if code >= 0 else 128 - code
