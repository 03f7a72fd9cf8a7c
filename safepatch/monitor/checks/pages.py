"""What a page says of itself: facts from which is learned what is normal."""

from __future__ import annotations

import html
import re
from typing import Any

from safepatch.monitor.courses import printable

_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,500})", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?(?:</\1|\Z)|<[^<>]*>", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{5,20}")

#: The characters of a page that are looked at, and the words that are taken from them.
LOOKED_AT = 4096
WORDS = 12


def look(text: str) -> dict[str, Any]:
    """The facts "title" and "words" of a page; {} for what is no HTML.

    `words` are the first that are different and of 5 letters or more, in small letters.
    """
    start = text[:LOOKED_AT]
    if "<" not in start[:512]:
        return {}
    facts: dict[str, Any] = {}
    title = _TITLE.search(text, 0, 65536)
    if title:
        facts["title"] = printable(" ".join(html.unescape(title[1]).split()), 200)
        start = text[title.end() : title.end() + LOOKED_AT]
    words: dict[str, None] = {}
    for word in _WORD.finditer(_TAGS.sub(" ", start).lower()):
        words[word[0]] = None
        if len(words) == WORDS:
            break
    facts["words"] = list(words)
    return facts
