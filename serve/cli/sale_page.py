"""A sale as people read it."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table


def page(found: dict[str, Any]) -> RenderableType:
    """The terms, then the stock of each part, from ``serve.cli.sale.status_json``."""
    price = ", ".join(f"{sku} {price['amount'] / 100:.2f} {price['currency']}" for sku, price in found["prices"].items())
    head = [
        f"{found['sale_id']}  {found['title']}  {found['state']}  ({found['mode']})",
        f"{price}  {found['opens_at']} - {found['ends_at']}",
    ]
    columns = ("key", "put_in", "available", "held", "sold", "in_transit")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column == "key" else "right")
    for part in (*found["parts"], {"key": "", **found["stock"]}):
        table.add_row(*(str(part[column]) for column in columns))
    return Group(*head, table)
