"""Sealed fields: what opens them, what does not, and how keys are changed."""

import base64
from pathlib import Path

import asyncpg
import pytest

from actors.storage.identities import Identities, identity_id_of, reseal_identities
from actors.storage.sealing import FILE, FieldKeys, Sealer, Unreadable, WrongKeys, kept_keys, parse_keys, write_keys
from actors.storage.users import Users
from schemas.identity import ProvenIdentity

OLD = FieldKeys(current=1, keys={1: b"a" * 32}, lookup=b"l" * 32)
NEW = FieldKeys(current=2, keys={1: b"a" * 32, 2: b"b" * 32}, lookup=b"l" * 32)
OTHER = FieldKeys(current=1, keys={1: b"c" * 32}, lookup=b"l" * 32)
ADA = ProvenIdentity(kind="email", subject="ada@example.com")


def test_a_sealed_field_opens_for_its_purpose_and_owner_alone() -> None:
    sealer = Sealer(OLD)
    sealed = sealer.seal("address", "usr_1", "中山路 1 号")
    assert sealer.open("address", "usr_1", sealed) == "中山路 1 号"
    for purpose, owner in (("name", "usr_1"), ("address", "usr_2")):
        with pytest.raises(Unreadable):
            sealer.open(purpose, owner, sealed)


def test_no_altered_bit_is_overlooked() -> None:
    sealer = Sealer(OLD)
    sealed = sealer.seal("address", "usr_1", "x")
    for position in range(1, len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(Unreadable):
            sealer.open("address", "usr_1", bytes(altered))


def test_the_same_text_is_sealed_differently_each_time_and_found_by_the_same_fingerprint() -> None:
    sealer = Sealer(OLD)
    assert sealer.seal("p", "o", "x") != sealer.seal("p", "o", "x")
    assert sealer.lookup("p", "x") == Sealer(NEW).lookup("p", "x")
    assert sealer.lookup("p", "x") != sealer.lookup("q", "x")
    assert sealer.digest("p", "ab", "c") != sealer.digest("p", "a", "bc")


def test_an_older_key_still_opens_and_another_one_does_not() -> None:
    sealed = Sealer(OLD).seal("p", "o", "x")
    assert Sealer(NEW).open("p", "o", sealed) == "x"
    assert Sealer(NEW).is_old(sealed)
    assert not Sealer(OLD).is_old(sealed)
    with pytest.raises(Unreadable):
        Sealer(OTHER).open("p", "o", sealed)


def test_keys_are_read_as_they_were_written_and_shown_to_nobody(tmp_path: Path) -> None:
    assert parse_keys(write_keys(NEW)) == NEW
    made = kept_keys(tmp_path)
    assert kept_keys(tmp_path) == made
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert base64.b64encode(made.lookup).decode() not in repr(made)


@pytest.mark.parametrize("text", ["", "1=x", "1=" + "A" * 44, "lookup=" + "A" * 43 + "=", "a=" + "A" * 43 + "=", "0=" + "A" * 43 + "="])
def test_keys_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_keys(text)


async def test_a_database_sealed_with_other_keys_is_refused_by_name(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await Sealer(OLD).check(connection)
    await Sealer(NEW).check(connection)
    with pytest.raises(WrongKeys, match=r"^1$"):
        await Sealer(OTHER).check(connection)
    with pytest.raises(WrongKeys, match=r"^2$"):
        await Sealer(OLD).check(connection)  # the second key has sealed by now
    await connection.close()


async def test_identities_are_sealed_at_rest_and_resealed_while_in_use(database_url: str) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=2)
    identities = Identities(pool, Sealer(OLD))
    users = Users(pool, identities)
    assert await users.open("usr_ada", ADA, None, b"r" * 16)
    await pool.execute("INSERT INTO account (user_id, register_id) VALUES ('usr_old', 'x')")
    await pool.execute(
        "INSERT INTO identity (identity_id, user_id, kind, lookup, sealed)"
        " VALUES ('idn_old', 'usr_old', 'email', sha256('old@example.com'), '\\x00'::bytea || 'old@example.com')"
    )
    assert b"ada@" not in await pool.fetchval("SELECT sealed FROM identity WHERE user_id = 'usr_ada'")
    async with pool.acquire() as connection:
        assert await reseal_identities(connection, Sealer(NEW)) == 2
        assert await reseal_identities(connection, Sealer(NEW)) == 0
    after = Identities(pool, Sealer(NEW))
    assert [found.subject for found in await after.of_user("usr_old")] == ["old@example.com"]
    assert await after.find(ProvenIdentity(kind="email", subject="old@example.com")) == "usr_old"
    assert await after.find(ADA) == "usr_ada"
    assert await pool.fetchval("SELECT count(*) FROM identity WHERE substr(sealed, 1, 2) = '\\x0102'") == 2
    await pool.close()


async def test_an_identity_is_of_one_account_and_the_last_one_stays(database_url: str) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=2)
    identities = Identities(pool, Sealer(OLD))
    users = Users(pool, identities)
    phone = ProvenIdentity(kind="phone", subject="+8613800138000")
    assert await users.open("usr_1", ADA, None, b"r")
    assert not await users.open("usr_2", ADA, None, b"s")
    assert await users.one("usr_2") is None
    assert await users.open("usr_2", phone, None, b"s")
    assert await identities.add("usr_2", ADA) == "identity_taken"
    assert await identities.remove("usr_1", identity_id_of(identities.lookup(ADA))) == "last_identity"
    assert await identities.remove("usr_1", identity_id_of(identities.lookup(phone))) == "identity_unknown"
    assert await identities.add("usr_1", ProvenIdentity(kind="wechat", subject="o1", union_subject="u1")) == ""
    assert await identities.add("usr_1", ProvenIdentity(kind="wechat", subject="o1", union_subject="u1")) == ""
    assert await identities.find(ProvenIdentity(kind="wechat", subject="o2", union_subject="u1")) == "usr_1"
    assert await identities.remove("usr_1", identity_id_of(identities.lookup(ADA))) == ""
    await pool.close()


async def test_merged_accounts_log_in_to_the_one_that_is_left(database_url: str) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=2)
    identities = Identities(pool, Sealer(OLD))
    users = Users(pool, identities)
    names = {name: ProvenIdentity(kind="email", subject=f"{name}@example.com") for name in ("a", "b", "c")}
    for name, proven in names.items():
        assert await users.open(f"usr_{name}", proven, "hash", name.encode())
    assert await users.merge("usr_a", "usr_b")
    assert await users.merge("usr_b", "usr_c")
    assert await users.merge("usr_b", "usr_c")  # a repeat changes nothing
    assert not await users.merge("usr_b", "usr_a")
    assert not await users.merge("usr_c", "usr_b")
    assert {await identities.find(proven) for proven in names.values()} == {"usr_c"}
    assert sorted(await users.merged_into("usr_c")) == ["usr_a", "usr_b"]
    assert (await users.one("usr_a")).merged_into == "usr_c"
    assert await identities.add("usr_a", ProvenIdentity(kind="qq", subject="q")) == "account_closed"
    await pool.close()
