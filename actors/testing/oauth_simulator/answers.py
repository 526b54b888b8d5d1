"""A call as the providers' handlers see it, and the shapes of their answers."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from actors.testing.oauth_simulator.books import Books
from actors.testing.oauth_simulator.keys import SimulatorKeys
from actors.testing.oauth_simulator.plan import Plan, Twist


@dataclass(slots=True, kw_only=True)
class Call:
    """One call: its parameters, and what is to be wrong with the answer. ``error``: the provider's own code to answer with."""

    query: dict[str, str]
    form: dict[str, str]
    twist: Twist = ""
    error: str = ""


@dataclass(slots=True, kw_only=True)
class Desk:
    """What the handlers of all providers share. ``url``: of the simulator, once it listens."""

    keys: SimulatorKeys
    books: Books
    plan: Plan = field(default_factory=Plan)
    url: str = ""


def json_answer(body: dict[str, Any], *, status: int = 200, content_type: str = "application/json") -> web.Response:
    """An object as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=content_type)
