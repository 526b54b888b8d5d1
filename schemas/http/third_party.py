"""Third-party logins over HTTP."""

from typing import Annotated, Literal

import msgspec

from schemas.http.accounts import Tokens
from schemas.http.shapes import GuestToken, Timestamp
from schemas.identity import IdentityKind
from schemas.oauth import Provider

State = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="as it came back from the provider")]
LoginSecret = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="of the answer that began this login; never in a URL")]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
"""Apple's and Alipay's are under 100 characters."""

AppleUserText = Annotated[str, msgspec.Meta(max_length=1000, description="Apple's form field of the first login, as it came")]
Purpose = Annotated[Literal["login", "link"], msgspec.Meta(description="link: add to the account that is logged in")]


class LoginsOffered(msgspec.Struct, frozen=True, kw_only=True):
    """The third parties that this shop knows, on pages and in mini-programs."""

    providers: tuple[Provider, ...]
    mini_programs: tuple[Provider, ...]


class BeginLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``return_url``: one of the pages that the shop allows; without it the first of them."""

    purpose: Purpose = "login"
    return_url: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class LoginBegun(msgspec.Struct, frozen=True, kw_only=True):
    """Keep ``state`` and ``login_secret`` where no other site reads them, and go to ``authorize_url`` within ``expires_in`` seconds."""

    authorize_url: str
    state: str
    login_secret: str
    expires_in: int
    nonce: Annotated[str, msgspec.Meta(description="for the request of an app of ours to Apple, as it stands")] | None = None


class FinishLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came back. ``code``: also Alipay's ``auth_code``; null when the person said no."""

    state: State
    login_secret: LoginSecret
    code: Code | None = None
    user: AppleUserText | None = None
    guest_token: GuestToken | None = None
    cookie: bool = False


class FinishNative(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``id_token``: what the telephone's system gave our app for the ``nonce`` of the login that was begun."""

    state: State
    login_secret: LoginSecret
    id_token: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)]
    user: AppleUserText | None = None
    guest_token: GuestToken | None = None


class FinishMiniProgram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``code``: of ``wx.login``."""

    code: Code
    purpose: Purpose = "login"
    guest_token: GuestToken | None = None


class LoginFinished(msgspec.Struct, frozen=True, kw_only=True):
    """``tokens`` after a login; null after a link, when the identity is the account's."""

    purpose: Purpose
    tokens: Tokens | None = None


class OwnIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """One way to log in. ``shown``: enough to know it again: a masked address or number, or the name at the third party."""

    identity_id: str
    kind: IdentityKind
    shown: str
    added_at: Timestamp


class OwnIdentities(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, the oldest first."""

    identities: tuple[OwnIdentity, ...]
