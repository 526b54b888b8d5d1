"""Settings: every knob, read from ``STAMPEDE_*`` variables, with its unit in its name."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from schemas.sessions import ACCESS_TOKEN_S_MAX


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one running copy. A field ``x_y`` is read from ``STAMPEDE_X_Y``."""

    data_dir: str = ".stampede"
    log_level: str = "info"
    database_url: str | None = None
    """A PostgreSQL URL; None starts the embedded server in ``data_dir``."""
    redis_url: str | None = None
    """A Redis URL; None starts the embedded server in ``data_dir``."""
    host: str = "127.0.0.1"
    ingress_port: int = 8700
    direct_port: int = 8701
    hosts: int = 1
    """Shard hosts on this node."""
    replicas: int = 2
    """HTTP replicas on this node."""
    shop: str = "demo"
    """Which shop ``up`` loads into an empty database: ``demo`` (real data), ``small`` (synthetic) or ``none``."""
    simulator_port: int = 8702
    """The payment simulator's port; 0 when a real provider is set."""
    stripe_url: str | None = None
    stripe_api_key: str = "sk_test_simulator"
    stripe_webhook_secret: str = "whsec_simulator"
    """What webhooks are signed with. Several, with commas between them, are valid at once while one is being rolled."""
    stripe_webhook_tolerance_s: int = 300

    # people
    field_keys: str = ""
    """What personal fields are sealed with, as ``1=<base64>,2=<base64>,lookup=<base64>``: 32 bytes each, the highest number seals.
    Empty: the file ``field.keys`` of ``data_dir``, made on the first start. Of several machines: the same on all of them."""
    cookie_secure: bool = True
    """Cookies of web sessions travel over TLS only. Browsers make an exception for localhost."""
    web_origins: str = ""
    """Origins of pages whose browsers may use cookie sessions, with commas between them, beside this shop's own."""

    # the entity runtime
    shard_count: int = 256
    pools: str = ""
    """Kinds with shards and hosts of their own, as ``goods=stock,quota,admission:64; ...``. Fixed when a database is founded."""
    host_pools: str = ""
    """Which pools each host of this node serves, host by host, as ``goods; main; main``. A host that is not named serves all."""
    lease_ms: int = 5000
    lease_renew_ms: int = 1000
    lease_margin_ms: int = 500
    batch_commands_max: int = 256
    batch_bytes_max: int = 256 * 1024
    queue_commands_max: int = 4096
    """Commands that wait in one host before it answers ``busy``."""
    activations_max: int = 50
    entities_max: int = 100_000
    """Entities kept in one host's memory before idle ones are dropped."""
    host_memory_bytes: int = 0
    """What one host may use before it drops idle entities (70 %), takes nothing new (85 %) and starts anew (95 %).
    0: half of the machine's memory, or of the container's, divided by its hosts."""
    flush_timeout_ms: int = 5000
    snapshot_every: int = 64
    meta_every: int = 1024
    reminders_per_second_max: int = 500
    split_rate_per_s: int = 1000
    """Changes a second of one part of an article's stock, kept up for three seconds, beyond which the article is split over more
    hosts, where there are any. 0: only by hand (``stampede sale prepare``)."""
    split_parts_max: int = 16
    """Parts of one article that are made by themselves."""
    watchdog_ms: int = 5000

    # the journal's upkeep
    lake: str = "lake"
    """Where old records go as Parquet: a directory, within ``data_dir`` unless it is absolute. Of several machines: one that all mount."""
    journal_keep_days: Annotated[int, msgspec.Meta(ge=7)] = 7
    """Records younger than this stay in the table. Command ids are good for seven days."""
    journal_upkeep_s: Annotated[int, msgspec.Meta(ge=0)] = 3600
    """Between two runs of the upkeep beside the coordinator; 0: none, and ``stampede journal upkeep`` is somebody's habit."""

    # commerce
    hold_ms: int = 15 * 60_000

    # http
    body_bytes_max: int = 64 * 1024
    in_flight_max: int = 2048
    request_deadline_ms: int = 10_000
    access_token_s: Annotated[int, msgspec.Meta(ge=1, le=ACCESS_TOKEN_S_MAX)] = 600
    refresh_token_s: int = 30 * 86_400
    bench: bool = False
    """Serve ``POST /bench/empty`` too."""
    forwarded_hops: int = 0
    """Proxies in front that append to ``X-Forwarded-For``; what stands further left is the client's own word."""
    rate_user_per_s: int = 10
    """Orders one user may try a second in one replica; ten times as many at once after a rest. 0: no limit."""
    rate_address_per_s: int = 200
    """Requests of one address a second in one replica, loopback excepted. 0: no limit."""
    login_threads: int = 2
    """Password hashes computed at once beside one replica, on half of the cores: one costs some 30 ms of a core."""

    @property
    def data_path(self) -> Path:
        """``data_dir`` as an absolute path."""
        return Path(self.data_dir).expanduser().resolve()

    @property
    def lake_path(self) -> Path:
        """``lake`` as an absolute path."""
        return self.data_path / Path(self.lake).expanduser()

    @property
    def stripe_webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of ``stripe_webhook_secret``, the one that is signed with first."""
        return tuple(secret for part in self.stripe_webhook_secret.split(",") if (secret := part.strip()))


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. ValueError names the variable that cannot be read."""
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(Settings):
        name = "STAMPEDE_" + field.name.upper()
        if name in environ:
            try:
                found[field.name] = msgspec.convert(environ[name], field.type, strict=False)
            except msgspec.ValidationError as error:
                raise ValueError(f"{name}: {error}") from error
    return Settings(**found)  # type: ignore[arg-type]
