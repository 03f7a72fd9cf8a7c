"""Small programs that keep something in files: right ones, and the same with a mistake each."""

import errno
import os
import struct
import zlib

HEADER = struct.Struct("<II")  # length and checksum of what follows


def sync_directory(path):
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_all(file, data):
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


class Log:
    """A log of texts that are there when `append` has returned, written ahead of anything.

    `mistakes` names what it does wrong.
    """

    def __init__(self, directory, *mistakes):
        self.mistakes, self.failed = mistakes, False
        path = os.path.join(directory, "log")
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            content = b"".join(iter(lambda: os.read(self.file, 1 << 16), b""))
            self.texts, end = self._recover(content)
            if end < len(content):
                os.ftruncate(self.file, end)
            if "recovery not synced" not in mistakes:
                os.fsync(self.file)
            if "directory not synced" not in mistakes:
                sync_directory(directory)
        except BaseException:
            os.close(self.file)
            raise

    def _recover(self, content):
        texts, place = [], 0
        while place + HEADER.size <= len(content):
            length, checksum = HEADER.unpack_from(content, place)
            data = content[place + HEADER.size :][:length]
            is_whole = len(data) == length and length > 0
            if not is_whole or (
                "no checksum" not in self.mistakes and zlib.crc32(data) != checksum
            ):
                break
            texts.append(data.decode())
            place += HEADER.size + length
        return texts, place

    def append(self, text, note=lambda text: None):
        data = text.encode()
        if self.failed:
            raise OSError(errno.EIO, "the log has failed before")
        try:
            write_all(self.file, HEADER.pack(len(data), zlib.crc32(data)) + data)
            if "acknowledged before sync" in self.mistakes:
                note(text)
            self._sync()
        except OSError:
            self.failed = "goes on after an error" not in self.mistakes
            raise
        self.texts.append(text)
        if "acknowledged before sync" not in self.mistakes:
            note(text)

    def _sync(self):
        if "file not synced" in self.mistakes:
            return
        try:
            os.fdatasync(self.file)
        except OSError:
            if "sync tried again" not in self.mistakes:
                raise
            os.fdatasync(self.file)

    def close(self):
        os.close(self.file)


def save(path, data, *mistakes):
    """Replace a file by another, so that it is the one or the other whatever happens."""
    if "truncated in place" in mistakes:
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return
    with open(f"{path}.tmp", "wb") as file:
        file.write(data)
        file.flush()
        if "renamed before sync" in mistakes:
            os.replace(f"{path}.tmp", path)
        if "file not synced" not in mistakes:
            os.fsync(file.fileno())
    if "renamed before sync" not in mistakes:
        os.replace(f"{path}.tmp", path)
    if "directory not synced" not in mistakes:
        sync_directory(os.path.dirname(path))
