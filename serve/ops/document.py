"""``/openapi.json`` and ``/docs``: what is served, hot or not, and nothing else; a page that loads nothing from outside."""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from schemas.problems import PROBLEMS, Problem
from serve.answers import JSON_TYPE, Header, Reply
from serve.framework import document
from serve.login_pages import TRY_PAGE
from serve.ops.operations import BENCH, HOT, SAID, Hot
from serve.uploads import UPLOADS
from serve.web.forms import FILE_FORMS, FORMS

REF: Final = "#/components/schemas/{name}"
DESCRIPTION: Final = """\
Money is `{"amount": 1999, "currency": "CNY"}` in minor units. Times are RFC 3339 in UTC. Errors are
`application/problem+json` (RFC 9457) with a stable `code`, in English or Chinese by `Accept-Language`.
A POST that creates needs an `Idempotency-Key`: the same key and body get the first answer.
429 and 503 carry `Retry-After`.
"""

_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "the same key and body get the first answer, for seven days",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$"},
}
_GUEST: Final[dict[str, Any]] = {
    "name": "Guest-Token",
    "in": "header",
    "required": False,
    "description": "of a guest, instead of Authorization",
    "schema": {"type": "string", "pattern": "^gst_[0-9a-z]{20}$"},
}
_DEVICE: Final[dict[str, Any]] = {
    "name": "Device-Token",
    "in": "header",
    "required": False,
    "description": "of a device that was trusted when a second factor was proven; it is not asked for one",
    "schema": {"type": "string", "maxLength": 512},
}
_VISITOR: Final[dict[str, Any]] = {
    "name": "Visitor-Id",
    "in": "header",
    "required": False,
    "description": "under which this terminal sent events as a guest: they become the account's. To send it is the guest's consent",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,64}$"},
}
_THIRD_PARTY: Final = ("finishLogin", "finishNativeLogin", "finishMiniProgramLogin")
_LOGINS: Final = {"register", "logIn", "logInByCode", "mergeAccounts", "finishSecondFactor", "logInWithPasskey", *_THIRD_PARTY}
_FORM: Final = "_[A-Za-z0-9_.-]{1,58}$"
_PATH_FORMS: Final[dict[str, str]] = {
    f"{name}_id": f"^{prefix}{_FORM}"
    for name, prefix in (("product", "prd"), ("sale", "sal"), ("sku", "sku"), ("order", "ord"), ("factor", "fac"))
}
_PATH_FORMS["provider"] = "^(wechat|qq|alipay|apple)$"
_PATH_FORMS["identity_id"] = f"^idn{_FORM}"
_PATH_FORMS.update({"user_id": f"^usr{_FORM}", "address_id": f"^adr{_FORM}", "export_id": f"^exp{_FORM}", "role": "^[a-z]{1,20}$"})
_PATH_FORMS["session_id"] = f"^(current|ses{_FORM[:-1]})$"
_PATH_FORMS["item_id"] = f"^mal{_FORM}"
_PATH_FORMS.update({"image_id": "^img_[0-9a-hjkmnp-tv-z]{20}$", "image_file": "^(160|480|960|1600)\\.(webp|jpg)$"})
_PATH_FORMS["revision"] = "^[0-9]{1,6}$"
_PATH_FORMS.update({"connection_id": f"^wms{_FORM}", "letter_id": f"^(wml|msg){_FORM}", "run_id": f"^rec{_FORM}"})
_PATH_FORMS["merchant_id"] = f"^mer{_FORM}"
_PATH_FORMS["job_id"] = f"^job{_FORM}"
_PATH_FORMS.update({"category_id": f"^cat{_FORM}", "brand_id": f"^brd{_FORM}", "number": "^[0-9]{1,10}$"})
_PATH_FORMS.update({"tag_id": f"^tag{_FORM}", "proposal_id": f"^prp{_FORM}", "purchase_id": f"^pur{_FORM}"})
_PATH_FORMS["where"] = f"^(shop|cat{_FORM[:-1]})$"
_PATH_FORMS["warehouse_id"] = f"^whs{_FORM}"
_PROBLEM: Final[dict[str, Any]] = {
    "description": "a problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


_UPLOADED: Final[dict[str, Any]] = {
    upload.operation_id: {
        "required": True,
        "content": {media: {"schema": {"type": "string", "format": "binary", "maxLength": upload.bytes_max}} for media in upload.media},
    }
    for upload in UPLOADS.values()
}
_NAMES: Final = {
    "schemas.goods.Product": "WholeProduct",
    "schemas.http.catalogue.Product": "ShownProduct",
    "schemas.watch.Purchase": "PurchaseAction",
    "schemas.http.events.Purchase": "PurchaseEvent",
    "schemas.http.watch.PurchaseLine": "SupplierLine",
    "schemas.providers.wms.PurchaseLine": "WarehousePurchaseLine",
}
"""What two types of one name are called: generators of clients make a class of each name."""
_CACHED: Final[Header] = (b"cache-control", b"public, max-age=60")


class Documents:
    """Both, made once. login_page: also a page to try third-party logins with, for shops that have none of their own."""

    def __init__(self, app: Litestar, handlers: Sequence[Any], *, bench: bool, login_page: bool = False) -> None:
        text = msgspec.json.encode(openapi(app, handlers, bench=bench))
        self._replies = {
            "/openapi.json": Reply(200, text, (JSON_TYPE, (b"content-length", b"%d" % len(text)), _CACHED)),
            "/docs": _page("docs.html"),
        }
        if login_page:
            self._replies[TRY_PAGE] = _page("login.html")

    def get(self, path: str) -> Reply | None:
        """The document at a path."""
        return self._replies.get(path)


def _page(name: str) -> Reply:
    page = files("serve.ops").joinpath(name).read_bytes()
    kind: Header = (b"content-type", b"text/html; charset=utf-8")
    return Reply(200, page, (kind, (b"content-length", b"%d" % len(page)), (b"content-security-policy", _policy(page)), _CACHED))


def _policy(page: bytes) -> bytes:
    """The page's own script and style, by their hashes, and this server: nothing else runs or loads."""

    def hashes(tag: bytes) -> bytes:
        found = re.findall(b"<" + tag + b">(.*?)</" + tag + b">", page, re.DOTALL)
        return b" ".join(b"'sha256-" + base64.b64encode(hashlib.sha256(text).digest()) + b"'" for text in found)

    parts = (b"default-src 'none'", b"script-src " + hashes(b"script"), b"style-src " + hashes(b"style"), b"connect-src 'self'")
    return b"; ".join((*parts, b"frame-ancestors 'none'", b"base-uri 'none'", b"form-action 'none'"))


def openapi(app: Litestar, handlers: Sequence[Any], *, bench: bool) -> dict[str, Any]:
    """OpenAPI 3.1 of the framework's routes and the hot ones."""
    found = document(handlers)
    hot = (*HOT, BENCH) if bench else HOT
    hot_types = [part for operation in hot for part in (operation.answer, operation.body) if part is not None]
    types = [*_types_of(app), *FORMS.values(), Problem, *hot_types]
    # All at once: of two types with one name, each is then referred to by its whole name.
    shown, schemas = msgspec.json.schema_components(types, ref_template=REF)
    by_type = dict(zip(types, shown, strict=True))
    for operation in hot:
        found["paths"].setdefault(operation.path, {})[operation.method] = _hot(operation, by_type)
    for path in found["paths"].values():
        for method in path.values():
            _finish(method)
            form = FORMS.get(method["operationId"])
            if form is not None:
                content = {"application/x-www-form-urlencoded": {"schema": by_type[form]}}
                method["requestBody"] = {"required": True, "content": content}
            if method["operationId"] in FILE_FORMS:
                content = {"multipart/form-data": {"schema": FILE_FORMS[method["operationId"]]}}
                method["requestBody"] = {"required": True, "content": content}
    found["paths"] = dict(sorted(found["paths"].items()))
    found["components"] = {
        "schemas": schemas,
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "`access_token` of a login"}},
    }
    found["info"] = {"title": "Stampede", "version": "1", "description": DESCRIPTION}
    found["x-problems"] = {code: {"status": row.status, "en": row.en, "zh-CN": row.zh} for code, row in PROBLEMS.items()}
    return _renamed(found)


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    """The document in which every type has a plain name."""
    taken = found["components"]["schemas"].keys() & set(_NAMES.values())
    assert not taken, f"two types would be called {sorted(taken)}"
    text = msgspec.json.encode(found).decode()
    for whole, name in _NAMES.items():
        text = text.replace(f'"{whole}"', f'"{name}"').replace(REF.format(name=whole) + '"', REF.format(name=name) + '"')
    renamed: dict[str, Any] = msgspec.json.decode(text)
    return renamed


def _types_of(app: Litestar) -> list[Any]:
    """What the framework's handlers take and give."""
    types = []
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for field in (handler.parsed_data_field, handler.parsed_return_field):
                # A whole response says within which type its body is.
                for part in () if field is None else (field, *field.inner_types):
                    if isinstance(part.annotation, type) and issubclass(part.annotation, msgspec.Struct):
                        types.append(part.annotation)
    return types


def _hot(operation: Hot, schemas: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", operation.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    said: dict[str, Any] = {
        "operationId": operation.operation_id,
        "parameters": [*parameters, *operation.query],
        "responses": {str(operation.status): {"description": "", "content": {operation.media: {"schema": schemas[operation.answer]}}}},
    }
    if operation.body is not None:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[operation.body]}}}
    return said


def _finish(operation: dict[str, Any]) -> None:
    """What all operations have alike: words, who may ask, keys, problems."""
    said = SAID[operation["operationId"]]
    operation["summary"], operation["x-summary-zh-CN"], operation["tags"] = said.en, said.zh, [said.tag]
    operation.pop("deprecated", None)
    parameters = [_plain(parameter) for parameter in operation.get("parameters", [])]
    if said.keyed:
        parameters.append(_KEY)
    if said.who == "cart":
        parameters.append(_GUEST)
    if operation["operationId"] == "logIn":
        parameters.append(_DEVICE)
    if operation["operationId"] in _LOGINS:
        parameters.append(_VISITOR)
    operation["parameters"] = parameters
    if operation["operationId"] in _UPLOADED:
        operation["requestBody"] = _UPLOADED[operation["operationId"]]
    anybody: dict[str, list[dict[str, list[str]]]] = {"public": [], "cart": [{"bearer": []}, {}], "anyone": [{"bearer": []}, {}]}
    operation["security"] = anybody.get(said.who, [{"bearer": []}])
    operation["x-permission"] = said.who
    done = {status: response for status, response in operation["responses"].items() if status < "400"}
    for response in done.values():
        response["description"] = "done"
        response.pop("headers", None)
    operation["responses"] = {**done, "default": _PROBLEM}


def _plain(parameter: dict[str, Any]) -> dict[str, Any]:
    if parameter["in"] == "path":
        return parameter | {"schema": {"type": "string", "pattern": _PATH_FORMS[parameter["name"]]}, "required": True}
    kept: dict[str, Any] = {name: parameter[name] for name in ("name", "in", "required", "description", "schema") if name in parameter}
    return kept | {"required": bool(parameter.get("required"))}
