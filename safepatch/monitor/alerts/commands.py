"""Running a command that somebody has set, for an alert or a restart."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Mapping, Sequence

import gevent
from gevent.monkey import get_original

from safepatch.monitor.alerts.channels import why
from safepatch.monitor.alerts.reaching import DeliveryError


def run(command: Sequence[str], data: bytes, names: Mapping[str, str]) -> None:
    """Run a command without a shell, with `data` as a line of input and more environment.

    Returns when it has ended with 0, and raises DeliveryError else. Waits as greenlets do; where
    that is interrupted, as by a timeout, the command is killed with all of its process group, and
    goes on where the greenlet is killed. What it writes to its standard error goes where ours goes.
    """
    # gevent's subprocess would wait for each child of this process, whosesoever it is.
    spawn = get_original("os", "posix_spawnp")
    environment = {**os.environ, **{name: _clean(value) for name, value in names.items()}}
    with tempfile.TemporaryFile() as file:
        file.write(data + b"\n")  # so that a command that appends it to a file makes lines
        file.seek(0)
        actions = [
            (os.POSIX_SPAWN_DUP2, file.fileno(), 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ]
        try:
            child = spawn(
                command[0],
                [*command],
                environment,
                file_actions=actions,
                setpgroup=0,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        except (OSError, ValueError) as error:
            raise DeliveryError(f"cannot run {command[0]!r}: {why(error)}") from None
    _need_zero(command[0], _wait(child))


def _clean(value: str) -> str:
    return value.replace("\0", " ").encode("utf-8", "replace").decode()[:30_000]


def _wait(child: int) -> int:
    """The exit code of a child."""
    waitpid, pause = get_original("os", "waitpid"), 0.005
    try:
        while True:
            gone, status = waitpid(child, os.WNOHANG)
            if gone:
                return os.waitstatus_to_exitcode(status)
            gevent.sleep(pause)
            pause = min(2 * pause, 0.1)
    except ChildProcessError:  # somebody else has waited for it; subprocess says the same
        return 0
    except gevent.GreenletExit:  # the program ends; what it has begun may be half done
        raise
    except BaseException:
        os.killpg(child, signal.SIGKILL)
        waitpid(child, 0)
        raise


def _need_zero(name: str, code: int) -> None:
    if code < 0:
        raise DeliveryError(f"{name!r} was ended by signal {-code}")
    if code > 0:
        raise DeliveryError(f"{name!r} ended with exit code {code}")
