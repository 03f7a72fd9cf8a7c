"""What the page on the pytest plugin shows is what it does."""

import pathlib
import re
import tomllib

import pytest

DOCS = pathlib.Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "pytest.md").read_text(encoding="utf-8")


def blocks(language, page=PAGE):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_every_test_that_it_shows_passes_but_for_the_leak(number, run_tests):
    source = blocks("python")[number]
    result = run_tests(source)

    tests = len(re.findall(r"^def test", source, re.MULTILINE))
    result.assert_outcomes(passed=tests, errors=int("count_calls" in source))


def test_the_leak_is_told_as_shown(run_tests):
    [source] = [block for block in blocks("python") if "count_calls" in block]
    result = run_tests(source)

    shown = blocks("text")[0].splitlines()
    printed = re.sub(r"applied at \S+py:", "applied at test_it.py:", result.stdout.str())
    assert shown[0] in printed
    assert shown[1] in printed


def test_the_settings_that_it_shows_are_settings(run_tests, pytester):
    [settings] = blocks("toml")
    table = tomllib.loads(settings)["tool"]["pytest"]["ini_options"]
    pytester.makepyprojecttoml(settings)
    result = run_tests("def test_it(): pass", "--strict-config", "-W", "ignore")

    result.assert_outcomes(passed=1)
    line = f"safepatch: live in this run: dns-cache; watched: {', '.join(table['safepatch_watch'])}"
    result.stdout.fnmatch_lines([line])


def test_the_options_that_it_names_are_options(run_tests):
    result = run_tests("def test_it(): pass", "--help")

    printed = result.stdout.str()
    for name in re.findall(r"`(--safepatch[\w-]*)", PAGE) + re.findall(r"`(safepatch_\w+)`", PAGE):
        assert name in printed, name


def test_the_how_to_shows_tests_that_pass(run_tests):
    page = (DOCS / "howto" / "tests.md").read_text(encoding="utf-8")
    result = run_tests("".join(blocks("python", page)[:2]), "-W", "ignore::safepatch.AliasWarning")

    result.assert_outcomes(passed=2)
