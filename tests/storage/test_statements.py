"""Every statement is understood by the migrated schema."""

import importlib
import pkgutil
import re
from typing import Any

import pytest

import actors.storage

STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_PARTS_OF_LISTS = ("_BY_ID", "_BY_AGE", "_OF_SKUS", "_OF_PRICES", "_CHOSEN", "_CHOSEN_SKUS", "_CHOSEN_PRICES")
PARTS = {f"actors.storage.product_pages.{name}" for name in _PARTS_OF_LISTS}
"""Not statements, but what several statements are made of."""


def statements() -> dict[str, str]:
    """Every constant of ``actors.storage`` that is a statement, by its full name."""
    found = {}
    for module in pkgutil.walk_packages(actors.storage.__path__, "actors.storage."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.isupper() and isinstance(value, str) and STATEMENT.match(value):
                found[f"{module.name}.{name}"] = value
    return {name: sql for name, sql in found.items() if name not in PARTS}


@pytest.mark.slow
def test_there_are_statements_to_prepare() -> None:
    names = statements()
    assert len(names) > 50
    assert {"actors.storage.journal.APPEND", "actors.storage.board.CLAIM", "actors.storage.migrate._SHARDS"} <= names.keys()


@pytest.mark.slow
async def test_every_statement_is_prepared_against_the_migrated_schema(connection: Any) -> None:
    refused = {}
    for name, sql in statements().items():
        try:
            await connection.prepare(sql)
        except Exception as error:
            refused[name] = str(error)
    assert refused == {}
