"""What the endpoints of one replica share."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from actors.domain.kinds import READS
from actors.domain.pseudonym import Pseudonyms
from actors.storage.addresses import Addresses
from actors.storage.catalogue import Catalogue
from actors.storage.categories import Categories
from actors.storage.desk_reads import DeskReads
from actors.storage.events.people import EventPeople
from actors.storage.events.spool import Spool, SpoolLimits
from actors.storage.factor_resets import FactorResets
from actors.storage.goods import Goods
from actors.storage.goods_reads import GoodsReads
from actors.storage.identities import Identities
from actors.storage.members import Members
from actors.storage.notices import Notices
from actors.storage.oauth_flows import OAuthFlows
from actors.storage.orders import Orders
from actors.storage.outgoing_messages import OutgoingMessages
from actors.storage.passkeys import Passkeys
from actors.storage.payouts import Payouts
from actors.storage.privacy import Privacy
from actors.storage.staff import Staff
from actors.storage.staff_actions import StaffActions
from actors.storage.user_keys import UserKeys
from actors.storage.users import Users
from schemas.envelope import Answer
from serve.authentication import Authentication
from serve.catalogue_facts import CatalogueFacts
from serve.codes import Codes
from serve.cookies import Cookies
from serve.event_consent import EventChoices
from serve.login_guard import LoginGuard
from serve.login_pages import LoginPages
from serve.news import News
from serve.passwords import Passwords
from serve.rates import Rate
from serve.requests import Refusal, Request
from serve.revocations import Revocations
from serve.services import Services
from serve.soldout import SoldOut

LOGINS_PER_S: Final = 0.2
LOGINS_BURST: Final = 10
"""Tries of one account: guessing a password at this pace outlives the account."""

ADDRESS_LOGINS_PER_S: Final = 2
ADDRESS_LOGINS_BURST: Final = 40
"""Tries of one address, which may be a school's or an office's."""


ONCE: Final = b"once"


class Desk:
    """One a replica."""

    def __init__(self, services: Services) -> None:
        clock = services.clock
        self.services = services
        self.settings = services.settings
        self.clock = clock
        self.client = services.client
        self.news = News(clock, services.redis)
        self.revocations = Revocations(clock, services.pool, self.news, services.settings.access_token_s)
        self.authentication = Authentication(services.token_keys, self.revocations)
        self.cookies = Cookies(services.settings)
        self.facts = CatalogueFacts(services.facts, clock)
        self.sold_out = SoldOut(services.client, clock, self.new_id)
        self.passwords = Passwords(services.settings.login_threads)
        self.login_guard = LoginGuard(clock.now_ms, services.settings.login_threads, services.login_tries)
        self.cart_changed: Callable[[str], None] = lambda holder: None
        self.sealer = services.sealer
        self.identities = Identities(services.pool, services.sealer)
        self.users = Users(services.pool, self.identities)
        self.oauth_flows = OAuthFlows(services.pool)
        self.login_pages = LoginPages(services.settings)
        self.passkeys = Passkeys(services.pool)
        self.orders = Orders(services.pool)
        self.members = Members(services.pool)
        self.catalogue = Catalogue(services.pool)
        self.outgoing = OutgoingMessages(services.pool)
        self.notices = Notices(services.pool)
        self.factor_resets = FactorResets(services.pool)
        self.codes = Codes(self)
        limits = SpoolLimits(spool_bytes_max=self.settings.events_spool_bytes_max, free_bytes_min=self.settings.events_free_bytes_min)
        self.spool = Spool(self.settings.events_spool_path, limits)
        self.event_people = EventPeople(services.pool, Pseudonyms(services.client.sharding.derived_key("events")))
        self.event_choices = EventChoices(self.event_people, clock)
        self.roles = Staff(services.pool)
        self.goods = Goods(services.pool)
        self.goods_reads = GoodsReads(services.pool)
        self.categories = Categories(services.pool, self.roles)
        # Which of these images there are, said by whoever keeps them. Without it documents may name any.
        self.known_images: Callable[[list[str]], Awaitable[frozenset[str]]] | None = None
        self.payouts = Payouts(services.pool, services.sealer, self.roles)
        self.staff_actions = StaffActions(services.pool)
        self.privacy = Privacy(services.pool, services.sealer)
        self.lookups = DeskReads(services.pool)
        self.addresses = Addresses(services.pool, services.sealer)
        self.user_keys = UserKeys(services.pool, services.sealer, services.random_bytes)
        self.user_rate = Rate(clock.monotonic_ms, services.settings.rate_user_per_s, services.settings.rate_user_per_s * 10)
        self.ticket_rates: dict[str, tuple[int, Rate]] = {}
        self.account_logins = Rate(clock.monotonic_ms, LOGINS_PER_S, LOGINS_BURST)
        self.address_logins = Rate(clock.monotonic_ms, ADDRESS_LOGINS_PER_S, ADDRESS_LOGINS_BURST)

    def check_login_tries(self, head: Request, account: str = "") -> None:
        """Refusal ``rate_limited`` when this address, or this account, tried to log in too often."""
        peer = head.address(self.settings.forwarded_hops)
        if (peer and not self.address_logins.take(peer)) or (account and not self.account_logins.take(account)):
            raise Refusal("rate_limited", {"retry_after_s": 5})

    def new_id(self) -> bytes:
        """Sixteen random bytes: the id of a command that nobody repeats."""
        return self.services.random_bytes(16)

    async def ask(self, kind: str, key: str, command: Any, *, command_id: bytes = b"", digest: bytes = b"") -> Answer:
        """Ask an entity within the request's deadline.

        The client asks again by itself when an answer is late or lost. So that a change is one change then, its owner must know
        the command again: without a digest of the caller's it gets one.
        """
        if not digest and type(command) not in READS:
            digest = ONCE
        deadline_ms = self.clock.now_ms() + self.settings.request_deadline_ms
        return await self.client.ask(kind, key, command, command_id=command_id or self.new_id(), digest=digest, deadline_ms=deadline_ms)

    async def told(self, kind: str, key: str, command: Any, *, command_id: bytes = b"", digest: bytes = b"") -> Any:
        """The reply of an entity. Refusal with its code when it says no."""
        answer = await self.ask(kind, key, command, command_id=command_id, digest=digest)
        if answer.code:
            raise Refusal(answer.code, answer.params)
        return answer.reply
