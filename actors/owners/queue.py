"""Commands that wait for a place in a batch: bounded, and fair between crowds."""

from collections import deque

from actors.domain.kinds import KINDS
from actors.owners.turns import Incoming


class FairQueue:
    """One line for each crowd; the lines take turns, so that whoever wants what few want waits for no crowd.

    ``count`` is how many wait. At most ``size_max`` of them, and beside them of each line what is left of its equal
    share: a crowd that fills the queue keeps nobody else out. Together that is at most twice ``size_max``.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._lines: dict[str, deque[Incoming]] = {}
        self._turns: deque[str] = deque()
        self.count = 0

    def add(self, call: Incoming) -> bool:
        """False when there is no room for one more of this crowd. What comes from inside (without a digest) always has room."""
        kind = KINDS.get(call.kind)
        name = kind.crowd(call.key, call.command) if kind is not None else call.key
        line = self._lines.get(name)
        if call.digest and self.count >= self._size_max and not self._has_share(line):
            return False
        if line is None:
            line = self._lines[name] = deque()
            self._turns.append(name)
        line.append(call)
        self.count += 1
        return True

    def _has_share(self, line: "deque[Incoming] | None") -> bool:
        lines = len(self._lines) + (line is None)
        return self.count < 2 * self._size_max and (len(line) if line is not None else 0) < self._size_max // lines

    def pop(self) -> Incoming:
        """The next one. IndexError when nobody waits."""
        name = self._turns.popleft()
        line = self._lines[name]
        call = line.popleft()
        self.count -= 1
        if line:
            self._turns.append(name)
        else:
            del self._lines[name]
        return call

    def __len__(self) -> int:
        return self.count
