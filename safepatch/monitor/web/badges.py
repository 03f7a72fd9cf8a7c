"""Small pictures of a state, for pages elsewhere; with colours of their own, in SVG."""

from __future__ import annotations

from markupsafe import Markup

from safepatch.monitor.statuses import Status
from safepatch.monitor.web import words

_COLOURS = {"up": "#1a7f4b", "down": "#c02736", "unknown": "#8a5a00", "new": "#5b6576"}

# Widths are set, so that the text fits whatever font there is.
_SHAPE = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" '
    'aria-label="{left}: {right}"><title>{left}: {right}</title>'
    '<clipPath id="r"><rect width="{whole}" height="20" rx="3"/></clipPath>'
    '<g clip-path="url(#r)"><rect width="{middle}" height="20" fill="#3d4654"/>'
    '<rect x="{middle}" width="{rest}" height="20" fill="{colour}"/></g>'
    '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
    '<text x="6" y="14" textLength="{left_length}" lengthAdjust="spacingAndGlyphs">{left}</text>'
    '<text x="{right_at}" y="14" textLength="{right_length}" lengthAdjust="spacingAndGlyphs">'
    "{right}</text></g></svg>"
)


def state(name: str, status: Status) -> str:
    """Name and state."""
    return draw(words.clip(name, 40), status.state, _COLOURS[status.state])


def uptime(share: float | None) -> str:
    """The share of good checks of a month."""
    good = share is not None and share >= 0.99
    colour = _COLOURS["new" if share is None else "up" if good else "down"]
    return draw("uptime 30 d", words.percent(share), colour)


def draw(left: str, right: str, colour: str) -> str:
    """A badge of two texts."""
    left_length, right_length = _width(left), _width(right)
    return str(
        _SHAPE.format(
            left=left,
            right=right,
            colour=colour,
            left_length=left_length,
            right_length=right_length,
            middle=left_length + 12,
            rest=right_length + 12,
            whole=left_length + right_length + 24,
            right_at=left_length + 18,
        )
    )


def _width(text: str) -> int:
    return max(8, round(6.3 * len(text)))
