"""What a worker runs: `celery --app safepatch.monitor.workers.app worker ...`."""

from __future__ import annotations

import os
from typing import Any

from safepatch.decorators import memoize
from safepatch.monitor.workers.brokers import AT_ONCE, BROKER, TASK, celery, redis
from safepatch.monitor.workers.running import Runner

if BROKER not in os.environ:
    raise SystemExit(f"{BROKER} is not set; start workers by `safepatch monitor worker`")

app = celery(os.environ[BROKER])


@memoize()  # also for batches that come at the same time
def runner() -> Runner:
    """Made with the first batch, in the process and the hub that run it."""
    return Runner(redis(os.environ[BROKER]), at_once=int(os.environ.get(AT_ONCE, "100")))


@app.task(name=TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def check(batch: dict[str, Any]) -> None:
    """Check a batch, and send the results to who asked."""
    runner().answer(batch)
