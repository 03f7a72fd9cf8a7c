"""What may be named as a target, where it leads, and what is said when it leads nowhere."""

import asyncio
import collections
import functools
import importlib
import json
import operator
import os
import pickle
import random
import sys
import textwrap
import types
from typing import Generic, TypeVar
from unittest import mock

import pytest
from helpers import noting, pass_through, spaces

import safepatch

PACKAGE = {
    "shop/__init__.py": """
        from shop import stock
        from shop.tills import Till

        class tax:
            @staticmethod
            def rate():
                return "the class in the package"

        def price(amount=1):
            return amount

        def __audit():
            return "not mangled in a module"
    """,
    "shop/tax.py": "def rate(): return 'the module that the class hides'",
    "shop/price.py": "def amount(): return 'the module that the function hides'",
    "shop/stock.py": "def count(): return 3",
    "shop/later.py": "def count(): return 4",
    "shop/broken.py": "import a_library_that_nobody_has",
    "shop/tills.py": """
        class Till:
            limit = 3

            def open(self):
                return "opened"

            def count(self):
                return self.__count()

            def __count(self):
                return 1

            class Drawer:
                def pull(self):
                    return "pulled"

        class _Hidden:
            def __count(self):
                return 2

            def count(self):
                return self.__count()

        class Shadow(Till):
            pass
    """,
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A package on disk, none of whose modules `tax`, `price`, `later` and `broken` is imported."""
    for path, source in PACKAGE.items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("shop")
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def _refusal(target, *decorators, **options):
    """The error with which apply refuses a target."""
    with pytest.raises(safepatch.PatchError) as caught:
        safepatch.apply(target, *(decorators or (pass_through,)), **options)
    return caught.value


# What leads somewhere.

LEADING = {
    "a colon before a function": ("shop:price", lambda shop: shop.price()),
    "a colon before a method": ("shop.tills:Till.open", lambda shop: shop.Till().open()),
    "a colon before a nested class": (
        "shop.tills:Till.Drawer.pull",
        lambda shop: shop.Till.Drawer().pull(),
    ),
    "through a module that imported the class": ("shop:Till.open", lambda shop: shop.Till().open()),
    "dots before a function": ("shop.stock.count", lambda shop: shop.stock.count()),
    "dots before a method": ("shop.tills.Till.open", lambda shop: shop.Till().open()),
    "dots before a nested class": (
        "shop.tills.Till.Drawer.pull",
        lambda shop: shop.Till.Drawer().pull(),
    ),
    "dots before a name that a module shares": ("shop.price", lambda shop: shop.price()),
    "a private name": ("shop.tills:Till.__count", lambda shop: shop.Till().count()),
    "a private name as it is kept": (
        "shop.tills:Till._Till__count",
        lambda shop: shop.Till().count(),
    ),
    "a private name of a private class": (
        "shop.tills:_Hidden.__count",
        lambda shop: sys.modules["shop.tills"]._Hidden().count(),
    ),
    "an inherited private name": (
        "shop.tills:Shadow.__count",
        lambda shop: sys.modules["shop.tills"].Shadow().count(),
    ),
    "two underscores in a module": ("shop:__audit", lambda shop: vars(shop)["__audit"]()),
}


@pytest.mark.parametrize(("target", "call"), LEADING.values(), ids=LEADING.keys())
def test_a_string_leads_to(shop, target, call):
    log = []

    with safepatch.patch(target, noting(log, "ran")) as patch:
        call(shop)

    assert log == ["ran"]
    assert target == patch.target


def test_a_string_imports_its_module(shop):
    log = []

    with safepatch.patch("shop.later:count", noting(log, "ran")):
        sys.modules["shop.later"].count()

    assert log == ["ran"]


def test_the_dotted_form_imports_its_modules(shop):
    log = []

    with safepatch.patch("shop.later.count", noting(log, "ran")):
        sys.modules["shop.later"].count()

    assert log == ["ran"]


def test_both_spellings_name_one_site(shop):
    before, log = dict(vars(shop.stock)), []
    colon = safepatch.apply("shop.stock:count", noting(log, "colon"), aliases="ignore")
    dotted = safepatch.apply("shop.stock.count", noting(log, "dotted"), aliases="ignore")
    shop.stock.count()
    colon.undo()
    dotted.undo()

    assert log == ["dotted", "colon"]
    assert before == vars(shop.stock)


OWNERS = {
    "a module": lambda shop: (shop, "price", lambda: shop.price()),
    "a class": lambda shop: (shop.Till, "open", lambda: shop.Till().open()),
    "a private name of a class": lambda shop: (shop.Till, "__count", lambda: shop.Till().count()),
    "an instance": lambda shop: (till := shop.Till(), "open", lambda: till.open()),
    "a private name of an instance": lambda shop: (
        till := shop.Till(),
        "__count",
        lambda: till.count(),
    ),
}


@pytest.mark.parametrize("make", OWNERS.values(), ids=OWNERS.keys())
def test_a_pair_leads_to_an_attribute_of(shop, make):
    owner, name, call = make(shop)
    log = []

    with safepatch.patch((owner, name), noting(log, "ran")) as patch:
        call()

    assert log == ["ran"]
    assert (owner, name) == patch.target


def test_a_pair_with_an_instance_leaves_other_instances_alone(shop):
    log = []

    with safepatch.patch((shop.Till(), "open"), noting(log, "ran")):
        shop.Till().open()

    assert log == []


def test_a_function_as_target_is_patched_for_all_who_hold_it(shop):
    log, held = [], shop.price
    in_a_dict = {"price": shop.price}
    bound = shop.Till().open

    with (
        safepatch.patch(shop.price, noting(log, "function")),
        safepatch.patch(shop.Till.open, noting(log, "method")),
    ):
        held(), in_a_dict["price"](), shop.price(), bound()

    assert log == ["function", "function", "function", "method"]


def test_a_function_without_a_name_to_reach_it_by_is_a_target():
    log = []
    functions = [lambda: 1]

    with safepatch.patch(functions[0], noting(log, "ran")):
        functions[0]()

    assert log == ["ran"]


def test_a_function_is_patched_below_what_is_patched_by_name(shop):
    log, price = [], shop.price

    with (
        safepatch.patch("shop:price", noting(log, "name")),
        safepatch.patch(price, noting(log, "function")),
    ):
        shop.price()

    assert log == ["name", "function"]


def test_a_patched_function_is_the_target_that_its_original_is(shop):
    """Whoever looks a function up while it is patched names the same thing as before."""
    log, held = [], shop.price

    with (
        safepatch.patch("shop:price", noting(log, "name")),
        safepatch.patch(shop.price, noting(log, "function")),
    ):
        held()

    assert log == ["function"]


def test_a_string_patches_the_name_and_nobody_who_took_the_function_before(shop):
    log, held = [], shop.price

    with safepatch.patch("shop:price", noting(log, "ran")):
        held()

    assert log == []


# Builtins that cannot be told by themselves.

BUILTINS = {
    "a C twin": (operator.add, "operator:add"),
    "a C twin of another name": (os.getpid, "os:getpid"),
    "several modules": (asyncio.get_running_loop, "asyncio:get_running_loop"),
    "a method of a hidden object": (random.random, "random:random"),
}


@pytest.mark.parametrize(("function", "public"), BUILTINS.values(), ids=BUILTINS.keys())
def test_a_builtin_that_lives_behind_a_public_module_is_refused_with_string_targets(
    function, public
):
    error = _refusal(function)

    assert type(error) is safepatch.TargetError
    assert error.target is function
    assert public in error.candidates
    assert all(candidate in str(error) for candidate in error.candidates)


BUILTINS_OF_NO_MODULE = [
    "text".upper,
    int.from_bytes,
    collections.deque().append,
    functools.partial(json.dumps),
]


@pytest.mark.parametrize(
    "function", [function for function, _ in BUILTINS.values()] + BUILTINS_OF_NO_MODULE
)
def test_what_a_refusal_suggests_can_be_written(function):
    """`.candidates` are string targets, not descriptions of objects."""
    error = _refusal(function)

    for candidate in error.candidates:
        safepatch.patch(candidate, pass_through)


@pytest.mark.parametrize("function", [dict.get, str.join, object.__init__])
def test_a_method_of_a_c_type_is_refused_as_what_it_is(function):
    error = _refusal(function)

    assert type(error) is safepatch.UnsupportedTargetError
    assert "its class is immutable" in str(error)
    assert error.target is function


@pytest.mark.parametrize("text", ["dict:get", "dict.get", "str:join", "open:read"])
def test_a_target_that_starts_with_a_builtin_is_answered_with_its_module(text):
    with pytest.raises(safepatch.TargetError) as caught:
        safepatch.apply(text, pass_through)

    assert caught.value.candidates == (f"builtins:{text.replace(':', '.')}",)


def test_a_method_of_an_object_in_c_is_answered_with_the_ways_to_write_its_place():
    assert "(object, 'append'), " in str(_refusal([].append))


@pytest.mark.parametrize("function", [operator.add, os.getpid])
def test_the_public_module_is_suggested_before_its_twin(function):
    """Patching the twin changes nothing for those who ask the public module."""
    twin = f"{function.__module__}:{function.__name__}"

    candidates = _refusal(function).candidates

    assert candidates
    assert twin != candidates[0]


@pytest.mark.parametrize("name", ["time:monotonic", "math:sqrt", "builtins:ascii"])
def test_a_builtin_of_one_module_is_a_target(name):
    module, _, attribute = name.partition(":")
    function = getattr(sys.modules[module], attribute)
    log = []

    with safepatch.patch(function, noting(log, "ran"), aliases="ignore"):
        getattr(sys.modules[module], attribute)(*([] if module == "time" else [4]))

    assert "ran" in log


# What leads nowhere, or to more than one place.


def test_a_dotted_target_that_is_both_a_module_and_an_attribute_is_ambiguous(shop):
    error = _refusal("shop.tax.rate")

    assert type(error) is safepatch.TargetError
    assert error.target == "shop.tax.rate"
    assert set(error.candidates) == {"shop:tax.rate", "shop.tax:rate"}
    assert all(candidate in str(error) for candidate in error.candidates)


def test_finding_out_that_a_target_is_ambiguous_changes_nothing(shop):
    """Importing the module would put it over the attribute that it shares a name with."""
    hidden = shop.tax

    _refusal("shop.tax.rate")

    assert shop.tax is hidden


@pytest.mark.parametrize("chosen", [0, 1])
def test_each_reading_of_an_ambiguous_target_can_be_chosen(shop, chosen):
    texts = "shop:tax.rate", "shop.tax:rate"
    a_class = shop.tax
    log = []

    with safepatch.patch(texts[chosen], noting(log, "ran")):
        (a_class, sys.modules.get("shop.tax"))[chosen].rate()

    assert log == ["ran"]


def test_an_attribute_that_is_the_module_itself_is_not_ambiguous(shop):
    assert shop.stock is sys.modules["shop.stock"]

    with safepatch.patch("shop.stock.count", pass_through) as patch:
        assert patch.state == "applied"


TYPOS = {
    "a function": ("json:dmups", "dumps"),
    "a function, dotted": ("json.dmups", "dumps"),
    "a method": ("json:JSONEncoder.encod", "encode"),
    "a class": ("json:JSONEncodr.encode", "JSONEncoder"),
    "a module": ("jsno:dumps", "json"),
    "a submodule": ("json.encodr:JSONEncoder.encode", "json.encoder"),
}


@pytest.mark.parametrize(("target", "nearest"), TYPOS.values(), ids=TYPOS.keys())
def test_a_typo_is_answered_with_the_nearest_name(target, nearest):
    error = _refusal(target)

    assert isinstance(error, LookupError)
    assert type(error) is safepatch.TargetError
    assert error.target == target
    assert f"did you mean {nearest!r}" in str(error)


@pytest.mark.parametrize("target", [target for target, _ in TYPOS.values()], ids=TYPOS.keys())
def test_what_is_suggested_for_a_typo_is_a_target_that_would_do(target):
    """`TargetError.candidates` lists string targets, whatever the error."""
    candidates = _refusal(target).candidates

    assert candidates
    for candidate in candidates:
        with safepatch.patch(candidate, pass_through):
            pass


def test_a_typo_in_a_pair_is_answered_with_the_nearest_name(shop):
    error = _refusal((shop.Till, "opne"))

    assert type(error) is safepatch.TargetError
    assert (shop.Till, "opne") == error.target
    assert "'open'" in str(error)


def test_a_target_like_nothing_at_all_is_answered_without_a_guess():
    error = _refusal("json:qqqqqqqqqqqq")

    assert error.candidates == ()
    assert "did you mean" not in str(error)


def test_a_module_that_cannot_be_imported_says_why(shop):
    error = _refusal("shop.broken:f")

    assert type(error) is safepatch.TargetError
    assert "a_library_that_nobody_has" in str(error)
    assert isinstance(error.__cause__, ImportError)
    assert "shop.broken" not in sys.modules


def test_a_module_whose_code_raises_is_not_taken_for_a_typo(tmp_path, monkeypatch):
    (tmp_path / "raiser.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)

    error = _refusal("raiser:f")

    assert str(error).endswith("ZeroDivisionError('division by zero'); its code raises that")
    assert error.candidates == ()


def test_a_module_that_is_not_installed_is_said_to_be():
    error = _refusal("a_library_that_nobody_has:f")

    assert "a_library_that_nobody_has" in str(error)
    assert "installed" in str(error)


BAD_FORMS = [
    "",
    ":",
    "json:",
    ":dumps",
    "json",
    "json:dumps:loads",
    "json:dumps()",
    "json:JSONEncoder.",
    "json..dumps",
    "json dumps",
    "json:dumps ",
    "j-son:dumps",
    "json:1dumps",
    ("json", "dumps"),
    (json,),
    (json, 3),
    (json, "dumps", "loads"),
    (json, None),
    (),
]


@pytest.mark.parametrize("target", BAD_FORMS, ids=repr)
@pytest.mark.parametrize("declare", [safepatch.apply, safepatch.patch])
def test_a_form_that_is_no_target_is_refused_where_it_is_written(declare, target):
    with pytest.raises(safepatch.TargetError) as caught:
        declare(target, pass_through)

    assert caught.value.target == target
    assert "json:" in str(caught.value) or "module:" in str(caught.value)


T = TypeVar("T")


class Plain:
    value = 3

    def method(self):
        pass


class Inheriting(Plain):
    pass


class Slotted:
    __slots__ = ("kept",)

    def method(self):
        pass


class Strange(property):
    pass


class Described:
    strange = Strange(lambda self: 3)


class Serving(type):
    hidden = property(lambda cls: "of the metaclass")

    def __getattr__(cls, name):
        if name == "served":
            return Plain.method
        raise AttributeError(name)


class Served(metaclass=Serving):
    def hidden(self):
        pass

    @property
    def __dict__(self):
        return {}


# Of a class that is not immutable, which one would think can be patched.
C_NEW = vars(json.scanner.c_make_scanner)["__new__"]

REFUSED = {
    "no function": (3, lambda: 3),
    "None": (None, lambda: None),
    "a class": (Plain, lambda: Plain),
    "a module": (json, lambda: json),
    "a class by name": (f"{__name__}:Plain", lambda: Plain),
    "a plain value": ((Plain, "value"), lambda: 3),
    "a method of an immutable class": ((dict, "get"), lambda: dict.get),
    "a method of an immutable class, by name": ("builtins:dict.get", lambda: dict.get),
    "__new__ where it is inherited": ((Plain, "__new__"), lambda: object.__new__),
    "__new__ in C": ((json.scanner.c_make_scanner, "__new__"), lambda: C_NEW),
    "a slot": ((Slotted, "kept"), lambda: vars(Slotted)["kept"]),
    "a descriptor of an unknown kind": ((Described, "strange"), lambda: vars(Described)["strange"]),
    "what a metaclass serves": ((Served, "served"), lambda: Plain.method),
    "what the metaclass hides": ((Served, "hidden"), lambda: vars(Served)["hidden"]),
    "__dict__ of a class": ((Served, "__dict__"), lambda: vars(Served)["__dict__"]),
    "a special method of an instance": ((Plain(), "__init__"), lambda: object.__init__),
}


@pytest.mark.parametrize(("target", "find"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_patched_safely_is_refused_clearly(target, find):
    owners = (Plain, Slotted, Described, Served, json, json.scanner.c_make_scanner)
    before = spaces(*owners)

    error = _refusal(target)

    assert type(error) is safepatch.UnsupportedTargetError
    assert isinstance(error, TypeError)
    assert find() == error.found
    assert target == error.target
    assert before == spaces(*owners)


@pytest.mark.parametrize(
    ("target", "decorator", "options"),
    [
        ((Plain, "method"), mock.Mock(), {}),
        ((Plain, "method"), lambda wrapped: None, {}),
        ((Plain, "method"), lambda wrapped: asyncio.sleep, {}),
        ((Inheriting, "method"), pass_through, {"aliases": "rebind"}),
    ],
)
def test_errors_about_what_was_to_be_put_there_have_the_target_that_was_asked(
    target, decorator, options
):
    with pytest.raises(safepatch.PatchError) as caught:
        safepatch.apply(target, decorator, **options)

    assert caught.value.target is target


def test_an_instance_without_a_namespace_is_refused():
    error = _refusal((Slotted(), "method"))

    assert type(error) is safepatch.UnsupportedTargetError


@pytest.mark.parametrize("target", ["json:dmups", (Plain, "value"), operator.add, "shop.broken:f"])
def test_a_refused_target_leaves_no_trace(shop, patches, target):
    before = spaces(shop, Plain, json, operator), list(sys.meta_path)

    with pytest.raises(safepatch.PatchError):
        patches.apply(target, pass_through)

    assert before == (spaces(shop, Plain, json, operator), list(sys.meta_path))
    assert patches.live() == []
    assert str(patches.explain("json:dumps")).startswith("# json:dumps\ndef dumps(")


@pytest.mark.parametrize("aliases", ["ignore", "warn"])
def test_a_function_stands_for_its_name_only_where_it_is_found_there(aliases):
    def local():
        pass

    error = _refusal(local, aliases=aliases)

    assert type(error) is safepatch.TargetError
    assert error.target is local


ERRORS = {
    safepatch.TargetError: (LookupError, ("target", "candidates")),
    safepatch.GuardError: (RuntimeError, ("target", "name", "reasons")),
    safepatch.UnsupportedTargetError: (TypeError, ("target", "found")),
}


@pytest.mark.parametrize(("error", "facts"), ERRORS.items(), ids=lambda value: str(value)[:40])
def test_each_error_is_a_patch_error_and_the_builtin_one_would_catch(error, facts):
    builtin, attributes = facts

    assert issubclass(error, (safepatch.PatchError, builtin))
    assert issubclass(error, builtin)
    assert all(hasattr(error("message"), attribute) for attribute in attributes)


def test_errors_can_be_pickled_with_their_facts():
    """They travel between processes, as test runners and pools send them."""
    error = _refusal("json:dmups")

    copied = pickle.loads(pickle.dumps(error))

    assert str(error) == str(copied)
    assert vars(error) == vars(copied)


def test_messages_are_sentences_without_a_capital_or_a_final_stop(shop):
    targets = ["json:dmups", "jsno:dumps", "json", "shop.tax.rate", operator.add, Plain]
    messages = [str(_refusal(target)) for target in targets]

    assert messages == [message[0].lower() + message[1:].rstrip(".") for message in messages]


def test_a_module_type_owner_that_is_not_in_sys_modules_is_a_target():
    module = types.ModuleType("nowhere")
    module.f = lambda: 1
    log = []

    with safepatch.patch((module, "f"), noting(log, "ran")) as patch:
        module.f()

    assert log == ["ran"]
    assert patch.name == "nowhere:f"


OWNER = "class Owner:\n    def method(self):\n        return 'original'\n"


def replaced_by_reload(module):
    exec(OWNER, vars(module))


def replaced_in_sys_modules(module):
    made = types.ModuleType(module.__name__)
    exec(OWNER, vars(made))
    sys.modules[module.__name__] = made


@pytest.mark.parametrize("aliases", ["ignore", "rebind"])
@pytest.mark.parametrize("replace", [replaced_by_reload, replaced_in_sys_modules])
@pytest.mark.parametrize("written", ["targets_moved:Owner.method", "targets_moved.Owner.method"])
def test_a_patch_whose_class_was_replaced_is_superseded_and_can_follow_it(
    written, replace, aliases, patches, monkeypatch
):
    """As gevent does with socket.socket, or a reload with all classes of a module."""
    module = types.ModuleType("targets_moved")
    exec(OWNER, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    log, old, method = [], module.Owner, module.Owner.method
    patch = patches.apply(written, noting(log, "ran"), aliases=aliases)
    assert not patch.superseded
    replace(module)
    new = sys.modules[module.__name__].Owner

    assert patch.superseded
    assert "superseded" in str(patches.explain(written))
    assert "superseded" in str(patches.explain())
    patch.apply()
    assert not patch.superseded
    new().method()
    assert log == ["ran"]
    old().method()
    assert log == ["ran"]
    assert old.method is method


class Parametrized(Generic[T]):
    def method(self):
        pass


@pytest.mark.parametrize("alias", [Parametrized[int], list[int]])
def test_an_alias_with_parameters_is_refused_as_owner(alias):
    """What is set on it reaches neither the class nor its instances."""
    with pytest.raises(safepatch.UnsupportedTargetError, match="patch the class"):
        safepatch.apply((alias, "method"), pass_through)
