"""What the simulator can be told to do, and what it tells."""

from typing import Annotated, Literal

import msgspec

FaultKind = Literal["refuse", "break", "drop", "lose", "hang", "delay", "duplicate", "garble"]
"""refuse: answer ``code`` with ``status``, nothing sent. break: send, answer ``status``. drop: send, then cut the connection.
lose: cut the connection, nothing sent. hang: send, answer after ``seconds``. delay: do nothing for ``seconds``, then go on.
duplicate: the phone gets it twice. garble: send, and answer what is no JSON."""

Times = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next ``times`` calls go wrong."""

    kind: FaultKind
    times: Times = 1
    status: int = 200
    code: str = "isv.BUSINESS_LIMIT_CONTROL"
    seconds: Seconds = 0.0


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the phone got it."""

    phone: str
    sign_name: str
    template_code: str
    params: dict[str, str]
    out_id: str
    biz_id: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator has seen. ``answers`` counts by the code that was answered; ``delivered``: the last messages, oldest first."""

    calls: int
    answers: dict[str, int]
    delivered: list[Delivered]
