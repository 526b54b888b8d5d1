"""The pages that people are sent to: what is checked before one is shown, and how each provider sends them back."""

import html
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from actors.testing.oauth_simulator.answers import Desk
from actors.testing.oauth_simulator.books import Grant
from actors.testing.oauth_simulator.plan import PEOPLE, PROVIDER_OF_PATH, AppKeys, Chosen
from schemas.oauth import Provider

TITLES: Final = {"wechat": "微信登录 WeChat", "qq": "QQ 登录", "alipay": "支付宝 Alipay", "apple": "Apple ID"}
_STYLE: Final = (
    "body{font:16px system-ui;max-width:26rem;margin:3rem auto;padding:0 1rem}"
    "button{display:block;width:100%;margin:.5rem 0;padding:.8rem;font:inherit}"
)


def asked(authorize_url: str, given: AppKeys) -> tuple[Provider, dict[str, str]] | str:
    """Who is asked and with what; or what is wrong with it, in a word that the page shows."""
    parts = urlsplit(authorize_url)
    provider = PROVIDER_OF_PATH.get(parts.path)
    if provider is None:
        return "no such page"
    query = dict(parse_qsl(parts.query))
    app = {"wechat": ("appid", given.wechat_app_id), "qq": ("client_id", given.qq_app_id)}
    app |= {"alipay": ("app_id", given.alipay_app_id), "apple": ("client_id", given.apple_client_id)}
    name, wanted = app[provider]
    if query.get(name) != wanted:
        return f"{name} is unknown"
    if not query.get("redirect_uri", "").startswith(("http://", "https://")):
        return "redirect_uri is missing"
    if provider != "alipay" and query.get("response_type") != "code":
        return "response_type"
    scopes = {"wechat": "snsapi_login", "qq": "get_user_info", "alipay": "auth_user", "apple": "name email"}
    if query.get("scope") != scopes[provider]:
        return "scope"
    if provider == "apple" and query.get("response_mode") != "form_post":
        return "response_mode must be form_post"
    if "code_challenge" in query and query.get("code_challenge_method") != "S256":
        return "code_challenge_method"
    return provider, query


def page(authorize_url: str, provider: Provider) -> str:
    """A button for each test identity, and one that says no."""
    buttons = "".join(
        f'<button name="who" value="{who}">{html.escape(f"{one.name} ({one.first_name} {one.last_name})")}</button>'
        for who, one in PEOPLE.items()
    )
    return (
        f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{TITLES[provider]}</title><style>{_STYLE}</style>'
        f"<h1>{TITLES[provider]}</h1><p>Simulator: who are you? 模拟器:请选择身份</p>"
        f'<form method="post" action="/_choose"><input type="hidden" name="authorize_url" value="{html.escape(authorize_url)}">'
        f'{buttons}<button name="who" value="">Cancel 取消</button></form></html>'
    )


def posting_page(chosen: Chosen) -> str:
    """Apple's way back: a page whose form sends itself."""
    fields = "".join(f'<input type="hidden" name="{name}" value="{html.escape(value)}">' for name, value in chosen.fields.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Apple ID</title><style>{_STYLE}</style>'
        f'<form method="post" action="{html.escape(chosen.url)}">{fields}<button>Continue 继续</button></form>'
        "<script>document.forms[0].submit()</script></html>"
    )


def chosen(desk: Desk, provider: Provider, query: dict[str, str], who: str) -> Chosen:
    """Where a person's choice leads. ``who`` "": they say no."""
    app_id = query.get("client_id") or query.get("appid") or query["app_id"]
    grant = Grant(
        provider=provider,
        app_id=app_id,
        who=who,
        redirect_uri=query["redirect_uri"],
        nonce=query.get("nonce", ""),
        challenge=query.get("code_challenge", ""),
        issued_at_s=desk.books.now_s(),
    )
    code = desk.books.issue(grant) if who else ""
    state = {"state": query["state"]} if "state" in query else {}
    if provider == "apple":
        fields = ({"code": code} if who else {"error": "user_cancelled_authorize"}) | state
        if who and desk.books.first_time(app_id, who):
            one = PEOPLE[who]
            user = {"name": {"firstName": one.first_name, "lastName": one.last_name}, "email": one.email}
            fields["user"] = msgspec.json.encode(user).decode()
        return Chosen(url=grant.redirect_uri, fields=fields, posted=True)
    fields = {"code": code} if who else {}
    if provider == "alipay":
        fields = {"app_id": app_id, "source": "alipay_wallet", "scope": "auth_user"} | ({"auth_code": code} if who else {})
    elif provider == "qq" and not who:
        fields = {"usercancel": "1"}
    joint = "&" if "?" in grant.redirect_uri else "?"
    return Chosen(url=grant.redirect_uri + joint + urlencode(fields | state), fields=fields | state, posted=False)
