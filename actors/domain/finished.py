"""What became of finished things, known for so long that every repeat of a command meets its first answer.

Two generations of a map, of which the elder is dropped whole: forgetting costs nothing per entry, and
each is kept for one to two times ``REMEMBER_MS``.
"""

from typing import Final, Protocol

REMEMBER_MS: Final = 7 * 86_400_000
"""As long as a command's id has its effect once (promise 3)."""


class Remembers(Protocol):
    """A state with two generations of outcomes (above 0) by id; ``done_since_ms``: when the younger one began (UTC)."""

    done: dict[bytes, int]
    done_before: dict[bytes, int]
    done_since_ms: int


def outcome_of(state: Remembers, name: bytes) -> int:
    """What became of it; 0 when it is not finished, or forgotten."""
    return state.done.get(name) or state.done_before.get(name) or 0


def remember(state: Remembers, name: bytes, outcome: int, at_ms: int) -> bool:
    """It has ended so. True when the elder generation was dropped."""
    forgot = forget(state, at_ms)
    state.done[name] = outcome
    return forgot


def forget(state: Remembers, at_ms: int) -> bool:
    """Drop the elder generation when the younger one is old enough; True when that was done."""
    if state.done_since_ms == 0:
        state.done_since_ms = at_ms
    elif at_ms - state.done_since_ms >= REMEMBER_MS:
        state.done_before, state.done, state.done_since_ms = state.done, {}, at_ms
        return True
    return False
