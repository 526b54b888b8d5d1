"""Apple's way back: it POSTs a form to us, across sites and without our cookies, and the page takes over from there."""

from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import Response, post

from serve.framework import ShopRequest
from serve.login_pages import with_fragment
from serve.requests import Refusal
from serve.third_party_flows import hash_of_state

FIELDS: Final = {"state": 64, "code": 512, "user": 1000, "error": 100}
"""What is handed on, and how long it may be."""

FIELDS_MAX: Final = 10


@post("/v1/hooks/apple", operation_id="appleReturn", status_code=303)
async def apple_return(request: ShopRequest) -> Response[None]:
    """Send the browser on to the page where its login began. Nothing is believed here: the page presents it with its secret."""
    fields = _fields(await request.body())
    desk = request.desk
    page = await desk.oauth_flows.return_url(hash_of_state(fields.get("state", "")), "apple", desk.clock.now_ms())
    target = with_fragment(page or str(desk.login_pages.allowed(None)), {"provider": "apple"} | fields)
    return Response(
        content=None, status_code=303, headers={"Location": target, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )


def _fields(body: bytes) -> dict[str, str]:
    try:
        found = dict(parse_qsl(body.decode(), max_num_fields=FIELDS_MAX))
    except ValueError:
        raise Refusal("malformed_body") from None
    kept = {name: found[name] for name in FIELDS if name in found}
    if any(len(value) > FIELDS[name] for name, value in kept.items()):
        raise Refusal("invalid_request", {"reason": "a field is too long"})
    return kept


HANDLERS: Final[list[Any]] = [apple_return]
