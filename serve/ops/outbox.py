"""``/dev/outbox``: what the development outbox kept, as a page in both languages that loads nothing, and as JSON."""

import base64
import hashlib
from html import escape
from typing import Any, Final

from litestar import MediaType, Response, get

from actors.storage.outgoing_messages import KEPT_MAX
from schemas.http.codes import OutboxMessage, OutboxMessages
from schemas.messages import OutgoingMessage
from serve.answers import timestamp
from serve.framework import ShopRequest
from serve.requests import Refusal

SHOWN: Final = 100

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 48rem; padding: 1rem; }
article { border: 1px solid var(--line); border-radius: .4rem; margin: .8rem 0; padding: .2rem .9rem; }
header { display: flex; flex-wrap: wrap; gap: .2rem 1rem; opacity: .8; font-size: .85rem; margin-top: .5rem; }
h2 { font-size: 1rem; margin: .3rem 0; }
p { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0 .6rem; }
"""
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_WORDS: Final = {
    "en": {
        "title": "Outbox",
        "about": "These messages were not sent: no SMS or e-mail provider is set. The newest is first.",
        "none": "Nothing has been sent yet.",
        "sms": "text message",
        "email": "e-mail",
    },
    "zh-CN": {
        "title": "发件箱",
        "about": "尚未配置短信或邮件服务,以下消息并未真正发送。最新的排在最前。",
        "none": "还没有消息。",
        "sms": "短信",
        "email": "邮件",
    },
}


async def _newest(request: ShopRequest, limit: int) -> list[OutgoingMessage]:
    """What is kept. Refusal ``not_found`` where there is no outbox."""
    if not request.desk.settings.outbox_on:
        raise Refusal("not_found")
    return await request.desk.outgoing.newest(limit)


@get("/dev/outbox", operation_id="readOutbox", media_type=MediaType.HTML)
async def read_outbox(request: ShopRequest) -> Response[str]:
    """For whoever tries the shop out; reads itself again every few seconds."""
    kept = await _newest(request, SHOWN)
    page = _page(kept, request.head.language)
    return Response(content=page, media_type=MediaType.HTML, headers={"content-security-policy": _POLICY})


@get("/dev/outbox.json", operation_id="listOutbox")
async def list_outbox(request: ShopRequest) -> OutboxMessages:
    """The same for programs."""
    kept = await _newest(request, KEPT_MAX)
    return OutboxMessages(
        messages=tuple(
            OutboxMessage(
                message_id=message.message_id,
                channel=message.channel,
                to=message.recipient,
                template=message.template,
                language=message.language,
                subject=message.subject,
                body=message.body,
                sent_at=timestamp(message.at_ms),
            )
            for message in kept
        )
    )


def _page(kept: list[OutgoingMessage], language: str) -> str:
    words = _WORDS[language]
    messages = "\n".join(_article(message, words) for message in kept) or f"<p>{words['none']}</p>"
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta http-equiv="refresh" content="5">\n'
        f"<title>{words['title']}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{words['title']}</h1>\n"
        f"<p>{words['about']}</p>\n{messages}\n</main>\n</body>\n</html>\n"
    )


def _article(message: OutgoingMessage, words: dict[str, str]) -> str:
    at = timestamp(message.at_ms)
    subject = f"<h2>{escape(message.subject)}</h2>" if message.subject else ""
    return (
        f'<article lang="{escape(message.language)}"><header><strong>{escape(message.recipient)}</strong>'
        f'<span>{words[message.channel]}</span><time datetime="{at}">{at}</time></header>{subject}<p>{escape(message.body)}</p></article>'
    )


HANDLERS: Final[list[Any]] = [read_outbox, list_outbox]
