"""The states of flash sales. A trigger on the table carries each move to the facts that checkouts are priced by."""

from typing import Any, ClassVar, Final

from actors.storage.projections.projection import Fact, Statement
from schemas.admission import SaleConfigured, SaleMoved

SET_STATES: Final = """
INSERT INTO sale_state (sale_id, state, shard, updated_seq)
SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[])
ON CONFLICT (sale_id) DO UPDATE SET state = excluded.state, updated_seq = excluded.updated_seq
"""
TELL_STATES: Final = "UPDATE sale_state SET state = state"


class AdmissionProjection:
    """Fills ``sale_state``."""

    events: ClassVar[tuple[type, ...]] = (SaleConfigured, SaleMoved)
    tables: ClassVar[tuple[str, ...]] = ("sale_state",)
    after_swap: ClassVar[tuple[str, ...]] = (TELL_STATES,)

    def __init__(self) -> None:
        self._states: dict[str, tuple[str, str, int, int]] = {}

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        match event:
            case SaleMoved():
                self._states[fact.key] = (fact.key, event.state, fact.shard, fact.seq)
            case SaleConfigured():
                # Terms are set only before the first opening: the sale is closed.
                self._states[fact.key] = (fact.key, "closed", fact.shard, fact.seq)
            case _:
                pass

    def statements(self) -> list[Statement]:
        rows = sorted(self._states.values())
        return [Statement(SET_STATES, tuple(zip(*rows, strict=True)))] if rows else []
