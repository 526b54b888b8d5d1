"""Stripe's words in ours: whose events count, and what odd bodies become."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.adapters.payments.stripe_translation import Scope, error_of, is_final, payment_state, read_event, refund_state
from schemas.payment import Notice, NoticeIgnored, NoticeRefused, PaymentState, PaymentStatus, RefundStatus
from schemas.providers.stripe import Error, PaymentIntent, Refund

TEST_MODE = Scope(livemode=False)
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1999,
    "amount_received": 1999,
    "application": None,
    "currency": "cny",
    "status": "succeeded",
    "client_secret": "pi_1_secret_x",
    "livemode": False,
    "metadata": {"payment_id": "pay_1", "order_id": "ord_1", "user_id": "usr_1"},
    "a_field_of_next_year": {"nested": [1]},
}


def event(intent: dict[str, Any] | None = None, **changes: Any) -> bytes:
    body = {
        "id": "evt_1",
        "object": "event",
        "created": 1700000000,
        "livemode": False,
        "type": "payment_intent.succeeded",
        "data": {"object": intent or INTENT},
    }
    return msgspec.json.encode(body | changes)


def test_a_paid_event_is_read_whole() -> None:
    paid = PaymentState(
        payment_id="pay_1",
        status=PaymentStatus.PAID,
        provider_id="pi_1",
        order_id="ord_1",
        user_id="usr_1",
        amount=1999,
        currency="CNY",
    )
    assert read_event(event(), TEST_MODE) == Notice(event_id="evt_1", created_s=1700000000, about=paid)


@pytest.mark.parametrize(
    ("body", "scope"),
    [
        (event(account="acct_other"), TEST_MODE),
        (event(account="acct_other"), Scope(livemode=False, account="acct_ours")),
        (event(), Scope(livemode=False, account="acct_ours")),
        (event(livemode=True), TEST_MODE),
        (event(), Scope(livemode=True)),
        (event(INTENT | {"livemode": True}), TEST_MODE),
        (event(INTENT | {"application": "ca_other"}), TEST_MODE),
        (event(INTENT | {"application": "ca_other"}), Scope(livemode=False, application="ca_ours")),
    ],
)
def test_an_event_of_another_account_app_or_mode_is_refused(body: bytes, scope: Scope) -> None:
    refused = read_event(body, scope)
    assert isinstance(refused, NoticeRefused)
    assert refused.code == "payment_mismatch"


@pytest.mark.parametrize(
    "body",
    [
        event(INTENT | {"metadata": {}}),
        event(INTENT | {"metadata": {"order_id": "ord_1"}}),
        event(type="customer.created"),
        event({"id": "re_1", "amount": 1, "currency": "cny", "metadata": None}, type="refund.created"),
    ],
)
def test_a_genuine_event_of_no_concern_is_ignored(body: bytes) -> None:
    ignored = read_event(body, TEST_MODE)
    assert isinstance(ignored, NoticeIgnored)
    assert ignored.event_id == "evt_1"


def test_the_amount_received_is_told_and_not_the_amount_asked() -> None:
    notice = read_event(event(INTENT | {"amount_received": 1, "currency": "usd"}), TEST_MODE)
    assert isinstance(notice, Notice)
    assert isinstance(notice.about, PaymentState)
    assert (notice.about.amount, notice.about.currency) == (1, "USD")


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_a_body_that_cannot_be_read_is_refused_and_no_error(body: bytes) -> None:
    refused = read_event(body, TEST_MODE)
    assert isinstance(refused, NoticeRefused)
    assert refused.code == "malformed_body"
    assert error_of(body) == Error()


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5), lambda x: st.dictionaries(st.text(max_size=5), x)))
def test_a_signed_body_of_any_shape_is_a_value(thing: Any) -> None:
    told = read_event(event(thing if isinstance(thing, dict) and thing else {"x": thing}), TEST_MODE)
    assert isinstance(told, NoticeRefused)
    assert told.code == "malformed_body"


@pytest.mark.parametrize(
    ("wire", "ours"),
    [
        ("requires_payment_method", PaymentStatus.PENDING),
        ("requires_confirmation", PaymentStatus.PENDING),
        ("requires_action", PaymentStatus.PENDING),
        ("processing", PaymentStatus.PENDING),
        ("requires_capture", PaymentStatus.PENDING),
        ("succeeded", PaymentStatus.PAID),
        ("canceled", PaymentStatus.CLOSED),
        ("a_status_of_next_year", PaymentStatus.UNKNOWN),
    ],
)
def test_every_status_of_a_payment_has_one_meaning(wire: str, ours: PaymentStatus) -> None:
    assert payment_state(PaymentIntent(id="pi_1", amount=1, currency="cny", status=wire)).status is ours


@pytest.mark.parametrize(
    ("wire", "ours"),
    [
        ("pending", RefundStatus.PENDING),
        ("requires_action", RefundStatus.PENDING),
        ("succeeded", RefundStatus.DONE),
        ("failed", RefundStatus.FAILED),
        ("canceled", RefundStatus.FAILED),
        (None, RefundStatus.UNKNOWN),
        ("a_status_of_next_year", RefundStatus.UNKNOWN),
    ],
)
def test_every_status_of_a_refund_has_one_meaning(wire: str | None, ours: RefundStatus) -> None:
    assert refund_state(Refund(id="re_1", amount=1, currency="cny", status=wire)).status is ours


@pytest.mark.parametrize(
    ("status", "error", "final"),
    [
        (400, Error(type="invalid_request_error"), True),
        (402, Error(type="card_error"), True),
        (404, Error(type="invalid_request_error", code="resource_missing"), True),
        (400, Error(type="idempotency_error"), False),
        (400, Error(type="invalid_request_error", code="lock_timeout"), False),
        (400, Error(), False),
        (404, Error(), False),
        (401, Error(type="invalid_request_error"), False),
        (403, Error(type="invalid_request_error"), False),
        (409, Error(type="invalid_request_error"), False),
        (429, Error(type="invalid_request_error", code="rate_limit"), False),
        (500, Error(type="api_error"), False),
        (302, Error(), False),
        (0, Error(), False),
    ],
)
def test_only_an_answer_that_proves_no_effect_is_final(status: int, error: Error, final: bool) -> None:
    assert is_final(status, error) is final
