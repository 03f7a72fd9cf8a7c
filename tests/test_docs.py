"""Every Python block in the documents runs."""

import pathlib
import re
import sys
import types

import pytest
import sybil
import sybil.parsers.markdown

import safepatch

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PARSERS = [sybil.parsers.markdown.PythonCodeBlockParser()]


# Other tests in this process have imported it, and it holds json's functions by name. Readers who
# follow a document have not.
@pytest.mark.filterwarnings(
    "ignore:patch .* does not reach opentelemetry:safepatch.errors.AliasWarning"
)
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_python_block_runs(path, monkeypatch):
    document = sybil.Sybil(parsers=PARSERS).parse(path)
    module = types.ModuleType("document")
    monkeypatch.setitem(sys.modules, "document", module)
    monkeypatch.setattr(safepatch.registry.default, "_named", {})
    document.namespace = vars(module)

    try:
        with safepatch.registry.default:
            for example in document.examples():
                example.evaluate()
    finally:
        # It holds functions of json by name, which patches in other documents would not reach.
        sys.modules.pop("bottle", None)

    blocks = re.findall(r"^```python$", path.read_text(), re.MULTILINE)
    assert len(blocks) == len(list(document.examples()))


def test_the_commands_of_the_readme_are_the_ones_that_ci_runs():
    commands = re.findall(r"^```shell\n(.+?)\n```$", (ROOT / "README.md").read_text(), re.M | re.S)
    script = (ROOT / ".ci" / "run").read_text()

    assert len(commands) == 2
    assert all(command in script for command in commands)


def test_no_document_tells_to_install_another_project_of_this_name():
    for path in DOCUMENTS:
        assert not re.search(r"(pip|uv|uvx|pipx)( install)? safepatch(?!-py)\b", path.read_text())
