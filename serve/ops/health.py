"""Readiness and metrics. Liveness is hot, and asks nobody."""

import asyncio
from typing import Any, Final

from litestar import MediaType, Response, get

from schemas.http.hooks import Health
from serve.framework import ShopRequest
from serve.hot import events
from serve.requests import Refusal

CHECK_S: Final = 1.0


@get("/readyz", operation_id="readiness")
async def readiness(request: ShopRequest) -> Health:
    """Ready: the database answers, and every shard has an owner. The pool is not asked: one that is busy is not away."""
    desk = request.desk
    try:
        await desk.services.probe.ask(CHECK_S)
        routes = await asyncio.wait_for(desk.services.directory.routes(), CHECK_S)
    except TimeoutError as error:
        raise Refusal("storage_unavailable") from error
    if len(routes) < desk.client.sharding.shard_count:
        raise Refusal("moved")
    return Health(status="ok")


@get("/metrics", operation_id="metrics", media_type=MediaType.TEXT)
async def metrics(request: ShopRequest) -> Response[str]:
    """Counters of this replica and of the hosts, for Prometheus."""
    services = request.desk.services
    client = request.desk.client
    own = (
        f"# TYPE stampede_client_calls_total counter\nstampede_client_calls_total {client.calls}\n"
        f"# TYPE stampede_client_envelopes_total counter\nstampede_client_envelopes_total {client.envelopes}\n"
        f"# TYPE stampede_client_retries_total counter\nstampede_client_retries_total {client.retries}\n"
    )
    taken = events.metrics_text(request.desk.spool, services.counters)
    text = services.counters.text() + own + taken + await services.host_metrics()
    return Response(content=text, media_type="text/plain; version=0.0.4; charset=utf-8")


HANDLERS: Final[list[Any]] = [readiness, metrics]
