"""Payout accounts. A merchant sees and sets the own firm's, which comes from the role; finance reads everybody's, masked."""

from typing import Any, Final

from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody

from actors.domain.masking import masked_name
from actors.domain.payout import canonical, flaw, masked_account
from actors.storage.payouts import Payout
from schemas.http.payouts import PayoutAccounts, PayoutAccountSeen, SetPayoutAccount
from schemas.http.staff import ForReason
from schemas.ids import is_id
from schemas.payout import PayoutAccount
from serve.answers import timestamp
from serve.framework import ShopRequest
from serve.notices import tell_owner
from serve.requests import Refusal
from serve.staff.doing import deed_of, refusing
from serve.step_up import require_step_up


def _seen(payout: Payout | None, *, clear: bool) -> PayoutAccountSeen | None:
    if payout is None:
        return None
    account = payout.account
    return PayoutAccountSeen(
        kind=account.kind,
        holder=account.holder if clear else masked_name(account.holder),
        number=account.number if clear else masked_account(account.kind, account.number),
        bank=account.bank,
        set_at=timestamp(payout.set_at_ms),
        in_force_at=timestamp(payout.in_force_ms),
    )


async def _accounts(request: ShopRequest, merchant_id: str, *, clear: bool = False) -> PayoutAccounts:
    desk = request.desk
    with refusing():
        in_force, pending = await desk.payouts.of_merchant(merchant_id, desk.clock.now_ms())
    return PayoutAccounts(merchant_id=merchant_id, in_force=_seen(in_force, clear=clear), pending=_seen(pending, clear=clear))


@get("/v1/merchant/payout-account", operation_id="readPayoutAccount")
async def read_account(request: ShopRequest) -> PayoutAccounts:
    """Where the money of one's own firm goes, masked."""
    return await _accounts(request, request.actor().merchant_id)


@put("/v1/merchant/payout-account", operation_id="setPayoutAccount")
async def set_account(request: ShopRequest, data: JSONBody[SetPayoutAccount]) -> PayoutAccounts:
    """Let the money go elsewhere from tomorrow on. Everybody who acts for the firm is told. A repeat begins no new wait."""
    await require_step_up(request)
    desk, actor = request.desk, request.actor()
    account = canonical(PayoutAccount(kind=data.kind, holder=data.holder, number=data.number, bank=data.bank))
    if wrong := flaw(account):
        raise Refusal("payout_account_invalid", {"reason": wrong})
    with refusing():
        changed = await desk.payouts.set(actor, account, "payout account", desk.clock.now_ms(), request.head.id.decode())
    found = await _accounts(request, actor.merchant_id)
    if changed and found.pending is not None:
        for user_id in await desk.payouts.people(actor.merchant_id):
            pending = found.pending
            tell_owner(
                request, user_id, "payout_changed", actor.merchant_id, pending.set_at,
                account=pending.number, in_force_at=pending.in_force_at,
            )  # fmt: skip
    return found


@delete("/v1/merchant/payout-account/pending", operation_id="callOffPayoutAccount")
async def call_off(request: ShopRequest) -> None:
    """The account that waits will not be in force; where money goes now stays."""
    await require_step_up(request)
    desk = request.desk
    with refusing():
        await desk.payouts.call_off(request.actor(), "payout account", desk.clock.now_ms(), request.head.id.decode())


def _merchant_of(merchant_id: str) -> str:
    if not is_id(merchant_id, "mer"):
        raise Refusal("merchant_not_found")
    return merchant_id


async def _of(request: ShopRequest, merchant_id: str, *, clear: bool = False) -> PayoutAccounts:
    try:
        return await _accounts(request, _merchant_of(merchant_id), clear=clear)
    except Refusal as refused:
        raise Refusal("merchant_not_found") if refused.code == "merchant_unknown" else refused from None


@get("/v1/staff/merchants/{merchant_id:str}/payout-account", operation_id="readPayoutAccountOf")
async def read_account_of(request: ShopRequest, merchant_id: FromPath[str]) -> PayoutAccounts:
    """Where a firm's money goes, masked."""
    return await _of(request, merchant_id)


@post("/v1/staff/merchants/{merchant_id:str}/payout-account/unmask", operation_id="unmaskPayoutAccountOf", status_code=200)
async def unmask_account_of(request: ShopRequest, merchant_id: FromPath[str], data: JSONBody[ForReason]) -> PayoutAccounts:
    """The account in the clear, once it is written down who saw it and why."""
    await require_step_up(request)
    found = await _of(request, merchant_id, clear=True)
    with refusing():
        await request.desk.roles.note(request.actor(), deed_of(request, "payout.unmask", merchant_id, data.reason))
    return found


HANDLERS: Final[list[Any]] = [read_account, set_account, call_off, read_account_of, unmask_account_of]
