"""Commands in the documents, with what they print."""

import re
import textwrap
from typing import NamedTuple


class Typed(NamedTuple):
    command: str
    printed: str


def typed(path):
    """All that is typed after `$` in the console blocks of a document, in order."""
    found = []
    for block in blocks(path, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            found.append(Typed(command, printed))
    return found


def blocks(path, language):
    pattern = rf"^( *)```{language}\n(.*?)^\1```$"
    return [
        textwrap.dedent(block)
        for _, block in re.findall(pattern, path.read_text(), re.MULTILINE | re.DOTALL)
    ]
