"""The last look at a simulated world that has come to rest: do journal, memory, tables, provider and answers agree?"""

from collections import Counter
from typing import Any

from actors.domain import stock
from actors.domain.kinds import KINDS
from actors.testing.sim_books import FINAL, Paper
from actors.testing.sim_crowd import Crowd, Intent
from actors.testing.sim_projection import Tables
from actors.testing.sim_world import World
from schemas import order as o
from schemas.payment import PaymentStatus


def unrest(world: World, tables: Tables, crowd: Crowd) -> str:
    """What is still going on; empty when the world has come to rest."""
    for process in world.live():
        if process.host.turns.flying is not None or process.host.turns.open_batch.rows:
            return f"{process.name} has something to write"
        for shard in process.host.shards.values():
            if shard.outbox:
                outgoing = next(iter(shard.outbox.values()))
                return f"a send is open: {outgoing.send.step} of {outgoing.from_key}"
    unowned = [number for number, owner in world.journal.owners.items() if not owner or not _serves(world, owner, number)]
    if unowned:
        return f"shards without an owner: {unowned}"
    for number, paper in world.books.orders.items():
        if paper.status not in FINAL:
            return f"{number} is {paper.status}"
        if "refunding" in paper.payments.values():
            return f"{number} is being refunded"
    for key, part in world.books.parts.items():
        if part.holds:
            return f"{key} holds for {[part.orders[reservation] for reservation in part.holds]}"
    for key, quota in world.books.quotas.items():
        if quota.claims:
            return f"{key} has claims"
    if tables.positions != world.journal.heads:
        return "the followers are behind"
    return "errands are under way" if crowd.errands else ""


def _serves(world: World, owner: str, number: int) -> bool:
    process = world.find(owner)
    if process is None or process.life.dead:
        return False
    shard = process.host.shards.get(number)
    return shard is not None and shard.serving


def audit(world: World, tables: Tables, crowd: Crowd) -> None:
    """Every promise that can only be checked at rest; breaches go into the books."""
    _check_orders(world)
    _check_stock(world)
    _check_money(world)
    _check_answers(world, crowd)
    _check_memory(world)
    _check_tables(world, tables)


def _check_orders(world: World) -> None:
    books = world.books
    wanted = {"paid": "sold", "cancelled": "back", "refused": "back", "refunded": "back"}
    for number, paper in books.orders.items():
        for key, reservation_id, line in zip(paper.stock_keys, paper.placed.reservation_ids, paper.placed.lines, strict=True):
            part = books.parts.get(key)
            was_held = part is not None and reservation_id in part.orders
            if not was_held and paper.status != "refused":
                books.breach(f"placed without a hold: {number} at {key}")
            is_sold = part is not None and part.sold.get(reservation_id) == line.quantity
            if is_sold != (wanted.get(paper.status) == "sold"):
                books.breach(f"{number} is {paper.status}, but its units at {key} are {'sold' if is_sold else 'not sold'}")
        _check_coupons(world, number, paper)


def _check_coupons(world: World, number: str, paper: Paper) -> None:
    for claim in paper.placed.coupons:
        quota = world.books.quotas.get(claim.coupon_id)
        redeemed = quota is not None and claim.claim_id in quota.redeemed
        if paper.status == "paid" and not redeemed:
            world.books.breach(f"{number} is paid, but its coupon {claim.coupon_id} is not redeemed")
        if paper.status in ("cancelled", "refused", "refunded") and redeemed:
            world.books.breach(f"{number} is {paper.status}, but its coupon {claim.coupon_id} is redeemed")


def _check_stock(world: World) -> None:
    totals: dict[str, Counter[str]] = {}
    for key, part in world.books.parts.items():
        total = totals.setdefault(key.partition("#")[0], Counter())
        total["put_in"] += part.put_in
        total["kept"] += part.available + part.written_off + sum(part.holds.values()) + sum(part.sold.values())
        total["transit"] += part.sent - part.received
        for reservation_id in part.sold:
            if world.books.orders[part.orders[reservation_id]].status != "paid":
                world.books.breach(f"units of {key} are sold for {part.orders[reservation_id]}, which is not paid")
    for sku_id, total in totals.items():
        if total["put_in"] != total["kept"] or total["transit"]:
            world.books.breach(f"not conserved: {sku_id}: {dict(total)}")


def _check_money(world: World) -> None:
    """What the provider holds belongs to a paid order, was given back, or waits for a person."""
    gateway, books = world.gateway, world.books
    given_back = {refund.payment_id for refund in gateway.refunds.values()}
    for payment_id, payment in gateway.payments.items():
        paper = books.orders.get(payment.order_id)
        status = paper.payments.get(payment_id, "") if paper else ""
        if payment.status is PaymentStatus.PAID and payment_id not in given_back:
            fits = paper is not None and paper.status == "paid" and status == "settled" and payment.amount == paper.placed.total
            if not fits and status != "questioned":
                books.breach(f"the provider holds {payment_id}, here it is {status or 'unknown'}")
        if payment_id in given_back and status != "refunded":
            books.breach(f"the provider refunded {payment_id}, here it is {status or 'unknown'}")
    for number, paper in books.orders.items():
        kept = [payment_id for payment_id, status in paper.payments.items() if status == "settled"]
        if len(kept) != (1 if paper.status == "paid" else 0):
            books.breach(f"{number} is {paper.status} and keeps {len(kept)} payments")
        for payment_id in kept:
            if paper.placed.total and gateway.payments[payment_id].status is not PaymentStatus.PAID:
                books.breach(f"{payment_id} counts as paid, and the provider has nothing")


def _check_answers(world: World, crowd: Crowd) -> None:
    books = world.books
    for intent in crowd.intents:
        recorded = books.answers.get((intent.kind, intent.key, intent.id), None)
        for answer in intent.answers:
            if answer.code or not intent.digest:
                continue
            if recorded is None and isinstance(answer.reply, o.OrderView) and isinstance(intent.make(), o.PlaceOrder):
                books.breach(f"acknowledged and lost: {answer.reply.order_id}")
            if recorded is not None and answer.reply != recorded:
                books.breach(f"two answers for one id: {answer.reply} and {recorded}")
        _check_definite(world, intent)


def _check_definite(world: World, intent: Intent) -> None:
    if not intent.is_definite():
        world.books.breach(f"no answer: {intent.kind} {intent.key} was told {[answer.code for answer in intent.answers]}")


def _check_memory(world: World) -> None:
    """Replaying the journal gives the state in memory, and nothing there is ahead of it."""
    for process in world.live():
        for shard in process.host.shards.values():
            for (kind, key), cell in shard.cells.items():
                records = world.books.records.get((kind, key), [])
                if cell.version != len(records):
                    world.books.breach(f"memory and journal differ: {kind} {key} is at version {cell.version} of {len(records)}")
                elif cell.state != _replayed(kind, key, [event for record in records for event in record.body.events]):
                    world.books.breach(f"memory and journal differ: the state of {kind} {key}")
                if kind == "stock":
                    for wrong in stock.invariant(cell.state):
                        world.books.breach(f"not conserved: {wrong}")


def _replayed(kind: str, key: str, events: list[Any]) -> Any:
    rules = KINDS[kind]
    state = rules.new(key)
    for event in events:
        rules.apply(state, event)
    return state


def _check_tables(world: World, tables: Tables) -> None:
    books = world.books
    for gap in tables.gaps:
        books.breach(f"a follower saw a gap: {gap}")
    if tables.orders != {number: paper.status for number, paper in books.orders.items()}:
        books.breach("the table of orders differs from the journal")
    for key, part in books.parts.items():
        wanted = (part.available, sum(part.holds.values()), sum(part.sold.values()))
        shown = tuple(tables.levels.get((key, name), 0) for name in ("available", "held", "sold"))
        if wanted != shown:
            books.breach(f"the table of levels differs from the journal: {key} shows {shown} for {wanted}")
