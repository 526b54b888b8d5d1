"""Measures the baselines: a sweep over pool sizes first, then each at its best."""

import asyncio
import secrets
from pathlib import Path
from types import TracebackType
from typing import Final

from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.embedded.valkey import EmbeddedValkey
from loadtests.baselines.redis_recipe import stock_up
from loadtests.baselines.server import BaselineServer, Form, Storage
from loadtests.baselines.tables import books_of, open_sale
from loadtests.baselines.wire import token_of
from loadtests.bench.measure import Measure, Options
from loadtests.bench.watch import Watched, watched
from loadtests.generator.closed import Target, peak
from loadtests.instance import LOOPBACK, Sale
from loadtests.processes import spent, system_of

FORMS: Final[tuple[Form, ...]] = ("rowlock", "rowlock_stock_last", "rowlock_cte", "redis")
STOCK: Final = 10_000_000
PRICE: Final = 1999
GENERATOR: Final = "load generator"


class BaselineBench:
    """A context with the servers that all baselines share, made like those of the shop."""

    def __init__(self, folder: Path, options: Options) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._options, self._secret = folder, options, secrets.token_hex(16)
        self._postgres, self._valkey = EmbeddedPostgres(folder / "postgres"), EmbeddedValkey(folder / "valkey")
        self._tokens = folder / "tokens.tsv"
        self._storage = Storage(database_url="", redis_url="")

    def __enter__(self) -> "BaselineBench":
        self._storage = Storage(database_url=self._postgres.start(), redis_url=self._valkey.start())
        users = (f"usr_{number:08d}" for number in range(self._options.users))
        self._tokens.write_text("".join(f"{user}\t{token_of(user, self._secret.encode())}\n" for user in users))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._valkey.stop()
        self._postgres.stop()

    def measure(self, form: Form, pool: int, seconds: float) -> Measure:
        """One load on one baseline with this pool size. RuntimeError when its own books do not balance."""
        sale = Sale(sale_id=f"sal_{secrets.token_hex(6)}", sku_id=f"sku_{secrets.token_hex(6)}")
        url = self._storage.database_url
        asyncio.run(open_sale(url, sale.sale_id, sku_id=sale.sku_id, stock=STOCK, limit_each=self._options.limit_each, price=PRICE))
        asyncio.run(stock_up(self._storage.redis_url, sale.sale_id, STOCK))
        with BaselineServer(form, self._storage, pool=pool, secret=self._secret, log=self._folder / "baselines.log") as server:
            target = Target(host=LOOPBACK, port=server.port, path=sale.path, body=sale.body, tokens=str(self._tokens))
            warm = peak(target, run=f"w{sale.sale_id[4:]}", seconds=self._options.warm_s, connections=self._options.connections)
            roots = [pid for pid in (server.pid, self._postgres.pid, self._valkey.pid) if pid is not None]
            run, connections = f"r{sale.sale_id[4:]}", self._options.connections
            seen = watched(
                lambda: system_of(roots, server.mark),
                lambda: peak(target, run=run, seconds=seconds, connections=connections, first=warm.accepted),
            )
            cpu_s = spent(seen.before, system_of(roots, server.mark))
        asyncio.run(books_of(url, sale.sku_id, at_least=warm.accepted + seen.found.accepted, taken_in_stock=form != "redis"))
        return measure_of(form, seen, cpu_s, pool=pool)

    def sweep(self) -> tuple[Measure, ...]:
        """Every baseline at every pool size."""
        return tuple(self.measure(form, pool, self._options.sweep_s) for form in FORMS for pool in self._options.pools)


def best_pools(swept: tuple[Measure, ...]) -> dict[str, int]:
    """The pool size at which each baseline was fastest."""
    best: dict[str, Measure] = {}
    for measure in swept:
        if measure.system not in best or measure.per_s > best[measure.system].per_s:
            best[measure.system] = measure
    return {system: measure.pool for system, measure in best.items() if measure.pool is not None}


def measure_of(
    system: str, seen: Watched, cpu_s: dict[str, float], *, pool: int | None = None, refusals: bool = False, caught_up_s: float = 0.0
) -> Measure:
    """One measured load; with ``refusals`` refused answers are what is counted."""
    found = seen.found
    return Measure(
        system=system,
        per_s=found.per_s if refusals else found.accepted_per_s,
        effects=found.accepted + found.refused if refusals else found.accepted,
        refused=found.refused,
        broken=found.broken,
        latency=found.latency,
        cpu_s=cpu_s | {GENERATOR: found.generator_cpu_s},
        generator=found.generator,
        foreign_cores=seen.foreign_cores,
        caught_up_s=caught_up_s,
        pool=pool,
    )
