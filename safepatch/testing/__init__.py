"""Find out what a decorator assumes about the functions it is put on."""

from safepatch.testing.checking import NotTransparent, check_transparent, findings
from safepatch.testing.findings import Finding
from safepatch.testing.promises import PROMISES

__all__ = ["PROMISES", "Finding", "NotTransparent", "check_transparent", "findings"]
