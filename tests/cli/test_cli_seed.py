"""``stampede seed`` and ``migrate``: the same shop and the same customers each time, and books that balance."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.domain.entity import Refused
from actors.domain.signing import SigningKeys
from actors.domain.token import AccessToken, verify
from actors.storage.migrate import migrations

Run = Callable[..., Any]

pytestmark = pytest.mark.slow


def tokens_of(copy: Any, file: Path, at_ms: int) -> list[AccessToken]:
    """What the tokens in the file say, each checked as a replica would."""
    keys = SigningKeys(current=1, keys={1: copy.sql("SELECT token_key FROM cluster")[0]["token_key"]})
    found = []
    for line in file.read_text().splitlines():
        user_id, text = line.split("\t")
        token = verify(keys, text, at_ms=at_ms)
        assert not isinstance(token, Refused)
        assert token.user_id == user_id
        found.append(token)
    return found


def now_ms(copy: Any) -> int:
    return int(copy.sql("SELECT (extract(epoch FROM now()) * 1000)::bigint AS ms")[0]["ms"])


def test_customers_are_logged_in_and_the_same_each_time(in_copy: Any, run: Run, tmp_path: Path) -> None:
    first, again = tmp_path / "first.tsv", tmp_path / "again.tsv"
    assert run("seed", "--users", "30", "--tokens", str(first)).out == f"Wrote 30 tokens to {first}, good for 1 h.\n"
    assert run("seed", "--users", "40", "--tokens", str(again)).code == 0
    tokens = tokens_of(in_copy, first, now_ms(in_copy) + 3_500_000)
    assert [token.user_id for token in tokens] == [f"usr_load{number:07d}" for number in range(1, 31)]
    assert [token.session_id for token in tokens] == [token.session_id for token in tokens_of(in_copy, again, 0)][:30]
    assert {(token.generation, int(token.roles)) for token in tokens} == {(0, 1)}
    assert in_copy.sql("SELECT count(*) FROM account")[0][0] == 40
    assert in_copy.sql("SELECT count(*), count(DISTINCT key) FROM journal WHERE kind = 'sessions'")[0][:2] == (40, 40)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert run("audit").code == 0


def test_tokens_live_as_long_as_was_asked(in_copy: Any, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tokens.tsv"
    assert run("seed", "--users", "1", "--tokens", str(file), "--hours", "2").code == 0
    token = tokens_of(in_copy, file, now_ms(in_copy))[0]
    assert abs(token.expires_at_ms - now_ms(in_copy) - 7_200_000) < 60_000


def test_the_shop_is_loaded_once(in_copy: Any, run: Run) -> None:
    assert run("seed", "--shop", "small").out == "There is a shop already; nothing was loaded.\n"
    # Another test imports a product with a code of its own.
    products = "SELECT count(*) FROM product WHERE code NOT LIKE 'CLI-%'"
    skus = "SELECT count(*) FROM sku WHERE sku_id NOT LIKE 'sku_s%' AND code NOT LIKE 'CLI-%'"
    assert in_copy.sql(f"SELECT ({products}), ({skus})")[0][:] == (40, 40)
    quotas = in_copy.sql("SELECT coupon_id, total, claimed FROM quota_level ORDER BY coupon_id")
    assert [tuple(row) for row in quotas] == [
        ("cpn_1", 1000, 0),
        ("cpn_2", 100, 0),
        *((f"cpn_birthday_{level}", 1_000_000_000, 0) for level in ("gold", "platinum", "silver")),
        ("cpn_points", 1_000_000_000, 0),
        ("mal_coupon", 100_000, 0),
        ("mal_mug", 500, 0),
    ]


def test_loaded_stock_is_what_the_owners_know(in_copy: Any, run: Run) -> None:
    levels = {row["key"]: row["available"] for row in in_copy.sql("SELECT key, available FROM stock_level WHERE key NOT LIKE 'sku_s%'")}
    assert set(levels) <= {f"sku_{number}#0" for number in range(1, 41)}
    assert len(levels) >= 30
    # What was archived and pruned is in a snapshot.
    known = "SELECT key FROM journal WHERE kind = 'stock' AND key = 'sku_1#0' UNION SELECT key FROM snapshot WHERE key = 'sku_1#0'"
    assert len(in_copy.sql(known)) == int("sku_1#0" in levels)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Say what to make: --shop, or --users with --tokens."),
        (("--users", "3"), "--users needs --tokens FILE, where their tokens go."),
        (("--shop", "huge"), "There is no shop called huge: it is demo, small or none."),
        (("--users", "1", "--tokens", "/dev/null/nowhere"), "/dev/null/nowhere cannot be written (Not a directory). Choose another place."),
    ],
)
def test_a_seed_that_cannot_be_is_refused_in_one_sentence(in_copy: Any, run: Run, options: tuple[str, ...], words: str) -> None:
    said = run("seed", *options)
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[-1] == words


def test_migrating_a_resting_copy_starts_its_server_and_lists_what_was_applied(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)  # a PostgreSQL that root starts runs as another user
    monkeypatch.setenv("STAMPEDE_DATA_DIR", str(tmp_path / "resting"))
    assert run("migrate").out.splitlines() == [f"applied {name}" for _, name, _ in migrations()]
    assert run("migrate").out == "Nothing to do: the schema is up to date.\n"
    assert run("seed", "--shop", "small").out == "Loaded the small shop: 40 products.\n"
    assert run("audit").out.startswith("The books balance.\n")
    said = run("status")
    assert (said.code, said.err.startswith("No copy is running in ")) == (1, True)
