"""What GitHub and GitLab are told, and at which line."""

import tomllib

import pytest

from safepatch.cli.annotating import github, gitlab, line_of, places_in
from safepatch.drifts import Drift

FORMS = {
    "a table": ("[patches.a]\n", 1),
    "one in pyproject.toml": ("[project]\nname = 'x'\n\n[tool.safepatch.patches.a]\n", 4),
    "another first": ("[patches.b]\ntarget = 'a:a'\n\n[patches.a]\n", 4),
    "quoted": ("\n[patches.'a']\n", 2),
    "spaces and a comment": ("\n\n [ patches . a ]  # ours\n", 3),
    "an inline table": ("[patches]\nb = {}\na = {target = 'x:y'}\n", 3),
    "dotted keys": ("[patches]\nb.enabled = true\na.enabled = true\n", 3),
    "a table above": ("[tool.safepatch]\npatches.a.target = 'x:y'\n", 2),
    "one of another tool": ("[tool.other.patches.a]\n[patches.a]\n", 2),
    "values of several lines": ("[patches.b]\nrequires = [\n  'a',\n]\n[patches.a]\n", 5),
    "a table below": ("[patches.a.with]\nttl = 1\n", 1),
    "an inline table of several": ("[tool]\nsafepatch = {patches = {b = {}, a = {}}}\n", 2),
    "a value of several lines that looks like it": (
        '[patches.b]\nuntil = """\n[patches.a]\n"""\n[patches.a]\n',
        5,
    ),
    "an array that looks like it": (
        "[patches.b]\nrequires = [\n  'x', # ']'\n  [\n'patches.a',\n],\n]\n[patches.a]\n",
        8,
    ),
    "tables in an array": (
        "[patches.b]\ndecorators = [\n {use = 'retry', on = 'a'},\n {use = 'c'}]\n[patches.a]",
        5,
    ),
    "a text with quotes and a bracket": (
        '[patches.b]\nuntil = \'a"]\'\nsignature = "(a=\\"[\\")"\n[patches.a]\n',
        4,
    ),
    "a text that ends in quotes": (
        '[patches.b]\nuntil = """\n"[a]"""""\n[patches.a]\n',
        4,
    ),
    "in a table whose head is quoted": ('["tool" . \'safepatch\'."patches"]\n\na = {}', 3),
    "a quoted head with an escape": ('[patches.b]\n[patches."\\u0061"]', 2),
    "a table of another tool by that name": (
        "[patches.a]\n[tool.safepatch.patches.a]\n",
        2,
    ),
    "an array of tables above": ("[[other]]\nname = 1\n[[other]]\n[patches.a]\n", 4),
    "lines that end as on Windows": ("[patches.b]\r\nuntil = 'x'\r\n[patches.a]\r\n", 3),
    "letters that end a line elsewhere": ("[patches.b]\nuntil = 'x\u2028y'\n[patches.a]\n", 3),
    "a byte order mark": ("\ufeff[patches.a]\n", 1),
    "nowhere": ("[patches.ab]\n", None),
}


@pytest.mark.parametrize(("text", "line"), FORMS.values(), ids=FORMS)
def test_the_line_is_where_the_patch_is_written(tmp_path, text, line):
    file = tmp_path / "safepatch.toml"
    file.write_bytes(text.encode())

    tomllib.loads(text.removeprefix("\ufeff"))  # which it can take for granted
    assert line_of(places_in(file), ["a"]) == line


def test_what_ends_a_message_or_a_property_of_github_is_escaped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    file = tmp_path / "a,b.toml"
    file.write_text("")

    assert github([Drift("a:b", "gone", "100%\nlost", ("p",))], file) == [
        "::error file=a%2Cb.toml,title=safepatch%3A a%3Ab::100%25%0Alost (patches: p)"
    ]


def test_files_are_told_from_the_top_of_the_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("CI_PROJECT_DIR", str(tmp_path))
    (tmp_path / "service").mkdir()
    file = tmp_path / "service" / "pyproject.toml"
    file.write_text("")
    drifts = [Drift("a:b", "gone", "lost", ("p",))]

    assert github(drifts, file)[0].startswith("::error file=service/pyproject.toml,")
    assert gitlab(drifts, file)[0]["location"]["path"] == "service/pyproject.toml"


def test_a_finding_keeps_its_fingerprint_when_it_moves(tmp_path):
    file = tmp_path / "safepatch.toml"
    drifts = [Drift("a:b", "gone", "lost", ("p",))]
    file.write_text("[patches.p]")
    before = gitlab(drifts, file)[0]
    file.write_text("\n\n[patches.p]")

    after = gitlab(drifts, file)[0]

    assert before["location"]["lines"] != after["location"]["lines"]
    assert before["fingerprint"] == after["fingerprint"]


def test_two_patches_at_one_target_that_are_no_longer_needed_are_two_findings(tmp_path):
    file = tmp_path / "safepatch.toml"
    file.write_text("")
    drifts = [Drift("a:b", "until", "no longer needed", (name,)) for name in ("p", "q")]

    first, second = gitlab(drifts, file)

    assert first["fingerprint"] != second["fingerprint"]
