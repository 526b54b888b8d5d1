"""Step-up: what is risky wants a second factor that was proven a moment ago, in this session.

``await require_step_up(request)`` in a handler is all. The client proves one at ``POST /v1/me/step-up`` and gets an access
token that says when; a refreshed token does not say it any more.
"""

from typing import Final

from actors.domain.token import AccessToken
from schemas.factors import FactorsView
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.sms_factor import factors_of, phone_of, usable_methods

WITHIN_S: Final = 600
"""For so long a proof counts."""


async def require_step_up(request: ShopRequest, within_s: int = WITHIN_S) -> AccessToken:
    """The token of whoever asks. Refusal ``step_up_required`` with the methods there are, unless one was used so shortly ago."""
    token = request.customer()
    if not is_stepped_up(request.desk, token, within_s):
        raise await step_up_refusal(request.desk, token.user_id)
    return token


async def step_up_refusal(desk: Desk, user_id: str) -> Refusal:
    """The refusal ``step_up_required``, with the methods that this user has."""
    view = await factors_of(desk, user_id)
    return Refusal("step_up_required", {"methods": list(await step_up_methods(desk, user_id, view))})


def is_stepped_up(desk: Desk, token: AccessToken, within_s: int = WITHIN_S) -> bool:
    """Whether the bearer proved a second factor within this time."""
    return token.stepped_up_at_ms > 0 and desk.clock.now_ms() < token.stepped_up_at_ms + within_s * 1000


async def step_up_methods(desk: Desk, user_id: str, view: FactorsView) -> tuple[str, ...]:
    """By what a user can step up: the second factors; who has none, by the password or, without one, by a bound telephone."""
    methods = await usable_methods(desk, user_id, view)
    if methods:
        return methods
    account = await desk.users.one(user_id)
    if account is not None and account.password_hash is not None:
        return ("password",)
    return ("sms",) if await phone_of(desk, user_id, view) is not None else ()


async def require_where_protected(request: ShopRequest) -> AccessToken:
    """For changes of how one logs in: whoever has a second factor proves it first, so that a stolen token takes no account over."""
    token = request.customer()
    if is_stepped_up(request.desk, token):
        return token
    view = await factors_of(request.desk, token.user_id)
    if methods := await usable_methods(request.desk, token.user_id, view):
        raise Refusal("step_up_required", {"methods": list(methods)})
    return token


async def require_before_change(request: ShopRequest) -> AccessToken:
    """For changes of the factors themselves: a step-up by whatever there is. Who has nothing to prove it by may add a first one."""
    token = request.customer()
    if is_stepped_up(request.desk, token):
        return token
    view = await factors_of(request.desk, token.user_id)
    methods = await step_up_methods(request.desk, token.user_id, view)
    if methods:
        raise Refusal("step_up_required", {"methods": list(methods)})
    return token
