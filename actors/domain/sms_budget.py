"""How many text messages go to one dialling prefix in an hour and a day. Pure rules; see README.md in this folder."""

from typing import ClassVar, Final, NamedTuple, assert_never

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Wake
from schemas.codes import SmsCounted, SmsGranted, SpendSms

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

EVERYWHERE: Final = "*"
"""In the settings: every prefix that is not named."""

PREFIXES_MAX: Final = 300
"""There are some 240 dialling prefixes."""

SmsBudgetCommand = SpendSms | Answered | Wake


class Budget(NamedTuple):
    """Messages an hour and a day."""

    hour_max: int
    day_max: int


class SmsBudgetState(msgspec.Struct, kw_only=True):
    """What was counted in the hour and the day (UTC) that began at ``hour_ms`` and ``day_ms``."""

    key: str
    hour_ms: int = 0
    hour_count: int = 0
    day_ms: int = 0
    day_count: int = 0


def parse_budgets(text: str) -> dict[str, Budget]:
    """``+86=5000/50000,*=50/200``: an hour and a day, by dialling prefix. ValueError names what cannot be read."""
    budgets = {}
    for part in text.split(","):
        prefix, _, numbers = part.strip().partition("=")
        hour, _, day = numbers.partition("/")
        if not (prefix == EVERYWHERE or (prefix[:1] == "+" and prefix[1:].isdecimal())) or not (hour.isdecimal() and day.isdecimal()):
            raise ValueError(f"{part.strip()!r} is no budget: write +86=5000/50000, messages an hour and a day; * is every other prefix")
        budgets[prefix] = Budget(hour_max=int(hour), day_max=int(day))
    if EVERYWHERE not in budgets or len(budgets) > PREFIXES_MAX:
        raise ValueError(f"name * once, and at most {PREFIXES_MAX} prefixes")
    return budgets


def budget_of(budgets: dict[str, Budget], prefix: str) -> Budget:
    """What may be spent on a prefix."""
    return budgets.get(prefix) or budgets[EVERYWHERE]


class SmsBudgetKind:
    """The kind ``sms_budget``. Key: a dialling prefix, as ``+86``."""

    name: ClassVar[str] = "sms_budget"
    commands: ClassVar[tuple[type, ...]] = (SpendSms,)
    reads: ClassVar[tuple[type, ...]] = ()
    ending: ClassVar[tuple[type, ...]] = ()
    events: ClassVar[tuple[type, ...]] = (SmsCounted,)
    replies: ClassVar[tuple[type, ...]] = (SmsGranted,)
    state: ClassVar[type] = SmsBudgetState

    def route(self, key: str) -> str:
        return "sms:" + key

    def crowd(self, key: str, command: object) -> str:
        return "sms:" + key

    def needs(self, command: object) -> tuple[str, ...]:
        return ()

    def new(self, key: str) -> SmsBudgetState:
        return SmsBudgetState(key=key)

    def wake_at(self, state: SmsBudgetState) -> int | None:
        return None

    def decide(self, state: SmsBudgetState, command: SmsBudgetCommand, context: Context) -> Outcome:
        match command:
            case SpendSms():
                return _spend(state, command, context)
            case Answered() | Wake():
                return Accepted()
            case _:
                assert_never(command)

    def apply(self, state: SmsBudgetState, event: SmsCounted) -> None:
        hour, day = _counted(state, event.at_ms)
        state.hour_ms, state.hour_count = event.at_ms // HOUR_MS * HOUR_MS, hour + 1
        state.day_ms, state.day_count = event.at_ms // DAY_MS * DAY_MS, day + 1


def invariant(state: SmsBudgetState) -> list[str]:
    """What does not hold of this state; empty when all is well."""
    wrong = []
    if not 0 <= state.hour_count <= state.day_count:
        wrong.append(f"{state.key}: {state.hour_count} in the hour, {state.day_count} in the day")
    if state.hour_ms % HOUR_MS or state.day_ms % DAY_MS or state.hour_ms // DAY_MS * DAY_MS != state.day_ms:
        wrong.append(f"{state.key}: an hour that begins at {state.hour_ms} in the day of {state.day_ms}")
    return wrong


def _counted(state: SmsBudgetState, at_ms: int) -> tuple[int, int]:
    """What counts at a time: (of its hour, of its day)."""
    hour = state.hour_count if at_ms - state.hour_ms < HOUR_MS else 0
    return hour, state.day_count if at_ms - state.day_ms < DAY_MS else 0


def _spend(state: SmsBudgetState, command: SpendSms, context: Context) -> Outcome:
    hour, day = _counted(state, context.at_ms)
    if day >= command.day_max:
        return _spent(DAY_MS, context)
    if hour >= command.hour_max:
        return _spent(HOUR_MS, context)
    reply = SmsGranted(hour_left=command.hour_max - hour - 1, day_left=command.day_max - day - 1)
    return Accepted(events=(SmsCounted(at_ms=context.at_ms),), reply=reply)


def _spent(window_ms: int, context: Context) -> Refused:
    """Said in whole windows: how much was spent, and when, is nobody's business."""
    return Refused(code="sms_budget_spent", params={"retry_after_s": -(-(window_ms - context.at_ms % window_ms) // 1000)})
