"""What the doctor finds."""

import gc
import importlib
import json
import linecache
import sys
import textwrap

import pytest
from children import child

import safepatch
from safepatch import config, doctor

CONFIGURED = """
[patches.joined]
target = "parcel:send"
decorators = ["count_calls"]
"""
PARCEL = "def send(address): return address"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a configuration and modules, which this process finds and forgets at the end."""
    written = set()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(safepatch.registry.default, "_named", {})
    gc.collect()  # registries of other tests, of whose patches it would tell

    def write(configured=CONFIGURED, **files):
        (tmp_path / "safepatch.toml").write_text(configured)
        for name, source in {"parcel": PARCEL, **files}.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
            written.add(name)
        importlib.invalidate_caches()
        linecache.clearcache()

    yield write
    safepatch.undo_all()
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture
def examine(write):
    """Examine a program made of files, after importing modules."""

    def examine(*modules, **files):
        write(**files)
        return [list(found) for found in doctor.examine(config.load(), modules)]

    return examine


def test_nothing_is_found_where_all_is_well(examine):
    assert examine() == []


def test_a_patch_applied_after_others_took_the_original_by_name_is_too_late(examine):
    found = examine("app", app="from parcel import send", configured=CONFIGURED)

    assert found == [
        [
            "joined",
            "parcel:send",
            "too-late",
            "it was applied after others had taken the original by name, and does not reach "
            "app:send",
            "apply it before they are imported (`safepatch run` does), patch 'app:send' as well, "
            'or say aliases = "rebind"',
        ]
    ]


def test_one_that_reaches_those_who_hold_the_original_is_not_too_late(examine):
    configured = f'{CONFIGURED}aliases = "rebind"\n'

    assert examine("app", app="from parcel import send", configured=configured) == []


def test_one_that_leaves_them_on_purpose_is_not_too_late(examine):
    configured = f'{CONFIGURED}aliases = "ignore"\n'

    assert examine("app", app="from parcel import send", configured=configured) == []


def test_one_that_was_applied_before_they_were_imported_is_not_too_late(examine):
    app = "import safepatch; safepatch.apply_all(); import parcel; from parcel import send"

    assert examine("app", app=app) == []


def test_a_function_replaced_by_gevent_is_told_with_what_to_do(write, tmp_path):
    pytest.importorskip("gevent")
    write(CONFIGURED.replace("parcel:send", "time:sleep"))

    printed = child(
        """
        import json, safepatch
        from safepatch import config, doctor
        safepatch.apply_all()
        import gevent.monkey
        gevent.monkey.patch_time()
        print(json.dumps(doctor.examine(config.load())))
        """
    )

    assert json.loads(printed) == [
        [
            "joined",
            "time:sleep",
            "superseded",
            "gevent replaced the function after it was patched",
            "call gevent.monkey.patch_all() first, before the patches are applied",
        ]
    ]


@pytest.mark.parametrize(
    ("app", "held"),
    [("", []), ("from socket import getaddrinfo", ["app:getaddrinfo"])],
    ids=["modules of gevent", "another as well"],
)
def test_modules_of_gevent_hold_what_it_put_there_first_and_others_are_too_late(write, app, held):
    pytest.importorskip("gevent")
    write(
        CONFIGURED.replace("parcel:send", "socket:getaddrinfo"),
        app=f"from gevent import monkey; monkey.patch_socket(dns=True)\n{app}",
    )

    printed = child(
        """
        import json
        from safepatch import config, doctor
        print(json.dumps(doctor.examine(config.load(), ["app"])))
        """
    )

    found = [message for _, _, _, message, _ in json.loads(printed)]
    assert found == [
        "it was applied after others had taken the original by name, and does not reach "
        + ", ".join(held)
    ] * bool(held)


def test_a_function_replaced_by_somebody_else_is_told(examine):
    app = """
        import parcel, safepatch
        safepatch.apply_all()
        parcel.send = lambda address: None
    """

    [[_, _, kind, message, advice]] = examine("app", app=app)

    assert (kind, message) == (
        "superseded",
        "somebody put another object there after it was patched",
    )
    # The command would look at a process of its own, where nobody has put it there.
    assert "(`print(safepatch.explain('parcel:send'))` in the program shows" in advice


TOOL = """
import functools
def traced(function):
    @functools.wraps(function)
    def wrapper(*args): return function(*args)
    return wrapper
"""


@pytest.mark.parametrize(
    ("app", "where"),
    [
        ("import tool, parcel; parcel.send = tool.traced(parcel.send)", "below"),
        (
            "import tool, parcel, safepatch; safepatch.apply_all(); "
            "parcel.send = tool.traced(parcel.send)",
            "over",
        ),
    ],
)
def test_a_wrapper_of_another_tool_is_told_and_on_which_side(examine, tmp_path, app, where):
    found = examine("app", app=app, tool=TOOL)

    assert found == [
        [
            "joined",
            "parcel:send",
            "foreign",
            f"@tool.traced(...) ({tmp_path}/tool.py:4) is {where} it, and not by safepatch",
            "see that both do not do the same, such as retrying, and switch one off if they do",
        ]
    ]


def test_a_decorator_in_the_source_is_no_other_tool(examine):
    parcel = "import tool\n@tool.traced\ndef send(address): return address"

    assert examine(parcel=parcel, tool=TOOL) == []


def test_a_wrapper_over_one_that_is_in_the_source_is_told_alone(examine):
    parcel = "import tool\n@tool.traced\ndef send(address): return address"
    app = "import other, parcel; parcel.send = other.wrapped(parcel.send)"

    found = examine(
        "app", app=app, parcel=parcel, tool=TOOL, other=TOOL.replace("traced", "wrapped")
    )

    assert [message.partition(" ")[0] for _, _, _, message, _ in found] == ["@other.wrapped(...)"]


def test_a_decorator_in_the_source_that_leaves_no_wrapper_hides_none(examine):
    parcel = """
        class Parcel:
            @staticmethod
            def send(address): return address
    """
    app = "import parcel, tool; parcel.Parcel.send = staticmethod(tool.traced(parcel.Parcel.send))"
    configured = CONFIGURED.replace("parcel:send", "parcel:Parcel.send")

    found = examine("app", app=app, parcel=parcel, tool=TOOL, configured=configured)

    assert [kind for _, _, kind, _, _ in found] == ["foreign"]


def test_a_guard_that_was_overruled_is_told(examine):
    found = examine(configured=CONFIGURED + 'requires = "python<3"\non_mismatch = "apply"\n')

    [[name, target, kind, message, advice]] = found
    assert (name, target, kind) == ("joined", "parcel:send", "guard")
    assert message.startswith("it is applied although guard wants python<3 but ")
    assert advice == (
        "look at what changed (`safepatch diff parcel:send`), then change the patch or its guard"
    )


def test_a_patch_that_a_guard_skipped_is_told(examine):
    found = examine(configured=CONFIGURED + 'requires = "python<3"\non_mismatch = "skip"\n')

    [[_, _, kind, message, _]] = found
    assert kind == "skipped"
    assert message.startswith("guard wants python<3 but ")


def test_one_that_is_refused_does_not_hide_the_others(examine):
    configured = (
        CONFIGURED + 'requires = "python<3"\n' + CONFIGURED.replace("joined", "other")
        + 'requires = "python<2"\n'
    )  # fmt: skip

    found = examine(configured=configured)

    assert [each[:3] for each in found] == [
        ["joined", "parcel:send", "failed"],
        ["other", "parcel:send", "failed"],
    ]
    assert found[0][3].startswith("cannot patch 'parcel:send': guard wants python<3 but ")
    assert found[0][4].startswith("apply_all() raises this and applies nothing; ")


def test_one_that_fails_at_the_import_is_told(examine):
    [found] = examine(configured=CONFIGURED.replace("parcel:send", "parcel:sent"))

    assert found[:3] == ["joined", "parcel:sent", "failed"]
    assert "did you mean 'send'?" in found[3]
    assert found[4] == "change the patch, or disable it"


def test_one_that_is_switched_off_is_told(examine, monkeypatch):
    monkeypatch.setenv("SAFEPATCH_DISABLE", "joined")

    [found] = examine()

    assert found[2:] == [
        "skipped",
        "SAFEPATCH_DISABLE names it",
        "take it out of SAFEPATCH_DISABLE when it is to work again",
    ]


def test_one_whose_module_nothing_imports_is_told(examine):
    [found] = examine("app", app="")

    assert found[2:4] == ["pending", "it waits for 'parcel', which nothing has imported"]
    assert found[4].startswith("name what imports it with -m")


def test_one_whose_module_is_not_there_is_told(examine):
    [found] = examine(configured=CONFIGURED.replace("parcel:", "no_such.parcel:"))

    assert found[2:] == [
        "pending",
        "it waits for 'no_such.parcel', and there is no such module",
        "check the spelling, and that the package is installed",
    ]


@pytest.mark.parametrize(
    ("parcel", "target", "message"),
    [
        ("1 / 0", "parcel:send", "importing 'parcel' failed with ZeroDivisionError("),
        ("raise SystemExit(0)", "parcel:send", "importing 'parcel' ended with SystemExit(0)"),
        ("import no_such", "parcel:send", "importing 'parcel' failed with No module named"),
        ("1 / 0", "parcel.part:send", "importing 'parcel.part' failed with ZeroDivisionError("),
    ],
)
def test_one_whose_module_cannot_be_imported_is_told_with_the_error(
    examine, parcel, target, message
):
    [found] = examine(configured=CONFIGURED.replace("parcel:send", target), parcel=parcel)

    assert found[:3] == ["joined", target, "failed"]
    assert message in found[3]


def test_one_of_a_package_that_cannot_be_imported_waits(examine):
    configured = CONFIGURED.replace("parcel:send", "parcel.part:send")

    [found] = examine("app", app="", configured=configured, parcel="1 / 0")

    assert found[2:4] == ["pending", "it waits for 'parcel.part', which nothing has imported"]


def test_a_part_that_waits_beside_one_that_is_applied_is_as_it_should_be(examine):
    recipe = """
        import safepatch
        from safepatch.decorators import count_calls
        def parts():
            return [
                safepatch.patch(target, count_calls(), when="import")
                for target in ("parcel:send", "no_such:send")
            ]
    """

    assert examine(recipe=recipe, configured='[patches.both]\nrecipe = "recipe:parts"\n') == []


@pytest.mark.parametrize(
    ("app", "what"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_imported_is_an_error(examine, app, what):
    with pytest.raises(safepatch.PatchError) as caught:
        examine("app", app=app)

    assert str(caught.value) == (
        f"cannot import 'app': {what}; name a module that can be imported without starting the "
        "program"
    )
