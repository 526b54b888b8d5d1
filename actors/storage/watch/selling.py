"""Sales by article and day, and which products are bought together, counted from the ledger.

An order counts on the day on which it was paid, and no more once its money goes back. Each entry of the ledger that pays an order, or
pays it back, leaves a line in ``sale_news`` in the transaction that writes the entry (a trigger), and the statement that counts it takes
the line away: killed at any moment, each is counted once. A rebuild of the projections asks for everything to be counted anew.
"""

from typing import Any, Final

NEWS_MAX: Final = 2000
"""Entries of the ledger that one transaction counts."""
PAIRED_MAX: Final = 20
"""Orders of more products than this say little of what belongs together, and much of it."""

# Products of one order meet in an array and not in a join: an estimate that is too low would make it a loop in a loop.
_LINES: Final = """
lines AS (
    SELECT sold.order_id, sold.sign, sold.day, line ->> 'sku_id' AS sku_id, sum((line ->> 'quantity')::bigint) AS units,
        sum((line ->> 'quantity')::bigint * (line ->> 'unit_price')::bigint - coalesce((line ->> 'discount')::bigint, 0)) AS revenue
    FROM sold CROSS JOIN LATERAL jsonb_array_elements(sold.lines) AS line GROUP BY 1, 2, 3, 4
), days AS (
    SELECT sku_id, day, sum(sign * units)::bigint AS units, sum(sign * revenue)::bigint AS revenue, sum(sign)::bigint AS orders
    FROM lines GROUP BY 1, 2
), goods AS (
    SELECT l.order_id, l.sign, array_agg(DISTINCT s.product_id) AS ids FROM lines l JOIN sku s USING (sku_id) GROUP BY 1, 2
), pairs AS (
    SELECT a.id AS product_id, b.id AS with_id, sum(g.sign)::bigint AS orders
    FROM goods g CROSS JOIN LATERAL unnest(g.ids) AS a (id) CROSS JOIN LATERAL unnest(g.ids) AS b (id)
    WHERE cardinality(g.ids) <= {paired} AND a.id <> b.id GROUP BY 1, 2
)"""
COUNT_NEWS: Final = f"""
WITH taken AS (
    DELETE FROM sale_news WHERE number IN (SELECT number FROM sale_news ORDER BY number LIMIT $1) RETURNING order_id, sign
), news AS (
    SELECT order_id, sum(sign)::integer AS sign FROM taken GROUP BY order_id HAVING sum(sign) <> 0
), sold AS (
    SELECT n.order_id, n.sign, (e.at_ms / 86400000)::integer AS day, o.lines FROM news n
    JOIN ledger_entry e ON e.posting = 'order:' || n.order_id AND e.account = 'merchant.payable' JOIN orders o ON o.order_id = n.order_id
), {_LINES.format(paired=PAIRED_MAX)}, counted AS (
    INSERT INTO sku_day AS d (sku_id, day, units, revenue_minor, orders) SELECT sku_id, day, units, revenue, orders FROM days
    ON CONFLICT (sku_id, day) DO UPDATE SET units = d.units + excluded.units, revenue_minor = d.revenue_minor + excluded.revenue_minor,
        orders = d.orders + excluded.orders
), paired AS (
    INSERT INTO product_pair AS p (product_id, with_id, orders) SELECT product_id, with_id, orders FROM pairs
    ON CONFLICT (product_id, with_id) DO UPDATE SET orders = p.orders + excluded.orders
), due AS (
    INSERT INTO product_fact_due (product_id) SELECT DISTINCT unnest(ids) FROM goods ON CONFLICT DO NOTHING
)
SELECT count(*) FROM taken"""
DROP_EMPTY_DAYS: Final = "DELETE FROM sku_day WHERE orders = 0 AND units = 0 AND revenue_minor = 0"
DROP_EMPTY_PAIRS: Final = "DELETE FROM product_pair WHERE orders = 0"

_SOLD: Final = """
sold AS (
    SELECT n.order_id, n.sign, (p.at_ms / 86400000)::integer AS day, o.lines FROM (
        SELECT order_id, sum(sign)::integer AS sign FROM (
            SELECT order_id, CASE WHEN posting LIKE 'order:%' THEN 1 ELSE -1 END AS sign FROM ledger_entry
            WHERE account = 'merchant.payable' AND (posting LIKE 'order:%' OR posting LIKE 'refund:%')
        ) told GROUP BY order_id HAVING sum(sign) <> 0
    ) n JOIN ledger_entry p ON p.posting = 'order:' || n.order_id AND p.account = 'merchant.payable'
    JOIN orders o ON o.order_id = n.order_id
)"""
COUNT_DAYS: Final = f"""
WITH {_SOLD}, {_LINES.format(paired=PAIRED_MAX)}
INSERT INTO sku_day (sku_id, day, units, revenue_minor, orders) SELECT sku_id, day, units, revenue, orders FROM days WHERE orders <> 0"""
COUNT_PAIRS: Final = f"""
WITH {_SOLD}, {_LINES.format(paired=PAIRED_MAX)}
INSERT INTO product_pair (product_id, with_id, orders) SELECT product_id, with_id, orders FROM pairs WHERE orders <> 0"""
FORGET_NEWS: Final = "DELETE FROM sale_news"
FORGET_DAYS: Final = "DELETE FROM sku_day"
FORGET_PAIRS: Final = "DELETE FROM product_pair"
COUNTED: Final = "UPDATE watch_state SET recount = false"
ASK_RECOUNT: Final = "UPDATE watch_state SET recount = true"
RECOUNT_ASKED: Final = "SELECT recount FROM watch_state"
ALL_DUE: Final = "INSERT INTO product_fact_due (product_id) SELECT product_id FROM product ON CONFLICT DO NOTHING"


async def count_news(connection: Any) -> int:
    """Count the oldest entries that are not counted yet, in one transaction; answers how many."""
    async with connection.transaction():
        taken: int = await connection.fetchval(COUNT_NEWS, NEWS_MAX)
        if taken:
            await connection.execute(DROP_EMPTY_DAYS)
            await connection.execute(DROP_EMPTY_PAIRS)
    return taken


async def recount(connection: Any) -> None:
    """Count everything anew, in one snapshot: what is told meanwhile is counted afterwards.

    asyncpg.SerializationError when a rebuild ended meanwhile: its tables may not be those of the snapshot. Nothing is changed then.
    """
    async with connection.transaction(isolation="repeatable_read"):
        for statement in (FORGET_NEWS, FORGET_DAYS, FORGET_PAIRS, COUNT_DAYS, COUNT_PAIRS, ALL_DUE, COUNTED):
            await connection.execute(statement)


async def ask_recount(connection: Any) -> None:
    """Let the next round count everything anew."""
    await connection.execute(ASK_RECOUNT)


async def recount_asked(connection: Any) -> bool:
    """Whether somebody (a rebuild, a migration) asked for everything to be counted anew."""
    return bool(await connection.fetchval(RECOUNT_ASKED))
