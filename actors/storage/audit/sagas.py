"""What is under way: messages that were not answered yet, orders that are being placed or closed, payments being opened."""

from collections.abc import Iterator, Mapping
from typing import Final

from actors.domain.kinds import meta_decoder
from actors.domain.order_state import Order
from actors.storage.audit.history import Entity, Record
from actors.storage.audit.report import Findings

AGES: Final = ((1, "under a second"), (60, "under a minute"), (900, "under 15 minutes"))
OLDER: Final = "older"


class Waiting:
    """Something that waits for somebody, since when."""

    __slots__ = ("id", "key", "since_ms", "text")

    def __init__(self, key: str, waiting_id: str, text: str, since_ms: int) -> None:
        self.key = key
        self.id = waiting_id
        self.text = text
        self.since_ms = since_ms


class Sagas:
    """Collects open sends by their ids; ``steps`` are the open steps, which name their order."""

    def __init__(self) -> None:
        self.steps: set[str] = set()
        self.waiting: list[Waiting] = []
        self._open: dict[bytes, Waiting] = {}

    def before(self, entity: Entity, record: Record) -> None:
        """Nothing to see before."""

    def after(self, entity: Entity, record: Record, entities: Mapping[tuple[str, str], Entity]) -> None:
        """Sends open, acknowledgements close them."""
        if not record.meta:
            return
        meta = meta_decoder.decode(record.meta)
        for send in meta.sends:
            text = f"{record.kind} {record.key} waits for {send.kind} {send.key}: {send.step}"
            self._open[send.id] = Waiting(record.key, send.step, text, record.at_ms)
        for send_id in meta.acks:
            self._open.pop(send_id, None)

    def end(self, shard: int, entities: Mapping[tuple[str, str], Entity]) -> None:
        """What is still open at the shard's head."""
        self.waiting.extend(self._open.values())
        self.steps.update(waiting.id for waiting in self._open.values())
        self._open = {}
        for entity in entities.values():
            if entity.kind == "order":
                for item in (*entity.state.open.values(), *entity.state.closed.values()):
                    self.waiting.extend(_waits_of(entity.key, item))

    def check(self, findings: Findings, now_ms: int, limit_ms: int) -> tuple[dict[str, int], float]:
        """How many wait for how long, and the age of the oldest in seconds; an error past the limit."""
        ages = dict.fromkeys([name for _, name in AGES] + [OLDER], 0)
        oldest_s = 0.0
        for waiting in self.waiting:
            age_s = max(0.0, (now_ms - waiting.since_ms) / 1000)
            oldest_s = max(oldest_s, age_s)
            ages[next((name for limit_s, name in AGES if age_s < limit_s), OLDER)] += 1
            if age_s * 1000 > limit_ms:
                findings.add(6, f"{waiting.text}, for {age_s:.0f} s", waiting.key, waiting.id)
        return ages, oldest_s


def _waits_of(user_id: str, order: Order) -> Iterator[Waiting]:
    if order.status == "placing":
        yield Waiting(user_id, order.order_id, f"order {order.order_id} is being placed", order.placed_at_ms)
    if order.status == "closing":
        yield Waiting(user_id, order.order_id, f"order {order.order_id} is being closed", order.closing_since_ms)
    for payment in order.payments.values():
        if payment.status == "opening":
            yield Waiting(user_id, payment.payment_id, f"payment {payment.payment_id} is being opened", payment.started_at_ms)
