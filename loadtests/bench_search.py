"""``python -m loadtests.bench_search``: how good and how quick the search is, over the demo shop and a synthetic one beside it.

Everything goes over HTTP to one replica (``serve.alone``), with the indexer beside it: the judged queries (nDCG@10, MRR, share of
queries that find nothing), latencies of searches with filters and orders and of suggestions at a modest rate, how late a change is
found, and a rebuild while people search. Two baselines answer the same queries from the same titles: PostgreSQL's ILIKE ordered by
likeness, and the library with its own tokenizer, without synonyms, pinyin or typos.
"""

import argparse
import asyncio
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

import asyncpg
import tantivy

from loadtests.bench_events import AloneCopy
from loadtests.instance import LOOPBACK, _ready
from loadtests.processes import MARK
from loadtests.relevance import JUDGED, Label, Score, labels, load, score, summary, synthetic

SEARCHES: Final = 400
SUGGESTIONS: Final = 800
SEARCHES_PER_S: Final = 20.0
SUGGESTIONS_PER_S: Final = 50.0
CHANGES: Final = 20
CHANGE: Final = "UPDATE product SET title = $2 WHERE product_id = $1"
ILIKE: Final = """
SELECT product_id FROM product WHERE title ILIKE $1 OR title_zh ILIKE $1 ORDER BY {order}, product_id LIMIT 10"""
UP_S: Final = 120.0
SHOP: Final = "demo"


class SearchCopy(AloneCopy):
    """A copy of one host and one replica, with the demo shop and the synthetic one, and an indexer."""

    shop: ClassVar[str] = SHOP
    indexer: "subprocess.Popen[bytes] | None" = None
    leaving = False

    def _up(self) -> None:
        self.command("seed", "--shop", self.shop)
        asyncio.run(_load(self.database_url))
        with (self.folder / "up.log").open("ab") as log:
            command = [sys.executable, "-m", "serve.alone"]
            self._process = subprocess.Popen(
                command, env=self._environment | {MARK: self.mark}, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + UP_S
        while not _ready(f"http://{LOOPBACK}:{self.direct_port}/readyz"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not come up: {self._last_words()}")
            time.sleep(0.2)

    def start_indexer(self) -> None:
        """What the first host of a node keeps, and begins anew when it has rested."""
        threading.Thread(target=self._keep_indexer, daemon=True).start()

    def _keep_indexer(self) -> None:
        while not self.leaving:
            self._index().wait()

    def _index(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "indexer.log").open("ab") as log:
            config = str(self.folder / "data" / "runtime.json")
            command = [sys.executable, "-m", "actors.runtime.indexing", config]
            self.indexer = subprocess.Popen(command, env=self._environment | {MARK: self.mark}, stdout=log, stderr=log)
        return self.indexer

    def search_status(self) -> dict[str, Any]:
        """``stampede search status --json``."""
        found: dict[str, Any] = json.loads(self.command("search", "status", "--json"))
        return found

    def _down(self) -> None:
        self.leaving = True
        if self.indexer is not None:
            self.indexer.kill()
            self.indexer.wait()
        super()._down()


async def _load(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await load(connection, synthetic(2400))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)

    def get(self, path: str) -> tuple[Any, float]:
        """(the body, milliseconds)."""
        begun = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        spent = (time.perf_counter() - begun) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return json.loads(body), spent


def quantiles(spent: Sequence[float]) -> str:
    """p50, p99 and the worst of some times."""
    listed = sorted(spent)
    return f"p50 {listed[len(listed) // 2]:.1f}, p99 {listed[int(len(listed) * 0.99)]:.1f}, max {listed[-1]:.1f} ms"


Find = Callable[[str], list[str]]


def judged(name: str, find: Find, products: dict[str, Any]) -> None:
    """Ask all judged queries, and print what came of it."""
    scores: list[Score] = []
    spent: list[float] = []
    for label in labels():
        begun = time.perf_counter()
        found = find(label.query)
        spent.append((time.perf_counter() - begun) * 1000)
        scores.append(score(label, found, products))
    total = summary(scores)
    print(
        f"{name}: {total.queries} queries, nDCG@10 {total.ndcg:.3f}, MRR {total.mrr:.3f}, nothing {total.zero:.1%}; {quantiles(spent)}",
        flush=True,
    )
    kinds = sorted({one.kind for one in scores})
    print("   " + ", ".join(f"{kind} {summary(one for one in scores if one.kind == kind).ndcg:.2f}" for kind in kinds), flush=True)


def over_http(client: Client) -> Find:
    """The search as a client asks it."""

    def find(text: str) -> list[str]:
        page, _ = client.get("/v1/search?limit=10&q=" + quote(text))
        assert not page["degraded"], "there is an index"
        return [] if page["fallback"] == "popular" else [hit["product"]["product_id"] for hit in page["hits"]]

    return find


def by_ilike(loop: asyncio.AbstractEventLoop, connection: Any, order: str) -> Find:
    """The baseline of most shops: titles with this text in them."""

    def find(text: str) -> list[str]:
        order_of = order.replace("$2", "'" + text.replace("'", "''") + "'")
        rows = loop.run_until_complete(connection.fetch(ILIKE.format(order=order_of), f"%{text}%"))
        return [row["product_id"] for row in rows]

    return find


def by_plain_index(products: dict[str, Any], titles_zh: dict[str, str]) -> Find:
    """The library as it comes."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("title", tokenizer_name="en_stem")
    index = tantivy.Index(builder.build())
    writer = index.writer(heap_size=50_000_000, num_threads=1)
    for product_id, product in products.items():
        text = f"{product['title']} {titles_zh[product_id]} {product['code']} {product['brand']} {product['category']}"
        writer.add_document(tantivy.Document(id=product_id, title=text))
    writer.commit()
    index.reload()
    searcher = index.searcher()

    def find(text: str) -> list[str]:
        query, _ = index.parse_query_lenient(text, ["title"], conjunction_by_default=True)
        return [str(searcher.doc(address)["id"][0]) for _, address in searcher.search(query, 10).hits]

    return find


def made_up(chance: random.Random, judged_queries: Sequence[Label]) -> str:
    """A search that was not asked before, with filters and an order as people set them."""
    wish: list[tuple[str, str]] = [("q", chance.choice(judged_queries).query), ("limit", str(chance.choice((20, 24, 48))))]
    if chance.random() < 0.3:
        wish.append(("price_max", str(chance.randrange(100, 100_000))))
    if chance.random() < 0.3:
        wish.append(("in_stock", "true"))
    if chance.random() < 0.3:
        wish += [("brand", "National"), ("brand", "brd_huawei")]
    if chance.random() < 0.3:
        wish.append(("sort", chance.choice(("price", "-price", "newest", "sales"))))
    wish.append(("price_min", str(chance.randrange(0, 90))))
    return "/v1/search?" + urlencode(wish)


def beginnings(chance: random.Random, judged_queries: Sequence[Label]) -> str:
    """What somebody has typed so far."""
    text = chance.choice(judged_queries).query
    return "/v1/suggest?q=" + quote(text[: chance.randrange(1, len(text) + 1)])


def paced(port: int, make: Callable[[], str], count: int, rate: float) -> list[float]:
    """So many requests at this rate on four connections; each is timed from when it was due, so that waiting counts."""
    paths = [make() for _ in range(count)]
    begun = time.perf_counter() + 0.1
    spent: list[float] = []

    def work(first: int) -> None:
        client = Client(port)
        for number in range(first, count, 4):
            due = begun + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            client.get(paths[number])
            spent.append((time.perf_counter() - due) * 1000)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(spent) < count:
        raise RuntimeError(f"{count - len(spent)} requests failed")
    return spent


def lags(loop: asyncio.AbstractEventLoop, connection: Any, client: Client) -> list[float]:
    """How long after its commit a changed title is found, in milliseconds."""
    found = []
    for number in range(CHANGES):
        name = f"zebrafish{number}q"
        loop.run_until_complete(connection.execute(CHANGE, f"prd_syn{number + 1}", f"Lamp {name}"))
        begun = time.perf_counter()
        while not any(name in hit["product"]["titles"]["en"] for hit in client.get("/v1/search?q=" + name)[0]["hits"]):
            time.sleep(0.02)
        found.append((time.perf_counter() - begun) * 1000)
    return found


def built(copy: SearchCopy) -> None:
    """Build an index, then have it followed."""
    done = json.loads(copy.command("search", "rebuild", "--json"))
    size = copy.search_status()["bytes"]
    print(f"built: {done['products']:,} products in {done['build_ms'] / 1000:.1f} s, {size / 1e6:.1f} MB", flush=True)
    copy.start_indexer()


def rebuilt(copy: SearchCopy, chance: random.Random) -> None:
    """Build again while people search."""
    worked = threading.Thread(target=copy.command, args=("search", "rebuild"))
    worked.start()
    spent: list[float] = []
    while worked.is_alive():
        spent += paced(copy.direct_port, lambda: made_up(chance, labels()), 20, SEARCHES_PER_S)
    print(f"during a rebuild: {len(spent)} searches, {quantiles(spent)}", flush=True)


def bench(copy: SearchCopy, baselines: bool) -> None:
    """All measures on one running copy."""
    loop, chance = asyncio.new_event_loop(), random.Random(1)
    connection = loop.run_until_complete(asyncpg.connect(copy.database_url))
    rows = loop.run_until_complete(connection.fetch(JUDGED))
    products = {row["product_id"]: dict(row) for row in rows}
    client = Client(copy.direct_port)
    built(copy)
    judged("search", over_http(client), products)
    if baselines:
        trigrams = loop.run_until_complete(connection.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'"))
        order = "length(title)"
        if trigrams:
            loop.run_until_complete(connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            order = "greatest(similarity(title, $2), similarity(title_zh, $2)) DESC"
        judged(f"ILIKE, by {'similarity (pg_trgm)' if trigrams else 'length'}", by_ilike(loop, connection, order), products)
        chinese = loop.run_until_complete(connection.fetch("SELECT product_id, title_zh FROM product"))
        titles = {row["product_id"]: row["title_zh"] for row in chinese}
        judged("tantivy alone", by_plain_index(products, titles), products)
    searched = paced(copy.direct_port, lambda: made_up(chance, labels()), SEARCHES, SEARCHES_PER_S)
    print(f"searches at {SEARCHES_PER_S:.0f}/s: {quantiles(searched)}", flush=True)
    suggested = paced(copy.direct_port, lambda: beginnings(chance, labels()), SUGGESTIONS, SUGGESTIONS_PER_S)
    print(f"suggestions at {SUGGESTIONS_PER_S:.0f}/s: {quantiles(suggested)}", flush=True)
    print(f"a changed title is found after: {quantiles(lags(loop, connection, Client(copy.direct_port)))}", flush=True)
    rebuilt(copy, chance)
    loop.run_until_complete(connection.close())


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="bench_search", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--no-baselines", action="store_true", help="the search alone")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-search-") as folder:
        Path(folder).chmod(0o755)
        copy = SearchCopy(Path(folder) / "copy")
        with copy:
            bench(copy, not wanted.no_baselines)


if __name__ == "__main__":
    main()
