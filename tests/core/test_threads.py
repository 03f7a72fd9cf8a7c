"""Threads, forks and greenlets: apply and undo are atomic, and calls never wait."""

import functools
import importlib
import itertools
import multiprocessing
import sys
import threading
import types
import warnings

import pytest
from children import child
from helpers import noting, pass_through, spaces

import safepatch
from safepatch import aliases, stacks

# Nothing here takes long; whoever waits this long waits for ever.
DEADLINE = 20


@pytest.fixture
def switching():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def spawn():
    """Start functions in threads; the test ends when they have, and fails if one of them did."""
    threads, errors = [], []

    def start(function, *args):
        def run():
            try:
                function(*args)
            except BaseException as error:
                errors.append(error)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return threads[-1]

    def join():
        for thread in threads:
            thread.join(DEADLINE)
            assert not thread.is_alive(), "it hangs"
        if errors:
            raise errors[0]

    start.join = join
    yield start
    join()


def make_owners():
    module = types.ModuleType("threads_victims")

    def function(a):
        return ("result", a)

    module.function = function
    module.builtin = {1: ("result", 1)}.get

    class Base:
        def method(self, a):
            return ("result", a)

        @classmethod
        def klass(cls, a):
            return ("result", a)

    class Derived(Base):
        pass

    return module, Base, Derived, Base()


# name: the target and its options, how it is called, and the result.
TARGETS = {
    "function": (lambda m, b, d, i: (m, "function"), lambda m, b, d, i: m.function(1)),
    "in place": (lambda m, b, d, i: m.function, lambda m, b, d, i: m.function(1)),
    "method": (lambda m, b, d, i: (b, "method"), lambda m, b, d, i: b().method(1)),
    "method in place": (lambda m, b, d, i: b.method, lambda m, b, d, i: b().method(1)),
    "inherited method": (lambda m, b, d, i: (d, "method"), lambda m, b, d, i: d().method(1)),
    "classmethod": (lambda m, b, d, i: (b, "klass"), lambda m, b, d, i: b.klass(1)),
    "inherited classmethod": (lambda m, b, d, i: (d, "klass"), lambda m, b, d, i: d.klass(1)),
    "instance": (lambda m, b, d, i: (i, "method"), lambda m, b, d, i: i.method(1)),
    "builtin": (
        lambda m, b, d, i: (m, "builtin"),
        lambda m, b, d, i: m.builtin(1),
    ),
}


class Threaded:
    """One target of fresh owners, the registry that patches it, and what must be as before."""

    def __init__(self, kind, registry):
        self.owners = make_owners()
        target, call = TARGETS[kind]
        # Read from the class, where a bound method would be another object each time.
        self.target = target(*self.owners)
        self.call = functools.partial(call, *self.owners)
        self.registry = registry
        self.functions = [self.owners[0].function, vars(self.owners[1])["method"]]
        self.before = self.look()

    def look(self):
        owned = {
            f"{position}.{name}": value
            for position, space in enumerate(spaces(*self.owners, *self.functions))
            for name, value in space.items()
        }
        return owned | {f.__qualname__: f.__code__ for f in self.functions}

    def changes(self):
        """What is not the very object it was at the start."""
        before, after = self.before, self.look()
        return {
            name: after.get(name, "gone")
            for name in before | after
            if name not in before or name not in after or before[name] is not after[name]
        }

    def apply(self, *decorators):
        return self.declare(*decorators).apply()

    def declare(self, *decorators):
        # In place is what a function as target means by itself.
        options = {"aliases": "ignore"} if isinstance(self.target, tuple) else {}
        return self.registry.patch(self.target, *decorators, **options)


@pytest.fixture(params=TARGETS)
def threaded(request, patches):
    return Threaded(request.param, patches)


# --- Many threads, one target or several.


def test_patches_of_many_threads_at_one_target_leave_nothing_behind(threaded, spawn, switching):
    def apply_and_undo():
        for _ in range(15):
            patch = threaded.apply(pass_through)
            assert threaded.call() == ("result", 1)
            patch.undo()

    for _ in range(6):
        spawn(apply_and_undo)
    spawn.join()

    assert threaded.changes() == {}
    assert threaded.registry.live() == []


def test_a_call_sees_whole_chains_only(threaded, spawn, switching):
    """Each live patch once, in the order they were applied, and then the original."""
    over = threading.Event()
    seen = set()
    marks = threading.local()

    def marking(mark):
        def decorate(wrapped):
            @functools.wraps(wrapped)
            def wrapper(*args, **kwargs):
                marks.seen.append(mark)
                return wrapped(*args, **kwargs)

            return wrapper

        return decorate

    def call():
        while not over.is_set():
            marks.seen = []
            assert threaded.call() == ("result", 1)
            seen.add(tuple(marks.seen))

    for _ in range(2):
        spawn(call)
    for _ in range(15):
        patches = [threaded.apply(marking(mark)) for mark in range(3)]
        for mark in (1, 0, 2):
            patches[mark].undo()
    over.set()
    spawn.join()

    # A call may begin under one stack and go on under the next, but marks come outermost first.
    assert all(list(marks) == sorted(set(marks), reverse=True) for marks in seen)


def test_a_patch_holds_for_its_own_thread_whatever_the_others_do(threaded, spawn, switching):
    def apply_and_undo(mark):
        for _ in range(10):
            log = []
            patch = threaded.apply(noting(log, mark))
            threaded.call()
            assert mark in log
            patch.undo()
            log.clear()
            threaded.call()
            assert log == []

    for mark in range(6):
        spawn(apply_and_undo, mark)


def test_patches_at_several_targets_do_not_mix(patches, spawn, switching):
    several = [Threaded(kind, patches) for kind in TARGETS]

    def apply_and_undo(threaded):
        for _ in range(10):
            log = []
            with threaded.declare(noting(log, "own")):
                assert threaded.call() == ("result", 1)
            assert log == ["own"]

    for threaded in several:
        spawn(apply_and_undo, threaded)
    spawn.join()

    assert [threaded.changes() for threaded in several] == [{}] * len(several)


def test_with_on_one_patch_in_many_threads_holds_until_the_last_has_left(
    threaded, spawn, switching
):
    log = []
    patch = threaded.declare(noting(log, "ran"))

    def enter_and_leave():
        for _ in range(15):
            with patch:
                before = len(log)
                assert patch.state == "applied"
                threaded.call()
                assert len(log) > before

    for _ in range(6):
        spawn(enter_and_leave)
    spawn.join()

    assert patch.state == "undone"
    assert threaded.changes() == {}


def test_apply_and_undo_of_one_patch_by_many_threads_make_it_live_or_not(
    threaded, spawn, switching
):
    log = []
    patch = threaded.declare(noting(log, "ran"))

    def apply():
        for _ in range(20):
            patch.apply()
            patch.superseded

    def undo():
        for _ in range(20):
            patch.undo()
            patch.superseded

    for function in (apply, undo, apply, undo):
        spawn(function)
    spawn.join()
    threaded.call()

    assert log in ([], ["ran"])
    assert (patch.state == "applied") == bool(log)
    patch.undo()
    assert threaded.changes() == {}


def test_explain_tells_of_what_comes_and_goes_meanwhile(threaded, patches, spawn, switching):
    over = threading.Event()

    def come_and_go():
        while not over.is_set():
            threaded.apply(pass_through).undo()

    spawn(come_and_go)
    spawn(come_and_go)
    try:
        for _ in range(200):
            assert patches.explain().to_dict().keys() == {"sites", "others"}
    finally:
        over.set()


# --- Each step of one thread interrupted by all of another's.


def interrupted(operation, others):
    """Run an operation in a thread that stands still before some of its steps while another
    thread does something: `others` maps steps to functions. Returns how many steps there were.

    A step is a line or an instruction in a file that changes or looks at sites.
    """
    files = ("patches.py", "sites.py", "in_place.py", "places.py", "stacks.py")
    steps = itertools.count()
    last = -1

    def trace(frame, event, argument):
        nonlocal last
        if not frame.f_code.co_filename.endswith(files):
            return None
        frame.f_trace_opcodes = True
        if event in ("opcode", "line", "call"):
            last = next(steps)
            if last in others:
                run_in_thread(lambda: elsewhere(others[last]))
        return trace

    def elsewhere(other):
        # What runs under the lock can only be waited for.
        if stacks.lock.acquire(blocking=False):
            stacks.lock.release()
            other()

    def traced():
        sys.settrace(trace)
        try:
            operation()
        finally:
            sys.settrace(None)

    run_in_thread(traced)
    return last + 1


def spread(steps, many):
    """So many of the steps, or all where there are fewer."""
    return range(0, steps, -(-steps // many))


def run_in_thread(function):
    errors = []

    def run():
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive(), "it hangs"
    if errors:
        raise errors[0]


OPERATIONS = {
    "apply": lambda patch: patch.apply(),
    "undo": lambda patch: patch.undo(),
    "with": lambda patch: patch.__enter__() and patch.__exit__(None, None, None),
    "superseded": lambda patch: patch.superseded,
    "original": lambda patch: patch.original,
    "target": lambda patch: patch.target,
}


@pytest.mark.parametrize("kind", ["function", "in place", "inherited method"])
@pytest.mark.parametrize("start", ["applied", "undone"])
@pytest.mark.parametrize("other", ["apply", "undo"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_may_be_interrupted_anywhere_by_another_on_the_same_patch(
    kind, start, other, operation, patches
):
    threaded, log = Threaded(kind, patches), []
    patch = threaded.declare(noting(log, "ran")).apply()

    def run(others):
        patch.apply() if start == "applied" else patch.undo()
        steps = interrupted(lambda: OPERATIONS[operation](patch), others)
        log.clear()
        assert threaded.call() == ("result", 1)
        assert log == (["ran"] if patch.state == "applied" else []), others
        patch.undo()
        assert threaded.changes() == {}, others
        return steps

    run({})
    for step in spread(run({}), 25):
        run({step: lambda: OPERATIONS[other](patch)})


@pytest.mark.parametrize("kind", ["function", "in place"])
@pytest.mark.parametrize("live", [(), ("mine",), ("its",), ("mine", "its")])
@pytest.mark.parametrize("others", [("apply",), ("undo",), ("apply", "undo"), ("undo", "apply")])
@pytest.mark.parametrize("operation", ["apply", "undo"])
def test_an_operation_may_be_interrupted_anywhere_by_those_on_another_patch_of_the_site(
    kind, live, others, operation, patches
):
    threaded, log = Threaded(kind, patches), []
    mine, its = threaded.declare(noting(log, "mine")), threaded.declare(noting(log, "its"))

    def run(others):
        for patch, name in ((mine, "mine"), (its, "its")):
            patch.apply() if name in live else patch.undo()
        steps = interrupted(lambda: OPERATIONS[operation](mine), others)
        log.clear()
        assert threaded.call() == ("result", 1)
        applied = {
            name for patch, name in ((its, "its"), (mine, "mine")) if patch.state == "applied"
        }
        assert len(log) == len(applied), others
        assert set(log) == applied, others
        its.undo()
        mine.undo()
        assert threaded.changes() == {}, others
        return steps

    run({})
    steps = run({})
    first, *second = [lambda name=name: OPERATIONS[name](its) for name in others]
    if not second:
        for step in spread(steps, 20):
            run({step: first})
    for step, later in itertools.combinations(spread(steps, 6), 2 if second else 99):
        run({step: first, later: second[0]})


def test_an_apply_interrupted_by_the_last_undo_there_warns_of_nobody(patches, monkeypatch):
    """What that undo put back is the original in its own place, not an alias of it."""
    module = types.ModuleType("threads_aliased")
    module.builtin = {1: "result"}.get
    monkeypatch.setitem(sys.modules, module.__name__, module)
    mine = patches.patch((module, "builtin"), pass_through, aliases="warn")
    its = patches.patch((module, "builtin"), pass_through, aliases="ignore")

    def run(others):
        its.apply()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            steps = interrupted(mine.apply, others)
        mine.undo()
        its.undo()
        assert [str(warning.message) for warning in warned] == [], others
        return steps

    run({})
    for step in spread(run({}), 60):
        run({step: its.undo})


@pytest.mark.parametrize("named", ["first", "second"])
def test_a_rebinding_apply_interrupted_by_the_last_undo_there_reaches_every_holder(
    named, patches, monkeypatch
):
    modules = [types.ModuleType(f"threads_{name}") for name in ("first", "second", "third")]
    for module in modules:
        module.builtin = modules[0].__dict__.setdefault("builtin", {1: "result"}.get)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    # To look through all of memory each time would take as long as all other tests here.
    nobody = types.SimpleNamespace(get_referrers=lambda thing: [])
    monkeypatch.setattr(aliases, "gc", nobody)
    log = []
    mine = patches.patch(f"threads_{named}:builtin", noting(log, "mine"), aliases="rebind")
    its = patches.patch("threads_first:builtin", pass_through, aliases="rebind")

    def run(others):
        its.apply()
        steps = interrupted(mine.apply, others)
        log.clear()
        assert [module.builtin(1) for module in modules] == ["result"] * 3
        assert log == ["mine"] * 3, others
        mine.undo()
        its.undo()
        return steps

    run({})
    for step in spread(run({}), 12):
        run({step: its.undo})


# --- Frames that were entered already.


@pytest.mark.parametrize(
    ("undone", "expected"),
    [
        ((), ["above", "middle", "below"]),
        (("above",), ["above", "middle", "below"]),
        (("middle",), ["above", "middle", "below"]),
        (("below",), ["above", "middle"]),
        (("above", "middle"), ["above", "middle", "below"]),
        (("below", "middle"), ["above", "middle"]),
        (("middle", "below"), ["above", "middle"]),
        (("below", "middle", "above"), ["above", "middle"]),
        (("above", "middle", "below"), ["above", "middle"]),
    ],
)
def test_a_frame_that_was_entered_finishes_and_calls_on_into_the_stack_as_it_then_is(
    undone, expected, threaded, spawn
):
    log, entered, go_on, results = [], threading.Event(), threading.Event(), []

    def waiting(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            log.append("middle")
            entered.set()
            assert go_on.wait(DEADLINE)
            return wrapped(*args, **kwargs)

        return wrapper

    patches = {
        "below": threaded.apply(noting(log, "below")),
        "middle": threaded.apply(waiting),
        "above": threaded.apply(noting(log, "above")),
    }
    spawn(lambda: results.append(threaded.call()))
    assert entered.wait(DEADLINE)

    for name in undone:
        patches[name].undo()
    go_on.set()
    spawn.join()

    assert expected == log
    assert results == [("result", 1)]


def test_a_wrapper_that_is_undone_while_it_runs_calls_the_original_when_it_calls_again(threaded):
    log = []

    def twice(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            wrapped(*args, **kwargs)
            for patch in patches:
                patch.undo()
            return wrapped(*args, **kwargs)

        return wrapper

    patches = [threaded.apply(noting(log, "below")), threaded.apply(twice)]

    assert threaded.call() == ("result", 1)
    assert log == ["below"]


def test_a_wrapper_that_applies_another_patch_while_it_runs_does_not_run_it_in_this_call(threaded):
    log = []

    def growing(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            threaded.apply(noting(log, "above"))
            return wrapped(*args, **kwargs)

        return wrapper

    threaded.apply(growing)

    assert threaded.call() == ("result", 1)
    assert log == []


def test_a_wrapper_undone_before_another_patch_comes_does_not_run_that_one(threaded, spawn):
    """What lies below an entry that is gone is what lay below it; nothing comes in there."""
    log, entered, go_on = [], threading.Event(), threading.Event()

    def waiting(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            entered.set()
            assert go_on.wait(DEADLINE)
            return wrapped(*args, **kwargs)

        return wrapper

    threaded.apply(noting(log, "below"))
    patch = threaded.apply(waiting)
    spawn(threaded.call)
    assert entered.wait(DEADLINE)

    patch.undo()
    threaded.apply(noting(log, "new"))
    go_on.set()
    spawn.join()

    assert log == ["below"]


# --- No foreign code under the lock.


class Gate:
    """Foreign code stops here until the test has had its way elsewhere."""

    def __init__(self):
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, *args, **kwargs):
        if not self.open.is_set():
            self.reached.set()
            assert self.open.wait(DEADLINE)
        return


def blocking_decorator(gate):
    return lambda wrapped: gate() or pass_through(wrapped)


def object_with(gate, **namespace):
    """An instance with a function to be patched, whose class runs foreign code."""
    instance = type("Foreign", (), namespace)()
    object.__getattribute__(instance, "__dict__")["function"] = lambda: None
    return instance


def asks_for_the_namespace(gate):
    def look_up(self, name):
        if name == "__dict__":
            gate()
        return object.__getattribute__(self, name)

    return object_with(gate, __getattribute__=look_up)


def module_serving(gate):
    module = types.ModuleType("threads_serving")
    module.__getattr__ = lambda name: gate() or (lambda: None)
    return module


def module_with_odd(gate):
    """What stands there may be equal to anything, and say so at leisure."""

    class Odd:
        def __call__(self):
            pass

        def __eq__(self, other):
            gate()
            return True

        __hash__ = object.__hash__

    module = types.ModuleType("threads_equal")
    module.function = Odd()
    return module


def class_of(gate, **namespace):
    meta = type("Meta", (type,), namespace)
    return meta("Foreign", (), {"function": lambda: None})


def warn_into(gate):
    """Warnings are shown by foreign code."""
    module = types.ModuleType("threads_holding")
    held = types.ModuleType("threads_held")
    module.function = held.function = lambda: None
    sys.modules["threads_held"] = held
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = gate
            safepatch.apply((module, "function"), pass_through).undo()
    finally:
        del sys.modules["threads_held"]


def apply_to(owner, *decorators, **options):
    decorators = decorators or (pass_through,)
    safepatch.apply((owner, "function"), *decorators, aliases="ignore", **options).undo()


def plain():
    module = types.ModuleType("threads_plain")
    module.function = lambda: None
    return module


FOREIGN = {
    "decorator": lambda gate: apply_to(plain(), blocking_decorator(gate)),
    "guard": lambda gate: apply_to(plain(), guard=gate),
    "only_if": lambda gate: call_with(plain(), only_if=lambda: gate() or True),
    "wrapper": lambda gate: call_with(plain(), gate_in_call=gate),
    "__getattr__ of a module": lambda gate: apply_to(module_serving(gate)),
    "__getattribute__ of an instance": lambda gate: apply_to(asks_for_the_namespace(gate)),
    "__setattr__ of an instance": lambda gate: apply_to(
        object_with(gate, __setattr__=lambda self, *args: gate())
    ),
    "__setattr__ of a metaclass": lambda gate: apply_to(
        class_of(gate, __setattr__=lambda cls, *args: gate() or type.__setattr__(cls, *args))
    ),
    "__delattr__ of a metaclass": lambda gate: apply_to(
        class_of(gate, __delattr__=lambda cls, name: gate() or type.__delattr__(cls, name))
    ),
    "__eq__ of what stands there": lambda gate: apply_to(module_with_odd(gate)),
    "__getattribute__ of a metaclass": lambda gate: apply_to(
        class_of(gate, __getattribute__=lambda c, name: gate() or type.__getattribute__(c, name))
    ),
    "__getattr__ of what stands for a module": lambda gate: wait_for_object(gate),
    "a warning shown": warn_into,
    "target imported": lambda gate: import_of(gate),
}


def call_with(owner, gate_in_call=None, **options):
    def calling(wrapped):
        @functools.wraps(wrapped)
        def wrapper():
            return gate_in_call() if gate_in_call else wrapped()

        return wrapper

    patch = safepatch.apply((owner, "function"), calling, aliases="ignore", **options)
    owner.function()
    patch.undo()


def wait_for_object(gate):
    class Odd:
        function = staticmethod(lambda: None)

        def __getattr__(self, name):
            gate()
            raise AttributeError(name)

    sys.modules["threads_odd"] = Odd()
    try:
        options = {"when": "import", "aliases": "ignore"}
        safepatch.apply("threads_odd:function", pass_through, **options).undo()
    finally:
        del sys.modules["threads_odd"]


def import_of(gate):
    class Loader:
        create_module = staticmethod(lambda spec: None)
        exec_module = staticmethod(
            lambda module: gate() or setattr(module, "function", lambda: None)
        )

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "threads_imported":
                return importlib.machinery.ModuleSpec(name, Loader())
            return None

    sys.meta_path.append(Finder)
    try:
        safepatch.apply("threads_imported:function", pass_through).undo()
    finally:
        sys.meta_path.remove(Finder)
        sys.modules.pop("threads_imported", None)


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_code_that_blocks_keeps_nobody_from_patching_elsewhere(what, spawn):
    gate, done = Gate(), threading.Event()
    foreign = spawn(FOREIGN[what], gate)
    while not gate.reached.wait(0.001) and foreign.is_alive():
        pass  # some of this code must not be run at all, under the lock or not

    def patch_elsewhere():
        apply_to(plain())
        with safepatch.patch((plain(), "function"), pass_through):
            pass
        done.set()

    spawn(patch_elsewhere)
    finished = done.wait(DEADLINE / 4)
    gate.open.set()
    spawn.join()

    assert finished


@pytest.mark.parametrize("what", FOREIGN)
def test_no_foreign_code_runs_under_the_lock(what):
    locked = []

    FOREIGN[what](lambda *args, **kwargs: locked.append(stacks.lock._is_owned()))

    assert not any(locked)


# --- Forks.

LOOPING = """
import os, sys, threading, time, types
sys.setswitchinterval(1e-6)
import warnings
warnings.simplefilter("ignore")
import safepatch

module = types.ModuleType("victim")
exec("def function():\\n    return 'result'\\ndef other():\\n    return 'other'", module.__dict__)
sys.modules["victim"] = module
function, code = module.function, module.function.__code__
before = dict(vars(module))

def through(wrapped):
    return lambda: wrapped()

def marking(log):
    return lambda wrapped: lambda: log.append("ran") or wrapped()

over = threading.Event()
def loop(target):
    while not over.is_set():
        safepatch.apply(target, through, aliases="ignore").undo()
def loop_in_place():
    while not over.is_set():
        safepatch.apply(function, through).undo()

# What is imported at the first patch is imported here: a fork amid an import leaves its lock held.
safepatch.apply("victim:function", through, aliases="ignore").undo()
safepatch.apply(function, through).undo()
threads = [
    threading.Thread(target=loop, args=("victim:function",), daemon=True),
    threading.Thread(target=loop, args=((module, "other"),), daemon=True),
    threading.Thread(target=loop_in_place, daemon=True),
]
for thread in threads:
    thread.start()

def check():
    # Patches that other threads had live at the fork stay; ours come and go as ever.
    for target in ("victim:function", (module, "other"), function):
        log = []
        named = {} if target is function else {"aliases": "ignore"}
        patch = safepatch.apply(target, marking(log), **named)
        assert (module.other if isinstance(target, tuple) else module.function)()
        assert log == ["ran"], (target, log)
        patch.undo()
        (module.other if isinstance(target, tuple) else module.function)()
        assert log == ["ran"], (target, log)
    safepatch.undo_all()
    assert safepatch.live() == []
    assert {k: id(v) for k, v in before.items()} == {
        k: id(v) for k, v in vars(module).items() if k in before
    }
    assert function.__code__ is code
"""


def test_a_fork_while_other_threads_patch_gives_a_child_that_can_patch():
    source = (
        LOOPING
        + """
def until(pid, deadline):
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, 9)
    return "hangs"

for _ in range(40):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    status = until(pid, time.monotonic() + 10)
    assert status == 0, status
over.set()
for thread in threads:
    thread.join(10)
check()
print("done")
"""
    )

    assert child(source) == "done"


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"
)
def test_multiprocessing_by_fork_gives_a_child_that_can_patch():
    source = (
        LOOPING
        + """
import multiprocessing
fork = multiprocessing.get_context("fork")
for _ in range(5):
    process = fork.Process(target=check)
    process.start()
    process.join(10)
    assert process.exitcode == 0, process.exitcode
over.set()
print("done")
"""
    )

    assert child(source) == "done"


def test_a_fork_inside_a_patched_call_leaves_both_processes_whole():
    source = (
        LOOPING.replace("for thread in threads:\n    thread.start()", "")
        + """
def forking(wrapped):
    def wrapper():
        pid = os.fork()
        if pid == 0:
            assert wrapped() == "result"
            patch.undo()
            os._exit(0 if module.function is function else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return wrapped()
    return wrapper

patch = safepatch.apply("victim:function", forking)
assert module.function() == "result"
patch.undo()
assert module.function is function
print("done")
"""
    )

    assert child(source) == "done"


# --- gevent.


@pytest.fixture
def with_gevent():
    pytest.importorskip("gevent", reason="gevent is not installed")
    return lambda source: child("import warnings\nwarnings.simplefilter('ignore')\n" + source)


GEVENT_NAMES = ["socket:getaddrinfo", "time:sleep", "threading:get_ident", "os:fork"]


@pytest.mark.parametrize("target", GEVENT_NAMES)
def test_a_patch_that_gevent_replaces_is_superseded_and_can_be_put_on_top(target, with_gevent):
    printed = with_gevent(f"""
import importlib, functools, safepatch
target = {target!r}
module, name = target.split(":")
module = importlib.import_module(module)

def through(wrapped):
    return functools.wraps(wrapped)(lambda *args, **kwargs: wrapped(*args, **kwargs))

patch = safepatch.apply(target, through, aliases="ignore")
ours = getattr(module, name)
assert not patch.superseded
from gevent import monkey
monkey.patch_all()
gevents = getattr(module, name)
assert gevents is not ours, "gevent does not patch it"

assert patch.superseded
assert "superseded" in str(safepatch.explain(target)), safepatch.explain(target)
assert "superseded" in str(safepatch.explain()), safepatch.explain()
assert patch.state == "applied"
patch.apply()
assert not patch.superseded
assert getattr(module, name) is not gevents
assert "superseded" not in str(safepatch.explain(target))
patch.undo()
assert getattr(module, name) is gevents
print("done")
""")

    assert printed == "done"


@pytest.mark.parametrize("early", [True, False])
def test_patches_work_and_go_whether_gevent_came_before_or_after(early, with_gevent):
    printed = with_gevent(f"""
import sys, functools
early = {early}
if early:
    from gevent import monkey
    monkey.patch_all()
import safepatch, socket, time
if not early:
    with safepatch.patch("time:sleep", lambda wrapped: lambda seconds: wrapped(seconds)):
        time.sleep(0)
    from gevent import monkey
    monkey.patch_all()
import gevent

calls = []
def counting(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        calls.append(args)
        return wrapped(*args, **kwargs)
    return wrapper

before = dict(vars(socket)), dict(vars(time))
for target in ("socket:getaddrinfo", "time:sleep"):
    safepatch.apply(target, counting, aliases="ignore")
assert socket.getaddrinfo("127.0.0.1", 80)
order = []
def sleeper(name):
    order.append(name)
    time.sleep(0.001)
    order.append(name)
gevent.joinall([gevent.spawn(sleeper, name) for name in "ab"], timeout=10)
assert order[:2] == ["a", "b"], order  # the patched sleep still lets the others run
assert len(calls) == 3, calls
safepatch.undo_all()
after = dict(vars(socket)), dict(vars(time))
for old, new in zip(before, after):
    assert {{k: id(v) for k, v in old.items()}} == {{k: id(v) for k, v in new.items()}}
print("done")
""")

    assert printed == "done"


def test_many_greenlets_and_threads_patch_one_target_and_leave_nothing_behind(with_gevent):
    printed = with_gevent("""
from gevent import monkey
monkey.patch_all()
import functools, gevent, sys, threading, time, types
import safepatch

sys.setswitchinterval(1e-6)
module = types.ModuleType("victim")
exec("def function():\\n    return 'result'", module.__dict__)
sys.modules["victim"] = module
function, code = module.function, module.function.__code__
target = {"place": "victim:function", "in place": function}

def yielding(wrapped):
    # A decorator and a wrapper that both let other greenlets run.
    gevent.sleep(0)
    @functools.wraps(wrapped)
    def wrapper():
        gevent.sleep(0)
        return wrapped()
    return wrapper

def work(where):
    for _ in range(10):
        options = {} if where == "in place" else {"aliases": "ignore"}
        patch = safepatch.apply(target[where], yielding, **options)
        assert module.function() == "result"
        gevent.sleep(0)
        patch.undo()

def in_hub_of_its_own():
    greenlets = [gevent.spawn(work, where) for where in target for _ in range(5)]
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    assert all(greenlet.ready() for greenlet in greenlets)

# gevent's locks for imports fail when hubs of several threads import one module at once, so what
# is imported at the first patch is imported here.
for where in target:
    work(where)

from gevent.threadpool import ThreadPool
pool = ThreadPool(3)
tasks = [pool.spawn(in_hub_of_its_own) for _ in range(2)]
in_hub_of_its_own()
for task in tasks:
    task.get(timeout=20)
assert module.function is function and function.__code__ is code and not function.__dict__
assert safepatch.live() == []
print("done")
""")

    assert printed == "done"
