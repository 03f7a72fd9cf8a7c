"""What the documents show of configurations is read, and is wrong only where they say so."""

import json
import pathlib
import re
import tomllib

import jsonschema
import pytest
from test_schema import SHIPPED

import safepatch
from safepatch import config

DOCS = pathlib.Path(__file__).parents[2] / "docs"
BLOCKS = [
    (path.name, language, text)
    for path in (
        DOCS / "configuration.md",
        DOCS / "howto" / "startup.md",
        DOCS.parent / "README.md",
    )
    for language, text in re.findall(
        r"^```(toml|text)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S
    )
]
TOML = [text for _, language, text in BLOCKS if language == "toml" and "patches" in text]
GOOD = [text for text in TOML if not text.startswith("# wrong")]


@pytest.mark.parametrize("text", GOOD, ids=lambda text: text.splitlines()[0])
def test_a_configuration_in_the_documents_can_be_read(project, text):
    # What it names besides what the tests have installed.
    (project.folder / "mypkg").mkdir()
    (project.folder / "mypkg" / "patches.py").write_text("def marks(*, colour): return []")
    if "entry-points" in text:
        tomllib.loads(text)
        return
    file = project.configure(text, "pyproject.toml" if "[tool." in text else "safepatch.toml")

    read = config.load()

    assert read.file == file
    assert read.patches
    table = tomllib.loads(text)
    jsonschema.validate(
        table["tool"]["safepatch"] if "tool" in table else table, json.loads(SHIPPED.read_text())
    )


def test_the_first_configuration_of_each_document_can_be_applied(project):
    for text in GOOD[0], next(text for text in GOOD if "http-retry]" in text and "ttl" in text):
        project.configure(text, "pyproject.toml")
        registry = safepatch.Registry()
        registry.reads(lambda: safepatch.startup)
        with registry:
            registry.apply_all()

            assert registry.named("http-retry").state in ("applied", "pending")


def test_a_wrong_configuration_in_the_documents_is_told_as_they_tell_it(project):
    [place] = [place for place, (_, _, text) in enumerate(BLOCKS) if text.startswith("# wrong")]
    (_, _, text), (_, _, told) = BLOCKS[place : place + 2]
    project.configure(text)

    with pytest.raises(safepatch.ConfigError) as caught:
        config.load()

    assert str(caught.value).replace(f"{project.folder}/", "") == told.strip()


def test_the_table_of_keys_has_all_keys_and_no_other():
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `(\w+)` \|", text, re.M) == [*config.config_tables._ALL]
