"""Fingerprints of much real code: the same however its source is laid out and commented."""

import ast
import functools
import importlib.util
import io
import linecache
import tokenize
import types

import pytest

import safepatch

# Python modules of many styles and ages; all are read, none is run.
MODULES = ["contextlib", "csv", "functools", "heapq", "json.decoder", "queue", "random", "shlex"]
MODULES += ["string", "textwrap"]

# No line of a function is put further to the left than its `def`.
FAR = " " * 40


def read(name):
    with tokenize.open(importlib.util.find_spec(name).origin) as file:
        return file.read()


def functions(text, name):
    """Each function that a source text defines, by its qualified name and number; runs none."""
    # An entry without a time is not looked for on disk.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    found, waiting = {}, [compile(text, name, "exec", dont_inherit=True)]
    while waiting:
        code = waiting.pop()
        waiting += [const for const in code.co_consts if isinstance(const, types.CodeType)]
        if code.co_flags & 0x2 and code.co_name[0] != "<":  # others are bodies of classes
            cells = tuple(types.CellType(None) for _ in code.co_freevars)
            key = code.co_qualname, sum(qualname == code.co_qualname for qualname, _ in found)
            found[key] = types.FunctionType(code, {"__name__": name}, closure=cells or None)
    return found


def fingerprints(text, name="source_text"):
    try:
        return {
            key: safepatch.fingerprint(function) for key, function in functions(text, name).items()
        }
    finally:
        linecache.cache.pop(name, None)


def edited(text, edits):
    """The text with insertions, each (line, column, what to insert), lines counted from 1."""
    lines = io.StringIO(text).readlines()
    for line, column, insertion in sorted(edits, reverse=True):
        lines[line - 1] = lines[line - 1][:column] + insertion + lines[line - 1][column:]
    return "".join(lines)


def tokens(text):
    """The tokens outside of f-strings, each with the number of brackets that are open there."""
    brackets = inside = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        closes = kind.endswith("STRING_END")
        inside += kind.endswith("STRING_START") - closes
        if not inside and not closes:
            brackets += (token.string in tuple("([{")) - (token.string in tuple(")]}"))
            yield brackets, token


# Ways to change how a source is written, and nothing that it does.


def with_comments_at_the_ends_of_lines(text):
    ends = (tokenize.NEWLINE, tokenize.NL)
    edits = [
        (*token.start, "  # added: (")
        for _, token in tokens(text)
        if token.type in ends and token.line.strip()
    ]
    return edited(text, edits)


def with_lines_between(text):
    """Blank lines, and comments on lines of their own."""
    edits, at_start = [], True
    for _, token in tokens(text):
        if token.type == tokenize.NEWLINE:
            at_start = True
        elif at_start and token.string.strip() and token.type != tokenize.COMMENT:
            line, column = token.start
            edits.append((line, 0, f"\n \n{token.line[:column]}# added: '\n"))
            at_start = False
    return edited(text, edits)


def with_other_docstrings(text):
    lines = io.StringIO(text).readlines()
    for node in sorted(docstrings(text), key=lambda node: -node.lineno):
        indent = lines[node.lineno - 1][: node.col_offset]
        if not indent.strip() and lines[node.end_lineno - 1][node.end_col_offset :] == "\n":
            others = ['"""Another docstring', "  # of {several} lines", '"""']
            lines[node.lineno - 1 : node.end_lineno] = [f"{indent}{other}\n" for other in others]
    return "".join(lines)


def docstrings(text):
    for node in ast.walk(ast.parse(text)):
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if is_function and ast.get_docstring(node) is not None:
            yield node.body[0]


def with_statements_over_several_lines(text):
    edits = []
    for brackets, token in tokens(text):
        if brackets and token.string in tuple("([{,"):
            edits.append((*token.end, f"  \n{FAR}"))
        elif token.string == "=":
            edits.append((*token.end, f" \\\n{FAR}"))
    return edited(text, edits)


WAYS = [
    with_comments_at_the_ends_of_lines,
    with_lines_between,
    with_other_docstrings,
    with_statements_over_several_lines,
]


@functools.cache
def as_written(name):
    return fingerprints(read(name))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", MODULES)
def test_a_fingerprint_stays_in_a_source(name, way):
    other = way(read(name))

    assert as_written(name) == fingerprints(other)


@pytest.mark.parametrize("name", MODULES)
def test_only_functions_of_one_name_share_a_fingerprint(name):
    """Methods that several classes have may be written alike; others are not."""
    names = {}
    for (qualname, _), found in as_written(name).items():
        names.setdefault(found, set()).add(qualname.rpartition(".")[2])

    assert [several for several in names.values() if len(several) > 1] == []


# The hashes were the same on 3.11, 3.12 and 3.13.
EVERYWHERE = {
    "nothing but a docstring": (
        """\
def f():
    'It does nothing.'
""",
        "sha256:88946fe675d2c72330a5e7a43c3ef276d1ef4acc0beda0cc67be4d9264f57812",
    ),
    "one line": (
        "def f(x): y = x; return y\n",
        "sha256:923cdce51fb2732afe19ac9cfe3bcbb511c1de3e685653175b0bc4559fb27495",
    ),
    "functions and classes inside": (
        """\
def f(a):
    'Outer.'
    def inner(b, *, c=1):
        'Inner.'
        nonlocal a
        a += b
        return lambda: (a, b, c)

    class Local(object):
        'A class.'
        kind: str = 'local'

        @property
        def made(self):
            return inner(self.kind)

    return Local
""",
        "sha256:1e27d5afdcc042cad64864a67d545f64ebc0accbfd64e6509fbed67cb7e90c6f",
    ),
    "what can fail": (
        """\
def f(*args, **kwargs):
    try:
        with open(args[0]) as one, open(args[1]) as other:
            assert one, 'nothing'
    except* (OSError, ValueError) as errors:
        raise RuntimeError(f'{len(errors.exceptions)} errors') from errors
    else:
        del kwargs['x']
    finally:
        global count
        count = 0
    while args and not kwargs: continue
    for x in args: break
    else: pass
""",
        "sha256:56b6445b17012e02b2d2ab71d930706e144fe4126c56fcc63ad2b76449122702",
    ),
    "numbers and strings of all kinds": (
        """\
def f():
    numbers = 1_000, 0x_ff, 0b11, 0o17, 1e-3, .5, 1., 2j, -1
    strings = 'a' "b", b'c' if numbers else (r'\\d', rb'\\d', u'e', F'{numbers}', fr'{numbers!r}')
    return strings, '''three
lines
  of text'''
""",
        "sha256:6bff07cdf3c101eb5e618331aa6bb2cf0de901e9750446a1813a2a6a72537543",
    ),
    "what a coroutine does": (
        """\
async def f(source):
    async with source as stream, stream.lock:
        async for item in stream:
            yield await item
    values = {k: v async for k, v in source if await v}
    await source.close(*values, **values)
""",
        "sha256:2e64824aea60ffd3794a8a57aa00ec332fb411e934b8ff9fffd46369dd70c3f7",
    ),
    "operators": (
        """\
def f(a, b):
    a @= b; a //= b; a **= b; a >>= b; a <<= b; a ^= b; a |= b; a &= b; a %= b
    if (n := a) is not b and a not in b or not a < n <= b != 3:
        return a[1:2, ::3, ...], a if b else ~n, [*a, *b], {**a}
""",
        "sha256:394f08adc45c6ff0dceefe0c2f94bc1c7989f518d9a955b0a119f9883ab45721",
    ),
    "a tab and a continued line": (
        "def f(x):\n\tif x:\n\t\treturn x + \\\n1\n",
        "sha256:64163063f1653ffd9076fd85df1d1e67a13b484a7e545078db797802cffdb6b9",
    ),
}


@pytest.mark.parametrize(("text", "expected"), EVERYWHERE.values(), ids=EVERYWHERE.keys())
def test_a_fingerprint_is_the_same_on_every_python_for(text, expected):
    assert expected == fingerprints(text)["f", 0]
