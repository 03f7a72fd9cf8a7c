"""See the calls of `os` that change what is in a directory."""

from __future__ import annotations

import _thread
import os
import stat
from collections.abc import Callable
from typing import Any

from safepatch.store.testing.disks import ROOT, Disk, Name
from safepatch.store.testing.files import File
from safepatch.store.testing.traces import Event, Trace
from safepatch.store.testing.trees import read_file, read_tree

Inode = tuple[int, int]


class UnseenError(RuntimeError):
    """What is in the directory is not what the recorded calls left there.

    `names` are the files that differ.
    """

    def __init__(self, text: str, names: list[str]) -> None:
        super().__init__(text)
        self.names = names


class Recorder:
    """Turns calls into the events of a trace. Files are known by their inodes, not by names.

    Under one lock, from before a call until it is noted, so that the order is that of the calls.
    """

    def __init__(self) -> None:
        self.lock = _thread.RLock()  # the native one, whatever gevent patches
        self.nodes: dict[Inode, int] = {}
        self.paths: dict[int, str] = {}  # the last known, for people
        self.trace = Trace()
        self.directory = ""
        self.count = ROOT

    def start(self, directory: str) -> Trace:
        """Begin anew, with what is in the directory, which counts as synced."""
        tree = read_tree(directory)  # before anything is ours, and may fail on purpose
        self.trace, self.nodes, self.paths = Trace(), {}, {ROOT: ""}
        self.directory, self.count = directory, ROOT
        nodes = {_inode(os.stat(directory)): ROOT}
        for name, content in tree.items():
            path = os.path.join(directory, name)
            inode, parent = _inode(os.lstat(path)), os.path.dirname(path)
            if inode not in nodes:
                self.count += 1
                nodes[inode] = self.count
                self.paths[self.count] = name
            node = nodes[inode]
            self.trace.names[nodes[_inode(os.stat(parent))], os.path.basename(path)] = node
            if isinstance(content, bytes):
                self.trace.files[node] = content
            elif isinstance(content, str):
                self.trace.links[node] = content
        self.nodes = nodes
        return self.trace

    def stop(self) -> None:
        """Raise UnseenError if not all has been seen, and see nothing more."""
        with self.lock:
            self.nodes = {}
        disk = self.trace.disk()
        wanted = disk.tree(disk.with_steps(disk.unsafe_steps()), {})
        found = read_tree(self.directory)
        names = sorted({name for name, _ in wanted.items() ^ found.items()})
        if names:
            raise UnseenError(
                f"{', '.join(map(repr, names))} in {self.directory!r} changed unseen; only "
                "what calls open() or functions of os by these names is recorded, in this process: "
                "not sqlite3, mmap, other processes, nor what comes from another directory",
                names,
            )

    # What is where.

    def node(self, file: Any) -> int | None:
        """The node of an open file, or None if it is none of ours."""
        try:
            return self.nodes.get(_inode(os.fstat(file if type(file) is int else file.fileno())))
        except (AttributeError, OSError, TypeError, ValueError):
            return None

    def spot(self, path: Any, dir_fd: int | None = None) -> Name | None:
        """The directory and name that a path leads to, or None if that is none of ours."""
        try:
            parent, base = os.path.split(os.fsdecode(path).rstrip(os.sep))
            directory = self.nodes.get(_inode(os.stat(parent or os.curdir, dir_fd=dir_fd)))
        except (OSError, TypeError, ValueError):
            return None
        return None if directory is None else (directory, base)

    def there(self, path: Any, dir_fd: int | None = None) -> int | None:
        try:
            return self.nodes.get(_inode(os.lstat(path, dir_fd=dir_fd)))
        except OSError:
            return None

    def new(self, about: os.stat_result, path: str) -> int:
        # What had this inode before is gone, else nothing new could have it.
        self.count += 1
        self.nodes[_inode(about)] = self.count
        self.paths[self.count] = path
        return self.count

    def path(self, spot: Name) -> str:
        return os.path.join(self.paths.get(spot[0], "?"), spot[1])

    # What happened.

    def add(self, text: str, change: Callable[[Disk, int], object] | None, **more: Any) -> None:
        self.trace.events.append(Event(text, change, **more))

    def named(self, text: str, home: int, names: dict[Name, int | None]) -> None:
        for spot, node in names.items():
            if node is not None:
                self.paths[node] = self.path(spot)
        self.add(text, lambda disk, call: disk.change(home, names))

    def made(self, text: str, spot: Name | None, about: os.stat_result, link: str = "") -> None:
        """Something new is there, which may have no name yet."""
        node = self.new(about, self.path(spot) if spot else "a file without a name")

        def change(disk: Disk, call: int) -> None:
            if link:
                disk.links[node] = link
            elif stat.S_ISREG(about.st_mode):
                disk.files[node] = File(b"", disk.block)
            if spot is not None:
                disk.change(spot[0], {spot: node})

        self.add(text, change)

    def written(self, text: str, node: int, offset: int, data: bytes) -> None:
        if data:
            self.add(text, lambda disk, call: disk.files[node].write(call, offset, data))

    def cut(self, text: str, node: int, size: int) -> None:
        self.add(text, lambda disk, call: disk.files[node].truncate(call, size))

    def synced(self, text: str, node: int) -> None:
        self.add(text, lambda disk, call: disk.sync(node), is_barrier=True)

    def failed(self, text: str, node: int) -> None:
        def change(disk: Disk, call: int) -> None:
            if node in disk.files:
                disk.files[node].fail(call)

        self.add(f"{text} failed", change)

    def reread(self, text: str, node: int, file: int) -> None:
        """Something may have been written: look what."""
        old = self.trace.disk().whole(node)
        new = read_file(f"/proc/self/fd/{file}")
        if len(new) < len(old):
            self.cut(text, node, len(new))
        same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
        self.written(text, node, same, new[same:])


def _inode(about: os.stat_result) -> Inode:
    return about.st_dev, about.st_ino
