"""Messages out of templates. Pure: what is filled in can neither start a line of a header nor a second message."""

import unicodedata
from typing import Final

from schemas.message_templates import TEMPLATES
from schemas.messages import EmailMessage, SmsMessage

PARAM_MAX: Final = 200
"""Characters of one filled-in value: a client describes its own device."""


def sms(template: str, *, message_id: str, to: str, language: str, params: dict[str, str]) -> SmsMessage:
    """The text message. KeyError when the template or one of its parameters is missing."""
    row, values = TEMPLATES[template], _values(template, params)
    text = (row.zh if language == "zh-CN" else row.en).sms.format_map(values)
    return SmsMessage(message_id=message_id, to=to, template=template, language=language, params=values, text=text)


def email(template: str, *, message_id: str, to: str, language: str, params: dict[str, str]) -> EmailMessage:
    """The e-mail. KeyError when the template or one of its parameters is missing."""
    row, values = TEMPLATES[template], _values(template, params)
    words = row.zh if language == "zh-CN" else row.en
    return EmailMessage(
        message_id=message_id,
        to=to,
        template=template,
        language=language,
        subject=words.subject.format_map(values),
        text=words.body.format_map(values),
    )


def _values(template: str, params: dict[str, str]) -> dict[str, str]:
    return {name: _plain(params[name]) for name in TEMPLATES[template].params}


def _plain(value: str) -> str:
    """One line of text: what controls a terminal, a header or the direction of writing is left out."""
    return "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in value[:PARAM_MAX])
