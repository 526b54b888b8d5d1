"""What one replica counts of its requests, for ``/metrics``."""

from collections import Counter
from typing import Final

BUCKETS_MS: Final = tuple(1 << power for power in range(14))


class HttpCounters:
    """Plain numbers. ``requests``: by route and status; ``refusals``: by problem code; ``times``: by route, one slot a bucket;
    ``messages``: to people, by channel and outcome."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.requests: Counter[tuple[str, int]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.times: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = {}
        self.sold_out_local = 0
        self.webhooks_refused = 0
        self.messages: Counter[tuple[str, str]] = Counter()
        self.events_accepted = self.events_too_old = self.events_without_consent = 0
        self.events_refused: Counter[str] = Counter()
        self.staff_refused: Counter[str] = Counter()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self.requests[(route, status)] += 1
        slots = self.times.get(route)
        if slots is None:
            slots = self.times[route] = [0] * (len(BUCKETS_MS) + 1)
            self.seconds[route] = 0.0
        self.seconds[route] += seconds
        slots[min(int(seconds * 1000).bit_length(), len(BUCKETS_MS))] += 1

    def text(self) -> str:
        """All of it in Prometheus' text format."""
        lines = ["# TYPE stampede_http_requests_total counter"]
        lines += [
            f'stampede_http_requests_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self.requests.items())
        ]
        lines.append("# TYPE stampede_http_refusals_total counter")
        lines += [f'stampede_http_refusals_total{{code="{code}"}} {count}' for code, count in sorted(self.refusals.items())]
        lines.append("# TYPE stampede_http_request_seconds histogram")
        for route in sorted(self.times):
            lines += self._histogram(route)
        lines += ["# TYPE stampede_http_in_flight gauge", f"stampede_http_in_flight {self.in_flight}"]
        lines += ["# TYPE stampede_http_sold_out_local_total counter", f"stampede_http_sold_out_local_total {self.sold_out_local}"]
        lines += ["# TYPE stampede_http_webhooks_refused_total counter", f"stampede_http_webhooks_refused_total {self.webhooks_refused}"]
        lines.append("# TYPE stampede_messages_total counter")
        lines += [
            f'stampede_messages_total{{channel="{channel}",outcome="{outcome}"}} {count}'
            for (channel, outcome), count in sorted(self.messages.items())
        ]
        lines.append("# TYPE stampede_http_staff_refused_total counter")
        lines += [f'stampede_http_staff_refused_total{{operation="{name}"}} {count}' for name, count in sorted(self.staff_refused.items())]
        return "\n".join(lines) + "\n"

    def _histogram(self, route: str) -> list[str]:
        name, below, lines = "stampede_http_request_seconds", 0, []
        for limit_ms, count in zip(BUCKETS_MS, self.times[route], strict=False):
            below += count
            lines.append(f'{name}_bucket{{route="{route}",le="{limit_ms / 1000}"}} {below}')
        total = sum(self.times[route])
        lines.append(f'{name}_bucket{{route="{route}",le="+Inf"}} {total}')
        lines.append(f'{name}_sum{{route="{route}"}} {self.seconds[route]:.6f}')
        lines.append(f'{name}_count{{route="{route}"}} {total}')
        return lines
