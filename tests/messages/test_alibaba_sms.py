"""Alibaba Cloud SMS: its published signature, what its answers prove, and a simulator that believes nobody."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from actors.adapters.sms.alibaba import AlibabaSms, parse_templates, read_answer
from actors.adapters.sms.alibaba_signature import canonical_query, canonical_request, signed_headers
from actors.domain import messages
from actors.testing.sms_simulator.control import SmsControl
from actors.testing.sms_simulator.plan import Delivered, Fault
from actors.testing.sms_simulator.server import Options, Simulator, serving
from schemas.messages import NotSent, Outcome, Sent, SmsMessage, Unknown

VECTOR = json.loads((Path(__file__).parent / "vectors" / "alibaba_v3_run_instances.json").read_text())
PARAMS = {"code": "042871", "minutes": "10"}
OPTIONS = Options()


class Clock:
    """The real day, moved by ``ahead_s``."""

    ahead_s = 0.0

    def now_s(self) -> float:
        return time.time() + self.ahead_s

    def now_ms(self) -> int:
        return int(self.now_s() * 1000)

    def monotonic_ms(self) -> float:
        return time.monotonic() * 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def message(to: str = "+8613800138000", template: str = "code", language: str = "zh-CN") -> SmsMessage:
    return messages.sms(template, message_id="chl_1", to=to, language=language, params=PARAMS | {"at": "now", "left": "1"})


def sender(url: str, **more: Any) -> AlibabaSms:
    options = {
        "clock": Clock(), "key_id": OPTIONS.key_id, "secret": OPTIONS.secret, "sign_name": OPTIONS.sign_name,
        "templates": {"code": "SMS_1", "code.en": "SMS_2"}, "url": url,
    }  # fmt: skip
    return AlibabaSms(**(options | more))


@pytest.fixture
async def simulator() -> AsyncIterator[tuple[str, Simulator]]:
    async with serving(OPTIONS) as found:
        yield found


# --- the signature ---------------------------------------------------------------------------------


def test_the_published_example_has_the_published_signature() -> None:
    query = canonical_query(VECTOR["query"])
    headers = signed_headers(
        key_id=VECTOR["key_id"], secret=VECTOR["secret"], host=VECTOR["host"], action=VECTOR["action"], version=VECTOR["version"],
        query=query, date=VECTOR["date"], nonce=VECTOR["nonce"],
    )  # fmt: skip
    assert headers["Authorization"] == VECTOR["authorization"]


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"b": "1", "a": "2", "B": "3"}, "B=3&a=2&b=1"),
        ({"a": " *~+/=&%"}, "a=%20%2A~%2B%2F%3D%26%25"),
        ({"签名": "中"}, "%E7%AD%BE%E5%90%8D=%E4%B8%AD"),
        ({"a": ""}, "a="),
        ({}, ""),
    ],
)
def test_a_query_is_sorted_and_encoded_as_the_signature_wants_it(params: dict[str, str], query: str) -> None:
    assert canonical_query(params) == query


def test_only_the_headers_of_the_signature_are_signed_in_their_order() -> None:
    request, names = canonical_request("POST", "a=b", {"x-acs-b": " 2 ", "accept": "x", "host": "h", "content-type": "t"}, "0" * 64)
    assert names == "content-type;host;x-acs-b"
    assert request == "POST\n/\na=b\ncontent-type:t\nhost:h\nx-acs-b:2\n\ncontent-type;host;x-acs-b\n" + "0" * 64


# --- what answers prove ----------------------------------------------------------------------------


def body(code: str) -> bytes:
    return json.dumps({"Code": code, "Message": "m", "RequestId": "R", "BizId": "B", "Unheard": 1}).encode()


@pytest.mark.parametrize(
    ("status", "code", "reason", "again"),
    [
        (200, "isv.BUSINESS_LIMIT_CONTROL", "limited", False),
        (200, "isv.DAY_LIMIT_CONTROL", "limited", False),
        (200, "isv.MOBILE_NUMBER_ILLEGAL", "recipient", False),
        (200, "isv.AMOUNT_NOT_ENOUGH", "account", False),
        (200, "isv.SMS_TEMPLATE_ILLEGAL", "refused", False),
        (200, "isv.SOMETHING_NEW", "refused", False),
        (200, "isp.RAM_PERMISSION_DENY", "credentials", False),
        (400, "SignatureDoesNotMatch", "credentials", False),
        (404, "InvalidAccessKeyId.NotFound", "credentials", False),
        (400, "InvalidTimeStamp.Expired", "credentials", False),
        (400, "Throttling.User", "overloaded", True),
        (503, "Throttling", "overloaded", True),
        (404, "InvalidAction.NotFound", "refused", False),
    ],
)
def test_a_refusal_proves_that_nothing_was_sent(status: int, code: str, reason: str, again: bool) -> None:
    outcome = read_answer(status, body(code))
    assert outcome == NotSent(reason=reason, again=again, detail=f"{code}: m (R)")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "data"),
    [(200, body("isp.SYSTEM_ERROR")), (500, body("InternalError")), (503, body("ServiceUnavailable")), (400, body("SignatureNonceUsed")),
     (500, body("OK")), (502, b"<html>"), (200, b""), (200, b"[]"), (200, b'{"Message": "OK"}'), (200, b"\xff\xfe")],
)  # fmt: skip
def test_what_proves_nothing_is_unknown(status: int, data: bytes) -> None:
    assert isinstance(read_answer(status, data), Unknown)


def test_no_number_of_a_phone_is_in_what_is_logged() -> None:
    outcome = read_answer(200, json.dumps({"Code": "isv.MOBILE_NUMBER_ILLEGAL", "Message": "13800138000invalid mobile number"}).encode())
    assert isinstance(outcome, NotSent)
    assert outcome.detail == "isv.MOBILE_NUMBER_ILLEGAL: …invalid mobile number ()"


def test_an_ok_is_sent() -> None:
    assert read_answer(200, body("OK")) == Sent(provider_id="B")


# --- the wire --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "language", "phone", "template"),
    [("+8613800138000", "zh-CN", "13800138000", "SMS_1"), ("+85261234567", "en", "85261234567", "SMS_2"),
     ("+12015550123", "zh-CN", "12015550123", "SMS_1")],
)  # fmt: skip
async def test_the_phone_gets_template_and_parameters(simulator: Any, to: str, language: str, phone: str, template: str) -> None:
    url, behind = simulator
    alibaba = sender(url)
    outcome = await alibaba.send(message(to, language=language))
    await alibaba.close()
    [got] = behind.delivered
    assert outcome == Sent(provider_id=got.biz_id)
    assert got == Delivered(
        phone=phone, sign_name="Stampede", template_code=template, params=PARAMS, out_id="chl_1", biz_id=got.biz_id
    )  # fmt: skip


async def test_a_template_without_a_code_of_the_provider_costs_no_call(simulator: Any) -> None:
    url, behind = simulator
    outcome = await sender(url).send(message(template="password_changed"))
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.again, behind.calls) == ("not_configured", False, 0)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"secret": "another"}, "SignatureDoesNotMatch"),
        ({"key_id": "LTAI_other"}, "InvalidAccessKeyId.NotFound"),
        ({"sign_name": "Somebody"}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"templates": {"code": "SMS_9"}}, "isv.SMS_TEMPLATE_ILLEGAL"),
    ],
)
async def test_f66_the_simulator_refuses_a_forged_signature_and_what_is_not_the_account_s(
    simulator: Any, more: dict[str, Any], code: str
) -> None:
    url, behind = simulator
    alibaba = sender(url, **more)
    outcome = await alibaba.send(message())
    await alibaba.close()
    assert isinstance(outcome, NotSent)
    assert outcome.detail.startswith(code)
    assert (dict(behind.answers), list(behind.delivered)) == ({code: 1}, [])


async def post(url: str, query: str, headers: dict[str, str]) -> str:
    """The code of an answer to a call that was made by hand."""
    async with aiohttp.ClientSession() as session:
        target = URL(f"{url}/?{query}", encoded=True)
        async with session.post(target, headers=headers, skip_auto_headers=("Content-Type",)) as answer:
            return (await answer.json())["Code"]


def by_hand(url: str, params: dict[str, str] | None = None, *, nonce: str = "n1", at_s: float | None = None) -> tuple[str, dict[str, str]]:
    """A call as the adapter makes it, to be tampered with."""
    fields = {"PhoneNumbers": "13800138000", "SignName": "Stampede", "TemplateCode": "SMS_1", "TemplateParam": json.dumps(PARAMS)}
    query = canonical_query(fields | (params or {}))
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s if at_s is not None else time.time()))
    headers = signed_headers(
        key_id=OPTIONS.key_id, secret=OPTIONS.secret, host=url.removeprefix("http://"), action="SendSms", version="2017-05-25",
        query=query, date=date, nonce=nonce,
    )  # fmt: skip
    return query, headers


async def test_the_simulator_believes_a_call_once_fresh_and_as_it_was_signed(simulator: Any) -> None:
    url, behind = simulator
    query, headers = by_hand(url)
    assert await post(url, query.replace("13800138000", "13900139000"), headers) == "SignatureDoesNotMatch"
    assert await post(url, query, headers | {"x-acs-extra": "1"}) == "SignatureDoesNotMatch"
    assert await post(url, query, headers | {"x-acs-action": "QuerySendDetails"}) == "SignatureDoesNotMatch"
    assert await post(url, query, {name: value for name, value in headers.items() if name != "Authorization"}) == "IncompleteSignature"
    assert await post(url, *by_hand(url, nonce="n2", at_s=time.time() - 1000)) == "InvalidTimeStamp.Expired"
    assert list(behind.delivered) == []
    assert await post(url, query, headers) == "OK"
    assert await post(url, query, headers) == "SignatureNonceUsed"
    assert len(behind.delivered) == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"PhoneNumbers": "12345"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"PhoneNumbers": "+8613800138000"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"TemplateParam": "{"}, "isv.INVALID_JSON_PARAM"),
        ({"TemplateParam": '{"code": 1}'}, "isv.INVALID_JSON_PARAM"),
        ({"Unheard": "1"}, "isv.INVALID_PARAMETERS"),
    ],
)
async def test_the_simulator_is_as_strict_about_parameters_as_the_provider(simulator: Any, params: dict[str, str], code: str) -> None:
    url, _ = simulator
    assert await post(url, *by_hand(url, params)) == code


@pytest.mark.parametrize(
    ("fault", "kind", "arrived"),
    [
        (Fault(kind="refuse", status=503, code="ServiceUnavailable"), Unknown, 0),
        (Fault(kind="break"), Unknown, 1),
        (Fault(kind="garble"), Unknown, 1),
        (Fault(kind="drop"), Unknown, 1),
        (Fault(kind="lose"), Unknown, 0),
        (Fault(kind="hang", seconds=0.3), Unknown, 1),
        (Fault(kind="delay", seconds=0.01), Sent, 1),
        (Fault(kind="duplicate"), Sent, 2),
    ],
)
@pytest.mark.slow
async def test_whatever_goes_wrong_is_a_value(simulator: Any, fault: Fault, kind: type[Outcome], arrived: int) -> None:
    url, behind = simulator
    async with SmsControl(url) as control:
        await control.fault(fault)
        alibaba = sender(url, timeout_s=0.15)
        assert isinstance(await alibaba.send(message()), kind)
        assert isinstance(await alibaba.send(message()), Sent)
        await alibaba.close()
        assert len((await control.report()).delivered) == arrived + 1
        await control.reset()
        assert behind.calls == 0


async def test_the_simulator_can_limit_as_the_provider_does() -> None:
    clock = Clock()
    async with serving(Options(limits=True), now_s=clock.now_s) as (url, _):
        alibaba = sender(url, clock=clock)
        assert isinstance(await alibaba.send(message()), Sent)
        refused = await alibaba.send(message())
        assert isinstance(refused, NotSent)
        assert refused.reason == "limited"
        clock.ahead_s = 61
        assert isinstance(await alibaba.send(message()), Sent)
        await alibaba.close()


async def test_the_side_door_asks_for_the_secret(simulator: Any) -> None:
    url, _ = simulator
    async with aiohttp.ClientSession() as session, session.post(url + "/_control/report") as answer:
        assert answer.status == 401


def test_template_codes_are_read_by_name_and_language() -> None:
    assert parse_templates("SMS_1") == {"code": "SMS_1"}
    assert parse_templates(" code=SMS_1, code.en=SMS_2,") == {"code": "SMS_1", "code.en": "SMS_2"}
    assert parse_templates("") == {}
    for text in ("code=", "=SMS_1"):
        with pytest.raises(ValueError):
            parse_templates(text)
