"""The lock file: what it keeps, how it is written and read, and what has drifted since."""

import json
import math
import pathlib
import platform
import re
import stat
import sys
import textwrap
import types

import parcels
import pytest
from children import run_python

import safepatch
from safepatch import lock, looks
from safepatch.config import Config, Configured


def configured(name="sent", *targets, **options):
    return Configured(name, targets or ("parcel:send",), lambda: None, **options)


def config(*patches, file=None):
    return Config(file, {patch.name: patch for patch in patches})


@pytest.fixture
def old(tmp_path, monkeypatch):
    """Version 1.0 is installed."""
    parcels.use(monkeypatch, parcels.installed(tmp_path / "old", "1.0", parcels.OLD))


@pytest.fixture
def upgrade(tmp_path, monkeypatch):
    """Install another version, or other code, in place of what there is."""

    def upgrade(version="2.0", source=parcels.NEW):
        folder = tmp_path / f"new-{len(list(tmp_path.iterdir()))}"
        parcels.use(monkeypatch, parcels.installed(folder, version, source))

    return upgrade


@pytest.fixture
def path(tmp_path):
    return tmp_path / "safepatch.lock"


# What is kept.


def test_a_target_is_locked_with_distribution_signature_fingerprint_and_source(old):
    made = lock.make(config(configured()))

    patches, look = made.targets["parcel:send"]
    assert patches == ("sent",)
    assert look[:3] == ("parcel", "1.0", ("address", "weight=1"))
    assert look.fingerprint == safepatch.fingerprint("parcel:send")
    assert look.source.startswith("def send(address, weight=1):\n")


def test_helpers_are_locked_as_targets_are(old):
    made = lock.make(config(configured(depends_on=("parcel:helper",))))

    assert [*made.targets] == ["parcel:helper", "parcel:send"]
    assert made.targets["parcel:helper"].patches == ("sent",)


def test_a_target_of_two_patches_is_locked_once(old):
    made = lock.make(config(configured("b"), configured("a")))

    assert made.targets["parcel:send"].patches == ("a", "b")


def test_a_patch_that_is_disabled_is_not_locked(old):
    assert lock.make(config(configured(enabled=False))).targets == {}


def test_what_comes_with_python_has_its_version():
    assert looks.look("socket:getaddrinfo")[:2] == ("Python", platform.python_version())


def test_the_source_of_a_method_is_kept_without_its_indentation():
    assert looks.look("json:JSONEncoder.encode").source.startswith("def encode(self, o):\n    ")


def test_a_function_in_c_has_no_source_and_no_fingerprint():
    look = looks.look("math:sqrt")

    assert look.signature == ("x", "/")
    assert (look.fingerprint, look.source) == (None, None)


def test_a_function_in_c_may_have_no_signature_either():
    assert looks.look("builtins:getattr").signature is None


def test_what_belongs_to_no_distribution_is_locked_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "loose.py").write_text("def f(): pass")
    parcels.use(monkeypatch, tmp_path, "loose")

    assert looks.look("loose:f") == (
        None,
        None,
        (),
        looks.look("loose:f").fingerprint,
        "def f(): pass\n",
    )


def test_of_several_distributions_in_a_namespace_it_is_the_one_with_the_file(tmp_path, monkeypatch):
    for name in ("aaa", "bbb"):
        folder = parcels.installed(tmp_path / name, "1.0", "", name)
        (folder / "shared").mkdir()
        (folder / "shared" / f"{name}.py").write_text("def f(): pass")
        (folder / f"{name}-1.0.dist-info" / "RECORD").write_text(f"shared/{name}.py,,\n")
        parcels.use(monkeypatch, folder, name)
    monkeypatch.delitem(sys.modules, "shared", raising=False)

    assert [looks.look(f"shared.{name}:f").distribution for name in ("aaa", "bbb")] == [
        "aaa",
        "bbb",
    ]


def test_a_patched_function_is_seen_as_it_was_before(old, patches):
    before = looks.look("parcel:send")

    patches.apply("parcel:send", lambda wrapped: lambda *args: wrapped(*args))

    assert looks.look("parcel:send") == before


def test_looking_changes_nothing(old):
    import parcel

    before = dict(vars(parcel))

    looks.look("parcel:send")

    assert dict(vars(parcel)) == before
    assert safepatch.live() == []


class Odd:
    def __repr__(self):
        raise RuntimeError


NOTHING, ODD = object(), Odd()


def whatever(
    a, b: int, /, c=frozenset({"x", "y", "z"}), *rest: str, d, e=math.sqrt, f=NOTHING, g=ODD,
    h=re.I, **more,
):  # fmt: skip
    pass


def test_a_signature_is_the_same_in_every_process_and_without_annotations():
    seen = looks.look(f"{__name__}:whatever").signature

    assert seen == (
        "a", "b", "/", "c=frozenset({'x', 'y', 'z'})", "*rest", "d", "e=math.sqrt",
        "f=<object object>", "g=<Odd>", "h=RegexFlag.IGNORECASE", "**more",
    )  # fmt: skip


def only_by_name(*, a, b=1):
    pass


def test_a_signature_has_its_star():
    assert looks.look(f"{__name__}:only_by_name").signature == ("*", "a", "b=1")


def test_what_is_not_installed_is_locked_as_that_and_drifts_when_it_comes(
    path, upgrade, monkeypatch
):
    made = lock.make(config(configured()))
    lock.write(made, path)

    assert lock.read(path).targets == {"parcel:send": lock.Locked(("sent",), None)}
    assert drifted(made, configured()) == []
    upgrade()
    assert drifted(made, configured()) == [
        (
            "parcel:send",
            "new",
            "it was not installed when it was locked, and is now; "
            "look at it, and run `safepatch lock`",
            False,
        )
    ]


def test_what_was_installed_and_is_no_longer_is_gone(old, monkeypatch):
    made = lock.make(config(configured()))
    monkeypatch.setattr(sys, "path", sys.path[1:])
    monkeypatch.delitem(sys.modules, "parcel")

    [(_, kind, message, note)] = drifted(made, configured())

    assert (kind, note) == ("gone", False)
    assert "No module named 'parcel'" in message


# What cannot be locked.


def test_all_targets_that_cannot_be_found_are_named_at_once(old):
    with pytest.raises(lock.LockError) as caught:
        lock.make(config(configured("one", "parcel:sent"), configured("two", "parcel:x.y")))

    assert caught.value.targets == ("parcel:sent", "parcel:x.y")
    assert str(caught.value).startswith("nothing was locked: cannot find 'parcel:sent': ")
    assert "did you mean 'send'?" in str(caught.value)


def test_what_cannot_be_patched_cannot_be_locked():
    with pytest.raises(lock.LockError, match=r"nothing was locked: .*'builtins:dict.get'"):
        lock.make(config(configured("d", "builtins:dict.get")))


def test_a_program_that_ends_when_it_is_imported_is_told(tmp_path, monkeypatch):
    (tmp_path / "program.py").write_text("import sys; sys.exit(0)")
    parcels.use(monkeypatch, tmp_path, "program")

    with pytest.raises(
        safepatch.TargetError, match=r"ended with SystemExit\(0\); is it a program\?"
    ):
        looks.look("program:main")


def test_the_kill_switch_is_not_mistaken_for_an_answer(monkeypatch):
    monkeypatch.setenv("SAFEPATCH_DISABLE", "*")

    with pytest.raises(safepatch.PatchError) as caught:
        lock.drift(lock.Lock({"json:dumps": lock.Locked((), looks.Look(*[None] * 5))}))

    assert str(caught.value) == (
        "cannot look at 'json:dumps': SAFEPATCH_DISABLE names it; unset that variable"
    )


# The file.


def test_what_is_written_is_read_again(old, path):
    made = lock.make(config(configured(depends_on=("math:sqrt", "builtins:getattr"))))

    assert lock.write(made, path)

    assert lock.read(path) == made._replace(file=path)


def test_the_file_is_the_same_in_every_process(old, tmp_path):
    source = """
        import sys
        from safepatch import lock
        from safepatch.config import Config, Configured
        patch = Configured("a", ("parcel:send", "urllib.request:urlopen"), None)
        lock.write(lock.make(Config(None, dict(a=patch))), sys.argv[1])
    """
    paths = [tmp_path / f"{seed}.lock" for seed in (1, 2)]
    for path in paths:
        run_python("-c", textwrap.dedent(source), str(path), path=[tmp_path / "old"])

    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_file_is_json_with_sorted_keys_and_short_lines(old, path):
    lock.write(lock.make(config(configured())), path)

    text = path.read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert max(map(len, text.splitlines())) < 100


def test_a_file_that_says_the_same_is_not_touched(old, path):
    made = lock.make(config(configured()))
    lock.write(made, path)
    before = path.stat()

    assert not lock.write(made, path)

    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_source_that_another_zlib_packed_stays_as_it_is(old, path, monkeypatch):
    made = lock.make(config(configured()))
    lock.write(made, path)
    monkeypatch.setattr(lock, "_packed", lambda source: ["otherwise"])

    assert not lock.write(made, path)


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(old, path, monkeypatch):
    lock.write(lock.Lock({}), path)
    before = path.read_bytes()

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "replace", full)
    with pytest.raises(lock.LockError, match=r"cannot write the lock file .*No space left"):
        lock.write(lock.make(config(configured())), path)

    assert path.read_bytes() == before
    assert [*path.parent.glob(".safepatch.lock*")] == []


def test_a_folder_that_is_none_is_told(old, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(lock.LockError, match=r"cannot write the lock file .*Not a directory"):
        lock.write(lock.make(config(configured())), tmp_path / "file" / "safepatch.lock")


def test_a_new_lock_keeps_the_mode_of_the_old_and_a_link_to_it(old, path, tmp_path):
    elsewhere = tmp_path / "elsewhere.lock"
    elsewhere.write_text("")
    elsewhere.chmod(0o640)
    path.symlink_to(elsewhere)

    lock.write(lock.make(config(configured())), path)

    assert path.is_symlink()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640
    assert lock.read(elsewhere).targets


def test_it_stands_beside_the_configuration(tmp_path):
    file = tmp_path / "pyproject.toml"

    assert lock.beside(config(file=file)) == tmp_path / "safepatch.lock"


def test_a_missing_lock_says_how_to_make_one(path):
    with pytest.raises(lock.LockError) as caught:
        lock.read(path)

    assert str(caught.value) == (
        f"there is no lock file {str(path)!r}; make it with `safepatch lock`"
    )
    assert caught.value.file == path


DAMAGED = {
    "not JSON": ("<<<<<<< ours", "JSONDecodeError"),
    "not a table": ("[]", "TypeError"),
    "no targets": ("{}", "KeyError: 'targets'"),
    "a key missing": ('{"targets": {"a:b": {"signature": null, "source": null}}}', "KeyError"),
    "source cut": (
        '{"targets": {"a:b": {"signature": null, "patches": [], "distribution": null, "version": '
        'null, "fingerprint": null, "source": ["eJwr"]}}}', "error: Error -5",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "what"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_lock_says_what_is_wrong_and_what_to_do(path, text, what):
    path.write_text(text)

    with pytest.raises(lock.LockError) as caught:
        lock.read(path)

    assert str(caught.value).startswith(f"cannot read the lock file {str(path)!r} ({what}")
    assert str(caught.value).endswith("take it from version control, or run `safepatch lock`")


def test_a_damaged_lock_is_written_anew(old, path):
    path.write_text("<<<<<<< ours")

    assert lock.write(lock.make(config(configured())), path)

    assert lock.read(path).targets


def test_the_lock_of_a_later_safepatch_is_not_guessed_at(path):
    path.write_text('{"format": 2, "targets": {}}')

    with pytest.raises(lock.LockError, match=r"has the format 2, and this safepatch .* reads 1"):
        lock.read(path)


# Drift.


def drifted(made, *patches, **options):
    found = lock.drift(made, config(*patches) if patches else None, **options)
    return [(each.target, each.kind, each.message, each.note) for each in found]


def test_nothing_has_drifted_right_after_locking(old):
    made = lock.make(config(configured()))

    assert drifted(made, configured()) == []


def test_another_source_and_signature_are_drift_in_words(old, upgrade):
    made = lock.make(config(configured()))
    upgrade()

    assert drifted(made, configured()) == [
        (
            "parcel:send",
            "signature",
            "the signature changed (parcel 1.0 -> 2.0): "
            "parameter 'insured' is new, keyword-only, by default False",
            False,
        ),
        (
            "parcel:send",
            "source",
            "the source changed (parcel 1.0 -> 2.0); see it with `safepatch diff parcel:send`",
            False,
        ),
    ]


def test_another_version_with_the_same_source_is_a_note(old, upgrade):
    made = lock.make(config(configured()))
    upgrade("1.1", parcels.OLD)

    message = "the version changed (parcel 1.0 -> 1.1); its signature and source are the same"
    assert drifted(made) == [("parcel:send", "version", message, True)]
    assert drifted(made, strict=True) == [("parcel:send", "version", message, False)]


def test_comments_docstrings_and_layout_are_no_drift(old, upgrade):
    made = lock.make(config(configured()))
    upgrade("1.0", parcels.OLD.replace('"""Send a parcel."""', "# sends a parcel\n"))

    assert drifted(made) == []


def test_a_new_way_to_take_fingerprints_is_no_drift(old):
    made = lock.make(config(configured()))
    patches, look = made.targets["parcel:send"]
    made.targets["parcel:send"] = lock.Locked(patches, look._replace(fingerprint="sha512:x"))

    assert drifted(made) == []


def test_a_new_version_of_a_function_in_c_says_that_there_is_no_source():
    made = lock.make(config(configured("roots", "math:sqrt")))
    patches, look = made.targets["math:sqrt"]
    made.targets["math:sqrt"] = lock.Locked(patches, look._replace(version="3.10.0"))

    assert drifted(made) == [
        (
            "math:sqrt",
            "version",
            f"the version changed (Python 3.10.0 -> {platform.python_version()}); "
            "there is no source to compare",
            True,
        )
    ]


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ("has", "", "it has no Python source any more (C 1 -> 2)"),
        ("", "has", "it has Python source now, and had none (C 1 -> 2)"),
    ],
)
def test_source_that_comes_or_goes_is_drift(before, now, words):
    from safepatch.drifts import changes

    seen = [
        looks.Look("C", version, (), text or None, text or None)
        for version, text in (("1", before), ("2", now))
    ]

    assert [*changes("c:f", *seen)] == [("source", words)]


def test_a_target_in_another_distribution_is_told_with_both(old):
    from safepatch.drifts import changes

    ours = looks.look("parcel:send")
    forked = ours._replace(distribution="parcel-ng", version="0.1")

    assert [*changes("parcel:send", ours, forked)] == [
        (
            "version",
            "the version changed (parcel 1.0 -> parcel-ng 0.1); "
            "its signature and source are the same",
        )
    ]


def test_a_target_that_is_gone_is_drift(old, upgrade):
    made = lock.make(config(configured()))
    upgrade("2.0", "def ship(): pass")

    [(target, kind, message, note)] = drifted(made)

    assert (target, kind, note) == ("parcel:send", "gone", False)
    assert message.startswith("cannot find 'parcel:send': <module 'parcel' from")


def test_what_is_configured_and_not_locked_is_drift(old):
    assert drifted(lock.Lock({}), configured()) == [
        (
            "parcel:send",
            "new",
            "it is configured and was not locked; look at it, and run `safepatch lock`",
            False,
        )
    ]


def test_what_is_locked_and_no_longer_configured_is_drift(old):
    made = lock.make(config(configured("gone")))

    assert drifted(made, configured("other", "math:sqrt"))[1:] == [
        (
            "parcel:send",
            "stale",
            "it was locked and is no longer configured; look at it, and run `safepatch lock`",
            False,
        )
    ]


def test_drift_comes_in_the_order_of_targets(old):
    made = lock.make(config(configured("gone", "math:sqrt")))

    found = drifted(made, configured())

    assert [each[:2] for each in found] == [("math:sqrt", "stale"), ("parcel:send", "new")]


def test_disabling_a_patch_is_no_drift_before_nor_after_locking(old):
    made = lock.make(config(configured()))

    assert drifted(made, configured(enabled=False)) == []
    assert drifted(lock.Lock({}), configured(enabled=False)) == []


def test_drift_names_the_patches_and_has_what_was_seen_as_data(old, upgrade):
    made = lock.make(config(configured("b"), configured("a")))
    upgrade()

    found = lock.drift(made)[0]

    assert found.patches == ("a", "b")
    assert (found.locked.version, found.found.version) == ("1.0", "2.0")


# until


@pytest.mark.parametrize("until", ["parcel>=1", "python>=3.11", "parcel"])
def test_a_requirement_that_is_met_says_that_a_patch_is_no_longer_needed(old, until):
    made = lock.make(config(configured()))

    [(target, kind, message, note)] = drifted(made, configured(until=until))

    assert (target, kind, note) == ("parcel:send", "until", False)
    assert message.startswith("no longer needed: p")
    assert message.endswith(f" is installed, and until is {until!r}; remove the patch")


@pytest.mark.parametrize(
    "until", ["parcel>=2", "python>=9", "no-such-thing>=1", "parcel>=1; python_version<'3'"]
)
def test_a_requirement_that_is_not_met_says_nothing(old, until):
    made = lock.make(config(configured()))

    assert drifted(made, configured(until=until)) == []


def test_a_probe_says_in_its_own_words_that_a_patch_is_no_longer_needed(old, monkeypatch):
    probes = types.ModuleType("probes")
    probes.told, probes.true, probes.no = lambda: "they fixed it", lambda: True, lambda: None
    monkeypatch.setitem(sys.modules, "probes", probes)
    made = lock.make(config(configured()))

    found = [
        [message for _, _, message, _ in drifted(made, configured(until=f"probes:{probe}"))]
        for probe in ("told", "true", "no")
    ]

    assert found == [
        ["no longer needed: they fixed it; remove the patch"],
        ["no longer needed: probes:true says so; remove the patch"],
        [],
    ]


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ("math:sqrt", r"cannot ask until='math:sqrt': TypeError\(.*it must be a callable"),
        ("no_such_probes:x", r"cannot ask until='no_such_probes:x': ModuleNotFoundError"),
        ("sys:exit", r"cannot ask until='sys:exit': SystemExit\(\)"),
        ("requests=>3", r"until='requests=>3' is neither a requirement .* nor a 'module:probe'"),
    ],
)
def test_a_probe_that_fails_is_an_error_and_no_answer(until, message):
    with pytest.raises(safepatch.PatchError, match=message):
        lock.drift(lock.Lock({}), config(configured(until=until, enabled=True)))
