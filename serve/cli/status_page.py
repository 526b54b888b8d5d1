"""A status as people read it."""

from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table

from serve.cli.journal import journal_line
from serve.cli.status import Status, owners
from serve.cli.words import is_chinese

HOT_MAX: Final = 8
"""Rows of the hottest entities."""

TITLES: Final[dict[str, tuple[str, str]]] = {
    "host": ("host", "主机"),
    "pid": ("pid", "进程"),
    "shards": ("shards", "分片"),
    "entities": ("entities", "实体"),
    "queue": ("queue", "排队"),
    "sends": ("sends open (oldest)", "未答发送(最久)"),
    "flush": ("rows a flush, ms", "每次刷写行数、毫秒"),
    "memory": ("memory", "内存"),
    "orders": ("records", "记录"),
    "entity": ("hottest entities", "最热实体"),
    "rate": ("changes a second", "每秒变更"),
    "lease": ("lease", "租约"),
    "state": ("state", "状态"),
    "projection": ("projection", "投影"),
    "behind": ("behind", "落后"),
    "stopped": ("stopped shards", "停滞分片"),
    "lane": ("lane", "入口"),
    "url": ("address", "地址"),
    "process": ("process", "进程"),
    "summary": (
        "{count} shards, {owned} owned, {moving} moving, epochs {low} to {high}",
        "共 {count} 个分片,{owned} 个有主,{moving} 个迁移中,纪元 {low} 至 {high}",
    ),
    "rows_and_seconds": ("{rows} records, {seconds:.2f} s", "{rows} 条记录,{seconds:.2f} 秒"),
    "ok": ("ok", "正常"),
    "draining": ("draining", "排空中"),
    "tight": ("short of memory", "内存紧张"),
    "closed": ("takes nothing new: memory", "内存不足,暂停接单"),
    "silent": ("does not answer", "无响应"),
    "gone": ("gone", "已离线"),
    "ready": ("ready", "就绪"),
    "not_ready": ("not ready", "未就绪"),
}

PRESSURE: Final = ("ok", "tight", "closed", "closed")
"""What a host does about its memory (``actors.owners.memory_watch.Pressure``)."""

MEGABYTE: Final = 1_000_000


def _title(name: str) -> str:
    return TITLES[name][is_chinese()]


def page(found: Status) -> RenderableType:
    """The tables, one below the other."""
    hot = [_hot(found)] if any(host.get("hot") for host in found.hosts) else []
    tables = (_projections(found), journal_line(found.journal), _lanes(found), _processes(found))
    return Group(_summary(found), _hosts(found), *hot, *tables)


def _summary(found: Status) -> str:
    epochs = [shard.epoch for shard in found.shards] or [0]
    return _title("summary").format(
        count=len(found.shards),
        owned=len(found.shards) - owners(found)[""],
        moving=sum(shard.target not in ("", shard.host) for shard in found.shards),
        low=min(epochs),
        high=max(epochs),
    )


def _hosts(found: Status) -> Table:
    table = _table("host", "pid", "shards", "entities", "queue", "sends", "memory", "orders", "flush", "lease", "state")
    owned = owners(found)
    for host in found.hosts:
        table.add_row(host["host"], str(host["pid"]), str(owned[host["host"]]), *_numbers(host), _state(host))
    for name in found.hosts_gone:
        table.add_row(name, "", str(owned[name]), *[""] * 7, _title("gone"))
    return table


def _numbers(host: dict[str, Any]) -> list[str]:
    if not host["answers"]:
        return [""] * 7
    counters = host["counters"]
    flushes = max(1, counters["flushes"])
    return [
        f"{host['entities']:,}",
        f"{host['queue']}",
        f"{host['sends_open']} ({host['sends_oldest_ms'] / 1000:.1f} s)",
        f"{host['memory_bytes'] / MEGABYTE:,.0f} MB",
        f"{counters['records']:,}",
        f"{counters['records'] / flushes:.1f}, {counters['flush_ms_total'] / flushes:.1f}",
        f"{host['lease_left_ms'] / 1000:.1f} s",
    ]


def _state(host: dict[str, Any]) -> str:
    if not host["answers"]:
        return _title("silent")
    if host["draining"]:
        return _title("draining")
    return _title(PRESSURE[host["memory_pressure"]])


def _hot(found: Status) -> Table:
    """The entities that change fastest: an article that is too hot for one host is split by itself where there are several."""
    table = _table("entity", "host", "rate")
    rows = [(hot["records_per_s"], f"{hot['kind']} {hot['key']}", host["host"]) for host in found.hosts for hot in host.get("hot", ())]
    for rate, entity, host in sorted(rows, reverse=True)[:HOT_MAX]:
        table.add_row(entity, host, f"{rate:,}")
    return table


def _projections(found: Status) -> Table:
    table = _table("projection", "behind", "stopped")
    for name, view in found.projections.items():
        behind = _title("rows_and_seconds").format(rows=view.lag.rows_behind, seconds=view.lag.seconds_behind)
        table.add_row(name, behind, str(view.stopped))
    return table


def _lanes(found: Status) -> Table:
    table = _table("lane", "url", "state")
    for name, lane in found.lanes.items():
        table.add_row(name, lane.url, _title("ready" if lane.ready else "not_ready"))
    return table


def _processes(found: Status) -> Table:
    table = _table("process", "pid")
    for number, replica in enumerate(found.replicas):
        table.add_row(f"replica {number}", str(replica.pid))
    for name, server in (("postgres", found.postgres), ("valkey", found.valkey)):
        if server is not None:
            table.add_row(name, str(server.pid))
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(
            _title(name), justify="left" if name in ("host", "entity", "state", "projection", "lane", "url", "process") else "right"
        )
    return table
