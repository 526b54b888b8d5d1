"""A minimal shop over HTTP for the load generators: it counts, refuses and can hang up."""

import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class FakeShop(ThreadingHTTPServer):
    """``stock`` orders are accepted once a key; every ``hang_up_every``-th request is cut."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stock, self.hang_up_every = 1_000_000, 0
        self.orders: dict[tuple[str, str], str] = {}
        self.requests = itertools.count(1)
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def place(self, token: str, key: str) -> str | None:
        with self.lock:
            if (token, key) not in self.orders:
                if len(self.orders) >= self.stock:
                    return None
                self.orders[token, key] = f"ord_{len(self.orders):06d}"
            return self.orders[token, key]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeShop

    def do_GET(self) -> None:
        self._answer(200, {"items": [{"product_id": "prd_1", "sku_id": "sku_1"}]})

    def do_PUT(self) -> None:
        self._body()
        self._answer(200, {})

    def do_POST(self) -> None:
        body = self._body()
        number = next(self.server.requests)
        if self.server.hang_up_every and number % self.server.hang_up_every == 0:
            self.close_connection = True
            return
        if self.path == "/v1/checkout" or "sku_id" in body:
            order = self.server.place(self.headers["Authorization"].removeprefix("Bearer "), self.headers["Idempotency-Key"])
            total = {"amount": 1999, "currency": "CNY"}
            self._answer(*((201, {"order_id": order, "total": total}) if order else (409, {"code": "sold_out"})))
        else:
            self._answer(200, {})

    def _body(self) -> dict[str, object]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture
def fake_shop() -> Iterator[FakeShop]:
    server = FakeShop()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    file = tmp_path / "tokens.tsv"
    file.write_text("".join(f"usr_{number}\ttoken{number}\n" for number in range(20)))
    return file
