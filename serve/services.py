"""What the HTTP application needs of the world. Made once a replica, handed down; nothing here is global."""

import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from actors.adapters.oauth.offered import Logins
from actors.client.client import Client
from actors.domain.signing import SigningKeys
from actors.ports.clock import Clock
from actors.ports.messages import EmailSender, SmsSender
from actors.ports.payments import PaymentGateway
from actors.ports.peers import FactSource
from actors.ports.transport import Directory
from actors.storage.probe import Probe
from actors.storage.sealing import Sealer
from schemas.settings import Settings
from serve.counters import HttpCounters
from serve.login_tries import LoginTries


async def _none() -> str:
    return ""


@dataclass(slots=True, kw_only=True, frozen=True)
class Services:
    """pool: an asyncpg pool, for tables. probe: whether the database answers, without the pool.
    redis: a ``redis.asyncio`` client or None; it only makes news faster.

    sealer: what personal fields are sealed with. logins: the third parties that say who somebody is.

    facts: prices, sales, coupons. directory: which shards have an owner, for readiness.
    login_tries: what all replicas of a node hold against networks that logins come from.
    host_metrics: further lines for ``/metrics``. sms, email: who carries messages; without them the development outbox,
    where that stands.
    """

    settings: Settings
    clock: Clock
    client: Client
    directory: Directory
    facts: FactSource
    pool: Any
    probe: Probe
    gateway: PaymentGateway
    token_keys: SigningKeys
    ticket_keys: SigningKeys
    sealer: Sealer
    logins: Logins = field(default_factory=Logins)
    redis: Any = None
    sms: SmsSender | None = None
    email: EmailSender | None = None
    login_tries: LoginTries = field(default_factory=LoginTries.alone)
    counters: HttpCounters = field(default_factory=HttpCounters)
    rng: random.Random = field(default_factory=lambda: random.Random(os.urandom(16)))
    random_bytes: Callable[[int], bytes] = os.urandom
    host_metrics: Callable[[], Awaitable[str]] = _none
