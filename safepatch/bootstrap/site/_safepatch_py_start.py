"""Starts safepatch at the end of Python's own start; imported by safepatch-py.pth, beside which
it is installed, in processes of a `safepatch run` only.

Not at once: other .pth files may be to come, which make packages importable, and a sitecustomize
that patches with other tools.
"""

import site
from collections.abc import Callable


def _then_start(original: Callable[[], None], is_last: Callable[[], bool]) -> Callable[[], None]:
    def execute() -> None:
        try:
            original()
        finally:
            if is_last():
                _start()

    return execute


def _start() -> None:
    try:
        from safepatch.bootstrap import start
    except ImportError:
        return  # it was uninstalled, or another thing of that name stands before it
    start()


# What `site` does last. The order is autowrapt's.
_site = vars(site)
_site["execsitecustomize"] = _then_start(
    _site["execsitecustomize"], lambda: not site.ENABLE_USER_SITE
)
_site["execusercustomize"] = _then_start(_site["execusercustomize"], lambda: True)
