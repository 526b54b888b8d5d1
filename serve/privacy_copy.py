"""The copy of somebody's data as a file: JSON for programs, and a page for the person, in their language."""

import io
import zipfile
from html import escape
from typing import Any, Final

import msgspec

COPY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Larger is no copy of one person's data but a mistake of ours."""

TITLES: Final[dict[str, tuple[str, str]]] = {
    "account": ("Account", "账号"),
    "identities": ("Ways to log in", "登录方式"),
    "sessions": ("Open sessions", "登录会话"),
    "addresses": ("Address book", "地址簿"),
    "orders": ("Orders", "订单"),
    "payments": ("Payments", "付款"),
    "staff_actions": ("What staff did with this account", "员工对该账号的操作"),
    "member_standing": ("Membership", "会员"),
    "points_entry": ("Points", "积分"),
    "sign_in": ("Daily sign-ins", "签到"),
    "passkey": ("Passkeys", "通行密钥"),
    "event_consent": ("Consent to behaviour events", "行为事件授权"),
    "visitor_link": ("Terminals with events from before a login", "登录前事件已并入的终端"),
}
"""Sections, in the order of the page."""

_HEAD: Final = {
    "en": (
        "Everything about you",
        (
            "This is all that the shop keeps about you. The same is in data.json, for programs; what you looked at and did here, as far "
            "as it was kept, is in events.jsonl, the newest 100,000 events to a minute ago. Nothing here:"
        ),
    ),
    "zh-CN": (
        "您的全部数据",
        (
            "以下是商城保存的您的全部数据。data.json 中有同样的内容,供程序读取;"
            "您的浏览等行为记录(最近 100,000 条,截至约一分钟前)在 events.jsonl 中。暂无数据:"
        ),
    ),
}
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1d1d1f}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}td,th{border:1px solid #d2d2d7;padding:.3rem .6rem;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}th{background:#f5f5f7;width:12rem}"
)


def copy_of(data: dict[str, Any], language: str, events: bytes = b"") -> bytes:
    """The ZIP. events: behaviour events as JSON lines. ValueError when it is larger than it may be."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", msgspec.json.format(msgspec.json.encode(data), indent=2))
        archive.writestr("events.jsonl", events)
        archive.writestr("index.html", page(data, language))
    if whole.tell() > COPY_BYTES_MAX:
        raise ValueError(f"the copy has {whole.tell()} bytes, and {COPY_BYTES_MAX} are allowed")
    return whole.getvalue()


def page(data: dict[str, Any], language: str) -> str:
    """All sections as tables. It loads nothing, and what people wrote is text."""
    chinese = language == "zh-CN"
    title, words = _HEAD["zh-CN" if chinese else "en"]
    sections = [
        f"<h2>{escape(names[chinese])}</h2>" + ("".join(map(_table, data[name])) if data[name] else "<p>-</p>")
        for name, names in TITLES.items()
        if name in data
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="{"zh-CN" if chinese else "en"}"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{escape(words)} -</p>{''.join(sections)}</html>"
    )


def _table(row: dict[str, Any]) -> str:
    lines = "".join(f"<tr><th>{escape(str(name))}</th><td>{_cell(value)}</td></tr>" for name, value in row.items())
    return f"<table>{lines}</table>"


def _cell(value: Any) -> str:
    match value:
        case dict():
            return _table(value) if value else ""
        case list():
            return "".join(_cell(item) if isinstance(item, dict) else f"<p>{escape(str(item))}</p>" for item in value)
        case None:
            return ""
        case _:
            return escape(str(value))
