"""E-mail over SMTP: one connection a message, TLS always except to this machine itself.

What a server said before it had the message proves that nothing was sent; what breaks while it takes it proves nothing.
"""

import asyncio
import contextlib
import email.message
import email.utils
import re
import ssl
from email.headerregistry import Address
from email.policy import SMTP as SMTP_POLICY
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib

from actors.ports.clock import Clock
from schemas.messages import EmailMessage, NotSent, Outcome, Sent, Unknown

TIMEOUT_S: Final = 10.0
"""Of each step of a conversation; servers that delay their greeting on purpose take some seconds."""

WHOLE_S: Final = 30.0
"""Of a whole conversation."""

QUIT_S: Final = 1.0
"""To part politely: the message is theirs already."""

CONNECTIONS_MAX: Final = 8
"""At once; providers refuse more than ten or twenty from one sender."""

SUBMISSION_PORT: Final = 587
SMTPS_PORT: Final = 465

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}\Z")
_SOMEBODY: Final = re.compile(r"[^\s<>]+@[^\s<>]+")
_FROM: Final = re.compile(r"(?:(?P<name>[^<>@\r\n\0]{1,100}) )?<?(?P<address>[^<>\s]+@[^<>\s]+?)>?\Z")


class SmtpServer:
    """Where mail is handed in: ``smtps://user:password@host`` (TLS from the first byte) or ``smtp://...`` (STARTTLS, insisted on).

    Without TLS only to this machine, and then without a password. ValueError says what is wrong.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("an SMTP server is smtp://host:587 or smtps://host:465")
        self.host = parts.hostname
        self.at_once = parts.scheme == "smtps"
        self.port = parts.port or (SMTPS_PORT if self.at_once else SUBMISSION_PORT)
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")
        self.plain = parts.query == "tls=never"
        if self.plain and (self.at_once or self.user or not _is_here(self.host)):
            raise ValueError("tls=never is for smtp:// on this machine, without a user")

    def __repr__(self) -> str:
        return f"SmtpServer({self.host}:{self.port})"


class SmtpSender:
    """Implements ``actors.ports.messages.EmailSender``.

    mail_from: ``Shop <shop@example.com>``, or the address alone. tls: whom to trust; the system's authorities without it.
    """

    def __init__(
        self, *, clock: Clock, server: SmtpServer, mail_from: str, tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        found = _FROM.match(mail_from)
        if found is None or not _ADDRESS.match(found["address"]):
            raise ValueError("the sender of mail is an address, as Shop <shop@example.com>")
        self._clock = clock
        self._server = server
        self._from = Address(display_name=(found["name"] or "").strip(' "'), addr_spec=found["address"])
        self._tls = tls
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)

    async def close(self) -> None:
        """See the port. No connection outlives its message."""

    async def send(self, message: EmailMessage) -> Outcome:
        """See the port."""
        if not _ADDRESS.match(message.to):
            return NotSent(reason="recipient", again=False, detail="no address")
        try:
            data = self._composed(message)
        except ValueError as error:
            return NotSent(reason="refused", again=False, detail=str(error)[:100])
        handed = _Handed()
        try:
            async with asyncio.timeout(WHOLE_S), self._room:
                return await self._conversation(message.to, data, handed)
        except aiosmtplib.SMTPResponseException as error:
            return _refusal(error)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refusal(error.recipients[0])
        except (aiosmtplib.SMTPException, TimeoutError, OSError, ssl.SSLError) as error:
            reason = type(error).__name__
            return Unknown(reason=reason) if handed.begun else NotSent(reason="unreachable", again=True, detail=reason)

    def _composed(self, message: EmailMessage) -> bytes:
        """The message as it goes over the line. ValueError when a header would be more than its own line."""
        # The library lets a lone carriage return pass, which some servers take for the end of a header.
        if not all(text.isprintable() for text in (message.message_id, message.language, message.subject)):
            raise ValueError("a header with control characters")
        composed = email.message.EmailMessage(policy=SMTP_POLICY)
        composed["From"] = self._from
        composed["To"] = Address(addr_spec=message.to)
        composed["Subject"] = message.subject
        composed["Date"] = email.utils.formatdate(self._clock.now_ms() / 1000)
        composed["Message-ID"] = f"<{message.message_id}@{self._from.domain}>"
        # Nobody's holiday notice answers a machine.
        composed["Auto-Submitted"] = "auto-generated"
        composed.set_content(message.text, cte="base64")
        composed["Content-Language"] = message.language
        return composed.as_bytes()

    async def _conversation(self, to: str, data: bytes, handed: "_Handed") -> Outcome:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host, port=server.port, timeout=self._timeout_s, use_tls=server.at_once,
            start_tls=False if server.plain else None, tls_context=self._tls,
        )  # fmt: skip
        try:
            await client.connect()
            if not (server.plain or server.at_once or client.get_transport_info("sslcontext")):
                return NotSent(reason="unreachable", again=False, detail="the server offers no STARTTLS")
            if server.user:
                await client.login(server.user, server.password)
            await client.mail(self._from.addr_spec)
            await client.rcpt(to)
            handed.begun = True
            answer = await client.data(data)
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=QUIT_S)
            return Sent(provider_id=answer.message[:200])
        finally:
            client.close()


class _Handed:
    """Whether the message was begun to be handed over."""

    def __init__(self) -> None:
        self.begun = False


def _refusal(error: aiosmtplib.SMTPResponseException) -> NotSent:
    """What a server's no means: 4xx passes, 5xx does not."""
    # Servers name the reader whom they refuse, and these words go to the log.
    detail = f"{error.code} {_SOMEBODY.sub('…', error.message[:200])[:100]}"
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return NotSent(reason="credentials", again=error.code < 500, detail=detail)
    if isinstance(error, aiosmtplib.SMTPRecipientRefused):
        return NotSent(reason="recipient" if error.code >= 500 else "overloaded", again=error.code < 500, detail=detail)
    return NotSent(reason="refused" if error.code >= 500 else "overloaded", again=error.code < 500, detail=detail)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
