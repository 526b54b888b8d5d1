"""What an audit says."""

from typing import Final

import msgspec

FINDINGS_MAX: Final = 1000
"""Findings that are told one by one; where one thing is wrong everywhere, a thousand ids are enough to find it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not hold. ``promise``: its number in DESIGN.md; ``ids``: what it is about; ``text``: for a person."""

    promise: int
    ids: tuple[str, ...]
    text: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the books in one snapshot.

    ok: nothing was found. found: how many findings there are; at most ``FINDINGS_MAX`` of them are listed.
    counts: how much was looked at. in_flight: sagas that wait for somebody (open messages, orders being
    placed or closed, payments being opened) by age. oldest_s: the age of the oldest of them, in seconds.
    """

    ok: bool
    found: int
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    in_flight: dict[str, int]
    oldest_s: float


class Findings:
    """Collects what does not hold."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.count = 0

    def add(self, promise: int, text: str, *ids: str) -> None:
        """One more."""
        self.count += 1
        if len(self.listed) < FINDINGS_MAX:
            self.listed.append(Finding(promise=promise, ids=ids, text=text))
