"""Requests made up from the document itself: whatever comes, the answer is one that the document knows, and never a 500."""

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from schemas.problems import PROBLEMS
from serve.application import build

EXAMPLES = 12
LEFT_OUT = {"stripeWebhook", "logOutEverywhere", "logOut"}
"""The webhook is signed bytes; logging out ends the token that all the others use."""
