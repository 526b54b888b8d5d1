"""One-time codes over HTTP: who gets which message, guesses, purposes, limits, and the outbox they are read in."""

import asyncio
import re
import secrets
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import post
from litestar.params import JSONBody

import serve.application
from schemas.identity import ProvenIdentity
from schemas.settings import Settings
from serve.framework import ShopRequest
from serve.ops.operations import SAID, Said
from serve.requests import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="session")

SETTINGS = Settings(shard_count=16, replicas=1)
PASSWORD = "correct horse battery staple"


def email() -> str:
    return f"kim.{secrets.token_hex(6)}@example.com"


def phone(prefix: str = "+86138") -> str:
    return prefix + f"{secrets.randbelow(10**8):08}"


def british() -> str:
    return f"+447400{secrets.randbelow(10**6):06}"


async def send(shop, channel: str, to: str, purpose: str = "login", **more):
    return await shop.ask("POST", "/v1/codes", {"channel": channel, "to": to, "purpose": purpose}, **more)


async def messages_to(shop, to: str) -> list[dict[str, Any]]:
    return [one for one in (await shop.ask("GET", "/dev/outbox.json")).json["messages"] if one["to"] == to]


async def code_of(shop, to: str) -> str:
    return re.search(r"\b\d{6}\b", (await messages_to(shop, to))[0]["body"])[0]  # type: ignore[index]


async def refusal_of(work: Any) -> str:
    try:
        await work
    except Refusal as refused:
        return refused.code
    return ""


def answered(shop, channel: str, to: str, challenge_id: str, code: str, purpose: str = "login", user_id: str = "", **more: Any) -> Any:
    return shop.application.desk.codes.answered(
        channel=channel, to=to, challenge_id=challenge_id, purpose=purpose, user_id=user_id, code=code, **more
    )


@pytest.mark.parametrize("channel", ["sms", "email"])
async def test_a_code_is_sent_and_works_once(shop, channel: str) -> None:
    to = phone() if channel == "sms" else email()
    answer = await send(shop, channel, to)
    assert answer.status == 202
    assert re.fullmatch(r"chl_[0-9a-hjkmnp-tv-z]{20}", answer.json["challenge_id"])
    assert (answer.json["resend_after_s"], answer.json["expires_in"] in (599, 600)) == (60, True)
    [message] = await messages_to(shop, to)
    assert (message["channel"], message["template"], message["language"]) == (channel, "code", "en")
    code = await code_of(shop, to)
    challenge_id = answer.json["challenge_id"]
    assert await refusal_of(answered(shop, channel, to, challenge_id, code)) == ""
    assert await refusal_of(answered(shop, channel, to, challenge_id, code)) == "code_spent"


async def test_a_repeated_answer_of_one_request_gets_its_first_answer_also_when_the_code_is_spent(shop) -> None:
    to = email()
    challenge_id = (await send(shop, "email", to)).json["challenge_id"]
    code = await code_of(shop, to)
    for _ in range(2):
        assert await refusal_of(answered(shop, "email", to, challenge_id, code, command_id=b"0123456789abcdef")) == ""
    assert await refusal_of(answered(shop, "email", to, challenge_id, code, command_id=b"another-request!")) == "code_spent"


async def test_a_number_is_one_destination_however_it_is_typed_and_a_message_speaks_its_reader_s_language(shop) -> None:
    to = phone()
    typed = f" {to[3:6]}-{to[6:10]} {to[10:]} "
    assert (await send(shop, "sms", typed, headers={"Accept-Language": "zh-CN"})).status == 202
    [message] = await messages_to(shop, to)
    assert message["language"] == "zh-CN"
    assert message["body"].startswith("您的验证码是")
    assert (await send(shop, "sms", to)).code == "code_too_soon"


async def test_the_same_key_gets_the_same_challenge_and_sends_nothing(shop) -> None:
    to, key = email(), secrets.token_hex(12)
    first = await send(shop, "email", to, key=key)
    again = await send(shop, "email", to, key=key)
    assert again.status == 202
    assert again.json["challenge_id"] == first.json["challenge_id"]
    assert len(await messages_to(shop, to)) == 1
    assert (await send(shop, "email", to, key=None)).code == "idempotency_key_missing"


async def test_a_second_code_within_a_minute_is_refused_whatever_it_is_for_and_says_how_long_to_wait(shop) -> None:
    to = email()
    await send(shop, "email", to)
    for purpose in ("login", "register", "reset_password"):
        refused = await send(shop, "email", to, purpose)
        assert (refused.status, refused.code) == (429, "code_too_soon")
        assert 55 <= int(refused.headers["retry-after"]) <= 60
    assert len(await messages_to(shop, to)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("purpose", "known", "unknown"),
    [("register", "account_exists", "code"), ("reset_password", "code", "no_account"), ("login", "code", "code")],
)
async def test_nobody_but_the_reader_learns_whether_there_is_an_account(shop, purpose: str, known: str, unknown: str) -> None:
    having, lacking = email(), email()
    await shop.register({"email": having, "password": PASSWORD})
    shop.clock_forward(61_000)  # the next code
    seen = []
    for to in (having, lacking):
        earlier = len(shop.transport.asked)
        answer = await send(shop, "email", to, purpose)
        headers = sorted(set(answer.headers) - {"Date"})
        seen.append((answer.status, sorted(answer.json), answer.json["resend_after_s"], headers, shop.transport.asked_since(earlier)))
    assert seen[0] == seen[1]
    assert [(await messages_to(shop, to))[0]["template"] for to in (having, lacking)] == [known, unknown]


async def test_codes_of_somebody_who_is_logged_in_need_a_login(shop) -> None:
    _, token = shop.user()
    for purpose in ("bind", "step_up", "merge"):
        assert (await send(shop, "email", email(), purpose)).code == "unauthenticated"
        assert (await send(shop, "email", email(), purpose, token=token)).status == 202


@pytest.mark.parametrize(
    ("channel", "to", "code"),
    [("sms", "12345", "phone_invalid"), ("sms", "kim@example.com", "phone_invalid"), ("email", "13800138000", "invalid_request"),
     ("email", "kim@example.com\r\nBcc: eve@example.com", "invalid_request"), ("pigeon", "kim@example.com", "invalid_request")],
)  # fmt: skip
async def test_what_is_no_destination_is_refused(shop, channel: str, to: str, code: str) -> None:
    assert (await send(shop, channel, to)).code == code


async def test_fields_that_are_not_the_client_s_are_refused(shop) -> None:
    body = {"channel": "email", "to": email(), "purpose": "login"}
    for more in ({"user_id": "usr_a"}, {"template": "code"}, {"code": "123456"}, {"purpose": "fun"}):
        assert (await shop.ask("POST", "/v1/codes", body | more)).code == "invalid_request"


# --- guesses ---------------------------------------------------------------------------------------


class Guess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a login by code asks."""

    to: str
    challenge_id: str
    code: str


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """The guess was right."""

    right: bool


_naive: Counter[str] = Counter()


@post("/v1/guesses", operation_id="guess", status_code=200)
async def guess(request: ShopRequest, data: JSONBody[Guess]) -> Right:
    """A login by code, as far as its code."""
    await request.desk.codes.answered(
        channel="email", to=data.to, challenge_id=data.challenge_id, purpose="login", user_id="", code=data.code
    )  # fmt: skip
    return Right(right=True)


@post("/v1/naive-guesses", operation_id="guessNaively", status_code=200)
async def guess_naively(request: ShopRequest, data: JSONBody[Guess]) -> Right:
    """The control: guesses are counted in a table, read first and written afterwards."""
    counted = _naive[data.challenge_id]
    if counted >= 5:
        raise Refusal("code_killed")
    await request.desk.identities.find(ProvenIdentity(kind="email", subject=data.to))
    _naive[data.challenge_id] = counted + 1
    raise Refusal("code_wrong")


@pytest.mark.slow
async def test_f59_of_fifty_parallel_guesses_over_http_five_are_counted_and_the_code_is_dead(
    database_url: str, running_shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve.application, "HANDLERS", (*serve.application.HANDLERS, guess, guess_naively))
    for name in ("guess", "guessNaively"):
        monkeypatch.setitem(SAID, name, Said("Guess", "猜", "accounts", "public"))
    async with running_shop(database_url) as shop:
        to = email()
        challenge_id = (await send(shop, "email", to)).json["challenge_id"]
        code = await code_of(shop, to)
        wrong = [f"{(int(code) + n) % 1_000_000:06}" for n in range(1, 51)]

        async def outcomes(path: str) -> Counter[str]:
            bodies = [{"to": to, "challenge_id": challenge_id, "code": one} for one in wrong]
            answers = await asyncio.gather(*(shop.ask("POST", path, body) for body in bodies))
            return Counter(answer.code for answer in answers)

        assert await outcomes("/v1/guesses") == {"code_wrong": 5, "code_killed": 45}
        right = {"to": to, "challenge_id": challenge_id, "code": code}
        assert (await shop.ask("POST", "/v1/guesses", right)).code == "code_killed"
        # The control: as many guesses, as parallel, before a count that is not taken in one turn.
        assert (await outcomes("/v1/naive-guesses"))["code_wrong"] > 5


async def test_a_wrong_code_says_how_many_guesses_are_left(shop) -> None:
    to = email()
    challenge_id = (await send(shop, "email", to)).json["challenge_id"]
    code = await code_of(shop, to)
    with pytest.raises(Refusal) as refused:
        await answered(shop, "email", to, challenge_id, f"{(int(code) + 1) % 1_000_000:06}")
    assert (refused.value.code, refused.value.params) == ("code_wrong", {"left": 4})
    assert await refusal_of(answered(shop, "email", to, challenge_id, f" {code} ")) == ""


async def test_f61_over_http_a_code_of_another_purpose_user_or_destination_is_refused(shop) -> None:
    (anna, token), (ben, _) = shop.user(), shop.user()
    to, other = email(), email()
    challenge_id = (await send(shop, "email", to, "bind", token=token)).json["challenge_id"]
    code = await code_of(shop, to)
    for more in (
        {"purpose": "login", "user_id": anna}, {"purpose": "step_up", "user_id": anna}, {"purpose": "bind", "user_id": ben},
        {"purpose": "bind", "user_id": ""},
    ):  # fmt: skip
        assert await refusal_of(answered(shop, "email", to, challenge_id, code, **more)) == "code_unknown"
    assert await refusal_of(answered(shop, "email", other, challenge_id, code, "bind", anna)) == "code_unknown"
    assert await refusal_of(answered(shop, "sms", to, challenge_id, code, "bind", anna)) == "code_unknown"
    assert await refusal_of(answered(shop, "email", to, challenge_id, code, "bind", anna)) == ""


# --- pumping ---------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_f66_the_budget_of_a_prefix_stops_pumping_and_no_other_prefix(database_url: str, running_shop) -> None:
    async with running_shop(database_url, msgspec.structs.replace(SETTINGS, sms_budget="+44=3/5,*=50/200")) as shop:
        numbers = list({british() for _ in range(12)})[:6]
        answers = [await send(shop, "sms", number) for number in numbers]
        assert [answer.code for answer in answers] == ["", "", "", *["sms_budget_spent"] * 3]
        assert {answer.status for answer in answers[3:]} == {429}
        assert [len(await messages_to(shop, number)) for number in numbers] == [1, 1, 1, 0, 0, 0]
        # The control: it is the budget that stops them, not the address or the shop.
        assert (await send(shop, "sms", phone())).status == 202
        assert (await send(shop, "email", email())).status == 202


@pytest.mark.parametrize("number", ["+1 900 234 5678", "+44 909 879 0000", "+44 70 1234 5678", "+8816 1234 5678", "400-810-8888"])
async def test_f66_over_http_premium_numbers_get_nothing(shop, number: str) -> None:
    before = len((await shop.ask("GET", "/dev/outbox.json")).json["messages"])
    refused = await send(shop, "sms", number)
    assert (refused.status, refused.code) == (422, "phone_invalid")
    assert len((await shop.ask("GET", "/dev/outbox.json")).json["messages"]) == before


@pytest.mark.slow
async def test_one_address_and_one_user_ask_for_twenty_codes_and_then_wait(database_url: str, running_shop) -> None:
    async with running_shop(database_url, msgspec.structs.replace(SETTINGS, forwarded_hops=1)) as shop:
        answers = [await send(shop, "email", email(), headers={"X-Forwarded-For": "203.0.113.9"}) for _ in range(22)]
        assert Counter(answer.code for answer in answers) == {"": 20, "rate_limited": 2}
        assert (await send(shop, "email", email(), headers={"X-Forwarded-For": "203.0.113.10"})).status == 202
        _, token = shop.user()
        answers = [await send(shop, "email", email(), "bind", token=token) for _ in range(22)]
        assert Counter(answer.code for answer in answers) == {"": 20, "rate_limited": 2}


# --- the outbox ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "title", "word"), [("en", "Outbox", "text message"), ("zh-CN", "发件箱", "短信")])
async def test_a_person_reads_the_outbox_in_the_browser_and_it_loads_nothing(shop, language: str, title: str, word: str) -> None:
    to = phone()
    await send(shop, "sms", to)
    answer = await shop.ask("GET", "/dev/outbox", headers={"Accept-Language": language})
    page = answer.body.decode()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"<h1>{title}</h1>" in page
    assert f"<strong>{to}</strong><span>{word}</span>" in page
    assert await code_of(shop, to) in page
    [policy] = answer.headers.getall("content-security-policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)=|https?://|url\(|<script", page)


async def test_the_newest_message_is_first_and_nothing_in_it_is_markup(shop) -> None:
    to = f"o'brien.{secrets.token_hex(4)}&co@example.com"
    await send(shop, "email", email())
    await send(shop, "email", to)
    page = (await shop.ask("GET", "/dev/outbox")).body.decode()
    first = re.search(r"<article.*?</article>", page, re.DOTALL)[0]  # type: ignore[index]
    assert to.replace("&", "&amp;").replace("'", "&#x27;") in first


@pytest.mark.slow
async def test_where_there_is_no_outbox_nothing_is_kept_and_the_asker_is_told_so(database_url: str, running_shop) -> None:
    async with running_shop(database_url, msgspec.structs.replace(SETTINGS, outbox=False)) as shop:
        before = await shop.pool.fetchval("SELECT count(*) FROM outgoing_message")
        assert (await shop.ask("GET", "/dev/outbox")).code == "not_found"
        assert (await shop.ask("GET", "/dev/outbox.json")).code == "not_found"
        to = email()
        refused = await send(shop, "email", to)
        assert (refused.status, refused.code) == (503, "message_not_sent")
        # Who got nothing need not wait a minute.
        assert (await send(shop, "email", to)).code == "message_not_sent"
        assert await shop.pool.fetchval("SELECT count(*) FROM outgoing_message") == before
        assert 'stampede_messages_total{channel="email",outcome="not_sent"} 2' in (await shop.ask("GET", "/metrics")).body.decode()


README = Path(__file__).parents[2] / "actors" / "adapters" / "sms" / "README.md"
CURLS = re.findall(r"^    (curl .*)$", README.read_text(), re.MULTILINE)


async def test_every_curl_of_the_readme_is_answered(shop) -> None:
    assert len(CURLS) == 4
    for command in CURLS:
        line = shlex.split(command.replace("http://127.0.0.1:8701", shop.base))
        process = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
        assert (process.returncode, bool(told)) == (0, True), command
    assert await code_of(shop, "+8613800138000")
