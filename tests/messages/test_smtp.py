"""E-mail over SMTP, against real servers: with TLS and without, and with everything that may be smuggled into a header."""

import asyncio
import datetime
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import SMTP as SmtpProtocol
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from actors.adapters.email.smtp import SmtpSender, SmtpServer
from actors.domain import messages
from schemas.messages import EmailMessage, NotSent, Sent, Unknown

NOON_MS = 1_794_830_400_000
FROM = "Stampede Shop <shop@example.com>"
MESSAGE = messages.email(
    "code", message_id="chl_1", to="kim@example.com", language="zh-CN", params={"code": "042871", "minutes": "10"}
)  # fmt: skip


class StillClock:
    def now_ms(self) -> int:
        return NOON_MS

    def monotonic_ms(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Box:
    """A handler that keeps what it gets; ``answer``: what it says to the message."""

    def __init__(self, answer: str = "250 OK") -> None:
        self.mail: list[Any] = []
        self.answer = answer
        self.hang = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mail.append(envelope)
        if self.hang:
            await asyncio.sleep(60)
        return self.answer

    def read(self) -> Any:
        [envelope] = self.mail
        return email.message_from_bytes(envelope.content, policy=email.policy.default)


def text_of(got: Any) -> str:
    return got.get_content().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 and localhost, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@asynccontextmanager
async def listening(box: Any, *, tls: ssl.SSLContext | None = None, at_once: bool = False, **more: Any) -> AsyncIterator[int]:
    """A server in this loop; its port."""

    protocols: list[SmtpProtocol] = []

    def protocol() -> SmtpProtocol:
        protocols.append(SmtpProtocol(box, tls_context=None if at_once else tls, **more))
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls if at_once else None)
    yield server.sockets[0].getsockname()[1]
    for one in protocols:
        for transport in filter(None, (one.transport, one._original_transport)):
            transport.abort()
    conversations = [one._handler_coroutine for one in protocols if one._handler_coroutine is not None]
    for conversation in conversations:
        conversation.cancel()
    await asyncio.gather(*conversations, return_exceptions=True)
    server.close()
    await server.wait_closed()


def sender(url: str, tls: ssl.SSLContext | None = None, mail_from: str = FROM, timeout_s: float = 5.0) -> SmtpSender:
    return SmtpSender(clock=StillClock(), server=SmtpServer(url), mail_from=mail_from, tls=tls, timeout_s=timeout_s)


async def test_a_message_is_written_as_mailboxes_want_it() -> None:
    box = Box()
    async with listening(box) as port:
        assert isinstance(await sender(f"smtp://127.0.0.1:{port}?tls=never").send(MESSAGE), Sent)
    got = box.read()
    assert (box.mail[0].mail_from, box.mail[0].rcpt_tos) == ("shop@example.com", ["kim@example.com"])
    assert {name: str(value) for name, value in got.items() if not name.startswith("X-")} == {
        "From": FROM,
        "To": "kim@example.com",
        "Subject": "您的验证码",
        "Date": "Mon, 16 Nov 2026 12:00:00 -0000",
        "Message-ID": "<chl_1@example.com>",
        "Content-Language": "zh-CN",
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "base64",
    }
    assert text_of(got) == MESSAGE.text
    assert box.mail[0].content.isascii()


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_message_goes_over_tls_with_user_and_password(certificate: Path, at_once: bool) -> None:
    box, seen = Box(), []

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=True)

    tls = server_tls(certificate)
    more = {"authenticator": authenticate, "auth_required": not at_once, "auth_require_tls": not at_once, "require_starttls": not at_once}
    async with listening(box, tls=tls, at_once=at_once, **more) as port:
        scheme = "smtps" if at_once else "smtp"
        outcome = await sender(f"{scheme}://shop%40example.com:p%2Fw@localhost:{port}", trusting(certificate)).send(MESSAGE)
    assert isinstance(outcome, Sent)
    assert seen == [(b"shop@example.com", b"p/w")]
    assert len(box.mail) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_server_that_nobody_vouches_for_gets_neither_password_nor_message(certificate: Path, scheme: str) -> None:
    box = Box()
    async with listening(box, tls=server_tls(certificate), at_once=scheme == "smtps") as port:
        outcome = await sender(f"{scheme}://kim:secret@localhost:{port}").send(MESSAGE)
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "unreachable"
    assert box.mail == []


async def test_a_server_without_tls_gets_neither_password_nor_message() -> None:
    box = Box()
    async with listening(box) as port:
        outcome = await sender(f"smtp://kim:secret@localhost:{port}").send(MESSAGE)
    assert outcome == NotSent(reason="unreachable", again=False, detail="the server offers no STARTTLS")
    assert box.mail == []


async def test_a_wrong_password_is_our_affair(certificate: Path) -> None:
    def authenticate(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False)

    box = Box()
    async with listening(box, tls=server_tls(certificate), authenticator=authenticate) as port:
        outcome = await sender(f"smtp://kim:wrong@localhost:{port}", trusting(certificate)).send(MESSAGE)
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.again) == ("credentials", False)
    assert "wrong" not in outcome.detail


@pytest.mark.parametrize(("answer", "reason", "again"), [("554 5.7.1 spam", "refused", False), ("451 4.3.0 later", "overloaded", True)])
async def test_a_server_that_refuses_the_message_has_not_sent_it(answer: str, reason: str, again: bool) -> None:
    async with listening(Box(answer)) as port:
        outcome = await sender(f"smtp://127.0.0.1:{port}?tls=never").send(MESSAGE)
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.again) == (reason, again)


async def test_a_reader_whom_the_server_refuses_is_not_named_in_what_is_logged() -> None:
    async with listening(Box("550 5.1.1 <kim@example.com>: nobody here")) as port:
        outcome = await sender(f"smtp://127.0.0.1:{port}?tls=never").send(MESSAGE)
    assert isinstance(outcome, NotSent)
    assert outcome.detail == "550 5.1.1 <…>: nobody here"


@pytest.mark.slow
async def test_a_server_that_falls_silent_with_the_message_leaves_an_unknown() -> None:
    box = Box()
    box.hang = True
    async with listening(box) as port:
        outcome = await sender(f"smtp://127.0.0.1:{port}?tls=never", timeout_s=0.2).send(MESSAGE)
    assert isinstance(outcome, Unknown)


@pytest.mark.slow
async def test_a_server_that_never_greets_has_sent_nothing() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await sender(f"smtp://127.0.0.1:{port}?tls=never", timeout_s=0.2).send(MESSAGE)
    await gone.wait()
    server.close()
    await server.wait_closed()
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.again) == ("unreachable", True)


ODD_ADDRESSES = ["", "kim", "kim@", "kim@example.com, eve@example.com", "<kim@example.com>", "k m@e.c"]
INJECTIONS = ["\r\nBcc: eve@example.com", "\nBcc: eve@example.com", "\r\n\r\n<html>", "\r", "\0", "\u2028Bcc: x", "\x85Bcc: x"]


@pytest.mark.parametrize("more", INJECTIONS)
@pytest.mark.parametrize("field", ["subject", "message_id", "language"])
async def test_a_header_that_would_be_more_than_its_own_line_goes_nowhere(field: str, more: str) -> None:
    box = Box()
    async with listening(box) as port:
        changed = msgspec.structs.replace(MESSAGE, **{field: getattr(MESSAGE, field) + more})
        outcome = await sender(f"smtp://127.0.0.1:{port}?tls=never").send(changed)
    assert outcome == NotSent(reason="refused", again=False, detail="a header with control characters")
    assert box.mail == []


@pytest.mark.parametrize("to", [*ODD_ADDRESSES, *("kim@example.com" + more for more in INJECTIONS)])
async def test_what_is_no_address_gets_nothing(to: str) -> None:
    outcome = await sender("smtp://127.0.0.1:1?tls=never").send(msgspec.structs.replace(MESSAGE, to=to))
    assert outcome == NotSent(reason="recipient", again=False, detail="no address")


async def test_a_line_of_a_dot_does_not_end_the_message() -> None:
    box = Box()
    text = "one\n.\nMAIL FROM:<eve@example.com>\n.two\n"
    async with listening(box) as port:
        message: EmailMessage = msgspec.structs.replace(MESSAGE, text=text)
        assert isinstance(await sender(f"smtp://127.0.0.1:{port}?tls=never").send(message), Sent)
    assert text_of(box.read()) == text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com?tls=never",
        "smtp://kim:pw@localhost?tls=never",
        "smtps://localhost?tls=never",
    ],
)
def test_a_server_that_would_be_asked_without_tls_from_afar_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        SmtpServer(url)


@pytest.mark.parametrize(
    ("url", "port"), [("smtp://mail.example.com", 587), ("smtps://mail.example.com", 465), ("smtp://mail.example.com:2525", 2525)]
)
def test_a_server_has_the_port_of_its_kind_and_tells_no_password(url: str, port: int) -> None:
    server = SmtpServer(url.replace("://", "://kim:secret@"))
    assert server.port == port
    assert "secret" not in repr(server)


@pytest.mark.parametrize("mail_from", ["", "Shop", "shop@example.com\r\nBcc: x@y.z", "A <a@b.c>\r\n", "<>", "a@b.c, d@e.f"])
def test_a_sender_that_is_no_address_is_refused(mail_from: str) -> None:
    with pytest.raises(ValueError):
        sender("smtp://127.0.0.1:1?tls=never", mail_from=mail_from)
