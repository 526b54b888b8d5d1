"""Third-party logins in our words, whoever the provider is."""

from typing import Final, Literal

import msgspec

Provider = Literal["wechat", "qq", "alipay", "apple"]
PROVIDERS: Final[tuple[Provider, ...]] = ("wechat", "qq", "alipay", "apple")

DeniedReason = Literal["code_invalid", "blocked", "not_genuine"]
"""code_invalid: expired, used before or somebody else's. blocked: the provider does not let this person in.
not_genuine: what came back is not signed for us, for this login or for now."""


class LoginStart(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is sent to the provider with. Each provider takes of it what it knows."""

    redirect_uri: str
    state: str
    nonce: str
    code_verifier: str
    """RFC 7636: its S256 challenge goes out, itself only with the code."""

    def __repr__(self) -> str:
        return f"LoginStart(redirect_uri={self.redirect_uri!r})"


class LoginReturn(msgspec.Struct, frozen=True, kw_only=True):
    """What a person came back with, and what the login began with. ``user``: Apple's form field of the first time, not signed."""

    code: str
    redirect_uri: str
    nonce: str
    code_verifier: str
    user: str = ""

    def __repr__(self) -> str:
        return f"LoginReturn(redirect_uri={self.redirect_uri!r})"


class ExternalIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the provider says has just logged in.

    subject: the person's name in this app, with the app where names are per app. union_subject: the same person in all
    apps of one owner, "" where the provider did not say. display_name and email are for people: neither is proof of
    anything, but that ``email_verified`` addresses were checked by the provider. email_relayed: forwards to the person's
    own, unknown address, until they end it.
    """

    provider: Provider
    subject: str
    union_subject: str = ""
    display_name: str = ""
    email: str = ""
    email_verified: bool = False
    email_relayed: bool = False

    def __repr__(self) -> str:
        return f"ExternalIdentity(provider={self.provider!r})"


class LoginDenied(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody is proven, and asking again with the same code will not change it. ``detail``: the provider's code, for logs."""

    reason: DeniedReason
    detail: str = ""


class LoginUnknown(msgspec.Struct, frozen=True, kw_only=True):
    """The provider did not give an answer that can be believed: begin again. ``detail``: what happened, for logs."""

    detail: str


Proof = ExternalIdentity | LoginDenied | LoginUnknown
