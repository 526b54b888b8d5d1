"""One suite for the port of warehouses, on the adapter with a simulated warehouse over HTTP; and what the adapter alone refuses."""

import asyncio
import time

import msgspec
import pytest

from actors.adapters.wms import signature
from actors.adapters.wms.addresses import AddressRefused, GuardedResolver, may_call, networks, url_flaw
from actors.adapters.wms.client import WmsClient
from actors.ports.wms import Changes, NotTaken, Taken, Unknown
from actors.testing.wms_simulator.plan import Fault
from actors.testing.wms_simulator.server import Options, serving
from schemas.providers.wms import PROTOCOL, Change, Envelope, StockAsk, StockSnapshot

OURS, THEIRS, OLD = (signature.secret_of(letter * 32) for letter in (b"o", b"t", b"p"))
LOCAL = networks("127.0.0.0/8")


def now_s() -> int:
    return int(time.time())


def client_of(url: str, *, ours=(OURS,), theirs=(THEIRS,), timeout_s: float = 5.0, private=LOCAL) -> WmsClient:
    return WmsClient(url, ours, theirs, private=private, now_s=now_s, timeout_s=timeout_s)


def ask(message_id: str, kind: str = "stock.ask") -> bytes:
    data = msgspec.Raw(msgspec.json.encode(StockAsk()))
    return msgspec.json.encode(Envelope(protocol=PROTOCOL, id=message_id, type=kind, at_ms=1, data=data))


@pytest.fixture
async def warehouse():
    async with serving(Options(shop_secrets=(OURS,), own_secrets=(THEIRS,))) as (url, simulator):
        client = client_of(url)
        yield client, simulator, url
        await client.close()


async def test_a_message_is_taken_and_the_same_one_counts_once(warehouse) -> None:
    client, simulator, _ = warehouse
    assert [await client.send("m1", ask("m1")) for _ in range(3)] == [Taken()] * 3
    assert (simulator.books.heard["m1"], simulator.books.counted["m1"]) == (3, 1)


async def test_what_is_read_and_refused_is_not_taken(warehouse) -> None:
    client, _, _ = warehouse
    answer = await client.send("m1", ask("m1", "no.such.type"))
    assert isinstance(answer, NotTaken)
    assert answer.reason.startswith("http_422")


FAULTS = [("refuse", 500), ("refuse", 503), ("refuse", 429), ("refuse", 401), ("refuse", 404), ("refuse", 301), ("break", 500)]


@pytest.mark.parametrize(("kind", "status"), FAULTS)
async def test_every_other_answer_leaves_it_unknown(warehouse, kind, status) -> None:
    client, simulator, _ = warehouse
    simulator.faults.append(Fault(kind=kind, status=status))
    assert await client.send("m1", ask("m1")) == Unknown(reason=f"http_{status}", answered=True)


@pytest.mark.parametrize("kind", ["lose", "drop"])
async def test_no_answer_is_unknown_and_says_that_nobody_answered(warehouse, kind) -> None:
    client, simulator, _ = warehouse
    simulator.faults.append(Fault(kind=kind))
    answer = await client.send("m1", ask("m1"))
    assert isinstance(answer, Unknown)
    assert not answer.answered
    assert simulator.books.counted["m1"] == (1 if kind == "drop" else 0)


async def test_a_warehouse_that_hangs_or_is_not_there_is_unknown_in_time(warehouse) -> None:
    _, simulator, url = warehouse
    simulator.faults.append(Fault(kind="hang", seconds=5))
    hasty, gone = client_of(url, timeout_s=0.2), client_of("http://127.0.0.1:9")
    assert await hasty.send("m1", ask("m1")) == Unknown(reason="TimeoutError", answered=False)
    answer = await gone.send("m1", ask("m1"))
    assert isinstance(answer, Unknown)
    assert not answer.answered
    await hasty.close()
    await gone.close()


async def test_the_feed_is_read_page_by_page_in_its_order(warehouse) -> None:
    client, simulator, _ = warehouse
    for number in range(5):
        simulator.happen(Change(sku=f"S{number}", kind="receipt", quantity=1))
    ids, cursor = [], ""
    for _ in range(3):
        page = await client.changes(cursor, 2)
        assert isinstance(page, Changes)
        ids += [message.id for message in page.messages]
        assert [msgspec.json.decode(body)["id"] for body in page.bodies] == [message.id for message in page.messages]
        cursor = page.next_cursor
    assert ids == [message.id for message in simulator.books.feed]
    assert not page.more
    again = await client.changes(cursor, 2)
    assert isinstance(again, Changes)
    assert again.messages == ()
    assert again.next_cursor == cursor


async def test_a_count_is_read_page_by_page(warehouse) -> None:
    client, simulator, _ = warehouse
    simulator.books.counts = {f"S{number:03}": number for number in range(150)}
    first = await client.snapshot("", 1)
    assert isinstance(first, StockSnapshot)
    second = await client.snapshot(first.snapshot_id, 2)
    assert isinstance(second, StockSnapshot)
    assert {count.sku: count.on_hand for count in (*first.counts, *second.counts)} == simulator.books.counts
    assert isinstance(await client.snapshot("cnt_nobody", 1), Unknown)


@pytest.mark.parametrize("kind", ["unsigned", "foreign"])
async def test_an_answer_that_the_warehouse_did_not_sign_is_not_believed(warehouse, kind) -> None:
    client, simulator, _ = warehouse
    simulator.faults.append(Fault(kind=kind, times=2))
    assert await client.changes("", 10) == Unknown(reason="signature_invalid", answered=True)
    assert await client.snapshot("", 1) == Unknown(reason="signature_invalid", answered=True)


async def test_a_call_with_another_secret_is_refused_there_and_one_with_a_new_and_an_old_one_is_not(warehouse) -> None:
    _, simulator, url = warehouse
    wrong, both = client_of(url, ours=(OLD,)), client_of(url, ours=(OLD, OURS))
    assert await wrong.send("m1", ask("m1")) == Unknown(reason="http_401", answered=True)
    assert await both.send("m1", ask("m1")) == Taken()
    assert isinstance(await both.changes("", 1), Changes)
    assert simulator.refused == 1
    await wrong.close()
    await both.close()


# --- signatures ---------------------------------------------------------------------------------------


def test_the_specification_s_published_example_is_signed_and_believed() -> None:
    # https://github.com/standard-webhooks/standard-webhooks: the vector of its libraries' tests.
    secret, message_id, at_s, body = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    made = signature.headers((secret,), message_id, body, at_s)
    assert made == {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert signature.flaw(made, body, (secret,), at_s) == ""
    rolled = made | {"webhook-signature": "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,x " + made["webhook-signature"]}
    assert signature.flaw(rolled, body, (OLD, secret), at_s + 300) == ""
    assert signature.flaw(made, body, (secret,), at_s + 301) == "signature_stale"
    assert signature.flaw(made, body, (secret,), at_s - 301) == "signature_stale"
    for other in ({}, made | {"webhook-id": "a.b c"}, made | {"webhook-timestamp": "٣"}, made | {"webhook-signature": "v1," + "é" * 10}):
        assert signature.flaw(other, body, (secret,), at_s) == "signature_invalid"
    assert signature.flaw(made, body, (), at_s) == "signature_invalid"
    assert signature.flaw(made, body + b" ", (secret,), at_s) == "signature_invalid"


# --- where calls may go -------------------------------------------------------------------------------

ADDRESSES = {
    "93.184.216.34": True, "10.0.0.1": False, "127.0.0.1": False, "169.254.169.254": False, "100.64.0.1": False, "0.0.0.0": False,
    "::1": False, "fe80::1%eth0": False, "::ffff:127.0.0.1": False, "2606:4700::1111": True, "224.0.0.1": False, "nonsense": False,
}  # fmt: skip


@pytest.mark.parametrize("address", sorted(ADDRESSES))
def test_private_addresses_are_called_only_where_the_settings_name_their_network(address) -> None:
    assert may_call(address, ()) is ADDRESSES[address]
    assert may_call("10.1.2.3", networks("10.0.0.0/8, fd00::/8"))
    assert not may_call("192.168.0.1", networks("10.0.0.0/8"))


def test_without_tls_calls_go_only_into_networks_that_the_settings_name() -> None:
    assert url_flaw("http://10.0.0.1/x", networks("10.0.0.0/8")) == ""
    assert url_flaw("http://93.184.216.34/x", networks("10.0.0.0/8")) == "without TLS"
    assert url_flaw("http://wms.internal/x", ()) == "without TLS"
    assert url_flaw("https://wms.example.com:8443/x", ()) == ""


async def test_a_name_that_leads_to_this_machine_is_not_called(warehouse) -> None:
    _, simulator, url = warehouse
    name = url.replace("127.0.0.1", "localhost")
    shut, plain = client_of(name, private=networks("10.0.0.0/8")), client_of(name)
    answer = await shut.send("m1", ask("m1"))
    assert isinstance(answer, Unknown)
    assert not answer.answered
    assert simulator.calls == {}
    # The control: with this network named, the same name is called.
    assert await plain.send("m1", ask("m1")) == Taken()
    with pytest.raises(AddressRefused):
        await GuardedResolver((), plain=False).resolve("localhost")
    await shut.close()
    await plain.close()


async def test_an_answer_without_end_is_cut_off() -> None:
    async def endless(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    client = client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert await client.changes("", 1) == Unknown(reason="ValueError", answered=False)
    await client.close()
    server.close()
