"""The one door to step-up: what is risky asks for a second factor that was proven a moment ago."""

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from serve.framework import ShopRequest
from serve.requests import Refusal

WITHIN_MS: Final = 600_000
"""For so long a proof counts."""


async def proven_again(request: ShopRequest) -> None:
    """Refusal ``step_up_required`` unless whoever asks has proven a second factor in this session, shortly ago."""
    if find_spec("serve.step_up") is not None:
        await import_module("serve.step_up").require_step_up(request)
        return
    token = request.customer()
    if not token.stepped_up_at_ms or request.desk.clock.now_ms() >= token.stepped_up_at_ms + WITHIN_MS:
        raise Refusal("step_up_required")
