"""The simulator's HTTP side: the provider's API at ``/``, the side door at ``/_control``.

Signatures are checked here from what came over the line, without the adapter's code: an error in one does not hide in the other.
"""

import asyncio
import hashlib
import hmac
import re
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, quote

import msgspec
from aiohttp import web

from actors.testing.sms_simulator.plan import Delivered, Fault, Report

BODY_BYTES_MAX: Final = 64 * 1024
DELIVERED_MAX: Final = 10_000
NONCES_MAX: Final = 100_000
SKEW_S: Final = 15 * 60
"""The provider refuses what was signed longer ago."""

_AUTHORIZATION: Final = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([a-z0-9;-]+),Signature=([0-9a-f]{64})\Z")
_MAINLAND: Final = re.compile(r"(?:86)?1[3-9]\d{9}\Z")
_FOREIGN: Final = re.compile(r"[2-9]\d{6,14}\Z|1\d{10}\Z")
_PARAMETERS: Final = frozenset({"PhoneNumbers", "SignName", "TemplateCode", "TemplateParam", "OutId", "SmsUpExtendCode"})


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """limits: as the provider's own, one message a minute and ten a day for a phone; off, so that tests need not wait."""

    key_id: str = "LTAI_simulator"
    secret: str = "simulator-secret"
    sign_name: str = "Stampede"
    templates: tuple[str, ...] = ("SMS_1", "SMS_2")
    limits: bool = False


class Answer(Exception):
    """The call ends here with this code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


class Simulator:
    """One account at the provider."""

    def __init__(self, options: Options, now_s: Callable[[], float] = time.time) -> None:
        self.options = options
        self._now_s = now_s
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.calls = 0
        self.answers: Counter[str] = Counter()
        self.delivered: deque[Delivered] = deque(maxlen=DELIVERED_MAX)
        self.faults: list[Fault] = []
        self._nonces: dict[str, None] = {}
        self._sent_at: dict[str, list[float]] = {}

    def report(self) -> Report:
        """What was seen."""
        return Report(calls=self.calls, answers=dict(self.answers), delivered=list(self.delivered))

    async def api(self, request: web.Request) -> web.StreamResponse:
        """``POST /``."""
        self.calls += 1
        fault = self._take_fault()
        kind = fault.kind if fault is not None else ""
        if fault is not None and kind == "delay":
            await asyncio.sleep(fault.seconds)
        if kind == "lose":
            return _cut(request)
        try:
            if fault is not None and kind == "refuse":
                raise Answer(fault.status, fault.code, "Told to fail.")
            biz_id = self._send(request, await request.read(), copies=2 if kind == "duplicate" else 1)
        except Answer as answer:
            return self._answer(answer.status, answer.code, answer.message)
        return await self._sent(request, biz_id, fault)

    async def _sent(self, request: web.Request, biz_id: str, fault: Fault | None) -> web.StreamResponse:
        """The answer to a message that went out, as the fault wants it."""
        if fault is None:
            return self._answer(200, "OK", "OK", biz_id)
        match fault.kind:
            case "drop":
                return _cut(request)
            case "hang":
                await asyncio.sleep(fault.seconds)
            case "break":
                return self._answer(fault.status if fault.status >= 500 else 500, "InternalError", "The request processing has failed.")
            case "garble":
                return web.Response(body=b"<html>bad gateway</html>", content_type="text/html")
            case _:
                pass
        return self._answer(200, "OK", "OK", biz_id)

    def _answer(self, status: int, code: str, message: str, biz_id: str = "") -> web.Response:
        self.answers[code] += 1
        body = {"Code": code, "Message": message, "RequestId": f"{self.calls:08X}-0000-4000-8000-000000000000"}
        return web.json_response(body | ({"BizId": biz_id} if biz_id else {}), status=status)

    def _send(self, request: web.Request, body: bytes, copies: int) -> str:
        """Deliver; the message's id. Answer when the call is not as it should be, in the order of the real gateway."""
        query = request.raw_path.partition("?")[2]
        self._check_signature(request.method, query, request.headers, body)
        if request.headers.get("x-acs-action") != "SendSms" or request.headers.get("x-acs-version") != "2017-05-25":
            raise Answer(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
        params = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
        phone = self._check_parameters(params)
        biz_id = f"{self.calls:018d}^0"
        message = Delivered(
            phone=phone,
            sign_name=params["SignName"],
            template_code=params["TemplateCode"],
            params=msgspec.json.decode(params["TemplateParam"], type=dict[str, str]),
            out_id=params.get("OutId", ""),
            biz_id=biz_id,
        )
        self.delivered.extend([message] * copies)
        return biz_id

    def _check_signature(self, method: str, query: str, headers: Mapping[str, str], body: bytes) -> None:
        found = _AUTHORIZATION.match(headers.get("Authorization", ""))
        if found is None:
            raise Answer(400, "IncompleteSignature", "The request signature does not conform to Alibaba Cloud standards.")
        key_id, names, signature = found.groups()
        if key_id != self.options.key_id:
            raise Answer(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        signed = names.split(";")
        must = {name.lower() for name in headers if name.lower().startswith("x-acs-") or name.lower() in ("host", "content-type")}
        payload = hashlib.sha256(body).hexdigest()
        canonical = "\n".join(
            (method, "/", _sorted_query(query), *(f"{name}:{headers.get(name, '').strip()}" for name in signed), "", names, payload)
        )
        expected = hmac.new(
            self.options.secret.encode(), b"ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest().encode(), hashlib.sha256
        ).hexdigest()
        if signed != sorted(must) or headers.get("x-acs-content-sha256") != payload or not hmac.compare_digest(signature, expected):
            raise Answer(400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation.")
        self._check_freshness(headers.get("x-acs-date", ""), headers.get("x-acs-signature-nonce", ""))

    def _check_freshness(self, date: str, nonce: str) -> None:
        try:
            at = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise Answer(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.") from None
        if abs(at.timestamp() - self._now_s()) > SKEW_S:
            raise Answer(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        if not nonce or nonce in self._nonces:
            raise Answer(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[nonce] = None
        if len(self._nonces) > NONCES_MAX:
            del self._nonces[next(iter(self._nonces))]

    def _check_parameters(self, params: Mapping[str, str]) -> str:
        """The phone."""
        if not params.keys() <= _PARAMETERS or not {"PhoneNumbers", "SignName", "TemplateCode"} <= params.keys():
            raise Answer(200, "isv.INVALID_PARAMETERS", "参数异常")
        phone = params["PhoneNumbers"]
        if not _MAINLAND.match(phone) and not _FOREIGN.match(phone):
            raise Answer(200, "isv.MOBILE_NUMBER_ILLEGAL", f"{phone}invalid mobile number")
        if params["SignName"] != self.options.sign_name:
            raise Answer(200, "isv.SMS_SIGNATURE_ILLEGAL", "签名不合法(不存在或被拉黑)")
        if params["TemplateCode"] not in self.options.templates:
            raise Answer(200, "isv.SMS_TEMPLATE_ILLEGAL", "模板不合法(不存在或被拉黑)")
        try:
            msgspec.json.decode(params.get("TemplateParam", ""), type=dict[str, str])
        except msgspec.DecodeError:
            raise Answer(200, "isv.INVALID_JSON_PARAM", "JSON参数不合法,只接受字符串值") from None
        self._check_limits(phone)
        return phone

    def _check_limits(self, phone: str) -> None:
        now = self._now_s()
        times = self._sent_at[phone] = [at for at in self._sent_at.get(phone, []) if at > now - 86_400]
        if self.options.limits and (len(times) >= 10 or any(at > now - 60 for at in times)):
            raise Answer(200, "isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1")
        times.append(now)

    def _take_fault(self) -> Fault | None:
        if not self.faults:
            return None
        fault = self.faults.pop(0)
        if fault.times > 1:
            self.faults.insert(0, msgspec.structs.replace(fault, times=fault.times - 1))
        return fault

    # --- the side door ----------------------------------------------------------------------------

    async def control(self, request: web.Request) -> web.StreamResponse:
        """``POST /_control/{faults,report,reset}``, with the secret."""
        if request.headers.get("Authorization") != f"Bearer {self.options.secret}":
            return web.json_response({"error": "send the secret"}, status=401)
        order = request.match_info["order"]
        if order == "faults":
            try:
                self.faults.append(msgspec.json.decode(await request.read(), type=Fault))
            except msgspec.DecodeError as error:
                return web.json_response({"error": str(error)}, status=422)
        elif order == "reset":
            self.reset()
        elif order != "report":
            return web.json_response({"error": "no such order"}, status=404)
        return web.Response(body=msgspec.json.encode(self.report()), content_type="application/json")


@asynccontextmanager
async def serving(
    options: Options, *, host: str = "127.0.0.1", port: int = 0, now_s: Callable[[], float] = time.time
) -> AsyncIterator[tuple[str, Simulator]]:
    """Run a simulator in this event loop; yields its URL. Port 0: a free one."""
    simulator = Simulator(options, now_s)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes([web.post("/", simulator.api), web.post("/_control/{order}", simulator.control)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}", simulator
    finally:
        await runner.cleanup()


def _sorted_query(query: str) -> str:
    """The query as its signature has it, whatever order and encoding it came in."""
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)


def _cut(request: web.Request) -> web.StreamResponse:
    """Close the connection under the caller: it cannot know whether anything was done."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
