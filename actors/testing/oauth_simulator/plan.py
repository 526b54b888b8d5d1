"""What the simulator can be told to do, and who its people are."""

from typing import Annotated, Final, Literal

import msgspec

from schemas.oauth import Provider

FaultKind = Literal["refuse", "error", "drop", "lose", "hang", "garbage", "redirect", "twist"]
"""refuse: answer the HTTP ``status``, nothing done. error: answer the provider's own error ``code``, in its own format.
drop: do it, then cut the connection. lose: cut the connection, nothing done. hang: do it, answer after ``seconds``.
garbage: answer what is no answer. redirect: send the caller elsewhere. twist: answer with something wrong in it."""

Twist = Literal[
    "",
    "nonce",
    "audience",
    "issuer",
    "expired",
    "future",
    "key",
    "forged",
    "unsigned",
    "no_union",
    "other_app",
    "other_person",
    "text_truth",
    "certificate",
]
"""nonce, audience, issuer, expired, future: of Apple's id_token. key: signed by a key that is not published. forged: a signature that does
not fit. unsigned: none. no_union: no unionid. other_app: a token of another app. other_person: the second call speaks of somebody
else. text_truth: Apple's truths as texts. certificate: Alipay names another one of its certificates."""

Operation = Literal[
    "wechat.token",
    "wechat.user",
    "wechat.session",
    "qq.token",
    "qq.me",
    "qq.user",
    "alipay.token",
    "alipay.user",
    "apple.token",
    "apple.keys",
]
Format = Literal["json", "form", "callback"]
UserNames = Literal["user_id", "both", "open_id"]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A test identity, the same person at every provider."""

    name: str
    first_name: str
    last_name: str
    email: str


PEOPLE: Final = {
    "kim": Person(name="小金", first_name="Kim", last_name="Jin", email="kim@example.com"),
    "lee": Person(name="李雷", first_name="Lei", last_name="Li", email="a1b2c3@privaterelay.appleid.com"),
    "han": Person(name="韩梅梅 🌸", first_name="Meimei", last_name="Han", email="han@example.com"),
}


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next ``times`` calls of ``operation`` go wrong."""

    kind: FaultKind
    operation: Operation
    times: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    status: int = 500
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    code: str = ""
    twist: Twist = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the providers are from now on.

    unionids: whether WeChat and QQ say them. qq_format: how QQ writes what it is not asked to write as JSON, or also what
    it is (``qq_ignores_fmt``). alipay_names: what Alipay calls people. code_s: how long a code is good. apple_rotates: Apple
    signs with a new key. alipay_certificates: the app is in certificate mode, and calls without are refused.
    """

    unionids: bool = True
    qq_format: Format = "callback"
    qq_ignores_fmt: bool = False
    alipay_names: UserNames = "open_id"
    code_s: Annotated[float, msgspec.Meta(ge=-3600, le=3600)] = 300.0
    apple_rotates: bool = False
    alipay_certificates: bool = False


class Choose(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person at an authorize page: presses a name's button, or (``who`` "") the one that says no."""

    authorize_url: str
    who: str = "kim"


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Where the browser is sent, and with which form when it is a POST."""

    url: str
    fields: dict[str, str]
    posted: bool


class MiniCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person opens the mini-program, which asks for a code."""

    who: str = "kim"


class AppleNative(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person says yes to the telephone's own sheet; answers the id_token."""

    who: str = "kim"
    nonce: str
    twist: Twist = ""


class AppleTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Apple's server has something to tell of a person; answers the signed token. age_s: how long ago it was signed."""

    kind: str
    who: str = "kim"
    twist: Twist = ""
    age_s: int = 0


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A code."""

    code: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator has seen, by operation; and which codes were presented a second time."""

    calls: dict[str, int]
    replays: int
    open_faults: int


class AppKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop is given by the four providers."""

    wechat_app_id: str = "wxsimulator0site"
    wechat_app_secret: str = "simulated-wechat-secret"
    wechat_mini_app_id: str = "wxsimulator0mini"
    wechat_mini_app_secret: str = "simulated-mini-secret"
    qq_app_id: str = "101000001"
    qq_app_key: str = "simulated-qq-key"
    alipay_app_id: str = "2021000000000001"
    alipay_private_key: str
    alipay_public_key: str
    alipay_app_cert: str = ""
    alipay_root_cert: str = ""
    alipay_cert: str = ""
    apple_client_id: str = "com.example.shop.login"
    apple_app_id: str = "com.example.shop"
    apple_team_id: str = "TEAM123456"
    apple_key_id: str = "KEY1234567"
    apple_private_key: str

    def __repr__(self) -> str:
        return "AppKeys()"


PROVIDER_OF_PATH: Final[dict[str, Provider]] = {
    "/connect/qrconnect": "wechat",
    "/oauth2.0/authorize": "qq",
    "/oauth2/publicAppAuthorize.htm": "alipay",
    "/auth/authorize": "apple",
}
