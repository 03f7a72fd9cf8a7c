"""Guards: reasons not to patch. A guard is a callable `guard(original) -> str | None`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from safepatch.errors import UnsupportedTargetError
from safepatch.fingerprints import fingerprint_of

if TYPE_CHECKING:
    import ast
    from inspect import Parameter

    from packaging.requirements import Requirement

Guard = Callable[[Any], "str | None"]


def requires(requirement: str, *, may_come: bool = False) -> Guard:
    """Want a distribution, or "python", in a range of versions, as a PEP 508 requirement.

    Pre-releases count. A marker that does not hold here makes the guard pass. Raises ValueError
    if the text is no requirement. With `may_come`, what is not installed yet is no reason.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(requirement)
    except InvalidRequirement as error:
        raise ValueError(
            f"{requirement!r} is no requirement ({error}); write it as 'requests>=2.31,<3'"
        ) from error

    def guard(original: Any) -> str | None:
        return _unmet(wanted, may_come)

    guard.__qualname__ = f"requires {requirement}"
    return guard


def _unmet(wanted: Requirement, may_come: bool) -> str | None:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    if wanted.marker is not None and not wanted.marker.evaluate():
        return None
    try:
        # Between two releases CPython calls itself "3.12.1+", which is no version to packaging.
        running = platform.python_version().rstrip("+")
        found = running if wanted.name.lower() == "python" else version(wanted.name)
    except PackageNotFoundError:
        if may_come:
            return None
        return f"guard wants {wanted} but {wanted.name} is not installed"
    if wanted.specifier.contains(found, prereleases=True):
        return None
    return f"guard wants {wanted} but {found} is installed; check the patch, then widen the guard"


def signature(expected: str) -> Guard:
    """Want these parameters in this order, with these kinds and defaults.

    `expected` reads like the parentheses of a `def`; a default `...` stands for any. Parameters
    that the original has beyond them must have defaults. Raises ValueError if the text is no
    parameter list.
    """
    wanted = _parameters(expected)

    def guard(original: Any) -> str | None:
        import inspect

        try:
            actual = inspect.signature(original)
        except (ValueError, TypeError):
            return f"guard wants the signature {expected} but none can be read from {original!r}"
        return _differs(wanted, list(actual.parameters.values()), expected, str(actual))

    guard.__qualname__ = f"signature {expected}"
    return guard


def _parameters(text: str) -> list[Parameter]:
    import ast
    import inspect

    try:
        source = f"def f{text.strip()}: pass"
        tree = ast.parse(source).body[0]
        compile(source, "<signature>", "exec")  # finds what the grammar allows: (a, a)
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no signature; write it as '(host, port=0)'") from error
    assert isinstance(tree, ast.FunctionDef)
    arguments = tree.args
    kinds = inspect._ParameterKind
    positional = [(arg, kinds.POSITIONAL_ONLY) for arg in arguments.posonlyargs]
    positional += [(arg, kinds.POSITIONAL_OR_KEYWORD) for arg in arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    rows: list[tuple[ast.arg, Any, ast.expr | None]] = [
        (arg, kind, default) for (arg, kind), default in zip(positional, defaults, strict=True)
    ]
    if arguments.vararg:
        rows.append((arguments.vararg, kinds.VAR_POSITIONAL, None))
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    rows += [(arg, kinds.KEYWORD_ONLY, default) for arg, default in keyword_only]
    if arguments.kwarg:
        rows.append((arguments.kwarg, kinds.VAR_KEYWORD, None))
    empty = inspect.Parameter.empty
    return [
        inspect.Parameter(arg.arg, kind, default=empty if default is None else _Default(default))
        for arg, kind, default in rows
    ]


_NO_LITERAL = object()


class _Default:
    """A default as it was written, equal to the value it denotes; `...` is equal to any."""

    def __init__(self, written: ast.expr) -> None:
        import ast

        self.text = ast.unparse(written)
        try:
            self.value: Any = ast.literal_eval(written)
        except ValueError:
            self.value = _NO_LITERAL  # compared by how it is written

    def matches(self, found: Any) -> bool:
        if self.value is ...:
            return True
        if self.value is _NO_LITERAL:
            return self.text in (repr(found), str(found))
        return (type(found) is type(self.value) and bool(found == self.value)) or (
            # An enum member such as AddressFamily.AF_UNSPEC stands for its number.
            isinstance(found, int)
            and isinstance(self.value, int)
            and not isinstance(self.value, bool)
            and not isinstance(found, bool)
            and int(found) == self.value
        )


def _differs(
    wanted: list[Parameter], actual: list[Parameter], expected: str, found: str
) -> str | None:
    prefix = f"guard wants the signature {expected} but found {found}"
    ordered = [parameter for parameter in actual if parameter.kind is not parameter.KEYWORD_ONLY]
    named = {parameter.name: parameter for parameter in actual}
    seen = []
    for position, want in enumerate(p for p in wanted if p.kind is not p.KEYWORD_ONLY):
        variadic = want.kind in (want.VAR_POSITIONAL, want.VAR_KEYWORD)
        have = named.get(want.name) if variadic else next(iter(ordered[position:]), None)
        if have is None or (have.name, have.kind) != (want.name, want.kind):
            return f"{prefix}: {want.name!r} is not where it was"
        seen.append((want, have))
    for want in wanted:
        if want.kind is want.KEYWORD_ONLY:
            if want.name not in named or named[want.name].kind is not want.kind:
                return f"{prefix}: there is no keyword-only {want.name!r}"
            seen.append((want, named[want.name]))
    for want, have in seen:
        if want.default is want.empty:
            if have.default is not have.empty:
                return f"{prefix}: {want.name!r} has a default now"
        elif have.default is have.empty or not want.default.matches(have.default):
            return f"{prefix}: the default of {want.name!r} is another"
    known = {want.name for want in wanted}
    for have in actual:
        variadic = have.kind in (have.VAR_POSITIONAL, have.VAR_KEYWORD)
        optional = variadic or have.default is not have.empty
        if have.name not in known and not optional:
            return f"{prefix}: {have.name!r} is new and has no default"
    return None


def fingerprint(*expected: str) -> Guard:
    """Want the source of the original to be one that was looked at; see `fingerprint_of`."""
    for text in expected:
        if not text.startswith("sha256:"):
            raise ValueError(
                f"{text!r} is no fingerprint; take it from safepatch.fingerprint(target)"
            )

    def guard(original: Any) -> str | None:
        try:
            found = fingerprint_of(original)
        except UnsupportedTargetError as error:
            return str(error)
        if found in expected:
            return None
        wanted = " or ".join(expected)
        return f"guard wants source {wanted} but found {found}; read it, then add its fingerprint"

    guard.__qualname__ = f"fingerprint {' '.join(expected)}"
    return guard


def reasons(guards: Iterable[Guard], original: Any) -> list[tuple[str, str | None]]:
    """Ask each guard: (the guard as text, its reason not to patch or None), in order."""
    verdicts = []
    for guard in guards:
        text, reason = getattr(guard, "__qualname__", repr(guard)), guard(original)
        if reason is not None and not (isinstance(reason, str) and reason):
            raise TypeError(
                f"guard {text} returned {reason!r}; return a reason not to patch as text, or None"
            )
        verdicts.append((text, reason))
    return verdicts


def collect(
    versions: str | Sequence[str],
    parameters: str | None,
    sources: str | Sequence[str],
    own: Guard | Sequence[Guard],
) -> tuple[list[Guard], list[Guard]]:
    """Make guards of what a patch asks for, in this order; each may be one or several.

    And, apart, those whose no can be known before the module is imported.
    """
    wanted = _texts("requires", versions)
    early = [requires(text, may_come=True) for text in wanted]
    made = [requires(text) for text in wanted]
    if parameters is not None:
        made.append(signature(parameters))
    if known := _texts("fingerprint", sources):
        made.append(fingerprint(*known))
    for guard in _several(own):
        if not callable(guard):
            raise TypeError(
                f"guard={guard!r} cannot be called; write guard(original) -> str | None"
            )
        made.append(guard)
    return made, early


def _texts(option: str, given: Any) -> list[str]:
    texts = _several(given)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{option}={given!r} is no text; give one, or several in a list")
    return texts


def _several(one_or_more: Any) -> list[Any]:
    # Not by collections.abc, which takes a microsecond to ask.
    is_one = isinstance(one_or_more, str) or not hasattr(one_or_more, "__iter__")
    return [one_or_more] if is_one else list(one_or_more)
