"""A stand-in for the ``stampede`` program: its commands, over the row-lock baseline, for tests of the load tests.

Its "hosts" are uvicorn's workers, which uvicorn starts again when they are killed.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
from fastapi import FastAPI, Response

from loadtests.baselines.rowlock import app as rowlock
from loadtests.baselines.tables import SCHEMA, open_sale
from loadtests.baselines.wire import token_of

URL = os.environ["STAMPEDE_DATABASE_URL"]
DATA = Path(os.environ["STAMPEDE_DATA_DIR"])
OVERSOLD = "SELECT sku_id FROM stock WHERE held <> (SELECT coalesce(sum(quantity), 0) FROM orders WHERE orders.sku_id = stock.sku_id)"


def _routes(app: FastAPI) -> FastAPI:
    @app.get("/readyz")
    @app.post("/bench/empty")
    async def nothing() -> Response:
        return Response(b"{}", media_type="application/json")

    @app.get("/v1/products")
    @app.get("/v1/products/prd_1")
    async def products() -> dict[str, object]:
        return {"items": [{"product_id": "prd_1", "skus": [{"sku_id": (DATA / "sku").read_text()}]}]}

    return app


app = _routes(rowlock)


def main() -> int:
    command, options = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2], strict=False))
    match command:
        case "up":
            return _up()
        case "seed":
            users = [f"usr_{number}" for number in range(int(options["--users"]))]
            Path(options["--tokens"]).write_text("".join(f"{user}\t{token_of(user)}\n" for user in users))
        case "sale":
            _sale(dict(zip(sys.argv[3::2], sys.argv[4::2], strict=False)))
        case "status":
            parents = json.loads((DATA / "pids").read_text())
            workers = [child for child in psutil.Process(parents[0]).children() if "spawn_main" in " ".join(child.cmdline())]
            hosts = [{"host": f"host-{worker.pid}", "pid": worker.pid, "shards": 1} for worker in workers]
            print(json.dumps({"hosts": hosts, "projections": [{"name": "orders", "lag_events": 0}]}))
        case "audit":
            return asyncio.run(_audit())
        case _:
            return 2
    return 0


def _up() -> int:
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / "sku").write_text("sku_first")
    asyncio.run(_migrate())
    base = [sys.executable, "-m", "uvicorn", "tests.loadtests.fake_stampede:app", "--workers", "2", "--no-access-log"]
    ports = [os.environ["STAMPEDE_DIRECT_PORT"], os.environ["STAMPEDE_INGRESS_PORT"]]
    environment = os.environ | {"BASELINE_DATABASE_URL": URL, "BASELINE_POOL": "4"}
    servers = [subprocess.Popen([*base, "--port", port], env=environment) for port in ports]
    (DATA / "pids").write_text(json.dumps([server.pid for server in servers]))
    signal.signal(signal.SIGINT, lambda *_: [server.send_signal(signal.SIGTERM) for server in servers])
    return max(server.wait() for server in servers)


async def _migrate() -> None:
    connection = await asyncpg.connect(URL)
    await connection.execute(SCHEMA)
    await connection.close()


def _sale(options: dict[str, str]) -> None:
    sale, sku = f"sal_{secrets.token_hex(4)}", f"sku_{secrets.token_hex(4)}"
    terms = {name: int(options[f"--{name}"]) for name in ("stock", "limit", "price")}
    asyncio.run(open_sale(URL, sale, sku_id=sku, stock=terms["stock"], limit_each=terms["limit"], price=terms["price"]))
    (DATA / "sku").write_text(sku)
    print(json.dumps({"sale_id": sale, "sku_id": sku}))


async def _audit() -> int:
    connection = await asyncpg.connect(URL)
    broken = await connection.fetch(OVERSOLD)
    await connection.close()
    print([row["sku_id"] for row in broken])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
