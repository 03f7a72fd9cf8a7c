"""Turn arguments and results into texts that can be shown to anybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from safepatch.decorators.wrapping import name_of

if TYPE_CHECKING:
    import inspect
    import re

#: What is nowhere in a name whose value is shown; case does not count.
HIDDEN = (
    r"passw|passphrase|pwd|secret|token(?!iz)|credential|creds|cookie|signature|bearer|jwt|cvv|"
    r"sess(?:ion)?_?id|csrf|xsrf|passcode|totp|"
    r"(?<!mon)(?<!tur)key(?!word|board|error)|auth(?!or(?!i))"
)
#: The same, but only as words of their own: between signs, `_` and digits.
HIDDEN_WORDS = ("pass", "pw", "otp", "ssn", "cred", "sig", "sid")
#: The most that is shown: characters of a text, items of a collection, collections in each other,
#: and characters of a collection with all in it.
LONGEST, MOST, DEEPEST, LARGEST = 100, 10, 4, 1000
#: As much of a text is searched: the end of what is shown may be hidden for what comes after it.
SEARCHED = 4 * LONGEST

# What stands between a name and its value, in a text, also where that is encoded for a URL.
_SIGN = r"(?:[=:,>]|%(?:3[ade]|2c))"
_NO_SIGN = r"(?:[^=:,>%]|%(?!3[ade]|2c))"

_LETTER = r"[^\W\d_]"
# Before a word that is not part of another there is no letter, or one that is part of an escape.
_BEFORE = rf"(?:(?<!{_LETTER})|(?<=%[\da-f]{{2}})|(?<=\\[a-z])|(?<=\\x..)|(?<=\\u....))"


class Teller:
    """What is to be hidden of one function's arguments and results.

    `hidden` are names to hide, as words of their own or with `_` and digits, besides `HIDDEN`.
    """

    def __init__(self, wrapped: Any, hidden: tuple[str, ...]) -> None:
        import inspect
        import re

        try:
            self._signature: inspect.Signature | None = inspect.signature(wrapped)
        except (ValueError, TypeError):
            self._signature = None
        words = "|".join(map(re.escape, [*HIDDEN_WORDS, *hidden]))
        secret = rf"{HIDDEN}|{_BEFORE}(?:{words})(?!{_LETTER})"
        flags = re.IGNORECASE | re.DOTALL
        self._secret: re.Pattern[str] = re.compile(secret, flags)
        # A name, the next sign, and all the rest: where the value begins and ends in a text depends
        # on how it is quoted and escaped, maybe several times. After an option as on a command
        # line, and after "Bearer", a space is as good as a sign; in PEM five dashes are.
        self._in_text: re.Pattern[str] = re.compile(
            rf"((?:(?<![\w-])-[\w-]*?(?:{secret})[\w.-]*+|bearer)\s+|key-----"
            rf"|(?:{secret}){_NO_SIGN}*+{_SIGN}).+",
            flags,
        )
        # The user is shown if there is a password, which may contain an @.
        self._in_url: re.Pattern[str] = re.compile(r"(://[^\s:/@]*:)\S*@|(://)[^\s/@]+@")
        # Its host and the rest.
        self._one_url: re.Pattern[str] = re.compile(
            r"([a-z][\w+.-]*://[^\s\"'<>\\{}/?#]*)([^\s\"'<>\\{}]*)", flags
        )
        self._one_name: re.Pattern[str] = re.compile(r"[\w.\[\]-]{1,50}")
        self._in_path: re.Pattern[str] = re.compile(rf"((?:{secret})[^/=:,]*+[/=:,]).+", flags)
        self._bytes: re.Pattern[str] = re.compile(
            r"(?<!\w)b(?:'(?:[^'\\]|\\.)*+(?:'|\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\Z))", re.DOTALL
        )
        # A partial has no name of its own.
        self._name: str = name_of(getattr(wrapped, "func", wrapped)).rpartition(".")[2]

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str]:
        """Parameter names and texts, as far as the call fits the signature."""
        try:
            if self._signature is None:
                raise TypeError
            bound: Mapping[str, Any] = self._signature.bind(*args, **kwargs).arguments
        except TypeError:
            unnamed = {str(place): f"<{type(arg).__name__}>" for place, arg in enumerate(args)}
            return unnamed | dict(self._pairs(kwargs))
        return dict(self._pairs(bound))

    def result(self, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The text of a result, unless the function or an argument is called like a secret, as in
        `getenv("DB_PASSWORD")`."""
        asked = (*args, *kwargs.values())
        is_hidden = self._is_secret(self._name) or any(map(self._names_secret, asked))
        return "***" if is_hidden else self.value(value)

    def value(self, value: Any, depth: int = 0) -> str:
        try:
            return self._value(value, depth)
        except Exception as error:
            return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"

    def _pairs(self, named: Mapping[Any, Any], depth: int = 0) -> Iterator[tuple[Any, str]]:
        """Names and texts, without what comes after a value that is such a name itself, as in
        `set("password", "...")` and {"name": "password", "value": "..."}."""
        follows = False
        for name, value in named.items():
            is_hidden = follows or self._is_secret(name)
            yield name, "***" if is_hidden else self.value(value, depth)
            follows = follows or (not is_hidden and self._names_secret(value))

    def _names_secret(self, value: Any) -> bool:
        """Say whether a value is nothing but such a name; a text about a token is more."""
        is_name = type(value) is str and self._one_name.fullmatch(value)
        return bool(is_name) and self._is_secret(value)

    def _is_secret(self, name: Any) -> bool:
        if isinstance(name, bytes):
            name = name.decode("latin-1")
        return self._secret.search(name if isinstance(name, str) else repr(name)) is not None

    def _value(self, value: Any, depth: int) -> str:
        kind = type(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"<{memoryview(value).nbytes} bytes>"
        if kind in _BRACKETS:
            return self._collection(value, depth)
        if kind is str:
            text = repr(self._hide(value))
        else:
            # Bytes last: one may be a name.
            text = self._bytes.sub("<bytes>", self._hide(repr(value)))
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

    def _collection(self, value: Any, depth: int) -> str:
        opening, closing = _BRACKETS[type(value)]
        if depth == DEEPEST:
            return f"{opening}...{closing}"
        texts, length = [], 0
        for text in islice(self._items(value, depth + 1), MOST):
            texts.append(text)
            length += len(text)
            if length > LARGEST:
                break
        if len(value) > len(texts):
            texts.append(f"... {len(value)} in all")
        return f"{opening}{', '.join(texts)}{closing}"

    def _items(self, value: Any, depth: int) -> Iterator[str]:
        if isinstance(value, dict):
            for key, text in self._pairs(value, depth):
                yield f"{self.value(key, depth)}: {text}"
            return
        follows = False  # a name, such as that of a header in a list of pairs
        for item in value:
            yield "***" if follows else self.value(item, depth)
            follows = follows or (isinstance(item, (str, bytes)) and self._is_secret(item))

    def _hide(self, text: str) -> str:
        if len(text) > SEARCHED:
            # Where it is cut may be in a password.
            text = f"{text[:SEARCHED]}@"
        text = self._in_url.sub(r"\1\2***@", text)
        url = self._one_url.fullmatch(text)
        if url and not self._in_text.search(url[1]):
            return url[1] + self._hide_in_path(url[2])
        return self._in_text.sub(r"\1***", text)

    def _hide_in_path(self, path: str) -> str:
        """Hide the values of secrets in what follows the host, but not what comes after them.

        There `&` ends a value, for it is encoded where it is part of one, and the path ends at `?`.
        In a path, what comes after a name and `/` may be its value.
        """
        import re

        parts = re.split("(?=[?&#])", path)
        for place, part in enumerate(parts):
            pattern = self._in_text if place else self._in_path
            parts[place], found = pattern.subn(r"\1***", part)
            if not found and self._secret.search(part):
                # A name whose value may be anywhere, as in `?name=token&value=x`.
                return "".join(parts[:place]) + self._in_text.sub(r"\1***", "".join(parts[place:]))
        return "".join(parts)


_BRACKETS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
