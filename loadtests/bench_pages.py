"""``python -m loadtests.bench_pages``: how many public pages a second the direct listener serves, beside an empty 200.

A closed load by wrk (256 connections), in interleaved rounds: an empty 200, a product's page whole and unchanged (304), the first page
of the list, a flash sale. Prints medians and the ratio to the empty 200, writes ``.bench/pages.json``; exit 1 when the product's page
has less than 70 % of the empty rate, or anything is answered with an error.
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import msgspec

from loadtests.figures import median
from loadtests.instance import LOOPBACK, ShopCopy
from loadtests.processes import spent

OUTPUT: Final = Path(".bench")
RATIO_MIN: Final = 0.7
SEEN_S: Final = 2.0
"""A page shows a change by then."""

FOREVER_MS: Final = 2**53
ADD_PRICE: Final = """
INSERT INTO sku_price (sku_id, position, kind, currency, price_minor, min_quantity, ends_at_ms, label, label_zh)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'Spring sale', '春季特卖')"""
EMPTY: Final = "empty 200"
PRODUCT: Final = "product page"
SETTINGS: Final = {"STAMPEDE_HOSTS": "1"}

_RATE: Final = re.compile(r"Requests/sec:\s+([0-9.]+)")
_COUNT: Final = re.compile(r"(\d+) requests in")
_P99: Final = re.compile(r"99%\s+([0-9.]+)(us|ms|s)")
_FAILED: Final = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.+)")
_SCALE: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. bytes: of the body that comes back."""

    name: str
    path: str
    method: str = "GET"
    header: str = ""
    bytes: int = 0


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One load in all rounds. ratio: of its median rate to the empty one's. cpu_us: of the whole copy for a request."""

    load: Load
    rates: tuple[float, ...]
    p99_ms: tuple[float, ...]
    cpu_us: tuple[float, ...]
    ratio: float


class Round(NamedTuple):
    """One load, once."""

    rate: float
    p99_ms: float
    cpu_us: float


def main() -> int:
    """Measure; see the module's text for the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_pages", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load in each round")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--shop", default="demo", help="demo: 92,331 products; small: 40")
    found = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="stampede-pages-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with ShopCopy(Path(folder) / "shop", SETTINGS | {"STAMPEDE_SHOP": found.shop}) as shop:
            measured = _measure(shop, Path(folder), found.rounds, found.seconds, found.connections)
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "pages.json").write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=2))
    print("\n".join(words_of(measured)))
    return 0 if next(one.ratio for one in measured if one.load.name == PRODUCT) >= RATIO_MIN else 1


def words_of(measured: tuple[Measured, ...]) -> list[str]:
    """A table for people."""
    rows = [
        f"| {one.load.name} | {one.load.bytes:,} | {median(one.rates):,.0f} | {median(one.p99_ms):.0f} | "
        f"{median(one.cpu_us):.0f} | {one.ratio:.2f} |"
        for one in measured
    ]
    head = "| page | body bytes | requests/s | p99 ms | CPU us | of the empty rate |"
    return [head, "| --- | ---: | ---: | ---: | ---: | ---: |", *rows]


async def _priced(url: str, sku_id: str) -> None:
    """What a merchandiser would add: two tiers and a promotion, which the page tells with their reasons."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow("SELECT price_minor, currency FROM sku WHERE sku_id = $1", sku_id)
        assert row is not None, "the shop has it"
        price, currency = row
        for position, (kind, percent, least, ends_ms) in enumerate((("tier", 95, 10, FOREVER_MS), ("tier", 90, 50, FOREVER_MS),
                                                                    ("promotion", 92, 1, 4_000_000_000_000))):  # fmt: skip
            await connection.execute(ADD_PRICE, sku_id, position, kind, currency, price * percent // 100, least, ends_ms)
    finally:
        await connection.close()


def _loads(shop: ShopCopy) -> tuple[Load, ...]:
    asyncio.run(_priced(shop.database_url, shop.any_sku()))
    time.sleep(SEEN_S)
    product = f"/v1/products/{shop.any_product()}"
    listed = "/v1/products?limit=20"
    sale = shop.open_sale(stock=1_000_000, limit=1).path.removesuffix("/orders")
    etag, size = _seen(shop, product)
    return (
        Load(name=EMPTY, path="/bench/empty", method="POST", bytes=2),
        Load(name=PRODUCT, path=product, bytes=size),
        Load(name="product page, unchanged (304)", path=product, header=etag),
        Load(name="list of 20", path=listed, bytes=_seen(shop, listed)[1]),
        Load(name="flash sale page", path=sale, bytes=_seen(shop, sale)[1]),
    )


def _seen(shop: ShopCopy, path: str) -> tuple[str, int]:
    """The ETag of a page, and the bytes of its body."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{shop.direct_port}{path}", timeout=30) as answer:
        return str(answer.headers["etag"]), len(answer.read())


def _measure(shop: ShopCopy, folder: Path, rounds: int, seconds: float, connections: int) -> tuple[Measured, ...]:
    loads = _loads(shop)
    seen: dict[str, list[Round]] = {load.name: [] for load in loads}
    for load in loads:
        _run(shop, folder, load, 1.0, connections)
    for number in range(rounds):
        for load in loads:
            seen[load.name].append(_run(shop, folder, load, seconds, connections))
        said = ", ".join(f"{load.name} {seen[load.name][-1].rate:,.0f}/s" for load in loads)
        print(f"round {number + 1}: {said}", file=sys.stderr, flush=True)
    empty = median([one.rate for one in seen[EMPTY]])
    return tuple(
        Measured(
            load=load,
            rates=tuple(one.rate for one in seen[load.name]),
            p99_ms=tuple(one.p99_ms for one in seen[load.name]),
            cpu_us=tuple(one.cpu_us for one in seen[load.name]),
            ratio=round(median([one.rate for one in seen[load.name]]) / empty, 3),
        )
        for load in loads
    )


def _run(shop: ShopCopy, folder: Path, load: Load, seconds: float, connections: int) -> Round:
    """One load. RuntimeError when an answer was an error."""
    script = folder / "load.lua"
    lines = [f'wrk.method = "{load.method}"']
    if load.method == "POST":
        lines += ['wrk.body = "{}"', 'wrk.headers["content-type"] = "application/json"']
    if load.header:
        lines.append(f"wrk.headers[\"if-none-match\"] = '{load.header}'")
    script.write_text("\n".join(lines) + "\n")
    url = f"http://{LOOPBACK}:{shop.direct_port}{load.path}"
    call = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--latency", "-s", str(script), url]
    before = shop.processes()
    done = subprocess.run(call, capture_output=True, text=True, timeout=seconds + 60, check=True)
    failed = _FAILED.search(done.stdout)
    if failed:
        raise RuntimeError(f"{load.name}: {failed[0]}")
    cpu_s = sum(spent(before, shop.processes()).values())
    rate, p99, count = _RATE.search(done.stdout), _P99.search(done.stdout), _COUNT.search(done.stdout)
    if rate is None or p99 is None or count is None:
        raise RuntimeError(f"wrk said: {done.stdout[-500:]}")
    return Round(float(rate[1]), float(p99[1]) * _SCALE[p99[2]], cpu_s * 1e6 / max(1, int(count[1])))


if __name__ == "__main__":
    sys.exit(main())
