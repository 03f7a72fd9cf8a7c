"""What is tested: it asks a bank for rates, and waits before it asks again."""

from __future__ import annotations

import time
from time import monotonic


def fetch_rate(currency: str) -> float:
    """Ask the bank, which takes its time."""
    time.sleep(0.2)
    return {"EUR": 1.0, "NOK": 11.5}[currency]


class Exchange:
    def __init__(self, pause: float = 60.0) -> None:
        self.pause = pause
        self.asked = monotonic()

    def amount(self, euros: float, currency: str) -> float:
        return euros * fetch_rate(currency)

    def patient_amount(self, euros: float, currency: str) -> float:
        """The same, asking once more after a pause if the bank does not answer."""
        try:
            return self.amount(euros, currency)
        except OSError:
            time.sleep(self.pause)
            return self.amount(euros, currency)
