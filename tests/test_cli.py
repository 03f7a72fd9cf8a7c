"""`safepatch`: what each command prints, where, and with which exit code."""

import gc
import importlib
import importlib.metadata
import json
import re
import sys
import types

import parcels
import pytest
from click.shell_completion import ShellComplete

import safepatch
from safepatch.__main__ import main
from safepatch.cli.commands import program


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line in this process: its exit code, and what it wrote to each stream."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # it adds the current directory
    monkeypatch.setattr(safepatch.registry.default, "_named", {})
    for variable in ("FORCE_COLOR", "SAFEPATCH_CONFIG", "GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(variable, raising=False)

    gc.collect()  # registries of other tests, of whose patches it would tell

    def run(*arguments):
        code = main(list(arguments))
        return code, *capsys.readouterr()

    # It keeps what is installed, which changes here.
    distributions = sys.modules["safepatch.explain"]._distributions
    distributions.cache_clear()
    yield run
    distributions.cache_clear()
    safepatch.undo_all()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project, in the current directory, that patches parcel 1.0, which is installed."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "safepatch.toml").write_text(parcels.CONFIGURED)
    monkeypatch.chdir(folder)
    parcels.use(monkeypatch, parcels.installed(tmp_path / "old", "1.0", parcels.OLD))
    return folder


@pytest.fixture
def upgrade(tmp_path, monkeypatch):
    def upgrade(version="2.0", source=parcels.NEW):
        parcels.use(monkeypatch, parcels.installed(tmp_path / version, version, source))

    return upgrade


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """A directory where nothing is configured."""
    monkeypatch.chdir(tmp_path)


# The program.


def test_the_version_is_that_of_the_package(run):
    assert run("--version") == (0, f"{safepatch.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "Error: No such command 'nonsense'."),
        (["explain", "a:b", "c:d"], "Error: Got unexpected extra argument (c:d)"),
        (["check", "--format", "xml"], "'xml' is not one of 'text', 'github', 'gitlab'."),
        (["run"], "Error: Missing argument 'COMMAND...'."),
    ],
)
def test_what_is_no_command_is_told_with_exit_code_2(run, arguments, said):
    code, printed, complaints = run(*arguments)

    assert (code, printed) == (2, "")
    assert complaints.startswith("Usage: safepatch ")
    assert complaints.endswith(f"{said}\n")


@pytest.mark.parametrize("command", [["list"], ["doctor"], ["run", "--", sys.executable, "-V"]])
def test_a_current_directory_that_was_removed_is_told_with_exit_code_2(
    run, tmp_path, monkeypatch, command
):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert run(*command) == (
        2, "", "safepatch: the current directory was removed; go to one that there is\n",
    )  # fmt: skip


COMMANDS = ["check", "diff", "doctor", "explain", "list", "lock", "monitor", "run", "store"]


def test_help_lists_the_commands_and_the_exit_codes(run):
    code, printed, complaints = run("--help")

    assert (code, complaints) == (0, "")
    assert re.findall(r"^  (\w+) {2,}\w", printed, re.MULTILINE) == COMMANDS
    assert "0 if all is well, 1 if something was found, and 2 for errors" in " ".join(
        printed.split()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_tells_its_exit_codes(run, command):
    code, printed, complaints = run(command, "--help")

    assert (code, complaints) == (0, "")
    assert printed.startswith(f"Usage: safepatch {command} ")
    assert "xit code" in printed


@pytest.mark.parametrize("command", ["lock", "check", "diff", "doctor"])
def test_where_nothing_is_configured_that_is_an_error(run, nothing, command):
    assert run(command) == (
        2,
        "",
        "safepatch: nothing is configured here: there is no safepatch.toml and no pyproject.toml "
        "with a table [tool.safepatch] in this directory or above; name the file with --config\n",
    )


@pytest.mark.parametrize("command", ["list", "explain", "lock", "check", "diff", "doctor"])
def test_a_wrong_configuration_is_told_in_one_line_with_its_file(run, project, command):
    file = project / "safepatch.toml"
    file.write_text(parcels.CONFIGURED.replace("target", "taget"))

    code, printed, complaints = run(command)

    assert (code, printed) == (2, "")
    assert complaints.startswith(f"safepatch: {file}: ")
    assert "did you mean 'target'?" in complaints


@pytest.mark.parametrize("command", ["list", "explain", "lock", "doctor"])
def test_the_configuration_can_be_named(run, project, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)

    code, printed, _ = run(command, "--config", str(project / "safepatch.toml"))

    assert code == 0
    assert "nothing is configured" not in printed


def test_modules_in_the_current_directory_are_found(run, project):
    (project / "beside_the_project.py").write_text("def f(): pass")

    assert run("explain", "beside_the_project:f")[0] == 0


def test_both_scripts_lead_to_the_same_function():
    """`safepatch-py` is there so that `uvx safepatch-py` runs ours."""
    distribution = importlib.metadata.distribution("safepatch-py")

    scripts = {
        script.name: script.load()
        for script in distribution.entry_points
        if script.group == "console_scripts"
    }

    assert scripts == {"safepatch": main, "safepatch-py": main}


# list


def test_list_has_what_is_configured_then_what_is_offered(run, project):
    (project / "safepatch.toml").write_text(f"{parcels.CONFIGURED}enabled = false\n")

    code, printed, complaints = run("list")

    assert (code, complaints) == (0, "")
    first, second = printed.splitlines()
    assert first == ("counted    disabled  safepatch.toml, [patches.counted]  parcel:send")
    assert second.startswith(
        "dns-cache  offered   offered by safepatch-py            socket:gethostbyname, "
    )


def test_list_has_what_is_offered_and_configured_once(run, project):
    (project / "safepatch.toml").write_text("[patches.dns-cache]\n")

    assert [row["state"] for row in json.loads(run("list", "--json")[1])] == ["enabled"]


def test_list_as_json(run, project):
    rows = json.loads(run("list", "--json")[1])

    assert rows[0] == {
        "name": "counted",
        "state": "enabled",
        "targets": ["parcel:send"],
        "origin": "safepatch.toml, [patches.counted]",
    }


def test_list_tells_what_is_offered_and_broken(run, nothing, monkeypatch):
    broken = importlib.metadata.EntryPoint("bad", "no_such_module:patch", "safepatch.patches")
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group, name="bad": [broken] if name == "bad" else [],
    )
    monkeypatch.setattr("safepatch.cli.completing.entry_points", lambda group: [broken])

    assert run("list")[1] == (
        "bad  broken: ModuleNotFoundError(\"No module named 'no_such_module'\")  offered by ?\n"
    )


def test_list_of_nothing_says_so(run, nothing, monkeypatch):
    monkeypatch.setattr("safepatch.cli.completing.entry_points", lambda group: [])

    assert run("list") == (0, "nothing is configured, and no package offers anything\n", "")


# explain


def test_explain_prints_what_the_function_of_that_name_gives(run, nothing):
    assert run("explain", "json:dumps") == (0, f"{safepatch.explain('json:dumps')}\n", "")


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("socket:getaddrinfo", "def getaddrinfo("),
        ("socket.getaddrinfo", "def getaddrinfo("),
        ("json:JSONEncoder.encode", "def encode(self, o)"),
        ("asyncio:sleep", "async def sleep("),
        ("math:sqrt", "def sqrt(x, /)"),
    ],
)
def test_explain_says_what_it_is(run, nothing, target, line):
    code, printed, complaints = run("explain", target)

    assert (code, complaints) == (0, "")
    assert line in printed


def test_explain_tells_what_is_configured_and_not_applied(run, project):
    code, printed, _ = run("explain", "parcel:send")

    assert code == 0
    assert "def send(address, weight=1):  # " in printed
    assert ", parcel 1.0\n" in printed
    assert "# parcel:send: patch 'counted' @count_calls" in printed
    assert " is declared (declared at " in printed
    assert safepatch.live() == []


@pytest.mark.parametrize("target", [["parcel:send"], ["counted"], []])
def test_explain_tells_what_is_configured_as_if_applied(run, project, target):
    code, printed, _ = run("explain", "--apply", *target)

    assert code == 0
    place = rf"{re.escape(str(project / 'safepatch.toml'))}:\d+$"
    line = rf"^@count_calls.*  # patch 'counted' applied from {place}"
    assert re.search(line, printed, re.MULTILINE)


def test_explain_tells_whom_a_patch_does_not_reach_and_warns_of_nobody(run, project, monkeypatch):
    taker = types.ModuleType("taker")
    taker.send = importlib.import_module("parcel").send
    monkeypatch.setitem(sys.modules, "taker", taker)

    code, printed, complaints = run("explain", "--apply", "parcel:send")

    assert (code, complaints) == (0, "")
    assert "\n# not reached: taker:send\n" in printed


def test_explain_applies_what_is_configured_in_the_file_that_is_named_alone(run, project, tmp_path):
    (tmp_path / "other.toml").write_text(parcels.CONFIGURED.replace("counted", "other"))

    _, printed, _ = run("explain", "--apply", "--config", str(tmp_path / "other.toml"))

    assert "patch 'other' applied from" in printed
    assert "counted" not in printed


def test_explain_as_json(run, project):
    told = json.loads(run("explain", "--json", "parcel:send")[1])

    assert [site["target"] for site in told["sites"]] == ["parcel:send"]
    assert [other["name"] for other in told["others"]] == ["counted"]


def test_explain_of_nothing(run, nothing):
    assert run("explain") == (0, "nothing is patched\n", "")


UNKNOWN = {
    "no such function": "socket:getaddrinf",
    "no such module": "no_such_module:function",
    "no such class": "json:Encoder.encode",
    "no such method": "json:JSONEncoder.encod",
    "no such dotted name": "socket.nothing.there",
    "no such patch": "nonsense",
    "an empty text": "",
    "a path": "./socket.py",
}


@pytest.mark.parametrize("target", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_target_that_cannot_be_found_exits_2_with_one_plain_line(run, nothing, target):
    code, printed, complaints = run("explain", target)

    assert (code, printed) == (2, "")
    assert re.fullmatch(r"safepatch: .*\n", complaints)
    assert repr(target) in complaints


# lock


def test_lock_writes_beside_the_configuration(run, project):
    assert run("lock") == (0, "locked 1 target in safepatch.lock\n", "")

    assert json.loads((project / "safepatch.lock").read_text())["targets"].keys() == {"parcel:send"}


def test_lock_says_when_nothing_is_to_be_written(run, project):
    run("lock")

    assert run("lock") == (0, "safepatch.lock is up to date: 1 target\n", "")


def test_lock_tells_what_it_locks_anew_without_advice_to_lock_it(run, project, upgrade):
    run("lock")
    upgrade("1.0", parcels.NEW)
    (project / "safepatch.toml").write_text(parcels.CONFIGURED + 'depends_on = ["parcel:helper"]\n')

    code, printed, _ = run("lock")

    assert (code, printed.splitlines()) == (
        0,
        [
            "parcel:helper (counted) new: it is configured and was not locked",
            "parcel:send (counted) signature: the signature changed: parameter 'insured' is new, "
            "keyword-only, by default False",
            "parcel:send (counted) source: the source changed",
            "locked 2 targets in safepatch.lock",
        ],
    )


def test_lock_tells_what_was_otherwise_in_the_last_one(run, project, upgrade):
    run("lock")
    upgrade("1.1", parcels.OLD)

    assert run("lock")[1] == (
        "parcel:send (counted) version: the version changed (parcel 1.0 -> 1.1); its signature "
        "and source are the same\n"
        "locked 1 target in safepatch.lock\n"
    )


def test_lock_tells_what_is_not_installed(run, project):
    (project / "safepatch.toml").write_text(parcels.CONFIGURED.replace("parcel:", "no_such:"))

    assert run("lock")[1] == (
        "no_such:send: not installed; locked as that\nlocked 1 target in safepatch.lock\n"
    )


def test_lock_as_json(run, project):
    code, printed, _ = run("lock", "--json", "--lock", "other.lock")

    assert code == 0
    assert json.loads(printed) == {
        "file": "other.lock",
        "written": True,
        "targets": ["parcel:send"],
    }


def test_lock_writes_nothing_if_a_target_is_not_there(run, project):
    run("lock")
    before = (project / "safepatch.lock").read_text()
    (project / "safepatch.toml").write_text(parcels.CONFIGURED.replace(":send", ":sent"))

    code, printed, complaints = run("lock")

    assert (code, printed) == (2, "")
    assert complaints.startswith("safepatch: nothing was locked: cannot find 'parcel:sent': ")
    assert (project / "safepatch.lock").read_text() == before


# check


def test_check_is_0_if_nothing_has_drifted(run, project):
    run("lock")

    assert run("check") == (0, "1 target locked, nothing has drifted\n", "")


SIGNATURE = (
    "the signature changed (parcel 1.0 -> 2.0): "
    "parameter 'insured' is new, keyword-only, by default False"
)
SOURCE = "the source changed (parcel 1.0 -> 2.0); see it with `safepatch diff parcel:send`"


def test_check_is_1_and_tells_what_has_drifted(run, project, upgrade):
    run("lock")
    upgrade()

    assert run("check") == (
        1,
        f"parcel:send (counted) signature: {SIGNATURE}\n"
        f"parcel:send (counted) source: {SOURCE}\n"
        "1 target locked, 1 to look at\n",
        "",
    )


def test_check_tells_a_new_version_alone_and_fails_if_it_is_strict(run, project, upgrade):
    run("lock")
    upgrade("1.1", parcels.OLD)
    told = (
        "parcel:send (counted) version: the version changed (parcel 1.0 -> 1.1); its signature "
        "and source are the same\n"
    )

    assert run("check") == (0, f"{told}1 target locked, nothing has drifted\n", "")
    assert run("check", "--strict") == (1, f"{told}1 target locked, 1 to look at\n", "")


def test_check_is_1_if_a_patch_is_no_longer_needed(run, project):
    (project / "safepatch.toml").write_text(f'{parcels.CONFIGURED}until = "parcel>=1"\n')
    run("lock")

    assert run("check")[:2] == (
        1,
        "parcel:send (counted) until: no longer needed: parcel 1.0 is installed, and until is "
        "'parcel>=1'; remove the patch\n1 target locked, 1 to look at\n",
    )


def test_check_is_2_if_a_probe_fails(run, project):
    (project / "safepatch.toml").write_text(f'{parcels.CONFIGURED}until = "parcel:send"\n')
    run("lock")

    code, printed, complaints = run("check")

    assert (code, printed) == (2, "")
    assert complaints.startswith("safepatch: cannot ask until='parcel:send': TypeError(")


def test_check_is_2_without_a_lock(run, project):
    assert run("check") == (
        2,
        "",
        f"safepatch: there is no lock file '{project}/safepatch.lock'; "
        "make it with `safepatch lock`\n",
    )


def test_check_is_2_with_a_damaged_lock(run, project):
    (project / "safepatch.lock").write_text("<<<<<<< ours")

    code, printed, complaints = run("check")

    assert (code, printed) == (2, "")
    assert complaints.startswith(f"safepatch: cannot read the lock file '{project}/safepatch.lock'")


def test_check_as_json_has_what_was_seen_but_for_the_sources(run, project, upgrade):
    run("lock")
    upgrade()

    code, printed, _ = run("check", "--json")

    first = json.loads(printed)[0]
    assert code == 1
    assert first.keys() == {"target", "kind", "message", "patches", "note", "locked", "found"}
    assert first["locked"] == {
        "distribution": "parcel",
        "version": "1.0",
        "signature": ["address", "weight=1"],
        "fingerprint": first["locked"]["fingerprint"],
    }


def test_check_for_github_names_the_line_of_the_table(run, project, upgrade):
    (project / "safepatch.toml").write_text(f"# Ours.\n\n{parcels.CONFIGURED}")
    run("lock")
    upgrade()

    assert run("check", "--format", "github")[:2] == (
        1,
        "::error file=safepatch.toml,line=3,title=safepatch%3A parcel%3Asend::"
        f"{SIGNATURE} (patches: counted)\n"
        "::error file=safepatch.toml,line=3,title=safepatch%3A parcel%3Asend::"
        f"{SOURCE} (patches: counted)\n",
    )


def test_check_for_github_gives_notes_as_notices(run, project, upgrade):
    run("lock")
    upgrade("1.1", parcels.OLD)

    code, printed, _ = run("check", "--format", "github")

    assert code == 0
    assert printed.startswith("::notice file=safepatch.toml,line=1,title=")


def test_check_for_gitlab_is_a_code_quality_report(run, project, upgrade, monkeypatch):
    monkeypatch.setenv("CI_PROJECT_DIR", str(project.parent))
    run("lock")
    upgrade()

    code, printed, _ = run("check", "--format", "gitlab")

    first, second = json.loads(printed)
    assert code == 1
    assert first == {
        "description": f"parcel:send: {SIGNATURE} (patches: counted)",
        "check_name": "safepatch/signature",
        "fingerprint": first["fingerprint"],
        "severity": "major",
        "location": {"path": "project/safepatch.toml", "lines": {"begin": 1}},
    }
    assert first["fingerprint"] != second["fingerprint"]
    assert re.fullmatch("[0-9a-f]{64}", first["fingerprint"])


def test_check_for_gitlab_is_an_empty_report_if_nothing_has_drifted(run, project):
    run("lock")

    assert run("check", "--format", "gitlab") == (0, "[]\n", "")


# diff


def test_diff_shows_words_and_source(run, project, upgrade):
    run("lock")
    upgrade()

    assert run("diff") == (
        1,
        f"""\
parcel:send: {SIGNATURE}
--- parcel:send (parcel 1.0)
+++ parcel:send (parcel 2.0)
@@ -1,3 +1,4 @@
-def send(address, weight=1):
-    \"""Send a parcel.\"""
-    return f"{{weight}} kg to {{address}}"
+def send(address, weight=1, *, insured=False):
+    \"""Send a parcel, perhaps insured.\"""
+    price = weight * 2 if insured else weight
+    return f"{{weight}} kg to {{address}} for {{price}}"
""",
        "",
    )


def test_diff_is_0_and_silent_if_only_the_version_is_another(run, project, upgrade):
    run("lock")
    upgrade("1.1", parcels.OLD)

    assert run("diff") == (0, "", "")


def test_diff_of_a_target_that_is_gone_says_so(run, project, upgrade):
    run("lock")
    upgrade("2.0", "def ship(): pass")

    code, printed, _ = run("diff")

    assert code == 1
    assert printed.startswith("parcel:send: cannot find 'parcel:send': ")


@pytest.mark.parametrize("what", ["parcel:send", "counted"])
def test_diff_of_one_target_or_patch(run, project, upgrade, what):
    (project / "safepatch.toml").write_text(
        parcels.CONFIGURED + '[patches.other]\ntarget = "parcel:helper"\ndecorators = ["memoize"]\n'
    )
    run("lock")
    upgrade("2.0", parcels.NEW.replace("text.strip()", "text.lstrip()"))

    shown = {row["target"]: row for row in json.loads(run("diff", "--json")[1])}
    meant = json.loads(run("diff", "--json", what)[1])

    assert shown.keys() == {"parcel:send", "parcel:helper"}
    assert meant == [shown["parcel:send"]]
    assert meant[0].keys() == {"target", "patches", "messages", "diff"}


def test_several_differences_have_an_empty_line_between(run, project, upgrade):
    (project / "safepatch.toml").write_text(f'{parcels.CONFIGURED}depends_on = ["parcel:helper"]\n')
    run("lock")
    upgrade("2.0", parcels.NEW.replace("text.strip()", "text.lstrip()"))

    assert "\n\nparcel:send: the signature changed" in run("diff")[1]


def test_diff_of_what_is_not_locked_names_the_nearest(run, project):
    run("lock")

    assert run("diff", "parcel:sent") == (
        2,
        "",
        "safepatch: 'parcel:sent' is not locked; did you mean 'parcel:send'?\n",
    )


# run


@pytest.fixture
def asked(monkeypatch):
    """What the runner was asked to run, instead of running it."""
    asked = []

    def noting(command, **options):
        asked.append((list(command), options))
        return 7

    monkeypatch.setattr("safepatch.runner.run", noting)
    return asked


@pytest.mark.parametrize(
    ("arguments", "command", "options"),
    [
        (["gunicorn", "app:app"], ["gunicorn", "app:app"], {}),
        (["--", "python", "-m", "app", "-p"], ["python", "-m", "app", "-p"], {}),
        (["-p", "a", "-p", "b", "--", "x"], ["x"], {"names": ("a", "b")}),
        (["--patch", "json:dumps=memoize", "x"], ["x"], {"patches": ("json:dumps=memoize",)}),
        (["--strict", "x"], ["x"], {"strict": True}),
        (["--report", "x", "y"], ["x", "y"], {"report": True}),
        (["--report=r.json", "x"], ["x"], {"report": "r.json"}),
        (["--", "x", "--report"], ["x", "--report"], {}),
    ],
)
def test_run_hands_on_what_was_asked(run, asked, arguments, command, options):
    code, printed, complaints = run("run", *arguments)

    [(given, with_options)] = asked
    if not isinstance(with_options["report"], bool):
        with_options["report"] = str(with_options["report"])
    assert (code, printed, complaints) == (7, "", "")
    assert given == command
    assert with_options == {
        "names": (), "patches": (), "report": False, "strict": False, **options
    }  # fmt: skip


# doctor


def test_doctor_is_0_if_nothing_is_found(run, project):
    assert run("doctor") == (0, "nothing was found\n", "")


def test_doctor_is_1_and_tells_what_to_do(run, project):
    (project / "safepatch.toml").write_text(parcels.CONFIGURED.replace("parcel:", "no_such:"))

    assert run("doctor") == (
        1,
        "counted (no_such:send) pending: it waits for 'no_such', and there is no such module\n"
        "    check the spelling, and that the package is installed\n"
        "1 finding\n",
        "",
    )


def test_doctor_as_json(run, project):
    (project / "safepatch.toml").write_text(parcels.CONFIGURED.replace("parcel:", "no_such:"))

    code, printed, _ = run("doctor", "--json")

    [finding] = json.loads(printed)
    assert code == 1
    assert finding.keys() == {"patch", "target", "kind", "message", "advice"}


def test_doctor_is_2_if_a_module_cannot_be_imported(run, project):
    code, printed, complaints = run("doctor", "-m", "no_such_module")

    assert (code, printed) == (2, "")
    assert complaints.startswith("safepatch: cannot import 'no_such_module': ModuleNotFoundError")


def test_doctor_needs_no_configuration_where_a_module_is_named(run, nothing):
    assert run("doctor", "-m", "json")[0] == 0


# Colours, and what the shell completes.


def test_colours_can_be_had_and_refused_by_the_environment(run, project, upgrade, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    run("lock")
    upgrade()

    plain = run("diff")[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = run("diff")[1]
    data = run("check", "--json")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    refused = run("diff")[1]

    assert "\x1b" not in plain + data
    assert "\x1b[32m+def send" in coloured
    assert "\x1b[3" not in refused


def completed(*words):
    """What the shell is told to complete the last word with."""
    shell = ShellComplete(program, {}, "safepatch", "_SAFEPATCH_COMPLETE")
    return [item.value for item in shell.get_completions([*words[:-1]], words[-1])]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("d",), ["diff", "doctor"]),
        (("run", "-p", ""), ["counted", "dns-cache"]),
        (("run", "-p", "d"), ["dns-cache"]),
        (("explain", "par"), ["parcel:send"]),
        (("diff", "c"), ["counted"]),
        (("check", "--format", "gi"), ["github", "gitlab"]),
    ],
)
def test_the_shell_completes_commands_names_targets_and_values(project, words, found):
    assert completed(*words) == found


def test_the_shell_completes_from_the_configuration_that_was_named(project, monkeypatch):
    monkeypatch.chdir(project.parent)

    assert completed("explain", "--config", "project/safepatch.toml", "c") == ["counted"]


def test_a_wrong_configuration_completes_what_is_offered(project):
    (project / "safepatch.toml").write_text("[")

    assert completed("run", "-p", "") == ["dns-cache"]


# Code of others.


PROGRAMS = {
    "noisy": "print('hello')\ndef send(): pass\ndef asked(): print('asked')\n",
    "ending": "raise SystemExit(0)\n",
}


@pytest.fixture
def patching(nothing, tmp_path, monkeypatch):
    """Configure a patch of a module that is there, with options."""

    def patching(module, more=""):
        (tmp_path / f"{module}.py").write_text(PROGRAMS[module])
        (tmp_path / "safepatch.toml").write_text(
            f'[patches.x]\ntarget = "{module}:send"\ndecorators = ["count_calls"]\n{more}'
        )
        parcels.use(monkeypatch, tmp_path, module)

    return patching


@pytest.mark.parametrize(
    "command",
    [
        "lock --json",
        "check --json",
        "check --format gitlab",
        "diff --json",
        "doctor --json",
        "explain noisy:send --json",
        "explain --apply --json",
    ],
)
def test_what_a_module_prints_when_it_is_imported_is_no_part_of_the_answer(
    run, patching, monkeypatch, tmp_path, command
):
    patching("noisy", 'until = "noisy:asked"\n')
    run("lock")
    parcels.use(monkeypatch, tmp_path, "noisy")

    code, printed, complaints = run(*command.split())

    assert code == 0
    json.loads(printed)
    assert "hello\n" in complaints


@pytest.mark.parametrize("command", ["lock", "explain ending:send"])
def test_a_module_that_ends_the_process_does_not_end_a_command_as_if_all_were_well(
    run, patching, command
):
    patching("ending")

    code, printed, complaints = run(*command.split())

    assert (code, printed) == (2, "")
    assert "ended with SystemExit(0)" in complaints


def test_a_module_that_ends_the_process_is_found_by_the_doctor(run, patching):
    patching("ending")

    code, printed, _ = run("doctor")

    assert code == 1
    assert printed.startswith("x (ending:send) failed: importing 'ending' ended with SystemExit(0)")


def test_an_output_that_is_full_is_an_error(run, project, monkeypatch):
    def full(text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safepatch.cli.printing.as_json", full)

    assert run("list", "--json") == (
        2,
        "",
        "safepatch: OSError: [Errno 28] No space left on device\n",
    )


def test_modules_beside_the_configuration_are_found_from_below_it(
    run, nothing, tmp_path, monkeypatch
):
    """Else `lock` would take them for packages that are not installed."""
    (tmp_path / "safepatch.toml").write_text(parcels.CONFIGURED.replace("parcel:", "besides:"))
    (tmp_path / "besides.py").write_text(parcels.OLD)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.delitem(sys.modules, "besides", raising=False)

    code, printed, complaints = run("lock")

    sys.modules.pop("besides", None)
    assert (code, complaints) == (0, "")
    assert printed.startswith("locked 1 target in ")
