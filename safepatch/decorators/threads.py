"""Which thread is running, and what belongs to it, whether or when gevent patches."""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable
from typing import Any

_monkey = sys.modules.get("gevent.monkey")
#: The native one: gevent's, put in its place, tells greenlets apart, of which there is no end. When
#: gevent patches later, this name stays what it is.
get_ident: Callable[[], int] = (
    _thread.get_ident if _monkey is None else _monkey.get_original("_thread", "get_ident")
)
#: `threading.local`, the native one as well.
Local: Any = _thread._local if _monkey is None else _monkey.get_original("_thread", "_local")
