"""Guards: what they want, what they let pass, and what is done about their no."""

import importlib
import json
import linecache
import platform
import sys
import textwrap
import types
import uuid
import warnings

import pytest
from helpers import noting, pass_through
from hypothesis import given
from hypothesis import strategies as st

import safepatch


class Shop:
    @staticmethod
    def price(amount, tax=0):
        return ("price", amount)


PRICE = (Shop, "price")


@pytest.fixture(autouse=True)
def shop_is_as_it_was():
    before = dict(vars(Shop))
    yield
    assert before == dict(vars(Shop))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Pretend that a distribution "shop-kit" of some version is installed."""

    def install(version):
        info = tmp_path / "shop_kit.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: shop-kit\nVersion: {version}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)

    return install


def verdict(target=PRICE, **options):
    """The reasons that guards give against a patch; nothing if they agree."""
    try:
        with safepatch.patch(target, pass_through, **options):
            return ()
    except safepatch.GuardError as error:
        return error.reasons


# requires.

RUNNING = platform.python_version()

VERSIONS = {
    "in range": ("2.31.0", "shop-kit>=2.31,<3", True),
    "at the lower end": ("2.31", "shop-kit>=2.31,<3", True),
    "below": ("2.30", "shop-kit>=2.31,<3", False),
    "above": ("3.0.1", "shop-kit>=2.31,<3", False),
    "excluded": ("2.5", "shop-kit!=2.5", False),
    "compatible": ("2.31.9", "shop-kit~=2.31.0", True),
    "not compatible": ("2.32", "shop-kit~=2.31.0", False),
    "any version": ("0.0.1", "shop-kit", True),
    "a pre-release in range": ("2.5rc1", "shop-kit>=2,<3", True),
    "a pre-release below": ("2.0rc1", "shop-kit>=2,<3", False),
    "a development release": ("2.5.dev3", "shop-kit>=2,<3", True),
    "a local version": ("2.5+ours", "shop-kit>=2,<3", True),
    "another spelling of the name": ("2.5", "Shop_Kit>=2,<3", True),
    "an extra": ("2.5", "shop-kit[all]>=2", True),
    "a marker that holds": ("1.0", "shop-kit>=2; python_version>='3'", False),
    "a marker that does not hold": ("1.0", "shop-kit>=2; python_version<'3'", True),
}


@pytest.mark.parametrize(("found", "wanted", "fits"), VERSIONS.values(), ids=VERSIONS.keys())
def test_requires_wants_a_version(installed, found, wanted, fits):
    installed(found)

    reasons = verdict(requires=wanted)

    assert fits == (not reasons)
    assert fits or found in reasons[0]
    assert fits or "shop-kit" in reasons[0]


PYTHONS = {
    "python>=3.11,<3.99": True,
    f"python=={RUNNING}": True,
    f"python!={RUNNING}": False,
    "python<3.11": False,
    "python>=3.99": False,
    "python": True,
    "Python>=3.11": True,
}


@pytest.mark.parametrize(("wanted", "fits"), PYTHONS.items())
def test_requires_wants_a_python(wanted, fits):
    reasons = verdict(requires=wanted)

    assert fits == (not reasons)
    assert fits or RUNNING in reasons[0]


@pytest.mark.parametrize("version", ["3.12.1+", "3.14.0a1+"])
def test_requires_reads_the_version_of_a_python_built_from_its_repository(monkeypatch, version):
    """CPython says "3.12.1+" of itself between two releases, which is no version of PEP 440."""
    with safepatch.patch("platform:python_version", lambda wrapped: lambda: version):
        assert verdict(requires="python>=3.11,<3.15") == ()
        assert verdict(requires="python<3.11") != ()


def test_requires_refuses_what_is_not_installed():
    (reason,) = verdict(requires="a-library-that-nobody-has>=1")

    assert "a-library-that-nobody-has" in reason
    assert "not installed" in reason


def test_a_marker_that_does_not_hold_asks_for_no_distribution():
    assert verdict(requires="a-library-that-nobody-has>=1; python_version<'3'") == ()


def test_several_requirements_must_all_hold(installed):
    installed("2.5")

    assert verdict(requires=["shop-kit>=2", "python>=3.11"]) == ()
    assert len(verdict(requires=["shop-kit>=3", "python>=3.99", "shop-kit>=1"])) == 2


@pytest.mark.parametrize("text", ["shop kit", ">=2", "", "shop-kit>=two"])
def test_what_is_no_requirement_is_refused_where_it_is_written(text):
    with pytest.raises(ValueError, match="requirement"):
        safepatch.patch(PRICE, pass_through, requires=text)


# signature.

SIGNATURES = {
    "the same": ("(a, b)", "(a, b)", True),
    "nothing at all": ("()", "()", True),
    "spaces and annotations": ("(a,b=1)", "( a: int ,  b : str = 1 ) -> None", True),
    "another name": ("(a, b)", "(a, c)", False),
    "another order": ("(a, b)", "(b, a)", False),
    "one fewer": ("(a)", "(a, b)", False),
    "one fewer, with a default": ("(a)", "(a, b=1)", False),
    "an extra at the end with a default": ("(a, b=1)", "(a)", True),
    "an extra at the end without a default": ("(a, b)", "(a)", False),
    "an extra in between with a default": ("(a, x=1, b=2)", "(a, b=2)", False),
    "an extra in front": ("(x, a)", "(a)", False),
    "an extra that is keyword-only with a default": ("(a, *, x=1)", "(a)", True),
    "an extra that is keyword-only without a default": ("(a, *, x)", "(a)", False),
    "extra *args": ("(a, *args)", "(a)", True),
    "extra **kwargs": ("(a, **kwargs)", "(a)", True),
    "*args that are wanted": ("(a, *args)", "(a, *args)", True),
    "*args that are gone": ("(a)", "(a, *args)", False),
    "**kwargs that are gone": ("(a)", "(a, **kwargs)", False),
    "a keyword-only one": ("(*, a)", "(*, a)", True),
    "keyword-only ones in another order": ("(*, b, a)", "(*, a, b)", True),
    "a keyword-only one that is not any more": ("(a)", "(*, a)", False),
    "one that became keyword-only": ("(*, a)", "(a)", False),
    "a positional-only one": ("(a, /)", "(a, /)", True),
    "one that became positional-only": ("(a, /)", "(a)", False),
    "a positional-only one that is not any more": ("(a)", "(a, /)", False),
    "the same default": ("(a=0)", "(a=0)", True),
    "another default": ("(a=1)", "(a=0)", False),
    "a default that is gone": ("(a)", "(a=0)", False),
    "a default that is new": ("(a=0)", "(a)", False),
    "True for 1": ("(a=True)", "(a=1)", False),
    "1 for True": ("(a=1)", "(a=True)", False),
    "1.0 for 1": ("(a=1.0)", "(a=1)", False),
    "a negative number": ("(a=-1)", "(a=-1)", True),
    "None": ("(a=None)", "(a=None)", True),
    "0 for None": ("(a=0)", "(a=None)", False),
    "a text": ("(a='x, y=(')", "(a='x, y=(')", True),
    "another text": ("(a='x')", "(a='y')", False),
    "bytes for a text": ("(a=b'x')", "(a='x')", False),
    "a tuple": ("(a=(1, 2))", "(a=(1, 2))", True),
    "an empty dict": ("(a={})", "(a={})", True),
    "any default": ("(a=object())", "(a=...)", True),
    "any default where there is none": ("(a)", "(a=...)", False),
    "a number for an enum": ("(a=socket.AF_INET)", "(a=2)", True),
    "another number for an enum": ("(a=socket.AF_INET)", "(a=3)", False),
    "all at once": ("(a, /, b, c=1, *d, e, f=2, **g)", "(a, /, b, c=1, *d, e, f=2, **g)", True),
}


def made(parameters):
    names = {"socket": importlib.import_module("socket")}
    exec(f"def f{parameters}: pass", names)
    return types.SimpleNamespace(f=names["f"])


@pytest.mark.parametrize(("found", "wanted", "fits"), SIGNATURES.values(), ids=SIGNATURES.keys())
def test_signature_wants_these_parameters(found, wanted, fits):
    reasons = verdict((made(found), "f"), signature=wanted)

    assert fits == (not reasons)
    assert fits or wanted in reasons[0]


NAMES = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)


@given(NAMES, st.data())
def test_a_signature_fits_what_it_was_read_from_and_no_other_order(names, data):
    other = data.draw(st.permutations(names))

    reasons = verdict((made(f"({', '.join(names)})"), "f"), signature=f"({', '.join(other)})")

    assert (names == other) == (not reasons)


def test_signature_reads_methods_with_their_self_and_builtins_as_inspect_does():
    class Sub:
        def method(self, a):
            pass

        @classmethod
        def klass(cls, a):
            pass

        @staticmethod
        def static(a):
            pass

    assert verdict((Sub, "method"), signature="(self, a)") == ()
    assert verdict((Sub, "klass"), signature="(cls, a)") == ()
    assert verdict((Sub, "static"), signature="(a)") == ()
    assert verdict("math:sqrt", signature="(x, /)") == ()


def test_signature_refuses_what_has_none():
    (reason,) = verdict("builtins:min", signature="(a, b)")

    assert "none can be read" in reason


def test_signature_is_that_of_the_original_under_other_patches():
    def hiding(wrapped):
        return lambda *args: wrapped(*args)

    with safepatch.patch(PRICE, hiding):
        assert verdict(signature="(amount, tax=0)") == ()


@pytest.mark.parametrize("text", ["a, b", "(a, b", "(a b)", "", "(1)", "(a=1, b)", "(a, a)"])
def test_what_is_no_signature_is_refused_where_it_is_written(text):
    with pytest.raises(ValueError, match="signature"):
        safepatch.patch(PRICE, pass_through, signature=text)


# fingerprint.


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Import a module made of a source text."""
    names = []

    def load(text):
        name = f"sources_{uuid.uuid4().hex}"
        names.append(name)
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return importlib.import_module(name)

    monkeypatch.syspath_prepend(tmp_path)
    yield load
    for name in names:
        sys.modules.pop(name, None)
    linecache.clearcache()


PLAIN = """\
def f(a, b=1):
    '''What it does.'''
    if a:
        # Why.
        return [a, b]
    return None
"""


def indented(text):
    return textwrap.indent(text, "    ")


SAME = {
    "another docstring": PLAIN.replace("What it does.", "What it did, \\n at length."),
    "no docstring": PLAIN.replace("'''What it does.'''", ""),
    "a docstring of several lines": PLAIN.replace("What it does.", "What.\n\n  More.\n"),
    "a raw docstring": PLAIN.replace("'''What", "r'''What"),
    "a docstring in parentheses": PLAIN.replace("'''What it does.'''", "('What ' 'it does.')"),
    "another comment": PLAIN.replace("# Why.", "# Why not."),
    "no comment": PLAIN.replace("# Why.", ""),
    "comments everywhere": PLAIN.replace("\n", "  # here\n"),
    "comments on lines of their own": PLAIN.replace("\n    ", "\n# here\n      # and here\n    "),
    "blank lines": PLAIN.replace("\n", "\n\n"),
    "spaces": PLAIN.replace("(a, b=1)", "( a , b = 1 )"),
    "another indentation": PLAIN.replace("    ", "   "),
    "tabs": PLAIN.replace("    ", "\t"),
    "a statement over several lines": PLAIN.replace("[a, b]", "[a,\n  b\n ]"),
    "a continued line": PLAIN.replace("return None", "return \\\n  None"),
    "more at the end of the file": PLAIN + "\n\ndef g(): pass\n",
    "no end of line at the end": PLAIN.rstrip(),
    "a class around it": "class C:\n" + indented(PLAIN) + "\nf = C.f\n",
    "a condition around it": "if True:\n" + indented(PLAIN),
    "a comment at the margin of a class": (
        "class C:\n"
        + indented(PLAIN).replace("        if a", "# here\n        if a")
        + "\nf = C.f\n"
    ),
    "a docstring that ends at the margin of a class": (
        "class C:\n" + indented(PLAIN).replace("What it does.", "What.\n") + "\nf = C.f\n"
    ),
}

OTHER = {
    "another name": PLAIN.replace("f(", "f_(") + "\nf = f_\n",
    "another parameter": PLAIN.replace("a, b=", "c, b="),
    "another default": PLAIN.replace("b=1", "b=2"),
    "another value": PLAIN.replace("None", "0"),
    "another block": PLAIN.replace("    return None", "        return None"),
    "a statement more": PLAIN.replace("return None", "pass\n    return None"),
    "a decorator": "deco = lambda f: f\n@deco\n" + PLAIN,
    "a string that is code": PLAIN.replace("None", "'None'"),
    "async": PLAIN.replace("def f", "async def f"),
    "an annotation": PLAIN.replace("(a, b", "(a: int, b"),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_a_fingerprint_does_not_change_with(source, text):
    assert safepatch.fingerprint(source(PLAIN).f) == safepatch.fingerprint(source(text).f)


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER.keys())
def test_a_fingerprint_changes_with(source, text):
    assert safepatch.fingerprint(source(PLAIN).f) != safepatch.fingerprint(source(text).f)


STRINGS = {
    "a string": ("'a'", "'b'"),
    "spaces in a string": ("'a  b'", "'a b'"),
    "a hash in a string": ("'a # b'", "'a # c'"),
    "the text of an f-string": ('f"a {x}"', 'f"b {x}"'),
    "spaces in an f-string": ('f"a  {x}"', 'f"a {x}"'),
    "a hash in an f-string": ('f"# {x}"', 'f"# !{x}"'),
    "the value in an f-string": ('f"{x}"', 'f"{y}"'),
    "the conversion in an f-string": ('f"{x!r}"', 'f"{x!s}"'),
    "the format in an f-string": ('f"{x:>3}"', 'f"{x:>4}"'),
    "the inside of a nested f-string": ("""f"{f'{x}'}" """, """f"{f'{y}'}" """),
    "what follows a nested f-string": ("""f"{f'{x}'}a" """, """f"{f'{x}'}b" """),
    "lines of an f-string": ('f"""{x}\na"""', 'f"""{x}\nb"""'),
    "an f-string alone": ("0\n    f'{x()}'", "0\n    f'{y()}'"),
}


@pytest.mark.parametrize(("one", "other"), STRINGS.values(), ids=STRINGS.keys())
def test_what_is_in_a_string_counts(source, one, other):
    texts = [f"def f(x=str, y=str):\n    z = {value}\n    return z\n" for value in (one, other)]

    one, other = (safepatch.fingerprint(source(text).f) for text in texts)

    assert one != other


# 3.11 has one token for an f-string, 3.12 has many; the hashes were the same on 3.11 to 3.13.
EVERYWHERE = {
    "plain": (PLAIN, "sha256:8ca58c0dad5016d1c99ae86c76db63953dbebe6607c9eba5f7b5a6249ee194ba"),
    "f-strings": (
        """\
def f(x, width=3):
    'It says.'  # loudly
    head = f"{x!r:>{width}}" f'{x=}' "tail"
    body = f'''{x}
      {f'{x}' + f"{'in' + 'side'}"}  # no comment
    '''
    return rf"{head}\\d{{}}" + body
""",
        "sha256:7bd187f9cd9d15c5f498db144b5bad05e92c6c0c2630fcaf9ddef7927bacfc13",
    ),
    "decorators and async": (
        """\
def decorate(*args):
    return lambda function: function

@decorate(1,  # one
          f"{2}")
@decorate(2)
async def f(a, /, b: "int" = 1, *, c=lambda x: x) -> None:
    async with a as (b, c):
        return [x async for x in b if (y := x)]
""",
        "sha256:ba24a4aceaea0ca1f66bcc4337b4e5783d09b7b91f92e5dba9a1d4103c98f80a",
    ),
    "match and operators": (
        """\
def f(x):
    match x:
        case {"a": [*_]} | 1.5e3 | 0xFF | b"\\x00":
            return x @ x ** -1 // 2 != 3
        case _:
            return ..., x if not x else ~x
""",
        "sha256:703e1ed6cc1c6b633d854a12d5bca731074c0bbc5179b4f56edc85d3cd03837e",
    ),
    "wide characters": (
        "def f(é):\n    ü = f'é{é}ü🎉' + f'🎉{é}' 'é'\n    return ü\n",
        "sha256:7e240439f5b75bf22a4a00111e11ac63e87529832e0dc283876b3f78b3c0a30a",
    ),
    "a lambda": (
        "f = lambda x: f'{x}'  # comment\n",
        "sha256:7a4b9bb439b5f3b66c53950dd2788a5797df177388d47db8939e244c621c45d1",
    ),
    "a form feed before an f-string": (
        "def f(x):\n    a = 1\n\x0c\n    return f'{x}' + \\\n        f'{a}'\n",
        "sha256:acd0e2dcb87ded148aa6ebc0d7e48e53d351a42c39543c620b9f6e2cca12ccc4",
    ),
    "what only str.splitlines takes for the end of a line": (
        "def f(x):\n    a = '\u2028\x1c'\n    return f'{x}' + f'{a}'\n",
        "sha256:60f7ad75d28bbb64aa4da608e6250e7666aab3bafa44f93ef00bbd3862e91ab0",
    ),
    "an f-string that is not indented": (
        "class C:\n"
        "    def f(self):\n"
        "        'Doc.'\n"
        "        return f'''{self}\ntext\n'''\n"
        "f = C.f\n",
        "sha256:54279c75c97c290bdaa1c7fc7ca4ec36ecbf9d8e3ae24c26c5537df99a30efc3",
    ),
}


@pytest.mark.parametrize(("text", "expected"), EVERYWHERE.values(), ids=EVERYWHERE.keys())
def test_a_fingerprint_is_the_same_on_every_python(source, text, expected):
    assert expected == safepatch.fingerprint(source(text).f)


def test_a_fingerprint_can_be_asked_for_each_form_of_target():
    forms = ["json:dumps", "json.dumps", (json, "dumps"), json.dumps]

    assert len({safepatch.fingerprint(form) for form in forms}) == 1


def test_a_fingerprint_is_that_of_the_original_under_patches():
    before = safepatch.fingerprint(PRICE)

    with safepatch.patch(PRICE, pass_through), safepatch.patch(Shop.price, pass_through):
        assert before == safepatch.fingerprint(PRICE)
        assert before == safepatch.fingerprint(Shop.price)


@pytest.mark.parametrize("decorator", ["property", "classmethod", "staticmethod"])
def test_a_fingerprint_can_be_taken_of_a(decorator, source):
    texts = [
        f"class C:\n    @{decorator}\n    def f(self):\n        return {value}\n"
        for value in (1, 1, 2)
    ]

    first, same, other = (safepatch.fingerprint((source(text).C, "f")) for text in texts)

    assert first == same
    assert first != other


@pytest.mark.parametrize("target", ["math:sqrt", "time:sleep", (type("T", (dict,), {}), "get")])
def test_there_is_no_fingerprint_of_c_code(target):
    with pytest.raises(safepatch.UnsupportedTargetError, match="source") as caught:
        safepatch.fingerprint(target)

    assert caught.value.found is not None


def test_fingerprint_wants_the_source_it_names():
    right, wrong = safepatch.fingerprint(PRICE), "sha256:" + "0" * 64

    assert verdict(fingerprint=right) == ()
    assert verdict(fingerprint=[wrong, right]) == ()
    (reason,) = verdict(fingerprint=wrong)
    assert right in reason
    assert wrong in reason


def test_fingerprint_says_no_where_there_is_no_source():
    (reason,) = verdict("math:sqrt", fingerprint="sha256:" + "0" * 64)

    assert "source" in reason


@pytest.mark.parametrize("text", ["", "0" * 64, "md5:123", ["sha256:1", "nonsense"]])
def test_what_is_no_fingerprint_is_refused_where_it_is_written(text):
    with pytest.raises(ValueError, match="fingerprint"):
        safepatch.patch(PRICE, pass_through, fingerprint=text)


# Guards of one's own.


def test_a_guard_is_given_the_original():
    seen = []
    raw = vars(Shop)["price"].__func__

    with safepatch.patch(PRICE, pass_through):
        verdict(guard=seen.append)

    assert seen == [raw]


def test_a_guard_is_asked_at_each_apply_and_not_before():
    asked = []
    patch = safepatch.patch(PRICE, pass_through, guard=asked.append)
    assert asked == []

    for _ in range(2):
        with patch:
            pass

    assert len(asked) == 2


def test_every_guard_is_asked_and_every_reason_given():
    reasons = verdict(
        requires="a-library-that-nobody-has",
        signature="(nothing, like, it)",
        fingerprint="sha256:" + "0" * 64,
        guard=[lambda original: "it rains", lambda original: None, lambda original: "and snows"],
    )

    assert len(reasons) == 5
    assert reasons[3:] == ("it rains", "and snows")


@pytest.mark.parametrize("option", ["requires", "fingerprint"])
def test_a_guard_that_is_no_text_is_refused_by_its_name(option):
    with pytest.raises(TypeError, match=rf"{option}=5 is no text"):
        safepatch.apply("json:dumps", pass_through, **{option: 5})


@pytest.mark.parametrize("answer", [True, False, 0, "", ["it rains"]])
def test_a_guard_that_answers_neither_text_nor_none_is_told_so(answer):
    """Such as a predicate, which says the contrary."""

    def predicate(original):
        return answer

    with pytest.raises(TypeError, match=r"predicate returned .*; return a reason") as caught:
        safepatch.apply("json:dumps", pass_through, guard=predicate)

    assert repr(answer) in str(caught.value)
    assert safepatch.live() == []


@pytest.mark.parametrize("option", ["requires", "fingerprint", "guard"])
def test_no_guards_in_a_list_are_none(option):
    with safepatch.patch("json:dumps", pass_through, **{option: []}) as patch:
        assert patch.state == "applied"


def test_a_guard_that_raises_changes_nothing():
    def guard(original):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        safepatch.apply(PRICE, pass_through, guard=guard)

    assert safepatch.live() == []


@pytest.mark.parametrize("guard", [3, "json:dumps", [None]])
def test_what_is_no_guard_is_refused_where_it_is_written(guard):
    with pytest.raises(TypeError, match="guard"):
        safepatch.patch(PRICE, pass_through, guard=guard)


def test_a_guard_decides_before_a_decorator_is_called():
    with pytest.raises(safepatch.GuardError):
        safepatch.apply(
            PRICE, lambda wrapped: pytest.fail("called"), guard=lambda original: "it rains"
        )


# on_mismatch.


def no(original):
    return "it rains"


def test_raise_is_the_default_and_gives_the_facts():
    patch = safepatch.patch(PRICE, pass_through, guard=no, name="cheap")

    with pytest.raises(safepatch.GuardError, match="it rains") as caught:
        patch.apply()

    assert isinstance(caught.value, RuntimeError)
    assert caught.value.name == "cheap"
    assert caught.value.reasons == ("it rains",)
    assert caught.value.target == PRICE
    assert (patch.state, patch.reason) == ("declared", None)


@pytest.mark.parametrize(
    ("on_mismatch", "state", "calls"), [("skip", "skipped", []), ("apply", "applied", ["ran"])]
)
def test_a_mismatch_that_is_tolerated_gives_a_warning_at_the_callers_line(
    on_mismatch, state, calls
):
    log = []
    line = sys._getframe().f_lineno + 2
    with pytest.warns(safepatch.GuardWarning, match="it rains") as caught:
        patch = safepatch.apply(PRICE, noting(log, "ran"), guard=no, on_mismatch=on_mismatch)
    Shop.price(1)

    assert state == patch.state
    assert calls == log
    assert [(w.filename, w.lineno) for w in caught] == [(__file__, line)]
    patch.undo()


@pytest.mark.parametrize("on_mismatch", ["raise", "skip", "apply"])
def test_guards_that_agree_say_nothing(on_mismatch):
    with safepatch.patch(
        PRICE, pass_through, guard=lambda original: None, on_mismatch=on_mismatch
    ) as patch:
        assert patch.state == "applied"


@pytest.mark.parametrize("on_mismatch", ["skip", "apply"])
def test_several_reasons_give_one_warning(on_mismatch):
    with pytest.warns(safepatch.GuardWarning) as caught:
        patch = safepatch.apply(PRICE, pass_through, guard=[no, no, no], on_mismatch=on_mismatch)

    assert len(caught) == 1
    assert str(caught[0].message).count("it rains") == 3
    patch.undo()


def test_a_skipped_patch_can_be_used_as_if_it_were_applied():
    """A test that runs under a patch that its guard skipped runs unpatched."""
    patch = safepatch.patch(PRICE, pass_through, guard=no, on_mismatch="skip")
    run = patch(lambda: Shop.price(1))

    with pytest.warns(safepatch.GuardWarning):
        result = run()

    assert result == ("price", 1)
    assert patch.state == "skipped"


@pytest.fixture
def late(tmp_path, monkeypatch):
    (tmp_path / "late_guarded.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "late_guarded"
    sys.modules.pop("late_guarded", None)


@pytest.mark.parametrize("on_mismatch", ["raise", "skip"])
@pytest.mark.parametrize("action", ["always", "error"])
def test_a_late_guard_never_breaks_the_import(late, on_mismatch, action):
    patch = safepatch.apply(
        f"{late}:f", pass_through, guard=no, on_mismatch=on_mismatch, when="import"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        module = importlib.import_module(late)

    assert module.f() == 1
    assert patch.state == "skipped"
    assert "it rains" in patch.reason
    assert [w.category for w in caught] == [safepatch.GuardWarning] * (action == "always")
    patch.undo()


def test_what_versions_say_is_known_before_the_import(late):
    with pytest.raises(safepatch.GuardError):
        safepatch.apply(f"{late}:f", pass_through, requires="python<3", when="import")

    assert importlib.import_module(late).f() == 1
