"""Run a small program of several threads under each schedule there is, up to a bound.

A program is a generator function: what comes first arranges, `yield [function, ...]` gives what
the threads are to run, and what follows asserts when they have ended. It runs in real threads,
of which one goes on at a time: a trace function stops it at each step, and a schedule says whose
step is next. A step is a line, or an instruction, that can touch what threads share; switching
between two others would show nothing else.

All schedules without a preemption come first, then those with one, and so on (Musuvathi, Qadeer,
"Iterative context bounding for systematic testing of multithreaded programs", 2007), each run
from the start. What goes beyond the bound is tried by random priorities that change a few times
(Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs", 2010).

safepatch's lock and those of the import system are replaced by ones that tell who waits, so that
a thread which cannot go on is never chosen, and a deadlock is a failure like any other.
"""

from __future__ import annotations

import _imp
import _thread
import collections
import contextlib
import contextvars
import dis
import functools
import gc
import importlib._bootstrap
import itertools
import linecache
import os
import pathlib
import random
import sys
import threading
import time
import traceback

import safepatch
from safepatch import kinds, sites, stacks

# Where threads may be switched: the code of faces, and what changes or looks at sites.
FILES = {kinds.FILE} | {
    str(pathlib.Path(safepatch.__file__).with_name(f"{name}.py"))
    for name in (
        *("stacks", "sites", "in_place", "examine", "aliases", "imports", "places"),
        *("patches", "groups", "registry", "scopes", "wrappers"),
    )
}
#: How large a step may be. In CPython 3.12 a thread that is not traced crashes while another is
#: traced by instructions, and 3.13 passes instructions by that it told of the time before.
GRAINS = ["lines"] if sys.version_info >= (3, 12) else ["lines", "opcodes"]
# Whoever runs this long without a step waits for something that no schedule knows of.
DEADLINE = 20
# A program is small; one that takes more steps goes round and round.
MOST_STEPS = 20_000

# What a thread does to itself alone: a switch before it shows nothing that a switch after it does
# not. Names of modules and functions are never set anew in what is tested.
OWN = (
    *("CACHE", "COPY", "EXTENDED_ARG", "IS_OP", "JUMP", "KW_NAMES", "LOAD_CLOSURE", "LOAD_CONST"),
    *("LOAD_FAST", "LOAD_GLOBAL", "MAKE_", "NOP", "POP_EXCEPT", "POP_TOP", "PRECALL", "PUSH_"),
    *("RERAISE", "RESUME", "RETURN", "STORE_FAST", "SWAP", "BUILD_", "POP_JUMP_FORWARD_IF_N"),
    *("POP_JUMP_IF_N", "RETURN_GENERATOR", "GET_AWAITABLE", "END_", "CHECK_EXC"),
)
# The part of the import system between whose steps others may run; the rest is its locks.
IMPORTING = ("_find_and_load", "_find_spec", "_load_unlocked", "_handle_fromlist", "_exec")


class Abandoned(BaseException):
    """Ends a thread of a run that cannot go on."""


class UnfinishedError(AssertionError):
    """A run in which nobody can go on, or that does not end."""


class UnrepeatableError(Exception):
    """A run that did not go as the one before it, up to where it was to differ."""


class Task:
    """A thread of a program, and the baton that lets it go on."""

    def __init__(self, number, function):
        self.number, self.function = number, function
        self.ready = lambda: True
        self.over, self.error, self.frame = False, None, None
        self.baton = _thread.allocate_lock()
        self.baton.acquire()


class Run:
    """One run of some functions, under `choose(step, current or None, those who can go on)`."""

    def __init__(self, functions, choose):
        self.tasks = [Task(number, function) for number, function in enumerate(functions)]
        self.choose, self.steps, self.switches = choose, [], []
        self.current, self.abandoned, self.trouble, self.asking = None, False, None, False
        self.ended = _thread.allocate_lock()
        self.ended.acquire()

    def execute(self, workers):
        global running
        running = self
        for worker, task in zip(workers, self.tasks, strict=False):
            worker.give(functools.partial(self._live, task))
        self.pass_on(None)
        if not self.ended.acquire(timeout=DEADLINE):
            self.trouble = self.trouble or "it hangs"
        self.abandoned = self.trouble is not None
        if self.abandoned:
            for task in self.tasks:
                with contextlib.suppress(RuntimeError):  # it has its baton
                    task.baton.release()
        for worker in workers[: len(self.tasks)]:
            worker.wait()
        running = None
        if self.trouble:
            raise UnfinishedError(self.trouble)
        for task in self.tasks:
            if task.error is not None:
                raise task.error

    def _live(self, task):
        task.baton.acquire()
        try:
            if not self.abandoned:
                contextvars.Context().run(task.function)
        except Abandoned:
            pass
        except BaseException as error:
            task.error = error
        task.over = True
        if not self.abandoned:
            self.pass_on(task)

    def at(self, frame):
        """The current thread is about to do a step."""
        if not self.abandoned and not self.asking:
            self.current.frame = frame
            self.pass_on(self.current)

    def wait(self, ready):
        """Let others run until `ready()`."""
        task = self.current
        task.ready = ready
        while not self._can_go_on(task):
            if self.abandoned:
                raise Abandoned
            self.pass_on(task)
        task.ready = lambda: True

    def _can_go_on(self, task):
        self.asking = True  # which is no step
        can = not task.over and task.ready()
        self.asking = False
        return can

    def pass_on(self, task):
        """Let whoever is chosen go on; a task comes back from here when it is chosen again."""
        enabled = [other.number for other in self.tasks if self._can_go_on(other)]
        mine = task.number if task is not None and task.number in enabled else None
        if enabled == [mine]:
            return
        if enabled and len(self.steps) < MOST_STEPS:
            chosen = self.choose(len(self.steps), mine, enabled)
            self.steps.append((mine, enabled, chosen, self._place(task)))
            if chosen == mine:
                return
            self.switches.append((len(self.steps) - 1, mine, self._where(task), chosen))
            self.current = self.tasks[chosen]
            self.current.baton.release()
        else:
            left = [str(other.number) for other in self.tasks if not other.over]
            if enabled:
                self.trouble = "it goes round and round"
            elif left:
                self.trouble = f"nobody can go on: {' and '.join(left)} wait for each other"
            self.ended.release()
        if task is not None and not task.over:
            task.baton.acquire()
            if self.abandoned:
                raise Abandoned

    def _place(self, task):
        """To see whether a run repeats another one."""
        frame = None if task is None or task.over else task.frame
        return frame and (frame.f_code.co_name, frame.f_lineno, frame.f_lasti)

    def _where(self, task):
        if task is None or task.over or task.frame is None:
            return task and (task.number, None, None)
        return task.number, task.frame.f_code.co_filename, task.frame.f_lineno

    def forced(self):
        """The schedule that gives the same run again: who was chosen where it was no default."""
        return {
            index: chosen
            for index, (mine, enabled, chosen, _) in enumerate(self.steps)
            if chosen != default(mine, enabled)
        }

    def told(self):
        """Who went on where, for people."""
        lines = [f"schedule {self.forced()}:"]
        for step, mine, where, chosen in self.switches:
            if where is None:
                lines.append(f"  thread {chosen} begins")
                continue
            number, file, line = where
            place = "at its end"
            if file is not None:
                text = linecache.getline(file, line).strip()
                place = f"before {pathlib.Path(file).name}:{line} `{text}`"
            stops = "stops" if mine is not None else "waits" if file else "is"
            lines.append(f"  {step}: thread {number} {stops} {place}; {chosen} goes on")
        return "\n".join(lines)


#: The run there is just now, if there is one.
running: Run | None = None


def wait_until(ready):
    """Wait in a thread of a program, in a way that schedules know of."""
    if running is None:
        assert ready()
    else:
        running.wait(ready)


class Lock:
    """A lock that tells the schedule who waits for it; others may take it when nothing runs."""

    def __init__(self, reentrant=True):
        self.reentrant, self.owner, self.count = reentrant, None, 0

    def acquire(self, blocking=True, timeout=-1):
        me = _thread.get_ident()
        if self.owner is not None and not (self.reentrant and self.owner == me):
            if not blocking:
                return False
            wait_until(lambda: self.owner is None)
        self.owner, self.count = me, self.count + 1
        return True

    def release(self):
        self.count -= 1
        if self.count == 0:
            self.owner = None

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *error):
        self.release()


class Worker:
    """A thread kept from run to run: to begin one and to trace it costs more than to run it."""

    def __init__(self, trace):
        self.trace = trace
        self.begin, self.done = _thread.allocate_lock(), _thread.allocate_lock()
        self.begin.acquire()
        self.done.acquire()
        threading.Thread(target=self._work, daemon=True).start()
        self.done.acquire()  # it is traced, and waits

    def _work(self):
        sys.settrace(self.trace)
        while True:
            self.done.release()
            self.begin.acquire()
            if self.job is None:
                return
            self.job()

    def give(self, job):
        self.job = job
        self.begin.release()

    def wait(self):
        if not self.done.acquire(timeout=DEADLINE):
            frames = [traceback.format_stack(frame) for frame in sys._current_frames().values()]
            raise UnfinishedError(
                "a thread hangs:\n" + "\n".join("".join(frame) for frame in frames)
            )


class Tracer:
    """Stops threads at their steps in the files that count."""

    def __init__(self, grain, files):
        self.opcodes, self.files = grain == "opcodes", files
        self._steps = {}

    def __call__(self, frame, event, argument):
        code = frame.f_code
        if running is None or not self._counts(code):
            return None
        steps = self._steps_of(code)
        if self.opcodes:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False

            def at(frame, event, argument):
                if event == "opcode" and frame.f_lasti in steps and not _imp.lock_held():
                    running.at(frame)
                return at
        else:

            def at(frame, event, argument):
                if event == "line" and frame.f_lineno in steps and not _imp.lock_held():
                    running.at(frame)
                return at

        return at

    def _counts(self, code):
        if code.co_filename == "<frozen importlib._bootstrap>":
            return code.co_name in IMPORTING
        return code.co_filename in self.files

    def _steps_of(self, code):
        # By name, since each patch in place makes its code anew.
        key = code.co_filename, code.co_qualname, code.co_firstlineno, len(code.co_code)
        if key not in self._steps:
            shared = [i for i in dis.get_instructions(code) if not i.opname.startswith(OWN)]
            self._steps[key] = (
                {i.offset for i in shared} if self.opcodes else {i.positions.lineno for i in shared}
            )
        return self._steps[key]


def default(current, enabled):
    """Who goes on when a schedule does not say: whoever runs, or else the first."""
    return enabled[0] if current is None else current


def following(schedule):
    """Choose as a schedule says: steps, and who is chosen there instead of who would be."""

    def choose(step, current, enabled):
        wanted = schedule.get(step, default(current, enabled))
        if wanted not in enabled:
            raise UnrepeatableError(f"thread {wanted} cannot go on at step {step}")
        return wanted

    return choose


def wandering(chance, threads, steps, changes):
    """Choose whoever comes first in an order that changes a few times, at steps of no choice."""
    order = chance.sample(range(threads), threads)
    at = {chance.randrange(max(steps, 1)) for _ in range(changes)}

    def choose(step, current, enabled):
        if step in at and current is not None:
            order.remove(current)
            order.append(current)
        return min(enabled, key=order.index)

    return choose


def _require_same(before, steps):
    """A run goes as the one it comes from did, up to where it is to differ."""
    for index, (one, other) in enumerate(zip(before, steps, strict=False)):
        if one != other:
            raise UnrepeatableError(f"step {index} was {one}, and then {other}")


class Explorer:
    """Runs a program again and again, in threads it keeps; `counts` how often, by preemptions."""

    def __init__(self, program, grain, files):
        self.program, self.tracer, self.workers = program, Tracer(grain, files), []
        self.counts, self.wandered, self.longest, self.left = [], 0, 0, 0

    def __str__(self):
        counted = " + ".join(map(str, self.counts))
        left = f", {self.left} left out" if self.left else ""
        return f"{counted} schedules{left}, {self.wandered} at random; {self.longest} steps"

    def run(self, choose):
        # What earlier runs left, until it is collected, would give this one more steps.
        sites._inert_faces.clear()
        program = self.program()
        functions = next(program)
        while len(self.workers) < len(functions):
            self.workers.append(Worker(self.tracer))
        run = Run(functions, choose)
        try:
            run.execute(self.workers)
            for _ in program:
                raise TypeError("a program yields its threads, once")
        except BaseException as error:
            error.add_note(run.told())
            raise
        self.longest = max(self.longest, len(run.steps))
        if (sum(self.counts) + self.wandered) % 500 == 0:
            gc.collect()
        return run

    def explore(self, preemptions, most=sys.maxsize, end=float("inf")):
        """Run all schedules with at most so many preemptions, fewer first.

        No more than `most` with each number of them, picked at random, and none after `end`.
        """
        # A schedule is that of the run it comes from, and one step where another is chosen.
        now, later, chance = [({}, [], None, None)], [], random.Random(0)
        for bound in range(preemptions + 1):
            self.counts.append(0)
            while now and self.counts[bound] < most and time.monotonic() < end:
                picked = chance.randrange(len(now))
                now[picked], now[-1] = now[-1], now[picked]
                schedule, before, step, chosen = now.pop()
                if step is not None:
                    schedule = schedule | {step: chosen}
                run = self.run(following(schedule))
                _require_same(before[:step], run.steps)
                self.counts[bound] += 1
                for index in range(0 if step is None else step + 1, len(run.steps)):
                    current, enabled, went, _ = run.steps[index]
                    for other in enabled:
                        if other != went:
                            child = schedule, run.steps, index, other
                            (now if current is None else later).append(child)
            self.left += len(now)
            now, later = later, []

    def wander(self, end, changes=4):
        """Run schedules that are chosen at random, with any number of preemptions, until `end`."""
        for seed in itertools.count():
            if time.monotonic() > end:
                return
            chance = random.Random(seed)
            self.run(wandering(chance, len(self.workers), self.longest, changes))
            self.wandered += 1

    def close(self):
        for worker in self.workers:
            worker.give(None)


@contextlib.contextmanager
def exploring(program, grain, files):
    """An explorer, while every lock that threads can wait for tells who waits."""
    module_lock = importlib._bootstrap._ModuleLock
    before, init = stacks.lock, module_lock.__init__

    def with_known_wakeup(self, name):
        init(self, name)
        self.wakeup = Lock(reentrant=False)

    explorer = Explorer(program, grain, FILES | set(files))
    collecting = gc.isenabled()
    stacks.lock, module_lock.__init__ = Lock(), with_known_wakeup
    gc.disable()  # it runs what it likes, when it likes
    gc.freeze()
    try:
        # What is imported and cached at the first use would make the first run another one.
        explorer.run(following({}))
        explorer.run(following({}))
        yield explorer
    finally:
        stacks.lock, module_lock.__init__ = before, init
        explorer.close()
        gc.unfreeze()
        if collecting:
            gc.enable()


def explore(program, preemptions=1, *, grain="lines", files=(), most=sys.maxsize):
    """Run a program under all schedules, or at most so many, with so many preemptions.

    Raises what the program raised, with the schedule in a note. Gives the explorer, which counts.
    """
    with exploring(program, grain, files) as explorer:
        explorer.explore(preemptions, most)
    return explorer


def replay(program, schedule, *, grain="lines", files=()):
    """Run a program once, under a schedule that a note told."""
    with exploring(program, grain, files) as explorer:
        return explorer.run(following(schedule))


#: Seconds for each program, by lines and then by instructions; without, a few schedules of each.
SECONDS = float(os.environ.get("SAFEPATCH_SCHEDULES", "0"))
FEW = 15
_totals = collections.Counter()


def explore_as_asked(name, program, *, files=()):
    """Explore a program as thoroughly as the environment asks for, and print how much that was."""
    if not SECONDS:
        explore(program, files=files, most=FEW)
        return
    for grain, bound in zip(GRAINS, (2, 1), strict=False):
        with exploring(program, grain, files) as explorer:
            begun = time.monotonic()
            explorer.explore(bound, end=begun + SECONDS * 0.8)
            explorer.wander(begun + SECONDS)
        _totals[grain] += sum(explorer.counts) + explorer.wandered
        print(f"{name}: by {grain} {explorer}; so far {_totals[grain]}")
