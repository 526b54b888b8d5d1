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
    # messages to people
    sms_url: str = "https://dysmsapi.aliyuncs.com"
    """Alibaba Cloud SMS, or whatever speaks its API."""
    sms_key_id: str = ""
    sms_secret: str = ""
    """Without a key id and a secret no text message leaves."""
    sms_sign_name: str = ""
    sms_template: str = ""
    """The provider's template codes by our templates' names, as ``code=SMS_1,code.en=SMS_2,new_device=SMS_3``."""
    sms_budget: str = "+86=5000/50000,*=50/200"
    """Text messages an hour and a day, by dialling prefix; ``*`` is every other one."""
    smtp_url: str = ""
    """``smtps://user:password@host`` or ``smtp://...`` (STARTTLS); without it no e-mail leaves."""
    mail_from: str = ""
    """``Shop <shop@example.com>``."""
    outbox: bool | None = None
    """Keep what nobody carries, and show it at ``/dev/outbox``. None: where nothing is set to carry messages and only this machine
    can ask. Whoever reads it can log in as anybody."""

    # third-party logins: one without keys is not offered; a secret may be `file:` and a path
    login_return_url: str = ""
    """The shop's page that people come back to from a provider. Empty: ``/dev/login`` of this copy, a page for trying it out."""
    login_hook_url: str = ""
    """Where this copy's ``/v1/hooks/apple`` is reached from outside: Apple answers there, by a form. Empty: of this copy's own address."""
    wechat_app_id: str = ""
    wechat_app_secret: str = ""
    wechat_mini_app_id: str = ""
    """Of the mini-program; its people are the website's where both apps belong to one open-platform account."""
    wechat_mini_app_secret: str = ""
    wechat_authorize_url: str = "https://open.weixin.qq.com"
    wechat_api_url: str = "https://api.weixin.qq.com"
    qq_app_id: str = ""
    qq_app_key: str = ""
    qq_url: str = "https://graph.qq.com"
    alipay_app_id: str = ""
    alipay_private_key: str = ""
    """Ours, RSA of 2048 bits: PEM or the bare base64 of Alipay's tool."""
    alipay_public_key: str = ""
    """Alipay's, from its console: not the public half of ours."""
    alipay_app_cert: str = ""
    """Certificate mode, in place of the public key: the app's certificate, Alipay's roots and Alipay's own, in PEM."""
    alipay_root_cert: str = ""
    alipay_cert: str = ""
    alipay_authorize_url: str = "https://openauth.alipay.com"
    alipay_gateway_url: str = "https://openapi.alipay.com/gateway.do"
    apple_client_id: str = ""
    """The Services ID."""
    apple_team_id: str = ""
    apple_key_id: str = ""
    apple_private_key: str = ""
    """The ``.p8`` file's text."""
    apple_app_id: str = ""
    """The bundle id of our app, where it logs people in by itself; its id_tokens are for this audience."""
    apple_url: str = "https://appleid.apple.com"

    retain_export_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 7
    """A copy of somebody's data can be fetched for so long, then it is deleted."""
    retain_regret_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 7
    """Who asked to be forgotten stays by logging in within so many days."""
    retain_message_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    """Messages of the development outbox are deleted after so many days."""
    # second factors
    issuer: str = "Stampede"
    """What authenticator apps and passkeys call this shop."""
    rp_id: str = "localhost"
    """The domain that passkeys belong to. A passkey of one domain works on no other: decide before there are any."""
    origins: str = ""
    """Origins of the pages that may ask for passkeys, with commas between them. Empty: https of ``rp_id``; on localhost every port."""
    step_up_order_minor: Annotated[int, msgspec.Meta(ge=0)] = 0
    """An order of at least so many minor units (a checkout or one of a flash sale) asks for a second factor of the last
    ten minutes. 0: none does."""

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

    # behaviour events
    events_keep_days: Annotated[int, msgspec.Meta(ge=1)] = 395
    """Days of events older than this are deleted from the lake: thirteen months, so that a month can be compared with last year's."""
    events_land_s: Annotated[int, msgspec.Meta(ge=0)] = 60
    """Between two landings of a node's spool; 0: none, and ``stampede events land`` is somebody's habit."""
    events_body_bytes_max: int = 256 * 1024
    events_spool_bytes_max: int = 1 << 30
    """Events of this node that wait for their landing; beyond it they are refused."""
    events_free_bytes_min: int = 1 << 30
    """Events are refused while the disk has less left than this: it belongs to the orders."""

    # commerce
    hold_ms: int = 15 * 60_000

    # http
    body_bytes_max: int = 64 * 1024
    goods_body_bytes_max: int = 4 * 1024 * 1024
    """Of the documents of products, from members of the staff: 500 SKUs with their prices and two descriptions."""
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
    rate_events_per_s: int = 20
    """Batches of events of one address a second in one replica, five times as many at once; loopback excepted. 0: no limit."""
    login_threads: int = 2
    """Password hashes computed at once beside one replica, on half of the cores: one costs some 30 ms of a core."""

    def __repr__(self) -> str:
        """Without what opens something: a line of a log or of a traceback may hold settings."""
        shown = (field for field in msgspec.structs.fields(Settings) if not _is_secret(field.name))
        return f"Settings({', '.join(f'{field.name}={getattr(self, field.name)!r}' for field in shown)})"

    @property
    def data_path(self) -> Path:
        """``data_dir`` as an absolute path."""
        return Path(self.data_dir).expanduser().resolve()

    @property
    def lake_path(self) -> Path:
        """``lake`` as an absolute path."""
        return self.data_path / Path(self.lake).expanduser()

    @property
    def outbox_on(self) -> bool:
        """Whether the development outbox stands."""
        if self.outbox is not None:
            return self.outbox
        return not self.sms_key_id and not self.smtp_url and self.host in ("127.0.0.1", "::1", "localhost")

    @property
    def events_spool_path(self) -> Path:
        """Where this node's replicas write events before they are landed."""
        return self.data_path / "events" / "spool"

    @property
    def stripe_webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of ``stripe_webhook_secret``, the one that is signed with first."""
        return tuple(secret for part in self.stripe_webhook_secret.split(",") if (secret := part.strip()))


def _is_secret(name: str) -> bool:
    """Keys, secrets, and URLs with a password in them."""
    return name.endswith(("_key", "_keys", "_secret", "_password")) or name in ("database_url", "redis_url", "smtp_url")


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
