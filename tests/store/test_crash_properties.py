"""Whatever a program does, of what it synced nothing is lost, and nothing comes from nowhere."""

import os
import pathlib
import tempfile

from hypothesis import example, given, settings
from hypothesis import strategies as st

from safepatch.store.testing import record

NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.integers(0, 12), st.binary(min_size=1, max_size=9)),
    st.tuples(st.just("truncate"), NAMES, st.integers(0, 12)),
    st.tuples(st.just("sync"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("unlink"), NAMES),
    st.tuples(st.just("sync directory")),
)


class Program:
    """Does the steps, and remembers what each file has ever been."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.ever = {name: {None} for name in "abc"}
        self.bytes = {0}

    def do(self, kind, *arguments):
        getattr(self, kind.replace(" ", "_"))(*arguments)

    def opened(self, name):
        return os.open(self.directory / name, os.O_RDWR | os.O_CREAT)

    def write(self, name, offset, data):
        file = self.opened(name)
        os.pwrite(file, data, offset)
        self.bytes.update(data)
        os.close(file)

    def truncate(self, name, size):
        file = self.opened(name)
        os.ftruncate(file, size)
        os.close(file)

    def sync(self, name):
        file = self.opened(name)
        os.fsync(file)
        os.close(file)

    def rename(self, old, new):
        if (self.directory / old).exists():
            os.rename(self.directory / old, self.directory / new)

    def unlink(self, name):
        (self.directory / name).unlink(missing_ok=True)

    def sync_directory(self):
        file = os.open(self.directory, os.O_RDONLY)
        os.fsync(file)
        os.close(file)

    def sync_all(self):
        for path in self.directory.iterdir():
            self.sync(path.name)
        self.sync_directory()

    def files(self):
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}


@settings(max_examples=40)
@given(st.lists(STEPS, max_size=6), st.lists(STEPS, max_size=4), st.sampled_from([1, 4, 512]))
# What was written is empty again, as it was when it was synced.
@example([], [("write", "a", 0, b"1234"), ("truncate", "a", 0), ("truncate", "b", 3)], 1)
def test_a_crash_leaves_what_was_synced_and_what_came_later_or_zeros(before, after, block):
    with tempfile.TemporaryDirectory() as directory, record(directory) as trace:
        program = Program(directory)
        for step in before:
            program.do(*step)
        program.sync_all()
        synced = program.files()
        trace.note("synced")
        for step in after:
            program.do(*step)
        written = program.files()

    states = [state.files for state in trace.states(limit=60, block=block) if state.notes]

    assert synced in states
    assert written in states
    untouched = {name for name in "abc" if all(name not in step[1:3] for step in after)}
    for files in states:
        assert {name: files.get(name) for name in untouched} == {
            name: synced.get(name) for name in untouched
        }
        for content in files.values():
            assert {*content} <= program.bytes


@settings(max_examples=25)
@given(st.lists(STEPS, max_size=4), st.integers(0, 3))
def test_all_states_of_few_calls_are_there_whatever_the_seed(steps, seed):
    with tempfile.TemporaryDirectory() as directory, record(directory) as trace:
        program = Program(directory)
        for step in steps:
            program.do(*step)

    everything = [*trace.states(limit=1 << 20, block=4)]
    some = [*trace.states(limit=10, block=4, seed=seed)]

    everywhere = [state.files for state in everything]
    assert all(state.files in everywhere for state in some)
    assert len({repr(sorted(files.items())) for files in everywhere}) == len(everything)


def test_a_state_of_a_moment_between_comes_with_a_later_one():
    """Which is why crashes come before syncs and notes only."""
    steps = [("write", "a", 0, b"123"), ("write", "b", 0, b"4"), ("rename", "a", "b")]
    found = []
    for count in (1, 2, 3):
        with tempfile.TemporaryDirectory() as directory, record(directory) as trace:
            program = Program(directory)
            for step in steps[:count]:
                program.do(*step)
        found.append([state.files for state in trace.states(limit=1 << 20)])

    assert all(files in found[1] for files in found[0])
    assert all(files in found[2] for files in found[1])
