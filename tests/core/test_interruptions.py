"""A RecursionError, or Ctrl-C, may strike inside of apply and undo."""

import gc
import linecache
import pathlib
import sys
import types

import pytest
from helpers import noting, pass_through, spaces

import safepatch
import safepatch.proxies  # else it is imported while lines are interrupted
from safepatch import aliases, imports, stacks

PACKAGE = str(pathlib.Path(safepatch.__file__).parent)
# A trace function may raise at these lines before a lock is guarded, or after; they are no
# instruction at which a signal is heeded.
NO_INSTRUCTION = ("with ", "try:", "break")


def make_class():
    class Owner:
        def method(self):
            return "original"

    return Owner


TARGETS = {"by place": lambda owner: (owner, "method"), "in place": lambda owner: owner.method}


@pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS.keys())
def test_undo_near_the_recursion_limit_can_be_repeated(make, patches):
    def at(depth, function):
        return function() if depth == 0 else at(depth - 1, function)

    failed = 0
    for depth in range(700, 1000):
        owner = make_class()
        raw, code = owner.method, owner.method.__code__
        patch = patches.apply(make(owner), pass_through)
        try:
            at(depth, patch.undo)
        except RecursionError:
            failed += 1
        patch.undo()
        patches.undo_all()

        assert owner.method is raw, depth
        assert owner.method.__code__ is code, depth
        assert owner().method() == "original"
        assert patches.live() == []

    assert failed


class Interrupting:
    """Raises KeyboardInterrupt, once, at the n-th line that is run inside of the package."""

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.left -= 1
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            if self.left <= 0 and not line.startswith(NO_INSTRUCTION):
                self.left = sys.maxsize
                raise KeyboardInterrupt
        return self

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self)

    def __exit__(self, *exception):
        sys.settrace(self.before)


AFTERWARDS = {
    "undo": lambda patch, registry: patch.undo(),
    "undo all": lambda patch, registry: registry.undo_all(),
}


@pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("during", ["apply", "undo"])
@pytest.mark.parametrize("afterwards", AFTERWARDS.values(), ids=AFTERWARDS.keys())
def test_whatever_line_is_interrupted_undo_takes_all_away(make, during, afterwards, patches):
    # To look for aliases would be to look at thousands of modules, line by line.
    options = {"by place": "ignore", "in place": "rebind"}
    aliases = next(options[name] for name, other in TARGETS.items() if other is make)
    patches.apply(make(make_class()), pass_through).undo()  # imports what is imported late
    for line in range(1, 1000):
        owner = make_class()
        before, code = spaces(owner, owner.method), owner.method.__code__
        patch = patches.patch(make(owner), pass_through, aliases=aliases)
        if during == "undo":
            patch.apply()
        try:
            with Interrupting(line):
                getattr(patch, during)()
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
        while stacks.lock._is_owned():  # left by the trace function: see above
            stacks.lock.release()

        afterwards(patch, patches)

        assert before == spaces(owner, owner.method), line
        assert owner.method.__code__ is code, line
        assert patches.live() == []
        if not interrupted:
            break

    assert not interrupted
    assert line > 20


# Each makes a patch of several steps: itself, the owners, and what must hold at the end.


def superseded(owner, patches):
    log = []
    patch = patches.apply((owner, "method"), noting(log, "ran"), aliases="ignore")
    ours = owner.method
    owner.method = lambda self: ours(self)

    def check():
        assert owner().method() == "original"
        assert log == [], "what was replaced runs still"

    return patch, [owner], check


def rebound(owner, patches):
    module, other = types.ModuleType("interrupted"), types.ModuleType("interrupted_too")
    module.function = other.function = {}.get
    sys.modules[other.__name__] = other
    patch = patches.patch((module, "function"), pass_through, aliases="rebind")
    return patch, [module, other], lambda: sys.modules.pop(other.__name__)


def several(owner, patches):
    owner.second = lambda self: "second"
    parts = [
        patches.patch((owner, name), pass_through, aliases="ignore")
        for name in ("method", "second")
    ]
    return patches.register("several", parts), [owner], lambda: None


def waiting(owner, patches):
    module = types.ModuleType("interrupted")
    patch = patches.patch("interrupted_later:function", pass_through, when="import")

    def check():
        assert imports._waiting == {}

    return patch, [module], check


def interrupted_modules():
    found = [(name, m) for name, m in sys.modules.items() if name.startswith("interrupted")]
    return [(name, module, vars(module)) for name, module in found]


@pytest.mark.parametrize("make", [superseded, rebound, several, waiting])
@pytest.mark.parametrize("afterwards", AFTERWARDS.values(), ids=AFTERWARDS.keys())
def test_whatever_line_of_a_larger_apply_is_interrupted_undo_takes_all_away(
    make, afterwards, monkeypatch
):
    monkeypatch.setattr(aliases, "modules", interrupted_modules)
    monkeypatch.setattr(aliases, "gc", types.SimpleNamespace(get_referrers=lambda thing: []))
    for line in range(1, 2000):
        if line % 50 == 0:
            gc.collect()  # faces that nobody has are looked through, each by some lines more
        owner, registry = make_class(), safepatch.Registry()
        patch, owners, check = make(owner, registry)
        before = spaces(*owners)
        try:
            with Interrupting(line):
                patch.apply()
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
        while stacks.lock._is_owned():
            stacks.lock.release()

        afterwards(patch, registry)

        assert before == spaces(*owners), line
        assert registry.live() == [], line
        check()
        if not interrupted:
            break

    assert not interrupted
    assert line > 20
