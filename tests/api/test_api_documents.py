"""The document says what is served, and the page loads nothing from outside."""

import json
import re

import pytest
from litestar.routes import HTTPRoute

from serve.ops.operations import BENCH, HOT, SAID

pytestmark = pytest.mark.asyncio(loop_scope="session")


def references(value: object) -> set[str]:
    match value:
        case {"$ref": str(name)}:
            return {name}
        case dict():
            return set().union(*map(references, value.values()))
        case list():
            return set().union(*map(references, value))
        case _:
            return set()


async def test_every_route_is_in_the_document_and_nothing_else(shop) -> None:
    document = (await shop.ask("GET", "/openapi.json")).json
    served = {(operation.method, operation.path) for operation in (*HOT, BENCH)}
    for route in shop.application.framework.app.routes:
        assert isinstance(route, HTTPRoute)
        path = re.sub(r":\w+}", "}", route.path)
        served |= {(method.lower(), path) for method in route.methods if method != "OPTIONS"}
    assert {(method, path) for path, methods in document["paths"].items() for method in methods} == served
    assert {one["operationId"] for methods in document["paths"].values() for one in methods.values()} == set(SAID)
    assert document["openapi"].startswith("3.1")


async def test_every_reference_leads_somewhere_and_requests_take_no_unknown_fields(shop) -> None:
    document = (await shop.ask("GET", "/openapi.json")).json
    schemas = document["components"]["schemas"]
    names = {name.removeprefix("#/components/schemas/") for name in references(document)}
    assert names - schemas.keys() == set()
    assert [name for name in schemas if "." in name] == []
    bodies = [one["requestBody"] for methods in document["paths"].values() for one in methods.values() if "requestBody" in one]
    bodies = [body for body in bodies if "application/json" in body["content"]]
    taken = [schemas[name.rsplit("/", 1)[1]] for body in bodies for name in references(body)]
    assert len(taken) == len(bodies) > 0
    assert all(schema["additionalProperties"] is False for schema in taken)


async def test_every_operation_that_gives_tokens_for_a_login_says_how_a_guest_s_events_come_along(shop) -> None:
    document = (await shop.ask("GET", "/openapi.json")).json
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    logins = {one["operationId"] for one in operations if any(each["name"] == "Visitor-Id" for each in one["parameters"])}
    given = {"#/components/schemas/Tokens", "#/components/schemas/LoginFinished", "#/components/schemas/LoggedIn"}
    giving = {one["operationId"] for one in operations if given & set(references(one["responses"]))}
    assert logins == giving - {"refreshSession", "stepUp"}


async def test_the_page_names_no_other_host_and_may_load_from_none(shop) -> None:
    answer = await shop.ask("GET", "/docs")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert b"http://" not in answer.body
    assert b"https://" not in answer.body
    # One policy: a second one would be obeyed as well, and forbid the page its own script.
    [policy] = answer.headers.getall("content-security-policy")
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy


async def test_the_document_is_in_two_languages(shop) -> None:
    document = (await shop.ask("GET", "/openapi.json")).json
    for methods in document["paths"].values():
        for one in methods.values():
            assert one["summary"].isascii()
            assert one["x-summary-zh-CN"]
    assert json.dumps(document["x-problems"]["sold_out"], ensure_ascii=False) == '{"status": 409, "en": "Sold out.", "zh-CN": "已售罄。"}'
