"""Beyond one machine: checks made by workers, in one place or in several that have to agree.

Workers are processes of Celery, which get batches of endpoints through Redis; a monitor sends the
batches, takes what comes back, and makes the verdicts. Needs the extra `workers`.
"""

from safepatch.monitor.workers.serving import command, serve
from safepatch.monitor.workers.vantages import Vantages

__all__ = ["Vantages", "command", "serve"]
