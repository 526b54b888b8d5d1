"""Membership: how one stands, the daily visit, points, the points mall, the birthday."""

from typing import Annotated, Any, Final, NamedTuple

from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.domain.dates import date_of, day_of
from actors.domain.member_state import level_of
from actors.storage.members import MoveRow
from schemas.http.catalogue import Titles
from schemas.http.membership import (
    Birthday,
    Gift,
    Level,
    Mall,
    Membership,
    NextLevel,
    PointsBalance,
    PointsMove,
    PointsPage,
    Redeem,
    Redemption,
    SetBirthday,
    SignInDone,
)
from schemas.ids import id_of, is_id
from schemas.member import BirthdayView, MemberView, ReadMember, Redeemed, SignedIn, SignIn, SpendInMall
from schemas.member import SetBirthday as SetBirthdayCommand
from schemas.membership import LevelTerms, MemberRules
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.requests import Refusal


async def rules_now(desk: Desk) -> MemberRules | None:
    """The shop's rules of membership; None where it has none."""
    found = (await desk.facts.fetch(("member:rules",))).get("member:rules")
    return found if isinstance(found, MemberRules) else None


async def _rules(desk: Desk) -> MemberRules:
    rules = await rules_now(desk)
    if rules is None:
        raise Refusal("not_found")
    return rules


class PriceTerms(NamedTuple):
    """By what an order is priced: the buyer's level (None: no membership here), and whether a free parcel is left this month."""

    level_id: str | None = None
    free_shipping: bool = False


async def member_of(desk: Desk, user_id: str) -> tuple[MemberView, LevelTerms] | None:
    """How a user stands now, and the level; None where the shop has no membership."""
    rules = await rules_now(desk)
    if rules is None:
        return None
    view = await desk.told("member", user_id, ReadMember())
    assert isinstance(view, MemberView)
    return view, level_of(rules, view.level_id)


async def price_terms(desk: Desk, user_id: str) -> PriceTerms:
    """What a user's order is priced by, as of now; its owner confirms it when the order is placed."""
    found = await member_of(desk, user_id)
    return PriceTerms() if found is None else PriceTerms(found[0].level_id, found[1].free_shipping > found[0].shipping_used)


def _limited(request: ShopRequest) -> tuple[Desk, str]:
    desk, user_id = request.desk, request.customer().user_id
    if not desk.user_rate.take(user_id):
        raise Refusal("rate_limited")
    return desk, user_id


@get("/v1/me/membership", operation_id="readMembership")
async def read_membership(request: ShopRequest) -> Membership:
    """How one stands, exactly."""
    desk, user_id = request.desk, request.customer().user_id
    rules = await _rules(desk)
    view = await desk.told("member", user_id, ReadMember())
    assert isinstance(view, MemberView)
    return _membership(view, rules, day_of(desk.clock.now_ms(), rules.terms.utc_offset_min))


def _membership(view: MemberView, rules: MemberRules, today: int) -> Membership:
    level = level_of(rules, view.level_id)
    higher = next((other for other in rules.levels if other.growth_min > max(view.growth, level.growth_min)), None)
    return Membership(
        level=_level(level),
        next_level=None
        if higher is None
        else NextLevel(level_id=higher.level_id, titles=_titles(higher), growth_missing=higher.growth_min - view.growth),
        growth=view.growth,
        review_at=timestamp(view.review_ms) if view.review_ms else None,
        points=PointsBalance(
            available=view.available,
            held=view.held,
            debt=view.debt,
            expiring=view.expiring_points,
            expires_at=timestamp(view.expiring_ms) if view.expiring_ms else None,
        ),
        streak=view.streak,
        signed_in_today=view.signed_in_day == today,
        free_shipping_left=max(0, level.free_shipping - view.shipping_used),
        birthday=_birthday(view.birthday_month, view.birthday_day, view.birthday_change_ms),
        gifts=tuple(Gift(coupon_id=coupon_id, until=timestamp(until_ms)) for coupon_id, until_ms in sorted(view.gifts.items())),
    )


def _titles(level: LevelTerms) -> Titles:
    return Titles(en=level.title, zh=level.title_zh)


def _level(level: LevelTerms) -> Level:
    return Level(
        level_id=level.level_id,
        titles=_titles(level),
        growth_min=level.growth_min,
        discount_percent=level.discount_percent,
        points_percent=level.points_percent,
        free_shipping_a_month=level.free_shipping,
        support_queue=level.support_queue,
    )


def _birthday(month: int, day: int, change_ms: int) -> Birthday | None:
    return Birthday(month=month, day=day, change_from=timestamp(change_ms)) if month else None


@post("/v1/me/sign-ins", operation_id="signIn", status_code=200)
async def sign_in(request: ShopRequest) -> SignInDone:
    """The visit of today. A repeat gets the same answer; it needs no key."""
    desk, user_id = _limited(request)
    rules = await _rules(desk)
    day = day_of(desk.clock.now_ms(), rules.terms.utc_offset_min)
    signed = await desk.told("member", user_id, SignIn(day=day), digest=b"sign_in")
    assert isinstance(signed, SignedIn)
    return SignInDone(date="{:04}-{:02}-{:02}".format(*date_of(signed.day)), streak=signed.streak, points=signed.points)


@get("/v1/me/points", operation_id="listPoints")
async def list_points(
    request: ShopRequest,
    cursor: Annotated[str | None, QueryParameter(max_length=300, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> PointsPage:
    """What came and went, the newest first."""
    desk, user_id = request.desk, request.customer().user_id
    before_seq, before_posting = 2**62, ""
    if cursor is not None:
        kind, seq, before_posting = parts_of(cursor, 3)
        if kind != "p" or not seq.isascii() or not seq.isdigit() or len(seq) > 18:
            raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
        before_seq = int(seq)
    rows = await desk.members.moves(user_id, before_seq, before_posting, limit + 1)
    page = rows[:limit]
    more = cursor_of("p", str(page[-1].seq), page[-1].posting) if len(rows) > limit else None
    return PointsPage(moves=tuple(_move(row) for row in page), next_cursor=more)


def _move(row: MoveRow) -> PointsMove:
    """A posting is named ``<what>:<record>:<ref>``; the id of a hold says nothing to anybody."""
    what, _, ref = row.posting.split(":", 2)
    return PointsMove(what=what, ref=ref if what in ("earned", "taken_back") else "", points=row.amount, at=timestamp(row.at_ms))


@get("/v1/points-mall", operation_id="readPointsMall")
async def read_mall(request: ShopRequest) -> Mall:
    """What points buy."""
    desk, _ = _limited(request)
    return Mall(items=await desk.members.mall())


@post("/v1/points-mall/{item_id:str}/redemptions", operation_id="redeemPoints")
async def redeem_points(request: ShopRequest, item_id: FromPath[str], data: JSONBody[Redeem]) -> Redemption:
    """Exchange points for an item."""
    desk, user_id = _limited(request)
    command_id, digest = request.command(user_id, "redeem")
    if not is_id(item_id, "mal"):
        raise Refusal("mall_item_unknown")
    redemption_id = id_of("rdm", command_id)
    command = SpendInMall(redemption_id=redemption_id, item_id=item_id, points=data.points)
    redeemed = await desk.told("member", user_id, command, command_id=command_id, digest=digest)
    assert isinstance(redeemed, Redeemed)
    return Redemption(
        redemption_id=redeemed.redemption_id,
        item_id=redeemed.item_id,
        kind=redeemed.kind,
        points=redeemed.points,
        coupon_id=redeemed.coupon_id or None,
    )


@put("/v1/me/birthday", operation_id="setBirthday")
async def set_birthday(request: ShopRequest, data: JSONBody[SetBirthday]) -> Birthday:
    """Say it once; another one only a year later."""
    desk, user_id = _limited(request)
    command = SetBirthdayCommand(month=data.month, day=data.day)
    view = await desk.told("member", user_id, command, digest=b"birthday")
    assert isinstance(view, BirthdayView)
    return Birthday(month=view.month, day=view.day, change_from=timestamp(view.change_ms))


HANDLERS: Final[list[Any]] = [read_membership, sign_in, list_points, read_mall, redeem_points, set_birthday]
