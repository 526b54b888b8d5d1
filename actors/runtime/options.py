"""Options of every Ray actor, in one table, each with its reason."""

from typing import Any, Final

NAMESPACE: Final = "stampede"

SHARD_HOST: Final[dict[str, Any]] = {
    # A host is one event loop; it waits more than it computes, and the small machine has two cores for all.
    "num_cpus": 0,
    # A crashed host comes back by itself and claims its shards again; the epoch fences what is left of the old one.
    "max_restarts": -1,
    # A call may have taken effect: only the caller, with its command id, may ask again.
    "max_task_retries": 0,
    "max_concurrency": 1000,
    "lifetime": "detached",
}

COORDINATOR: Final[dict[str, Any]] = {
    "num_cpus": 0,
    "max_restarts": -1,
    "max_task_retries": 0,
    "max_concurrency": 100,
    "lifetime": "detached",
}
