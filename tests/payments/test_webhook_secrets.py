"""While a webhook secret is rolled, what was signed with any of those that are set is believed."""

import pytest

from actors.adapters.payments.stripe_signature import sign
from actors.runtime.assembly import gateway_of
from schemas.payment import NoticeRefused
from schemas.settings import from_environment

BODY = b'{"id":"evt_1","object":"event","type":"charge.captured","created":100,"livemode":false,"data":{"object":{}}}'


@pytest.mark.parametrize(
    ("given", "secrets"),
    [
        ("whsec_a", ("whsec_a",)),
        ("whsec_new,whsec_old", ("whsec_new", "whsec_old")),
        (" whsec_new , whsec_old ,", ("whsec_new", "whsec_old")),
        ("", ()),
    ],
)
def test_secrets_are_separated_by_commas(given: str, secrets: tuple[str, ...]) -> None:
    assert from_environment({"STAMPEDE_STRIPE_WEBHOOK_SECRET": given}).stripe_webhook_secrets == secrets


@pytest.mark.parametrize(
    ("secret", "believed"), [("whsec_new", True), ("whsec_old", True), ("whsec_new,whsec_old", False), ("whsec_other", False), ("", False)]
)
async def test_a_notice_is_believed_when_it_is_signed_with_one_of_the_secrets(secret: str, believed: bool) -> None:
    gateway = gateway_of(from_environment({"STAMPEDE_STRIPE_WEBHOOK_SECRET": "whsec_new,whsec_old"}))
    told = gateway.parse_notice({"Stripe-Signature": sign(BODY, secret, 100)}, BODY, 100)
    assert (isinstance(told, NoticeRefused) and told.code == "signature_invalid") != believed
    await gateway.close()
