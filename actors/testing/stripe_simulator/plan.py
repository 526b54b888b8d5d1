"""What the simulator can be told to do: faults of its API, of its webhooks, and what customers do."""

from typing import Annotated, Literal

import msgspec

FaultKind = Literal["refuse", "break", "drop", "lose", "hang", "delay", "early_webhook"]
"""refuse: answer ``status``, nothing done or stored. break: do it, answer ``status``, and store that answer under the key.
drop: do it, then cut the connection. lose: cut the connection, nothing done. hang: do it, answer after ``seconds``.
delay: do nothing for ``seconds``, then go on. early_webhook: a created intent is paid and its webhooks are answered
before the create is."""

Operation = Literal["", "create", "retrieve", "list", "search", "cancel", "confirm", "refund", "list_refunds", "retrieve_refund"]
"""Which calls a fault is for; empty: any."""

Outcome = Literal["paid", "declined", "insufficient_funds", "requires_action", "processing"]
"""What becomes of a customer's try to pay."""

Times = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next ``times`` calls of ``operation`` go wrong."""

    kind: FaultKind
    operation: Operation = ""
    times: Times = 1
    status: int = 500
    seconds: Seconds = 0.0


class WebhookPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How events are delivered from now on.

    lose, forge, stale: so many next events are not sent; are sent with a wrong signature; with one an
    hour old. copies: each event goes out so often at once. hold: keep events until released. delay_s: wait first.
    """

    lose: int = 0
    forge: int = 0
    stale: int = 0
    copies: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    hold: bool = False
    delay_s: Seconds = 0.0


class Pay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer acts. ``payment``: the provider's id, or ours.

    amount: what is received instead of what was asked. force: also when the payment is closed or paid.
    """

    payment: str
    outcome: Outcome = "paid"
    amount: int | None = None
    force: bool = False


class AutoPay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Customers who pay by themselves, each after a random delay. Shares are of 1; seeded, so that a run repeats."""

    on: bool = True
    delay_ms_min: int = 200
    delay_ms_max: int = 2000
    decline_share: float = 0.0
    abandon_share: float = 0.0
    seed: int = 1


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deliver what was held, one after the other; ``reverse``: newest first."""

    reverse: bool = False


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver one event. ``status`` 0: no answer."""

    event_id: str
    type: str
    status: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator has seen. ``calls`` counts by operation; ``deliveries`` holds the last ones; ``held``: events kept back."""

    calls: dict[str, int]
    deliveries: list[Delivery]
    held: int
    lost: int
    open_faults: int
