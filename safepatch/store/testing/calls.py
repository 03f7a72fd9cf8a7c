"""What is called to change a directory, and how each call is noted."""

from __future__ import annotations

import _pyio  # type: ignore[import-not-found]
import fcntl
import os
from collections.abc import Callable
from typing import Any

from safepatch.store.testing.disks import Name
from safepatch.store.testing.recorders import Recorder

Call = Callable[..., Any]


def write(see: Recorder, name: str, wrapped: Call, file: int, data: Any, *rest: Any) -> Any:
    """Of all kinds: at a place of the file or where it stands, of one piece of data or several."""
    node = see.node(file)
    if node is None:
        return wrapped(file, data, *rest)
    with see.lock:
        text = f"os.{name}({see.paths[node]!r}"
        try:
            count = wrapped(file, data, *rest)
        except BaseException as error:
            see.reread(f"{text}) failed: {error!r}", node, file)
            raise
        if count:
            given = data if name.endswith("v") else [data]
            whole = b"".join(bytes(memoryview(part).cast("B")) for part in given)
            offset = rest[0] if name[0] == "p" else os.lseek(file, 0, os.SEEK_CUR) - count
            told = f"{text}, {count} bytes at {offset})"
            see.written(told, node, offset, whole[:count])
            _sync_if_asked(see, node, file)
        return count


def _sync_if_asked(see: Recorder, node: int, file: int) -> None:
    if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DSYNC:
        see.synced("... and synced", node)


def copy(see: Recorder, name: str, wrapped: Call, *args: Any, **kwargs: Any) -> Any:
    """What writes data that is not at hand."""
    file = args[1] if name in ("copy_file_range", "splice") else args[0]
    node = see.node(file)
    if node is None:
        return wrapped(*args, **kwargs)
    with see.lock:
        try:
            return wrapped(*args, **kwargs)
        finally:
            see.reread(f"os.{name}({see.paths[node]!r})", node, file)


def truncate(see: Recorder, name: str, wrapped: Call, path: Any, length: int) -> None:
    node = see.node(path) if isinstance(path, int) else see.there(os.path.realpath(path))
    if node is None:
        wrapped(path, length)
        return
    with see.lock:
        wrapped(path, length)
        see.cut(f"os.{name}({see.paths[node]!r}, {length})", node, length)


def sync(see: Recorder, name: str, wrapped: Call, fd: Any) -> None:
    node = see.node(fd)
    if node is None:
        wrapped(fd)
        return
    with see.lock:
        text = f"os.{name}({see.paths[node]!r})"
        try:
            wrapped(fd)
        except BaseException:
            see.failed(text, node)
            raise
        see.synced(text, node)


def sync_all(see: Recorder, name: str, wrapped: Call) -> None:
    with see.lock:
        wrapped()
        see.add("os.sync()", lambda disk, call: disk.sync_all(), is_barrier=True)


def open_file(
    see: Recorder,
    name: str,
    wrapped: Call,
    path: Any,
    flags: int,
    mode: int = 0o777,
    *,
    dir_fd: int | None = None,
) -> Any:
    changes = flags & (os.O_CREAT | os.O_TRUNC) or _is_nameless(flags)
    spot = see.spot(path, dir_fd) if changes else None
    if spot is None and not (_is_nameless(flags) and see.there(path, dir_fd) is not None):
        return wrapped(path, flags, mode, dir_fd=dir_fd)
    with see.lock:
        was_there = os.access(path, os.F_OK, dir_fd=dir_fd) and not _is_nameless(flags)
        file = wrapped(path, flags, mode, dir_fd=dir_fd)
        about, node = os.fstat(file), see.node(file)
        text = f"os.open({see.path(spot) if spot else path!r})"
        if not was_there:
            see.made(text, None if _is_nameless(flags) else spot, about)
        elif flags & os.O_TRUNC and node is not None:
            see.cut(f"{text}, which truncates", node, 0)
        return file


def _is_nameless(flags: int) -> bool:
    nameless: int = getattr(os, "O_TMPFILE", 0)
    return bool(nameless) and flags & nameless == nameless


def mkdir(
    see: Recorder, name: str, wrapped: Call, path: Any, mode: int = 0o777, **where: Any
) -> None:
    spot = see.spot(path, **where)
    with see.lock:
        wrapped(path, mode, **where)
        if spot is not None:
            see.made(f"os.mkdir({see.path(spot)!r})", spot, os.lstat(path, **where))


def symlink(
    see: Recorder, name: str, wrapped: Call, src: Any, dst: Any, *args: Any, **where: Any
) -> None:
    dir_fd = where.get("dir_fd")
    spot = see.spot(dst, dir_fd)
    with see.lock:
        wrapped(src, dst, *args, **where)
        if spot is not None:
            text = f"os.symlink({os.fsdecode(src)!r}, {see.path(spot)!r})"
            see.made(text, spot, os.lstat(dst, dir_fd=dir_fd), os.fsdecode(src))


def unlink(see: Recorder, name: str, wrapped: Call, path: Any, **where: Any) -> None:
    spot = see.spot(path, **where)
    with see.lock:
        wrapped(path, **where)
        if spot is not None:
            see.named(f"os.{name}({see.path(spot)!r})", spot[0], {spot: None})


def link(see: Recorder, name: str, wrapped: Call, src: Any, dst: Any, **where: Any) -> None:
    dst_fd = where.get("dst_dir_fd")
    spot = see.spot(dst, dst_fd)
    with see.lock:
        wrapped(src, dst, **where)
        node = see.there(dst, dst_fd)
        # What comes from elsewhere is not known; that is said when the recording ends.
        if spot is not None and node is not None:
            see.named(f"os.link({see.paths[node]!r}, {see.path(spot)!r})", spot[0], {spot: node})


def rename(
    see: Recorder,
    name: str,
    wrapped: Call,
    src: Any,
    dst: Any,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
) -> None:
    where = {"src_dir_fd": src_dir_fd, "dst_dir_fd": dst_dir_fd}
    old, new = see.spot(src, src_dir_fd), see.spot(dst, dst_dir_fd)
    if old is None and new is None:
        wrapped(src, dst, **where)
        return
    with see.lock:
        node, replaced = see.there(src, src_dir_fd), see.there(dst, dst_dir_fd)
        wrapped(src, dst, **where)
        if node == replaced and node is not None:
            return  # two names of one file, which both stay
        if node is not None and old is not None:
            shown = see.path(new) if new is not None else os.fsdecode(dst)
            names: dict[Name, int | None] = {old: None}
            if new is not None:
                names[new] = node
            text = f"os.{name}({see.path(old)!r}, {shown!r})"
            see.named(text, (new or old)[0], names)


def opened(see: Recorder, name: str, wrapped: Call, *args: Any, **kwargs: Any) -> Any:
    """`open()` is written in C and calls nothing that can be seen; its twin in Python does."""
    file = args[0] if args else kwargs.get("file")
    mode = args[1] if len(args) > 1 else kwargs.get("mode", "r")
    is_ours = {*str(mode)} & {*"wax+"} and (
        see.node(file) is not None
        if isinstance(file, int)
        else see.spot(file) is not None or see.there(file) is not None
    )
    return (_pyio.open if is_ours else wrapped)(*args, **kwargs)


#: What is patched, where it exists, and what notes it.
HANDLERS: dict[str, Call] = {
    **dict.fromkeys(("os:write", "os:pwrite", "os:writev", "os:pwritev"), write),
    **dict.fromkeys(("os:sendfile", "os:copy_file_range", "os:splice", "os:posix_fallocate"), copy),
    **dict.fromkeys(("os:ftruncate", "os:truncate"), truncate),
    **dict.fromkeys(("os:fsync", "os:fdatasync"), sync),
    "os:sync": sync_all,
    "os:open": open_file,
    "os:mkdir": mkdir,
    "os:symlink": symlink,
    **dict.fromkeys(("os:unlink", "os:remove", "os:rmdir"), unlink),
    "os:link": link,
    **dict.fromkeys(("os:rename", "os:replace"), rename),
    **dict.fromkeys(("builtins:open", "io:open"), opened),
}


def is_ours(see: Recorder, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of a function of os is about the directory."""
    if name in ("rename", "replace", "link"):
        src, dst = see.spot(args[0], kwargs.get("src_dir_fd")), kwargs.get("dst_dir_fd")
        return src is not None or see.spot(args[1], dst) is not None
    if name in ("open", "mkdir", "unlink", "remove", "rmdir", "symlink"):
        path = args[1] if name == "symlink" else args[0]
        return see.spot(path, kwargs.get("dir_fd")) is not None
    if name == "sync" or not args:
        return name == "sync"
    about = args[1] if name in ("copy_file_range", "splice") else args[0]
    return see.node(about) is not None or see.spot(about) is not None
