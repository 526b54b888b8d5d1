"""Stripe behind the payment port: PaymentIntents and Refunds over aiohttp.

Two facts of the API shape this file. Creating under the same ``Idempotency-Key`` answers for 24
hours with the *first* answer, also with a 500, so that a replayed body is old and is followed by a
retrieve. And searching is behind by up to an hour, so that it may find a payment but never proves
that there is none. https://docs.stripe.com/api/idempotent_requests, https://docs.stripe.com/search
"""

from collections.abc import Mapping, Sequence
from typing import Final, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from actors.adapters.payments import stripe_signature
from actors.adapters.payments.stripe_translation import (
    CURRENCIES_REFUSED,
    Scope,
    error_of,
    is_final,
    payment_form,
    payment_state,
    read_event,
    reason_of,
    refund_form,
    refund_state,
    search_query,
)
from schemas.payment import (
    NoSuchPayment,
    NoSuchRefund,
    Notice,
    NoticeIgnored,
    NoticeRefused,
    PaymentRequest,
    PaymentState,
    PaymentStatus,
    RefundRequest,
    RefundState,
    RefundStatus,
)
from schemas.providers.stripe import PaymentIntent, PaymentIntentList, RefundList
from schemas.providers.stripe import Refund as WireRefund

API_URL: Final = "https://api.stripe.com"
API_VERSION: Final = "2026-10-28.endive"
"""Sent with every call: an account's default may change under us, this does not."""

TIMEOUT_S: Final = 10.0
"""Of a whole call, waiting for a connection included; a create usually takes under a second."""

CONNECTIONS_MAX: Final = 32
"""Open connections to the provider: 25 calls a second is its limit in test mode, 100 in live mode."""

ANSWER_BYTES_MAX: Final = 1 << 20
"""A page of a hundred refunds is ~100 KB."""

_PAGE: Final = 100
_BEST_FIRST: Final = (PaymentStatus.PAID, PaymentStatus.UNKNOWN, PaymentStatus.PENDING, PaymentStatus.CLOSED, PaymentStatus.FAILED)
_Body = TypeVar("_Body")


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP answer. ``replayed``: it is the stored first answer to this key. ``status`` 0: no answer, ``lost`` says why."""

    status: int
    body: bytes = b""
    replayed: bool = False
    lost: str = ""

    def read(self, kind: type[_Body]) -> _Body | None:
        """The body as ``kind``; None when the answer is no success or cannot be read."""
        if self.status != 200:
            return None
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError:
            return None

    def final(self) -> bool:
        return is_final(self.status, error_of(self.body))

    def reason(self) -> str:
        return self.lost or reason_of(self.status, error_of(self.body))


class StripeGateway:
    """Implements ``actors.ports.payments.PaymentGateway``. Holds connections and no state of payments.

    webhook_secrets: all that are valid now; two while one is being rolled. Use as an async context
    manager, or ``close`` it.
    """

    def __init__(
        self,
        *,
        api_key: str,
        webhook_secrets: Sequence[str],
        base_url: str = API_URL,
        timeout_s: float = TIMEOUT_S,
        tolerance_s: int = stripe_signature.TOLERANCE_S,
        account: str | None = None,
        application: str | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._webhook_secrets = tuple(webhook_secrets)
        self._tolerance_s = tolerance_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._headers = {"Authorization": f"Bearer {api_key}", "Stripe-Version": API_VERSION}
        if account:
            self._headers["Stripe-Account"] = account
        self._scope = Scope(livemode=api_key.startswith(("sk_live_", "rk_live_")), account=account, application=application)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. A later call opens them anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def create(self, request: PaymentRequest) -> PaymentState:
        """See the port."""
        if request.currency in CURRENCIES_REFUSED:
            return _payment(request.payment_id, PaymentStatus.FAILED, "currency_unsupported")
        reply = await self._call("POST", "/v1/payment_intents", form=payment_form(request), key=request.payment_id)
        intent = reply.read(PaymentIntent)
        if intent is not None:
            state = await self._retrieve(request.payment_id, intent.id) if reply.replayed else payment_state(intent)
            return _expected(request, state)
        if reply.final():
            return _payment(request.payment_id, PaymentStatus.FAILED, reply.reason())
        stuck = (reply.replayed and reply.status >= 500) or error_of(reply.body).type == "idempotency_error"
        if not stuck or reply.status == 409:
            return _payment(request.payment_id, PaymentStatus.UNKNOWN, reply.reason())
        # This key will answer so for a day. If there is an intent, nobody was given its secret.
        return _expected(request, await self._search(request.payment_id), reply.reason())

    async def lookup(self, payment_id: str, provider_id: str = "") -> PaymentState | NoSuchPayment:
        """See the port."""
        return await (self._retrieve(payment_id, provider_id) if provider_id else self._search(payment_id))

    async def cancel(self, request: PaymentRequest, provider_id: str = "") -> PaymentState:
        """See the port. No idempotency key: cancelling is idempotent, and a stored "not now" would be answered for a day."""
        if not provider_id:
            # Takes the key, so that a create still under way finds this one, closed.
            opened = await self.create(request)
            if opened.status is not PaymentStatus.PENDING:
                return opened
            provider_id = opened.provider_id
        path = f"/v1/payment_intents/{quote(provider_id, safe='')}/cancel"
        reply = await self._call("POST", path, form={"cancellation_reason": "abandoned"})
        intent = reply.read(PaymentIntent) or error_of(reply.body).payment_intent
        if intent is not None and intent.metadata.get("payment_id") == request.payment_id:
            return payment_state(intent)
        return _payment(request.payment_id, PaymentStatus.UNKNOWN, reply.reason())

    async def refund(self, request: RefundRequest) -> RefundState:
        """See the port. Asks first: a key is forgotten after a day, a refund is not."""
        found = await self.lookup_refund(request)
        if isinstance(found, RefundState):
            return found
        reply = await self._call("POST", "/v1/refunds", form=refund_form(request), key=request.refund_id)
        refund = reply.read(WireRefund)
        if refund is not None:
            return refund_state(refund)
        return _refund(request, RefundStatus.FAILED if reply.final() else RefundStatus.UNKNOWN, reply.reason())

    async def lookup_refund(self, request: RefundRequest) -> RefundState | NoSuchRefund:
        """See the port."""
        reply = await self._call("GET", "/v1/refunds", query={"payment_intent": request.provider_id, "limit": str(_PAGE)})
        page = reply.read(RefundList)
        if page is None:
            return NoSuchRefund(refund_id=request.refund_id) if reply.final() else _refund(request, RefundStatus.UNKNOWN, reply.reason())
        states = [refund_state(refund) for refund in page.data]
        ours = [state for state in states if state.refund_id == request.refund_id]
        if ours:
            return ours[0]
        if page.has_more:
            return _refund(request, RefundStatus.UNKNOWN, "more refunds than a page")
        return NoSuchRefund(refund_id=request.refund_id)

    def parse_notice(self, headers: Mapping[str, str], body: bytes, now_s: int) -> Notice | NoticeIgnored | NoticeRefused:
        """See the port."""
        header = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), None)
        refused = stripe_signature.verify(header, body, self._webhook_secrets, now_s, self._tolerance_s)
        return refused or read_event(body, self._scope)

    async def _retrieve(self, payment_id: str, provider_id: str) -> PaymentState | NoSuchPayment:
        reply = await self._call("GET", f"/v1/payment_intents/{quote(provider_id, safe='')}")
        intent = reply.read(PaymentIntent)
        if intent is not None:
            state = payment_state(intent)
            return state if state.payment_id == payment_id else NoSuchPayment(payment_id=payment_id)
        if reply.final():
            return NoSuchPayment(payment_id=payment_id)
        return _payment(payment_id, PaymentStatus.UNKNOWN, reply.reason(), provider_id)

    async def _search(self, payment_id: str) -> PaymentState | NoSuchPayment:
        """The index names the intents, but is old: each is retrieved. The one with money, or that might have it, is the answer."""
        reply = await self._call("GET", "/v1/payment_intents/search", query={"query": search_query(payment_id), "limit": "10"})
        page = reply.read(PaymentIntentList)
        if page is None:
            return _payment(payment_id, PaymentStatus.UNKNOWN, reply.reason())
        found = [await self._retrieve(payment_id, intent.id) for intent in page.data]
        states = [state for state in found if isinstance(state, PaymentState)]
        return min(states, key=lambda state: _BEST_FIRST.index(state.status), default=NoSuchPayment(payment_id=payment_id))

    async def _call(
        self, method: str, path: str, *, form: dict[str, str] | None = None, query: dict[str, str] | None = None, key: str = ""
    ) -> _Reply:
        """One call, one try. Whatever the network does is a value."""
        headers = {**self._headers, "Idempotency-Key": key} if key else self._headers
        try:
            session = self._connected()
            request = session.request(method, self._base_url + path, data=form, params=query, headers=headers, allow_redirects=False)
            async with request as response:
                body = await response.content.read(ANSWER_BYTES_MAX)
                while len(body) < ANSWER_BYTES_MAX and (more := await response.content.read(ANSWER_BYTES_MAX - len(body))):
                    body += more
                return _Reply(status=response.status, body=body, replayed=response.headers.get("Idempotent-Replayed") == "true")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _Reply(status=0, lost=type(error).__name__)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Cookies would tie calls together; nothing here has a use for them.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX), timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _expected(request: PaymentRequest, state: PaymentState | NoSuchPayment, reason: str = "no_such_payment") -> PaymentState:
    """What ``create`` may answer: never a payment to be paid with another amount than asked."""
    if isinstance(state, NoSuchPayment):
        return _payment(request.payment_id, PaymentStatus.FAILED, reason)
    if state.status is PaymentStatus.PENDING and (state.amount, state.currency) != (request.amount, request.currency):
        return _payment(request.payment_id, PaymentStatus.FAILED, "amount_differs", state.provider_id)
    return state


def _payment(payment_id: str, status: PaymentStatus, reason: str, provider_id: str = "") -> PaymentState:
    return PaymentState(payment_id=payment_id, status=status, reason=reason, provider_id=provider_id)


def _refund(request: RefundRequest, status: RefundStatus, reason: str) -> RefundState:
    return RefundState(refund_id=request.refund_id, payment_id=request.payment_id, status=status, reason=reason)
