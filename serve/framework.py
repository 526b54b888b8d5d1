"""Everything that is not hot, with a framework: routes, typed requests and answers, and the document of both.

The framework only routes and translates. Limits, problems and headers are the application's, the same
as for hot endpoints: whatever a handler raises leaves here as it is.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException
from litestar.openapi import OpenAPIConfig

from actors.domain.entity import Refused
from actors.domain.staff import Actor, allows
from actors.domain.token import AccessToken
from schemas.ids import derived_id
from serve import strict_json
from serve.answers import NO_STORE, Reply
from serve.desk import Desk
from serve.permissions import ACTOR, guard
from serve.requests import LARGE, Receive, Refusal, check_json_type, read_body
from serve.requests import Request as Head

if TYPE_CHECKING:
    from collections.abc import Sequence

WRITING: Final = frozenset({"POST", "PUT", "PATCH"})
RAW: Final = "/v1/hooks/"
"""Bodies below here are a provider's, signed as bytes: they are not looked at before the signature was."""

LONG: Final = ("/v1/staff/product", "/v1/merchant/product")

_HEAD: Final = "stampede.head"
_BODY: Final = "stampede.body"
_FAILURE: Final = "stampede.failure"


class ShopRequest(Request[Any, Any, Any]):
    """A request as handlers see it."""

    @property
    def desk(self) -> Desk:
        """What the endpoints share."""
        desk = self.app.state.desk
        assert isinstance(desk, Desk)
        return desk

    @property
    def head(self) -> Head:
        """The request as the application read it."""
        head = _part(self, _HEAD)
        assert isinstance(head, Head)
        return head

    async def json(self) -> Any:
        """The body as the handler's type, strictly: a number in a text is no number."""
        field = self.route_handler.parsed_data_field
        assert field is not None, "only handlers with a body read one"
        return msgspec.json.decode(await self.body(), type=field.annotation)

    def customer(self) -> AccessToken:
        """Who asks. Refusal unless somebody is logged in."""
        desk, head = self.desk, self.head
        token = desk.authentication.customer(desk.cookies.credential(head), desk.clock.now_ms())
        if isinstance(token, Refused):
            raise Refusal(token.code)
        return token

    def actor(self) -> Actor:
        """Who of the staff asks, by the roles in the table. Only for operations that take a permission of the staff."""
        actor = self.scope.get(ACTOR)
        assert isinstance(actor, Actor), "the operation takes no permission of the staff"
        return actor

    def permitted(self, permission: str) -> bool:
        """Whether who asks may do something more than the operation itself takes."""
        actor = self.scope.get(ACTOR)
        return isinstance(actor, Actor) and allows(actor.roles, permission)

    def command(self, user_id: str, operation: str) -> tuple[bytes, bytes]:
        """(id, digest) of what a user asks under an Idempotency-Key: the same for a repeat, another digest for another body."""
        key = self.head.idempotency_key()
        body: bytes = _part(self, _BODY)
        digest = hashlib.blake2b(self.head.path.encode() + b"\n" + body, digest_size=16).digest()
        return derived_id(user_id, operation, key), digest


def _part(request: Request[Any, Any, Any], name: str) -> Any:
    scope: Any = request.scope
    return scope[name]


def _keep_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    scope: Any = request.scope
    scope[_FAILURE] = error
    return Response(content=b"", status_code=500)


class Framework:
    """The framework's application, asked for one reply at a time."""

    def __init__(self, desk: Desk, handlers: "Sequence[Any]") -> None:
        self._desk = desk
        self.app = Litestar(
            route_handlers=list(handlers),
            request_class=ShopRequest,
            guards=[guard],
            exception_handlers={Exception: _keep_failure, HTTPException: _keep_failure, Refusal: _keep_failure},
            # Its document would come with pages that load from elsewhere: ours is made of it and served by ourselves.
            openapi_config=None,
            logging_config=None,
            request_max_body_size=None,
        )
        self.app.state.desk = desk

    def _limit(self, head: Head) -> int:
        """How long a body may be: documents of products are long, and only those whose token says that they are of the staff send them."""
        settings = self._desk.settings
        if not head.path.startswith(LONG):
            return settings.body_bytes_max
        token = self._desk.authentication.customer(self._desk.cookies.credential(head), self._desk.clock.now_ms())
        of_staff = not isinstance(token, Refused) and any(allows(token.roles, name) for name in ("goods.edit", "merchant.goods.edit"))
        return settings.goods_body_bytes_max if of_staff else settings.body_bytes_max

    async def reply(self, head: Head, receive: Receive) -> Reply:
        """The answer; what a handler refused or broke on is raised."""
        if head.path in LARGE and head.method == "POST":
            head.receive, body = receive, b""
        else:
            body = await read_body(head, receive, self._limit(head))
        if body and head.method in WRITING and not head.path.startswith(RAW):
            check_json_type(head)
            strict_json.check(body)
        scope = head.scope | {_HEAD: head, _BODY: body, "state": {}}
        sent: list[dict[str, Any]] = []

        async def hear() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def tell(message: Any) -> None:
            sent.append(message)

        await self.app(scope, hear, tell)  # type: ignore[arg-type]
        failure = scope.get(_FAILURE)
        if failure is not None:
            raise _translated(failure)
        handler = scope.get("route_handler")
        head.route = getattr(handler, "operation_id", None) or "unknown"
        return _reply_of(sent, head)


def _reply_of(sent: list[dict[str, Any]], head: Head) -> Reply:
    body = b"".join(message.get("body", b"") for message in sent[1:])
    # How long an answer is that goes on in pieces, nobody knows yet.
    own = ((name, value) for name, value in sent[0]["headers"] if head.pieces is None or name != b"content-length")
    headers = (*own, *((b"set-cookie", cookie) for cookie in head.cookies))
    if not any(name == b"cache-control" for name, _ in headers):
        headers = (*headers, NO_STORE)
    return Reply(sent[0]["status"], body, headers)


def _translated(error: Exception) -> Exception:
    """The framework's own refusals in our words."""
    match error:
        case NotFoundException():
            return Refusal("not_found")
        case MethodNotAllowedException():
            return Refusal("method_not_allowed")
        case ValidationException():
            return Refusal("invalid_request", {"reason": _reason(error)})
        case HTTPException() if error.status_code < 500:
            return Refusal("invalid_request", {"reason": str(error.detail)})
        case _:
            return error


def _reason(error: ValidationException) -> str:
    extra = error.extra if isinstance(error.extra, list) else []
    found = [f"{item.get('key', 'body')}: {item.get('message', '')}" for item in extra if isinstance(item, dict)]
    return "; ".join(found)[:500] or "the request does not have the form that is asked for"


def document(handlers: "Sequence[Any]") -> dict[str, Any]:
    """What the framework says of its own routes, as plain JSON."""
    app = Litestar(
        route_handlers=list(handlers),
        request_class=ShopRequest,
        openapi_config=OpenAPIConfig(title="Stampede", version="1"),
        logging_config=None,
    )
    found: dict[str, Any] = json.loads(json.dumps(app.openapi_schema.to_schema(), default=str))
    return found
