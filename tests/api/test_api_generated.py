"""Requests made up from the document itself: whatever comes, the answer is one that the document knows, and never a 500."""

import asyncio
import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from schemas.permissions import GRANTABLE, SHOPPERS
from schemas.problems import PROBLEMS
from serve.ops.operations import HOT, SAID
from tests.api.staff_people import member

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLES = 10
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXPECTED_5XX = {"busy", "outcome_unknown", "deadline_passed", "storage_unavailable", "moved", "payment_unavailable"}


def run(base: str, document: dict, operation_id: str, token: str) -> list[int]:
    """Ask an operation what the document lets one ask, and what it does not; the statuses that came back."""
    schema = schemathesis.openapi.from_dict(document)
    operation = schema.find_operation_by_id(operation_id)
    seen: list[int] = []
    modes = [GenerationMode.POSITIVE]
    if operation.definition.raw["parameters"] or "requestBody" in operation.definition.raw:
        modes.append(GenerationMode.NEGATIVE)
    for mode in modes:

        @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case) -> None:
            response = case.call(base_url=base, headers={"Authorization": f"Bearer {token}"})
            seen.append(response.status_code)
            if response.status_code >= 400:
                problem = json.loads(response.content)
                assert problem["code"] in PROBLEMS, problem
                assert problem["status"] == response.status_code
                if problem["code"] in EXPECTED_5XX:
                    return
            case.validate_response(response, checks=CHECKS)

        ask()
    return seen


STREAMS = {hot.operation_id for hot in HOT if hot.media == "text/event-stream"}
"""They do not end: they have tests of their own."""


@pytest.mark.slow
@pytest.mark.parametrize("operation_id", sorted(set(SAID) - STREAMS))
async def test_no_request_breaks(shop, operation_id: str) -> None:
    document = json.loads((await shop.ask("GET", "/openapi.json")).body)
    # Of the staff's operations whoever has every role, and has just proven a second factor: the gate is not what is tried here.
    if SAID[operation_id].who in SHOPPERS:
        token = shop.token_of(shop.user()[0])
    else:
        _, token = await member(shop, *GRANTABLE)
    statuses = await asyncio.to_thread(run, shop.base, document, operation_id, token)
    assert statuses
    assert 500 not in statuses
