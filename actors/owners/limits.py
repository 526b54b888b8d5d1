"""The bounds of one host, with their reasons."""

import msgspec

from schemas.settings import Settings


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Every queue, batch, wait and retry of an owner has a limit (promise 5)."""

    batch_commands_max: int = 256
    """Commands of one batch: beyond it a flush takes longer than the next one saves."""
    batch_bytes_max: int = 256 * 1024
    queue_commands_max: int = 4096
    """Commands that wait for a place in a batch; the next one is told ``busy``."""
    waiting_max: int = 1024
    """Commands that wait for one entity to load."""
    activations_max: int = 50
    """Entities loaded at once."""
    entities_max: int = 100_000
    flush_timeout_ms: int = 5000
    snapshot_every: int = 64
    meta_every: int = 1024
    """Records of a shard between two writings of its meta: bounds what a takeover reads."""
    reminders_per_second_max: int = 500
    sends_at_once_max: int = 512
    lease_ms: int = 5000
    lease_renew_ms: int = 1000
    lease_margin_ms: int = 500
    board_ms: int = 500
    """How often a host looks at who owns what."""
    facts_ms: int = 400
    """How often changed prices are fetched."""
    facts_age_max_ms: int = 1000
    """A price older than this is not used."""
    poison_max: int = 2
    """A command that raised this often is refused from then on."""


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings ask for."""
    names = {field.name for field in msgspec.structs.fields(Limits)} & {field.name for field in msgspec.structs.fields(Settings)}
    return Limits(**{name: getattr(settings, name) for name in names})
