"""Run tests with a pass-through closure on all that some modules offer, and undo it all.

python patched_run.py --way WAY --report REPORT --modules MODULE,... unittest|pytest ARGUMENT...

Beside the JUnit report goes a JSON file of the same name that tells what was patched.
"""

import argparse
import contextlib
import faulthandler
import fnmatch
import functools
import gc
import importlib
import inspect
import itertools
import json
import os
import pathlib
import sys
import unittest
import warnings
import xml.etree.ElementTree as ElementTree
from types import FunctionType

import safepatch
from safepatch.sites import MISSING, look_up, modules, namespace, opened, slot

CALLED = set()


def closure(wrapped):
    """The most naive decorator there is; it notes that it was called, so that we know."""

    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        CALLED.add(wrapper)
        return wrapped(*args, **kwargs)

    return wrapper


#: Of a class, and not looked up in it.
LEFT_OUT = {"__class__", "__class_getitem__", "__init_subclass__", "__subclasshook__"}


def offered(from_modules):
    """What modules offer: the owner and name of each public function, and of each public or
    special method that a class of theirs has or inherits."""
    homes = {one.__name__ for one in from_modules}
    homes |= {"_" + home.partition(".")[0] for home in homes}  # their twins in C
    for module in from_modules:
        for name, value in list(vars(module).items()):
            if getattr(value, "__module__", None) not in homes:
                continue
            if isinstance(value, type):
                yield from ((value, method) for method in _methods(value))
            elif callable(value) and not name.startswith("_"):
                yield module, name


def _methods(cls):
    for name in dict.fromkeys(itertools.chain(*map(vars, cls.__mro__))):
        special = name.startswith("__") and name.endswith("__")
        found = look_up(cls, name)
        method = callable(found) or isinstance(
            found, (property, classmethod, staticmethod, functools.cached_property)
        )
        if method and (special or not name.startswith("_")) and name not in LEFT_OUT:
            yield name


# The ways to patch: each takes owners and names, and notes in `told` what it did; it gives those
# that it patched, and a function that undoes it.


def nothing(targets, told):
    return [], lambda: None


def by_name(targets, told, aliases="ignore"):
    registry, patched, reached = safepatch.Registry(), [], set()
    for owner, name in targets:
        raw = slot(owner, name)
        inherited = raw is MISSING
        if aliases == "rebind" and id(opened(raw)) in reached:
            continue  # another name for what is patched already
        try:
            registry.apply(
                (owner, name),
                closure,
                aliases="ignore" if inherited else aliases,
                name=str(len(patched)),  # the same class may be there in several copies
            )
        except safepatch.UnsupportedTargetError as error:
            told["refused"].append(str(error))
        else:
            patched.append((owner, name))
            reached |= set() if inherited else {id(opened(raw))}
    return patched, registry.undo_all


def in_place(targets, told):
    return by_name(targets, told, "rebind")


def by_hand(targets, told):
    """The same targets without safepatch, as a careful person would."""
    patched, undo_all = by_name(targets, told)
    undo_all()
    undo = contextlib.ExitStack()
    for owner, name in patched:
        found, raw = inspect.getattr_static(owner, name), slot(owner, name)
        made = closure(opened(found))
        if isinstance(found, property):
            made = property(made, found.fset, found.fdel, found.__doc__)
        elif isinstance(found, (staticmethod, classmethod)):
            made = type(found)(made)
        setattr(owner, name, made)
        undo.callback(*((delattr, owner, name) if raw is MISSING else (setattr, owner, name, raw)))
    return patched, undo.close


WAYS = {way.__name__: way for way in (nothing, by_name, in_place, by_hand)}


class State:
    """What stands in all modules and classes there are, and in all Python functions.

    But for what safepatch itself counts.
    """

    def __init__(self):
        things = gc.get_objects()
        ours = safepatch.__name__
        spaces = [space for name, _, space in modules() if not f"{name}.".startswith(f"{ours}.")]
        spaces += [namespace(one) for one in things if issubclass(type(one), type)]
        self.spaces = [(space, dict(space)) for space in spaces]
        self.functions = [(one, _inside(one)) for one in things if type(one) is FunctionType]

    def changes(self):
        """What is no longer as it was, as text."""
        for space, before in self.spaces:
            for name in (before | dict(space)).keys() - {"__warningregistry__"}:
                if space.get(name, MISSING) is not before.get(name, MISSING):
                    yield f"{space.get('__module__')} {space.get('__name__')} {name}"
        yield from (repr(one) for one, before in self.functions if _inside(one) != before)


def _inside(function):
    inside = function.__code__, function.__defaults__, function.__kwdefaults__
    return *map(id, inside), {name: id(value) for name, value in function.__dict__.items()}


class Report(unittest.TestResult):
    """What each test came to, as JUnit; how one failed goes to stderr too, and where one hung."""

    def __init__(self, deadline):
        super().__init__()
        self.deadline = deadline
        self.suite = ElementTree.Element("testsuite")

    def case(self, test):
        classname, _, name = test.id().rpartition(".")
        # A class that cannot be set up has no test of its own.
        last = self.suite[-1] if len(self.suite) else None
        if last is None or (last.get("classname"), last.get("name")) != (classname, name):
            last = ElementTree.SubElement(self.suite, "testcase", classname=classname, name=name)
        return last

    def came_to(self, test, outcome, text):
        ElementTree.SubElement(self.case(test), outcome).text = text
        if outcome == "failure":
            print(test.id(), text, file=sys.stderr)

    def startTest(self, test):  # noqa: N802
        super().startTest(test)
        self.case(test)
        faulthandler.dump_traceback_later(self.deadline, exit=True)

    def addFailure(self, test, error):  # noqa: N802
        self.came_to(test, "failure", self._exc_info_to_string(error, test))

    addError = addFailure  # noqa: N815

    def addSubTest(self, test, subtest, error):  # noqa: N802
        if error is not None:
            self.addFailure(test, error)

    def addSkip(self, test, reason):  # noqa: N802
        self.came_to(test, "skipped", reason)

    def addUnexpectedSuccess(self, test):  # noqa: N802
        self.came_to(test, "failure", "unexpected success")


def run_unittest(arguments, report, left_out):
    from test import support

    support.use_resources = []  # nothing beyond this machine, and nothing of great cost
    outcomes = Report(deadline=120)  # a test takes a second or two
    suite = unittest.defaultTestLoader.loadTestsFromNames(arguments)
    wanted = [one for one in _flat(suite) if not any(part in one.id() for part in left_out)]
    unittest.TestSuite(wanted).run(outcomes)
    ElementTree.ElementTree(outcomes.suite).write(report, encoding="unicode")


def _flat(suite):
    for test in suite:
        yield from _flat(test) if isinstance(test, unittest.TestSuite) else (test,)


def run_pytest(arguments, report, left_out):
    import pytest

    wanted = ["-k", " and ".join(f"not {part}" for part in left_out)] if left_out else []
    pytest.main([*arguments, *wanted, "-p", "no:cacheprovider", f"--junit-xml={report}"])


def with_copies(names, patch):
    """Patch also the copies of the modules that tests import beside those in use."""
    from test.support import import_helper

    def decorate(import_fresh_module):
        def wrapper(name, *args, **kwargs):
            fresh = import_fresh_module(name, *args, **kwargs)
            mine = [one.removeprefix(name) for one in names if f"{one}.".startswith(f"{name}.")]
            if fresh is not None:
                patch([functools.reduce(getattr, one.split(".")[1:], fresh) for one in mine])
            return fresh

        return wrapper

    return safepatch.apply((import_helper, "import_fresh_module"), decorate)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=WAYS, required=True)
    parser.add_argument("--report", type=pathlib.Path, required=True)
    parser.add_argument("--modules", type=lambda text: text.split(","), required=True)
    parser.add_argument("--recipe", help="a registered patch to apply as well")
    parser.add_argument("--leave-out", action="append", default=[], help="parts of names, or marks")
    parser.add_argument("--deadline", type=float, required=True, help="in seconds")
    parser.add_argument("runner", choices=["unittest", "pytest"])
    parser.add_argument("arguments", nargs="+")
    asked = parser.parse_args()
    faulthandler.dump_traceback_later(asked.deadline, exit=True)
    warnings.simplefilter("ignore", safepatch.AliasWarning)

    for name in asked.modules:
        importlib.import_module(name.removesuffix(".*"))
    names = [
        one
        for one in sys.modules
        if any(fnmatch.fnmatch(f"{one}.", f"{name}.") for name in asked.modules)
    ]
    targets = list(dict.fromkeys(offered([sys.modules[name] for name in names])))
    told = {"patched": 0, "refused": [], "not given back": []}
    way = WAYS[asked.way]
    # The first patches import what they need.
    way(targets, {"refused": []})[1]()

    before = State()
    way(targets, {"refused": []})[1]()
    told["not given back"] += before.changes()
    standing = [(owner, name, slot(owner, name)) for owner, name in targets]
    functions = [
        (one, _inside(one)) for _, _, raw in standing if type(one := opened(raw)) is FunctionType
    ]

    undo = contextlib.ExitStack()

    def patch(modules):
        patched, undo_them = way(list(dict.fromkeys(offered(modules))), told)
        told["patched"] += len(patched)
        undo.callback(undo_them)

    patch([sys.modules[name] for name in names])
    if asked.recipe and asked.way != "nothing":
        undo.callback(safepatch.apply(asked.recipe).undo)
    if asked.runner == "unittest":
        undo.callback(with_copies(names, patch).undo)
    try:
        globals()[f"run_{asked.runner}"](asked.arguments, asked.report, asked.leave_out)
    finally:
        undo.close()
    told["not given back"] += [
        f"{owner!r} {name}" for owner, name, raw in standing if slot(owner, name) is not raw
    ]
    told["not given back"] += [repr(one) for one, inside in functions if _inside(one) != inside]
    told["called"] = len(CALLED)
    asked.report.with_suffix(".json").write_text(json.dumps(told, indent=1))
    sys.stdout.flush()
    os._exit(0)  # threads that tests have left behind are not waited for


if __name__ == "__main__":
    main()
