"""Two warehouses over HTTP: from where an order is sent, what paying, cancelling and returning do there, and what staff do and see."""

import secrets
from typing import Any

import pytest
import pytest_asyncio

from actors.domain import stock
from actors.domain.kinds import KINDS, events_decoder
from actors.storage.audit.tables import UNEQUAL_MOVEMENTS
from actors.storage.projections.order import OrderProjection
from actors.storage.projections.projection import Fact
from actors.storage.projections.stock import StockProjection
from schemas.stock import Release, StockHeld
from tests.api.staff_people import member, token

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHANGHAI = {
    "country": "CN",
    "name": "王芳",
    "phone": "13800138000",
    "line1": "南京西路 1 号",
    "city": "上海市",
    "region": "上海市",
    "district": "静安区",
}
BEIJING = {**SHANGHAI, "city": "北京市", "region": "北京市", "district": "海淀区"}
OPEN = {"cutoff": "24:00", "reason": "a test", "country": "CN"}


class Places:
    """Two warehouses, somebody who works there, and the tables as the followers would keep them."""

    def __init__(self, shop: Any, bearer: str, south: str, north: str) -> None:
        self.shop, self.bearer, self.south, self.north = shop, bearer, south, north
        self._seen: dict[int, int] = {}
        self._keys: set[str] = set()

    async def do(self, sku_id: str, what: str, status: int = 200, **body: Any) -> Any:
        answer = await self.shop.ask("POST", f"/v1/staff/stock/{sku_id}/{what}", {"reason": "a test", **body}, token=self.bearer)
        assert answer.status == status, answer.body
        return answer.json if status == 200 else answer.code

    def own(self, judged: list[Any]) -> list[Any]:
        """What is said of these two: other tests have warehouses in this shop as well."""
        return [one for one in judged if one["warehouse_id"] in (self.south, self.north)]

    async def sku(self, **units: int) -> str:
        sku_id = await self.shop.sku()
        for name, quantity in units.items():
            await self.do(sku_id, "receipts", quantity=quantity, warehouse_id=getattr(self, name))
        await self.follow(sku_id)
        return sku_id

    async def follow(self, *keys: str) -> None:
        """What happened to these articles and buyers is written into the tables, and the books of all of them are checked."""
        self._keys |= {key + "#0" if key.startswith("sku_") else key for key in keys}
        projections: list[Any] = [StockProjection(), OrderProjection()]
        states: dict[str, Any] = {}
        for shard, rows in self.shop.services.directory.rows.items():
            for row in rows:
                if row.key not in self._keys or row.kind not in ("stock", "order"):
                    continue
                turn = events_decoder.decode(row.body).events
                fact = Fact(shard=shard, seq=row.seq, at_ms=row.at_ms, kind=row.kind, key=row.key)
                for event in turn:
                    if row.kind == "stock":
                        state = states.setdefault(row.key, KINDS["stock"].new(row.key))
                        KINDS["stock"].apply(state, event)
                        assert stock.invariant(state) == []
                    if row.seq > self._seen.get(shard, 0):
                        for projection in projections:
                            if type(event) in projection.events:
                                projection.fold(fact, event, turn)
            self._seen[shard] = len(rows)
        for projection in projections:
            for statement in projection.statements():
                await self.shop.pool.execute(statement.sql, *statement.columns)
        assert [row for row in await self.shop.pool.fetch(UNEQUAL_MOVEMENTS) if row["place"].split(" ")[0] in self._keys] == []

    async def counts(self, sku_id: str) -> dict[str, tuple[int, int, int]]:
        """(available, held, sold) by warehouse; those with something."""
        seen = (await self.shop.ask("GET", f"/v1/staff/stock/{sku_id}/warehouses", token=self.bearer)).json
        names = {self.south: "south", self.north: "north", "": "unnamed"}
        found = {names[lot["warehouse_id"]]: (lot["available"], lot["held"], lot["sold"]) for part in seen["parts"] for lot in part["lots"]}
        return {name: counts for name, counts in found.items() if any(counts)}

    async def buy(self, to: dict[str, str], **units: int) -> tuple[Any, str, str]:
        """A cart with so many of each article is ordered; the answer, and whose it is."""
        user_id, bearer = self.shop.user()
        for sku_id, quantity in units.items():
            await self.shop.ask("PUT", f"/v1/cart/lines/{sku_id}", {"quantity": quantity}, token=bearer)
        answer = await self.shop.ask("POST", "/v1/checkout", {"ship_to": to}, token=bearer)
        await self.follow(*units, user_id)
        return answer, user_id, bearer

    async def pay(self, order_id: str, bearer: str) -> None:
        shop = self.shop
        payment = await shop.ask("POST", f"/v1/orders/{order_id}/pay", token=bearer)
        shop.gateway.take_notices()
        shop.gateway.act(payment.json["payment_id"], "paid")
        [(headers, body)] = shop.gateway.take_notices()
        assert (await shop.ask("POST", "/v1/hooks/stripe", body, headers=headers, key=None)).status == 200


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def places(shop):
    _, bearer = await member(shop, "warehouse")
    ids = []
    for code, region, city in (("south", "310106", "上海"), ("north", "110108", "北京")):
        body = {**OPEN, "code": f"{code}-{secrets.token_hex(3)}", "region_code": region, "city": code, "city_zh": city}
        made = await shop.ask("POST", "/v1/staff/warehouses", body, token=bearer)
        assert made.status == 201, made.body
        ids.append(made.json["warehouse_id"])
    await shop.fresh_facts()
    yield Places(shop, bearer, *ids)
    await shop.pool.execute("DELETE FROM warehouse")
    for _ in range(2):
        await shop.fresh_facts()


def sent_from(order: Any) -> list[tuple[str, list[int]]]:
    return [(parcel["city"], [line["quantity"] for line in parcel["lines"]]) for parcel in order["parcels"]]


async def test_an_order_is_sent_from_the_near_warehouse_and_paying_deducts_there(places) -> None:
    sku_id = await places.sku(south=5, north=5)
    answer, user_id, bearer = await places.buy(BEIJING, **{sku_id: 2})
    assert (answer.status, sent_from(answer.json)) == (201, [("north", [2])]), answer.body
    assert await places.counts(sku_id) == {"south": (5, 0, 0), "north": (3, 2, 0)}
    await places.pay(answer.json["order_id"], bearer)
    await places.follow(sku_id, user_id)
    assert await places.counts(sku_id) == {"south": (5, 0, 0), "north": (3, 0, 2)}
    read = (await places.shop.ask("GET", f"/v1/orders/{answer.json['order_id']}", token=bearer)).json
    assert (read["status"], sent_from(read)) == ("paid", [("north", [2])])


async def test_cancelling_gives_back_to_where_it_was_taken_from(places) -> None:
    sku_id = await places.sku(south=3, north=2)
    answer, user_id, bearer = await places.buy(BEIJING, **{sku_id: 5})
    assert sent_from(answer.json) == [("north", [2]), ("south", [3])]
    assert await places.counts(sku_id) == {"south": (0, 3, 0), "north": (0, 2, 0)}
    cancelled = await places.shop.ask("POST", f"/v1/orders/{answer.json['order_id']}/cancel", token=bearer)
    assert cancelled.status == 200
    await places.follow(sku_id, user_id)
    assert await places.counts(sku_id) == {"south": (3, 0, 0), "north": (2, 0, 0)}


async def test_what_is_returned_goes_where_it_came_from_or_where_it_is_said_and_never_twice(places) -> None:
    sku_id = await places.sku(south=5, north=5)
    answer, user_id, bearer = await places.buy(SHANGHAI, **{sku_id: 3})
    order_id = answer.json["order_id"]
    assert await places.do(sku_id, "returns", 404, order_id=order_id, quantity=1) == "order_unknown", "it is not paid"
    await places.pay(order_id, bearer)
    await places.follow(sku_id, user_id)
    assert await places.do(sku_id, "returns", 422, order_id=order_id, quantity=4) == "quantity_invalid"
    key = secrets.token_hex(8)
    body = {"order_id": order_id, "quantity": 1, "reason": "too small"}
    for _ in range(2):
        answer = await places.shop.ask("POST", f"/v1/staff/stock/{sku_id}/returns", body, token=places.bearer, key=key)
        assert (answer.status, answer.json["available"]) == (200, 8)
    await places.do(sku_id, "returns", order_id=order_id, quantity=1, warehouse_id=places.north)
    assert await places.do(sku_id, "returns", 422, order_id=order_id, quantity=2) == "quantity_invalid"
    await places.follow(sku_id)
    assert await places.counts(sku_id) == {"south": (3, 0, 3), "north": (6, 0, 0)}
    listed = (await places.shop.ask("GET", f"/v1/staff/stock/{sku_id}/movements?limit=3", token=places.bearer)).json
    assert [(one["kind"], one["quantity"], one["warehouse_id"]) for one in listed["movements"]] == [
        ("return", 1, places.north), ("return", 1, places.south), ("sell", 3, places.south),
    ]  # fmt: skip
    rest = await places.shop.ask("GET", f"/v1/staff/stock/{sku_id}/movements?cursor={listed['next_cursor']}", token=places.bearer)
    assert sorted((one["kind"], one["quantity"]) for one in rest.json["movements"]) == [("hold", 3), ("in", 5), ("in", 5)]
    assert rest.json["next_cursor"] is None


async def test_an_order_without_a_hold_is_undone_in_every_warehouse(places) -> None:
    """Paid, but one line's hold was given away: the other line comes back to its own warehouse."""
    one, other = await places.sku(south=2), await places.sku(north=2)
    answer, user_id, bearer = await places.buy(SHANGHAI, **{one: 1, other: 2})
    assert {city for city, _ in sent_from(answer.json)} == {"south", "north"}
    rows = [row for shard in places.shop.services.directory.rows.values() for row in shard if row.key == one + "#0"]
    events = [event for row in rows for event in events_decoder.decode(row.body).events]
    held = next(event for event in events if isinstance(event, StockHeld))
    gone = Release(reservation_id=held.reservation_id)
    assert not (await places.shop.client.ask("stock", one + "#0", gone, command_id=b"gone" * 4, digest=b"d")).code
    await places.pay(answer.json["order_id"], bearer)
    await places.follow(one, other, user_id)
    assert (await places.counts(one), await places.counts(other)) == ({"south": (2, 0, 0)}, {"north": (2, 0, 0)})


async def test_the_stock_takes_what_is_there_when_the_tables_are_behind_and_the_order_says_so(places) -> None:
    sku_id = await places.sku(south=5, north=1)
    await places.do(sku_id, "losses", quantity=1, warehouse_id=places.north)
    _, boss = await member(places.shop, "operator")
    answer, _, _ = await places.buy(BEIJING, **{sku_id: 1})
    assert sent_from(answer.json) == [("south", [1])]
    seen = (await places.shop.ask("GET", f"/v1/staff/orders/{answer.json['order_id']}/parcels", token=boss)).json
    assert [(one["warehouse_id"], one["lines"]) for one in seen["parcels"]] == [(places.south, [{"sku_id": sku_id, "quantity": 1}])]
    assert [(one["warehouse_id"], one["verdict"], one["km"]) for one in places.own(seen["judged"])] == [
        (places.north, "whole", None), (places.south, "farther", None),
    ]  # fmt: skip
    assert all(one["en"].isascii() and one["zh"] for one in seen["judged"])


async def test_safety_stock_is_not_sold_and_expired_batches_are_not(places) -> None:
    sku_id = await places.sku(south=2, north=1)
    for _ in range(2):
        kept = await places.shop.ask(
            "PUT",
            f"/v1/staff/stock/{sku_id}/safety",
            {"warehouse_id": places.south, "quantity": 2, "reason": "winter"},
            token=places.bearer,
        )
        assert kept.status == 200, kept.body
    await places.do(sku_id, "receipts", quantity=4, warehouse_id=places.north, batch="old", expires_on="2020-01-31")
    answer, _, _ = await places.buy(SHANGHAI, **{sku_id: 2})
    assert (answer.code, answer.json["params"]["available"]) == ("insufficient_stock", 1)
    answer, _, _ = await places.buy(SHANGHAI, **{sku_id: 1})
    assert sent_from(answer.json) == [("north", [1])]
    assert (await places.buy(SHANGHAI, **{sku_id: 1}))[0].code == "sold_out"
    part = (await places.shop.ask("GET", f"/v1/staff/stock/{sku_id}/warehouses", token=places.bearer)).json["parts"][0]
    assert (part["available"], part["sellable"], part["held"], part["safety"][places.south]) == (6, 0, 1, 2)


async def test_units_are_moved_counted_and_written_off_by_hand(places) -> None:
    sku_id = await places.sku(south=5)
    moved = await places.do(sku_id, "moves", from_warehouse=places.south, to_warehouse=places.north, quantity=3)
    assert await places.counts(sku_id) == {"south": (2, 0, 0)}
    under_way = (await places.shop.ask("GET", f"/v1/staff/stock/{sku_id}/warehouses", token=places.bearer)).json["parts"][0]["moves"]
    assert under_way == [{"move_id": moved["move_id"], "to_warehouse": places.north, "batch": "", "quantity": 3}]
    for _ in range(2):
        assert (await places.do(sku_id, "arrivals", move_id=moved["move_id"], lost=1))["available"] == 4
    assert await places.do(sku_id, "arrivals", 404, move_id="0" * 32) == "move_unknown"
    await places.do(sku_id, "counts", delta=2, warehouse_id=places.north)
    assert await places.do(sku_id, "counts", 409, delta=-3, warehouse_id=places.south) == "insufficient_stock"
    await places.do(sku_id, "losses", quantity=1, warehouse_id=places.south)
    await places.follow(sku_id)
    assert await places.counts(sku_id) == {"south": (1, 0, 0), "north": (4, 0, 0)}
    rows = await places.shop.pool.fetch("SELECT permission, state, reason FROM staff_action WHERE target = $1 ORDER BY seq", sku_id)
    assert [(row["permission"], row["state"]) for row in rows[:4]] == [("stock.adjust", "intended"), ("stock.adjust", "done")] * 2
    assert {row["reason"] for row in rows} == {"a test"}
    assert "failed" in {row["state"] for row in rows}


async def test_a_repeat_under_one_key_is_one_receipt_and_another_body_is_refused(places) -> None:
    sku_id = await places.sku()
    key, path = secrets.token_hex(8), f"/v1/staff/stock/{sku_id}/receipts"
    body = {"quantity": 4, "warehouse_id": places.south, "reason": "delivery"}
    for _ in range(3):
        assert (await places.shop.ask("POST", path, body, token=places.bearer, key=key)).json["available"] == 4
    assert (await places.shop.ask("POST", path, {**body, "quantity": 5}, token=places.bearer, key=key)).code == "idempotency_key_reused"
    assert await places.counts(sku_id) == {"south": (4, 0, 0)}


REFUSED = [
    ("receipts", {"quantity": 1, "warehouse_id": "whs_nowhere"}, 404, "warehouse_unknown"),
    ("receipts", {"quantity": 1, "part": 7}, 422, "invalid_request"),
    ("receipts", {"quantity": 1, "expires_on": "2030-01-01"}, 422, "invalid_request"),
    ("receipts", {"quantity": 1, "batch": "b", "expires_on": "2030-02-31"}, 422, "invalid_request"),
    ("counts", {"delta": 0}, 422, "quantity_invalid"),
    ("moves", {"from_warehouse": "", "to_warehouse": "", "quantity": 1}, 422, "invalid_request"),
    ("losses", {"quantity": 1}, 409, "insufficient_stock"),
    ("returns", {"order_id": "ord_" + "0" * 20, "quantity": 1}, 404, "order_unknown"),
]


@pytest.mark.parametrize(("what", "body", "status", "code"), REFUSED)
async def test_what_cannot_be_is_refused(places, what: str, body: dict[str, Any], status: int, code: str) -> None:
    sku_id = await places.sku()
    assert await places.do(sku_id, what, status, **body) == code
    assert await places.do("sku_nobody", what, 404, **body) in ("sku_unknown", "warehouse_unknown", "order_unknown")


async def test_a_basket_is_explained_without_holding_anything(places) -> None:
    one, other = await places.sku(south=5, north=1), await places.sku(north=4)
    ask = {"lines": [{"sku_id": one, "quantity": 2}, {"sku_id": other, "quantity": 1}], "country": "CN", "region_code": "320500"}
    told = await places.shop.ask("POST", "/v1/staff/allocations", ask, token=places.bearer)
    assert told.status == 200, told.body
    assert [(one["warehouse_id"], len(one["lines"])) for one in told.json["parcels"]] == [(places.south, 1), (places.north, 1)]
    near, far = places.own(told.json["judged"])
    assert (near["verdict"], far["verdict"], near["missed_cutoff"]) == ("part", "part", False)
    assert (60 < near["km"] < 110, 900 < far["km"] < 1100) == (True, True)
    ask["lines"][0]["quantity"] = 9
    short = (await places.shop.ask("POST", "/v1/staff/allocations", ask, token=places.bearer)).json["short"]
    assert short == [{"sku_id": one, "quantity": 3}]
    assert await places.counts(one) == {"south": (5, 0, 0), "north": (1, 0, 0)}
    twice = {**ask, "lines": ask["lines"][:1] * 2}
    assert (await places.shop.ask("POST", "/v1/staff/allocations", twice, token=places.bearer)).code == "invalid_request"


async def test_warehouses_are_set_up_changed_and_removed_with_a_reason(places) -> None:
    shop, bearer = places.shop, places.bearer
    body = {**OPEN, "code": f"w-{secrets.token_hex(3)}", "country": "DE", "city": "Berlin", "cutoff": "16:30", "utc_offset_min": 60}
    key = secrets.token_hex(8)
    made = [await shop.ask("POST", "/v1/staff/warehouses", body, token=bearer, key=key) for _ in range(2)]
    assert [one.status for one in made] == [201, 201]
    assert made[0].json == made[1].json
    warehouse_id = made[0].json["warehouse_id"]
    assert (made[0].json["lat"], made[0].json["lon"], made[0].json["cutoff"]) == (52.52, 13.41, "16:30")
    path = f"/v1/staff/warehouses/{warehouse_id}"
    taken = (await shop.ask("GET", f"/v1/staff/warehouses/{places.north}", token=bearer)).json["code"]
    assert (await shop.ask("PUT", path, {**body, "code": taken}, token=bearer)).code == "warehouse_code_taken"
    assert (await shop.ask("PUT", path, {**body, "lat": 1.5}, token=bearer)).code == "address_invalid"
    changed = await shop.ask("PUT", path, {**body, "active": False, "lat": 1.5, "lon": 2.5}, token=bearer)
    assert (changed.status, changed.json["active"], changed.json["lat"]) == (200, False, 1.5)
    listed = (await shop.ask("GET", "/v1/staff/warehouses", token=bearer)).json["warehouses"]
    assert warehouse_id in {one["warehouse_id"] for one in listed}
    sku_id = await places.sku(north=1)
    assert (await shop.ask("DELETE", f"/v1/staff/warehouses/{places.north}?reason=closed", token=bearer)).code == "warehouse_in_use"
    assert (await places.counts(sku_id)) == {"north": (1, 0, 0)}
    assert (await shop.ask("DELETE", path + "?reason=closed", token=bearer)).status == 204
    assert (await shop.ask("DELETE", path + "?reason=closed", token=bearer)).code == "warehouse_unknown"
    rows = await shop.pool.fetch("SELECT permission, before, after FROM staff_action WHERE target = $1 ORDER BY seq", warehouse_id)
    assert [(row["permission"], bool(row["before"]), bool(row["after"])) for row in rows] == [
        ("warehouse.edit", False, True), ("warehouse.edit", True, True), ("warehouse.edit", True, False),
    ]  # fmt: skip


async def test_a_shop_without_warehouses_asks_no_table_and_tells_of_no_parcels(places) -> None:
    shop = places.shop
    rows = await shop.pool.fetch("DELETE FROM warehouse RETURNING *")
    for _ in range(2):
        await shop.fresh_facts()
    try:
        sku_id = await shop.sku(3)
        answer, _, _ = await places.buy(BEIJING, **{sku_id: 1})
        assert (answer.status, answer.json["parcels"]) == (201, [])
        events = [
            events_decoder.decode(row.body).events
            for rows in shop.services.directory.rows.values()
            for row in rows
            if row.key == sku_id + "#0"
        ]
        assert [getattr(event, "lots", ()) for turn in events for event in turn] == [(), ()]
    finally:
        names = list(dict(rows[0]))
        await shop.pool.copy_records_to_table("warehouse", records=[tuple(row) for row in rows], columns=names)
        for _ in range(2):
            await shop.fresh_facts()


async def test_who_has_no_such_role_changes_no_stock(places) -> None:
    user_id, support = await member(places.shop, "support")
    sku_id = await places.sku(south=1)
    answer = await places.shop.ask("POST", f"/v1/staff/stock/{sku_id}/receipts", {"quantity": 1, "reason": "delivery"}, token=support)
    assert (answer.status, answer.code) == (403, "forbidden")
    liar = token(places.shop, user_id, "warehouse")
    answer = await places.shop.ask("POST", f"/v1/staff/stock/{sku_id}/receipts", {"quantity": 1, "reason": "delivery"}, token=liar)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert await places.counts(sku_id) == {"south": (1, 0, 0)}
