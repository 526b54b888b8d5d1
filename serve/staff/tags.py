"""Tags: their rules, tried before they are saved, and what staff give to a product or keep off it."""

from typing import Annotated, Any, Final

from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.domain.tag_rules import FIELDS, RuleFlaw, TagJudge, TagTerms
from actors.storage.tags import Judged, ProductTagRow, TagRow
from schemas.http.catalogue import Titles
from schemas.http.tags import ChooseTag, JudgedProduct, ProductTag, ProductTags, PutTag, TagList, TagSeen, TagTried, TryTag
from schemas.ids import is_id
from serve.answers import timestamp
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import deed_of, refusing

CHOICES: Final = {"give": "hand", "keep_off": "kept_off", "undo": "rule"}

Why = Annotated[str, QueryParameter(min_length=3, max_length=500, description="why, for the trail")]


def _tag_of(tag_id: str) -> str:
    if not is_id(tag_id, "tag"):
        raise Refusal("tag_unknown")
    return tag_id


def _product_of(product_id: str) -> str:
    if not is_id(product_id, "prd"):
        raise Refusal("product_not_found")
    return product_id


def _terms(tag_id: str, rule: str, keep_rule: str) -> TagTerms:
    """The rules, when they are some. Refusal ``tag_rule_invalid`` with what is wrong and where."""
    terms = TagTerms(tag_id=tag_id, rule=rule.strip(), keep_rule=keep_rule.strip())
    if terms.keep_rule and not terms.rule:
        raise Refusal("tag_rule_invalid", {"reason": "keep_rule", "detail": "without a rule nothing is kept"})
    if terms.rule:
        try:
            TagJudge(terms)
        except RuleFlaw as flaw:
            raise Refusal("tag_rule_invalid", {"reason": flaw.reason, "detail": flaw.detail}) from None
    return terms


def _seen(row: TagRow) -> TagSeen:
    return TagSeen(
        tag_id=row.tag_id,
        titles=Titles(en=row.title, zh=row.title_zh),
        rule=row.rule,
        keep_rule=row.keep_rule,
        position=row.position,
        shown=row.shown,
        products=row.products,
    )


@get("/v1/staff/tags", operation_id="listTags")
async def list_tags(request: ShopRequest) -> TagList:
    """The tags, their rules, and the facts that rules may name."""
    return TagList(tags=tuple(map(_seen, await request.desk.tags.all())), fields=FIELDS)


@put("/v1/staff/tags/{tag_id:str}", operation_id="putTag")
async def put_tag(request: ShopRequest, tag_id: FromPath[str], data: JSONBody[PutTag]) -> TagSeen:
    """Make a tag or change it. Products get and lose it with the next round of the watch."""
    terms = _terms(_tag_of(tag_id), data.rule, data.keep_rule)
    english, chinese = data.titles.en or data.titles.zh, data.titles.zh or data.titles.en
    if not english.strip():
        raise Refusal("invalid_request", {"reason": "titles: a tag has a name in at least one language"})
    row = TagRow(
        tag_id=tag_id, title=english, title_zh=chinese, rule=terms.rule, keep_rule=terms.keep_rule, position=data.position, shown=data.shown
    )
    with refusing():
        return _seen(await request.desk.tags.put(request.actor(), row, deed_of(request, "tag.edit", tag_id, data.reason)))


@delete("/v1/staff/tags/{tag_id:str}", operation_id="removeTag")
async def remove_tag(request: ShopRequest, tag_id: FromPath[str], reason: Why) -> None:
    """Take a tag away, and from every product."""
    with refusing():
        await request.desk.tags.remove(request.actor(), _tag_of(tag_id), deed_of(request, "tag.edit", tag_id, reason))


@post("/v1/staff/tags/{tag_id:str}/dry-run", operation_id="tryTag", status_code=200)
async def try_tag(request: ShopRequest, tag_id: FromPath[str], data: JSONBody[TryTag]) -> TagTried:
    """Which products these rules would give the tag to, or take it from, and why. Nothing is saved; the tag need not exist."""
    terms = _terms(_tag_of(tag_id), data.rule, data.keep_rule)
    with refusing():
        found = await request.desk.tags.try_rule(terms)
    return TagTried(
        looked_at=found.looked_at,
        whole=found.whole,
        with_tag=found.with_tag,
        gains=found.gains,
        losses=found.losses,
        without_answer=found.without_answer,
        by_hand=found.by_hand,
        gained=tuple(map(_judged, found.gained)),
        lost=tuple(map(_judged, found.lost)),
    )


def _judged(one: Judged) -> JudgedProduct:
    return JudgedProduct(product_id=one.product_id, titles=Titles(en=one.title, zh=one.title_zh), facts=one.facts)


def _tags_seen(product_id: str, rows: list[ProductTagRow]) -> ProductTags:
    tags = tuple(
        ProductTag(
            tag_id=row.tag_id, titles=Titles(en=row.title, zh=row.title_zh), given_by=row.given_by, since=timestamp(row.since_ms)
        )
        for row in rows
    )  # fmt: skip
    return ProductTags(product_id=product_id, tags=tags)


@get("/v1/staff/products/{product_id:str}/tags", operation_id="listProductTags")
async def list_product_tags(request: ShopRequest, product_id: FromPath[str]) -> ProductTags:
    """The tags of a product, by rule and by hand, and those that are kept off it."""
    with refusing():
        return _tags_seen(product_id, await request.desk.tags.of_product(_product_of(product_id)))


@put("/v1/staff/products/{product_id:str}/tags/{tag_id:str}", operation_id="chooseProductTag")
async def choose_product_tag(
    request: ShopRequest, product_id: FromPath[str], tag_id: FromPath[str], data: JSONBody[ChooseTag]
) -> ProductTags:
    """Give a tag by hand, keep it off whatever the rule says, or leave it to the rule again."""
    deed = deed_of(request, "tag.edit", _product_of(product_id), data.reason)
    with refusing():
        rows = await request.desk.tags.choose(
            request.actor(), product_id, _tag_of(tag_id), CHOICES[data.choice], deed, request.desk.clock.now_ms()
        )
    return _tags_seen(product_id, rows)


HANDLERS: Final[list[Any]] = [list_tags, put_tag, remove_tag, try_tag, list_product_tags, choose_product_tag]
