"""What docs/store/operating.md shows is what the commands print."""

import doctest
import pathlib
import re
import shlex

import histories

from safepatch.cli.storing import store

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "store" / "operating.md"


def steps():
    """Programs, and commands with what they print, in the order of the document."""
    pattern = r"^```(console|\{code-block\} python\n:caption: \S+)\n(.*?)^```$"
    for kind, block in re.findall(pattern, DOCUMENT.read_text(), re.MULTILINE | re.DOTALL):
        if kind == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                yield part.partition("\n")[::2]
        else:
            yield block, None


def test_the_commands_print_what_the_document_shows(run, monkeypatch):
    histories.quickly(monkeypatch)
    checker, commands = doctest.OutputChecker(), set()
    for text, expected in steps():
        if expected is None:
            exec(text, {})
            continue
        program, group, *words = shlex.split(text)
        _, printed, complaints = run(*words)

        assert (program, group, complaints) == ("safepatch", "store", "")
        assert checker.check_output(expected, printed, doctest.ELLIPSIS), (text, printed)
        commands.add(words[0])
    assert commands == {*store.commands}


def test_every_command_is_in_the_table():
    table = DOCUMENT.read_text().partition("## All commands")[2]

    assert {*re.findall(r"^\| `(\w+) ", table, re.MULTILINE)} == {*store.commands}


def test_every_option_is_told():
    options = {
        option
        for command in store.commands.values()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }

    assert [option for option in sorted(options) if option not in DOCUMENT.read_text()] == []


def test_a_line_is_shown_as_it_is_dumped(run, monkeypatch):
    [shown] = re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    exec(next(steps())[0], {})

    assert run("dump", "state")[1].startswith(shown)
