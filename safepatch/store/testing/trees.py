"""The content of a directory, read and written."""

from __future__ import annotations

import os
import shutil

from safepatch.store.testing.disks import Tree


def read_tree(directory: str) -> Tree:
    """What a directory holds; what is no file, link or directory is left out."""
    found: Tree = {}
    _read(directory, "", found)
    return found


def _read(directory: str, prefix: str, found: Tree) -> None:
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.is_symlink():
            found[prefix + entry.name] = os.readlink(entry.path)
        elif entry.is_dir():
            found[prefix + entry.name] = None
            _read(entry.path, f"{prefix}{entry.name}{os.sep}", found)
        elif entry.is_file():
            found[prefix + entry.name] = read_file(entry.path)


def read_file(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(file, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)


def write_tree(tree: Tree, directory: str) -> None:
    """Make a directory hold this and nothing else; files that are the same stay as they are."""
    os.makedirs(directory, exist_ok=True)
    _remove_others(tree, directory, "")
    for name, content in tree.items():
        path = os.path.join(directory, name)
        if content is None:
            os.makedirs(path, exist_ok=True)
        elif isinstance(content, str):
            if not os.path.islink(path):
                os.symlink(content, path)
        else:
            _write(path, content)


def _write(path: str, content: bytes) -> None:
    # Nothing is truncated to nothing: ext4 takes that for a replacement, and goes to the disk.
    if not content and os.path.lexists(path):
        os.unlink(path)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        # Times would not tell: a file of the same size may have been changed a moment ago.
        size = os.fstat(file).st_size
        if size == len(content) and os.pread(file, size, 0) == content:
            return
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]
        if size > len(content):
            os.ftruncate(file, len(content))
    finally:
        os.close(file)


def _remove_others(tree: Tree, directory: str, prefix: str) -> None:
    for entry in os.scandir(directory):
        name = prefix + entry.name
        wanted = tree.get(name, ...)
        if entry.is_symlink():
            if wanted != os.readlink(entry.path):
                os.unlink(entry.path)
        elif entry.is_dir():
            if wanted is None:
                _remove_others(tree, entry.path, f"{name}{os.sep}")
            else:
                shutil.rmtree(entry.path)
        elif not (isinstance(wanted, bytes) and entry.is_file() and entry.stat().st_nlink == 1):
            os.unlink(entry.path)
