"""Files of the pages, which are read once: nothing of a path given leads to the disk."""

from __future__ import annotations

import hashlib
import pathlib

import flask
from flask import Blueprint, Response, request

blueprint = Blueprint("statics", __name__)

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}

#: name -> content, its hash, and what it is.
FILES: dict[str, tuple[bytes, str, str]] = {
    path.name: (
        path.read_bytes(),
        hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        _KINDS[path.suffix],
    )
    for path in (pathlib.Path(__file__).parent / "static").iterdir()
    if path.suffix in _KINDS
}


@blueprint.get("/static/<name>")
def file(name: str) -> Response:
    """One of them, to be kept for a year: its address changes with it."""
    if name not in FILES:
        flask.abort(404)
    content, version, kind = FILES[name]
    answer = Response(content, content_type=kind)
    answer.set_etag(version)
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    answer.make_conditional(request)
    return answer


def address(name: str) -> str:
    """The address of a file, as it is now."""
    return flask.url_for("statics.file", name=name, v=FILES[name][1])
