"""Alibaba Cloud SMS behind the port: ``SendSms`` of dysmsapi 2017-05-25, signed with ACS3-HMAC-SHA256, over aiohttp.

https://www.alibabacloud.com/help/en/sms/developer-reference/api-dysmsapi-2017-05-25-sendsms
"""

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from actors.adapters.sms.alibaba_signature import canonical_query, signed_headers
from actors.ports.clock import Clock
from schemas.messages import NotSent, NotSentReason, Outcome, Sent, SmsMessage, Unknown
from schemas.providers.alibaba_sms import SendSmsAnswer

API_URL: Final = "https://dysmsapi.aliyuncs.com"
ACTION: Final = "SendSms"
VERSION: Final = "2017-05-25"

TIMEOUT_S: Final = 5.0
"""Of a whole call; a usual one takes 0.2 s."""

CONNECTIONS_MAX: Final = 32
ANSWER_BYTES_MAX: Final = 64 * 1024
MAINLAND: Final = "+86"

_REASONS: Final[Mapping[str, NotSentReason]] = {
    "isv.MOBILE_NUMBER_ILLEGAL": "recipient",
    "isv.MOBILE_COUNT_OVER_LIMIT": "recipient",
    "isv.BLACK_KEY_CONTROL_LIMIT": "refused",
    "isv.BUSINESS_LIMIT_CONTROL": "limited",
    "isv.DAY_LIMIT_CONTROL": "limited",
    "isv.MONTH_LIMIT_CONTROL": "limited",
    "isv.AMOUNT_NOT_ENOUGH": "account",
    "isv.OUT_OF_SERVICE": "account",
    "isv.PRODUCT_UN_SUBSCRIPT": "account",
    "isv.PRODUCT_UNSUBSCRIBE": "account",
    "isv.ACCOUNT_NOT_EXISTS": "account",
    "isv.ACCOUNT_ABNORMAL": "account",
    "isp.RAM_PERMISSION_DENY": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "IncompleteSignature": "credentials",
    "InvalidTimeStamp.Expired": "credentials",
}
"""Codes that prove that nothing was sent, beyond what their form says."""

_NUMBER: Final = re.compile(r"\+?\d{5,}")
_THROTTLED: Final = ("Throttling", "ServiceUnavailable.Throttling")
_CREDENTIALS: Final = ("InvalidAccessKeyId", "Forbidden", "InvalidSecurityToken", "NoPermission")


class AlibabaSms:
    """Implements ``actors.ports.messages.SmsSender``. Holds connections and nothing else; ``close`` it.

    templates: the provider's template code by our template's name, or by ``name.language`` where the languages differ.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        key_id: str,
        secret: str,
        sign_name: str,
        templates: Mapping[str, str],
        url: str = API_URL,
        timeout_s: float = TIMEOUT_S,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._clock = clock
        self._key_id = key_id
        self._secret = secret
        self._sign_name = sign_name
        self._templates = dict(templates)
        self._url = url.rstrip("/")
        self._host = urlsplit(self._url).netloc
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._nonce = nonce
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """See the port."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, message: SmsMessage) -> Outcome:
        """See the port."""
        template = self._templates.get(f"{message.template}.{message.language}") or self._templates.get(message.template)
        if template is None:
            return NotSent(reason="not_configured", again=False, detail=f"no template code for {message.template}")
        query = canonical_query(
            {
                "PhoneNumbers": _their_number(message.to),
                "SignName": self._sign_name,
                "TemplateCode": template,
                "TemplateParam": msgspec.json.encode(message.params).decode(),
                "OutId": message.message_id,
            }
        )
        date = datetime.fromtimestamp(self._clock.now_ms() // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = signed_headers(
            key_id=self._key_id, secret=self._secret, host=self._host, action=ACTION, version=VERSION, query=query, date=date,
            nonce=self._nonce(),
        )  # fmt: skip
        return await self._call(query, headers | {"Accept": "application/json"})

    async def _call(self, query: str, headers: dict[str, str]) -> Outcome:
        """One call, one try. Whatever the network does is a value."""
        try:
            # Encoded already: what was signed is what is sent, byte by byte.
            url = URL(f"{self._url}/?{query}", encoded=True)
            # An empty type: aiohttp would add one of its own, and every type that is sent must be signed.
            request = self._connected().post(url, headers=headers, skip_auto_headers=("Content-Type",), allow_redirects=False)
            async with request as response:
                body = await response.content.read(ANSWER_BYTES_MAX)
                return read_answer(response.status, body)
        except aiohttp.ClientConnectorError as error:
            return NotSent(reason="unreachable", again=True, detail=type(error).__name__)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Unknown(reason=type(error).__name__)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=connector)
        return self._session


def read_answer(status: int, body: bytes) -> Outcome:
    """What an answer proves. Pure."""
    try:
        answer = msgspec.json.decode(body, type=SendSmsAnswer)
    except msgspec.DecodeError:
        return Unknown(reason=f"HTTP {status}, unreadable")
    # Their words name the number that they refuse, and these go to the log.
    words = _NUMBER.sub("…", answer.message[:100])
    code, detail = answer.code, f"{answer.code}: {words} ({answer.request_id[:40]})"
    if code == "OK" and status == 200:
        return Sent(provider_id=answer.biz_id)
    if code in _REASONS:
        return NotSent(reason=_REASONS[code], again=False, detail=detail)
    if code.startswith(_THROTTLED):
        return NotSent(reason="overloaded", again=True, detail=detail)
    if code.startswith(_CREDENTIALS):
        return NotSent(reason="credentials", again=False, detail=detail)
    if code.startswith("isv."):
        return NotSent(reason="refused", again=False, detail=detail)
    # A nonce that was used: some proxy repeated our call, and the first of the two may have been carried out.
    if status < 400 or status >= 500 or code == "SignatureNonceUsed" or code.startswith("isp."):
        return Unknown(reason=detail)
    return NotSent(reason="refused", again=False, detail=detail)


def parse_templates(text: str) -> dict[str, str]:
    """``SMS_1`` is the template of codes; ``code=SMS_1,code.en=SMS_2,new_device=SMS_3`` names several. ValueError when it is neither."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, template = part.rpartition("=")
        if not template or (equals and not name):
            raise ValueError(f"{part!r} is no template: write code=SMS_123456789")
        found[name or "code"] = template
    return found


def _their_number(phone: str) -> str:
    """Mainland numbers without their prefix, others without the plus."""
    return phone.removeprefix(MAINLAND) if phone.startswith(MAINLAND) else phone.removeprefix("+")
