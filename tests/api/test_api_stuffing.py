"""A crowd of logins: what is computed is bounded, the rest is told to come back, and everybody else is served meanwhile."""

import asyncio
import collections
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from schemas.settings import Settings
from serve.login_guard import AGAIN_S, FORGIVEN_MS, TURNS_PER_THREAD, WAITING_MAX, LoginGuard, Place, network_of
from serve.login_tries import LoginTries
from serve.passwords import Passwords
from serve.requests import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="session")

CROWD = 200
SHARDS = 16


class Watched(Passwords):
    """Knows how many passwords were with it at once, at most."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.now = self.most = 0

    async def fits(self, password: str, kept: str | None) -> bool:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().fits(password, kept)
        finally:
            self.now -= 1


async def most_at_once(running_shop, database_url: str, threads: int) -> int:
    """How many hashes were under way at most, of a crowd of which everybody has an address of his own."""
    settings = Settings(shard_count=SHARDS, replicas=1, rate_address_per_s=0, login_threads=threads, forwarded_hops=1)
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(running_shop(database_url, settings))
        shop.session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        desk = shop.application.desk
        desk.passwords.close()
        desk.passwords = Watched(threads)
        logins = [
            asyncio.ensure_future(
                shop.ask(
                    "POST", "/v1/sessions", {"email": f"leaked{number}@example.net", "password": "wrong"},
                    headers={"X-Forwarded-For": f"10.0.0.{number}"},
                )
            )
            for number in range(CROWD)
        ]  # fmt: skip
        await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
        browsed = await shop.ask("GET", "/v1/products?limit=1")
        assert browsed.status == 200
        assert any(not login.done() for login in logins), "browsing waited for the hashes"
        answers = await asyncio.gather(*logins)
    counted = collections.Counter((answer.status, answer.code) for answer in answers)
    refused = counted.pop((503, "busy"), 0)
    assert list(counted) == [(401, "wrong_credentials")]
    assert counted.total() + refused == CROWD
    assert counted.total() >= min(CROWD, threads * TURNS_PER_THREAD + WAITING_MAX)
    assert {answer.headers["retry-after"] for answer in answers if answer.status == 503} == {str(AGAIN_S)}
    return desk.passwords.most


@pytest.mark.slow
async def test_f58_of_a_crowd_of_logins_few_are_hashed_at_once_and_browsing_is_answered_before_them(running_shop, database_url) -> None:
    assert await most_at_once(running_shop, database_url, threads=2) == 2 * TURNS_PER_THREAD


@pytest.mark.slow
async def test_control_f58_with_more_threads_the_same_crowd_has_more_hashes_under_way(running_shop, database_url) -> None:
    assert await most_at_once(running_shop, database_url, threads=8) == 8 * TURNS_PER_THREAD


class Line:
    """A guard whose turns are all taken, and who had his in which order."""

    def __init__(self, tries: LoginTries | None = None) -> None:
        self.now_ms = 0.0
        self.guard = LoginGuard(lambda: self.now_ms, threads=1, tries=tries or LoginTries.alone())
        self.inside = [self.guard.enter("") for _ in range(TURNS_PER_THREAD)]
        self.served: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def enter(self, address: str) -> None:
        place = self.guard.enter(address)
        self.tasks.append(asyncio.ensure_future(self._wait(address, place)))

    async def _wait(self, address: str, place: Place) -> None:
        try:
            async with place:
                self.served.append(address)
                raise Refusal("wrong_credentials")
        except Refusal as refusal:
            if refusal.code != "wrong_credentials":
                self.served.append(f"{address} {refusal.code}")

    async def go_on(self) -> list[str]:
        """Everybody who waits has his turn, one after the other."""
        await asyncio.sleep(0)
        self.guard.left(self.inside[0], has_turn=True)
        await asyncio.gather(*self.tasks)
        return self.served


async def test_f58_whoever_has_tried_least_goes_first_and_equals_as_they_came() -> None:
    line = Line()
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"):
        line.enter(address)
    assert await line.go_on() == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1"]


async def test_f58_a_full_line_turns_away_whoever_tried_most() -> None:
    line = Line()
    for _ in range(WAITING_MAX):
        line.enter("10.0.0.1")
    with pytest.raises(Refusal, match="busy"):
        line.guard.enter("10.0.0.1")
    line.enter("10.0.0.2")
    served = await line.go_on()
    assert collections.Counter(served) == {"10.0.0.1": WAITING_MAX - 1, "10.0.0.2": 1, "10.0.0.1 busy": 1}


async def test_f58_a_try_is_forgotten_after_an_hour_and_a_right_one_at_once() -> None:
    line = Line()
    wrong = line.guard.enter("10.0.0.1")
    line.guard.left(wrong, has_turn=False)
    right = line.guard.enter("10.0.0.2")
    line.guard.left(right, has_turn=False)
    line.guard.forgive("10.0.0.2")
    line.enter("10.0.0.1")
    line.enter("10.0.0.2")
    assert await line.go_on() == ["10.0.0.2", "10.0.0.1"]
    line = Line()
    line.guard.left(line.guard.enter("10.0.0.1"), has_turn=False)
    line.now_ms = FORGIVEN_MS
    line.enter("10.0.0.1")
    line.enter("10.0.0.2")
    assert await line.go_on() == ["10.0.0.1", "10.0.0.2"]


async def test_a_client_who_gives_up_leaves_the_line_and_takes_no_turn() -> None:
    line = Line()
    line.enter("10.0.0.1")
    line.enter("10.0.0.2")
    await asyncio.sleep(0)
    line.tasks.pop(0).cancel()
    assert await line.go_on() == ["10.0.0.2"]
    assert await line.go_on() == ["10.0.0.2"]


async def test_f58_a_network_of_ipv6_is_one_address() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::9") == "2001:db8:1:2::"
    assert network_of("2001:db8:1:3::9") == "2001:db8:1:3::"
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1") == "10.0.0.1"


@pytest.mark.slow
async def test_a_hashing_process_that_died_is_started_again() -> None:
    passwords = Passwords(1)
    kept = await passwords.hashed("correct horse battery staple", "kim@example.com")
    waiting = asyncio.ensure_future(passwords.fits("correct horse battery staple", kept))
    await asyncio.sleep(0)
    assert passwords.under_way == 1
    passwords._process.kill()
    with pytest.raises(Refusal, match="busy"):
        await waiting
    assert await passwords.fits("correct horse battery staple", kept) is True
    assert await passwords.fits("wrong", kept) is False
    passwords.close()


async def test_f58_what_tried_at_one_replica_stands_last_at_the_other(tmp_path: Path) -> None:
    key = bytes(range(64))
    lines = [Line(LoginTries.shared(tmp_path / "login-tries", key)) for _ in range(2)]
    for number in range(WAITING_MAX):
        lines[0].guard.left(lines[0].guard.enter(f"10.0.1.{number}"), has_turn=False)
    for number in range(WAITING_MAX):
        lines[1].enter(f"10.0.1.{number}")
    lines[1].enter("10.0.2.1")
    assert (await lines[1].go_on())[:2] == [f"10.0.1.{WAITING_MAX - 1} busy", "10.0.2.1"]


async def test_f58_nobody_answers_for_another_and_nobody_knows_whose_cell_he_shares(tmp_path: Path) -> None:
    tries, others = (LoginTries.shared(tmp_path / name, key) for name, key in (("a", b"k" * 32), ("b", b"l" * 32)))
    networks = [f"10.{number >> 8}.{number & 255}.7" for number in range(10_000)]
    for network in networks:
        tries.set(network, 5.0)
    assert {tries.forgiven_at(network) for network in networks} == {5.0}
    assert sum(tries.forgiven_at(f"172.16.{number >> 8}.{number & 255}") > 0 for number in range(10_000)) < 20
    assert [tries._find(network) for network in networks[:9]] != [others._find(network) for network in networks[:9]]


async def test_what_is_held_against_a_network_outlives_the_replica_and_a_torn_file_is_made_whole(tmp_path: Path) -> None:
    file = tmp_path / "login-tries"
    file.write_bytes(b"\0" * 100)
    LoginTries.shared(file, b"k" * 32).set("10.0.0.1", 7.0)
    again = LoginTries.shared(file, b"k" * 32)
    assert (again.forgiven_at("10.0.0.1"), again.forgiven_at("10.0.0.2")) == (7.0, 0.0)
    again.forgive("10.0.0.1", 2.0)
    assert again.forgiven_at("10.0.0.1") == 5.0
