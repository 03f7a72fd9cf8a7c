"""A PostgreSQL of our own, on loopback, that tests may stop, kill and start."""

import contextlib
import glob
import itertools
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import psycopg

# Where Debian, and others, keep what is not in the PATH.
PLACES = ["/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin"]


def programs():
    """The directory of initdb, postgres and the like, or None."""
    found = [path for place in PLACES for path in sorted(glob.glob(f"{place}/initdb"))]
    there = shutil.which("initdb") or (found[-1] if found else None)
    return there and pathlib.Path(there).resolve().parent  # for others may not be linked


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Server:
    """With fsync on, as it is by itself. As it refuses to run as root, root is somebody else."""

    def __init__(self):
        self.programs = programs()
        self.directory = tempfile.mkdtemp(prefix="safepatch-postgres-")
        self.port = free_port()
        self.run_as = {}
        if os.getuid() == 0:
            names = [user.pw_name for user in pwd.getpwall()]
            user = "postgres" if "postgres" in names else "nobody"
            self.run_as = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
            os.chown(self.directory, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        self.data = f"{self.directory}/data"
        self._make()
        self.process = None

    def _make(self):
        self._run(
            "initdb", "-D", self.data, "-U", "safepatch", "--auth=trust", "--no-sync",
            "--encoding=UTF8", "--locale=C",
        )  # fmt: skip

    def _run(self, program, *arguments):
        subprocess.run(
            [self.programs / program, *arguments],
            check=True, capture_output=True, cwd=self.directory, timeout=60, **self.run_as,
        )  # fmt: skip

    def url(self, *, port=None, schema=None, user="safepatch"):
        options = f"?options=-csearch_path%3D{schema}" if schema else ""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/postgres{options}"

    def start(self, *settings):
        given = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories="]
        options = [part for setting in [*given, *settings] for part in ("-c", setting)]
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, *options],
                stdout=log, stderr=log, cwd=self.directory, **self.run_as,
            )  # fmt: skip
        for _ in range(600):
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, self.log()
                time.sleep(0.05)
        raise AssertionError(self.log())

    def log(self):
        return pathlib.Path(self.directory, "log").read_text()

    def stop(self, how=signal.SIGINT):
        """SIGINT ends all connections; SIGQUIT leaves it to recovery, as a crash does."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory)

    def execute(self, statement, *values, schema=None):
        """What the server says to somebody else."""
        with psycopg.connect(self.url(schema=schema), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else None


class Replica(Server):
    """One that has all that another one writes, and only reads, until it is promoted."""

    def __init__(self, primary):
        self.primary = primary
        super().__init__()

    def _make(self):
        self._run(
            "pg_basebackup", "-D", self.data, "-d", self.primary.url(), "--write-recovery-conf",
            "--checkpoint=fast", "--no-sync",
        )  # fmt: skip

    def catch_up(self):
        """Wait until it has what the primary has by now."""
        [(place,)] = self.primary.execute("SELECT pg_current_wal_flush_lsn()::text")
        end = time.monotonic() + 30
        while self.execute(f"SELECT pg_last_wal_replay_lsn() >= '{place}'") != [(True,)]:
            assert time.monotonic() < end
            time.sleep(0.02)

    def promote(self):
        """Make it the primary; the old one must be gone."""
        self._run("pg_ctl", "promote", "-D", self.data)


class Proxy:
    """A way to the server that can be cut: silently, as a network is, or by closing."""

    def __init__(self, port):
        self.target = port
        self.silent = False
        self._pairs, self._ended, self._threads = [], [], []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._begin(self._accept)

    def _begin(self, function, *arguments):
        self._threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            self._pairs.append((near, far))
            for pair in ((near, far), (far, near)):
                self._begin(self._pump, *pair)

    def _pump(self, source, destination):
        try:
            while data := source.recv(65536):
                while self.silent:
                    time.sleep(0.01)
                destination.sendall(data)
        except OSError:
            pass
        for end in (source, destination):
            shut(end)

    def cut(self):
        """End all connections, on both sides."""
        pairs, self._pairs = self._pairs, []
        for end in itertools.chain(*pairs):
            shut(end)
        self._ended += pairs

    def close(self):
        shut(self._listening)
        self.silent = False
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for end in itertools.chain([self._listening], *self._ended):
            end.close()


def shut(end):
    """Have both sides see the end, and whoever reads here; closing alone would not."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
