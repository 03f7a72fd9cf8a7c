"""What people and programs see of a monitor: pages, an API, metrics, badges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gevent.pywsgi import WSGIServer

__all__ = ["app", "serve"]


def app(monitor: Any) -> Any:
    """The pages of a monitor, as a WSGI application.

    Raises ModuleNotFoundError without Flask, and says what to install.
    """
    return _need("making").make(monitor)


def listening(settings: Any) -> Any:
    """The socket where the settings have the pages, for `serve`, whose errors it raises."""
    return _need("serving").listening(settings)


def serve(monitor: Any, taken: Any = None) -> WSGIServer:
    """Serve them where the settings say; greenlets answer. Returns the server; `.stop()` ends it.
    `taken` is a socket of `listening`, if there is one already.

    Raises ValueError where anybody could come in (`setting` says why), OSError where the port is
    taken, and ModuleNotFoundError without Flask.
    """
    server: WSGIServer = _need("serving").serve(monitor, taken)
    return server


def _need(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"safepatch.monitor.web.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("flask", "gevent", "werkzeug"):
            raise
        raise ModuleNotFoundError(
            f"the pages of a monitor need {error.name!r}; install it with "
            "pip install 'safepatch-py[monitor]'",
            name=error.name,
        ) from error
