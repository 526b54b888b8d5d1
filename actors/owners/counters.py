"""What a host counts, for ``status`` and ``/metrics``."""

from collections import Counter


class Counters:
    """Plain numbers; reading them costs the owner nothing. Names are those of the metrics."""

    def __init__(self) -> None:
        self.commands = 0
        self.turns = 0
        self.records = 0
        self.flushes = 0
        self.flush_ms_total = 0.0
        self.flush_ms_max = 0.0
        self.batch_commands_max = 0
        self.fenced = 0
        self.unknown = 0
        self.storage_full = 0
        self.takeovers = 0
        self.activations = 0
        self.passivations = 0
        self.snapshots = 0
        self.reminders = 0
        self.sends = 0
        self.send_retries = 0
        self.poisoned = 0
        self.plans_direct = 0
        self.plans_staged = 0
        self.refusals: Counter[str] = Counter()
        self.flush_sizes: Counter[int] = Counter()
        self.flush_times: Counter[int] = Counter()

    def flushed(self, rows: int, commands: int, took_ms: float) -> None:
        """One flush was committed. Sizes and times are kept by powers of two."""
        self.flushes += 1
        self.records += rows
        self.flush_ms_total += took_ms
        self.flush_ms_max = max(self.flush_ms_max, took_ms)
        self.batch_commands_max = max(self.batch_commands_max, commands)
        self.flush_sizes[1 << (rows - 1).bit_length() if rows else 0] += 1
        self.flush_times[1 << int(took_ms).bit_length()] += 1

    def as_dict(self) -> dict[str, object]:
        """All of it, ready for JSON."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}
