"""What the document shows does what it says."""

import pathlib
import re

import pytest

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "store" / "postgresql.md"


@pytest.fixture
def blocks(url):
    text = DOCUMENT.read_text().replace("postgresql:///app", url)
    return {
        kind: re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for kind in ("python", "sql")
    }


def test_the_code_of_the_document_works_with_a_server(blocks, server, schema):
    names = {}
    python = blocks["python"]
    for block in python:
        exec(block, names)
    names["main"]()

    assert names["newsletters"]() == ["me@example.com"]
    assert server.execute(blocks["sql"][0].rstrip(";\n"), schema=schema) == [("me@example.com",)]
    names["store"].close()
