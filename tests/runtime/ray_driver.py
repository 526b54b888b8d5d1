"""A Ray of its own with the coordinator and hosts, in a process beside the test: Ray never enters the test's own process.

Commands come as lines of JSON on standard input, answers go as lines to standard output. It ends with its input.
"""

import asyncio
import json
import os
import sys
from typing import Any

from actors.runtime.config import short_directory
from actors.runtime.environment import prepare_ray
from schemas.settings import Settings, from_environment


class Driver:
    """What a test can ask for."""

    def __init__(self, settings: Settings) -> None:
        from actors.runtime.start import start_ray, start_runtime

        self.settings = settings
        self.ray = start_ray(settings, lambda *tried: print(*tried, file=sys.stderr))
        self.nodes = [self.ray.node]
        start_runtime(settings)

    def pids(self) -> dict[str, Any]:
        """Process ids of the control store, of every node's raylet, and of the coordinator."""
        import ray

        coordinator = ray.get_actor("coordinator")
        return {
            "gcs": self._pid(self.nodes[0], "gcs_server"),
            "raylets": [self._pid(node, "raylet") for node in self.nodes],
            "coordinator": ray.get(coordinator.status.remote(), timeout=10)["pid"],
        }

    def add_node(self) -> dict[str, Any]:
        """One more node on this machine."""
        from actors.runtime.own_ray import start_node

        self.nodes.append(start_node(short_directory(self.settings) / "r", gcs_address=self.nodes[0].gcs_address))
        return self.pids()

    def kill_coordinator(self) -> str:
        """End its process through Ray, which starts it again."""
        import ray

        ray.kill(ray.get_actor("coordinator"), no_restart=False)
        return "killed"

    def options(self) -> dict[str, Any]:
        """How Ray was told to treat the calls of our actors."""
        from actors.runtime.options import COORDINATOR, SHARD_HOST

        return {"host": SHARD_HOST, "coordinator": COORDINATOR}

    def envelope(self, host: str) -> dict[str, Any]:
        """The host's numbers, asked through Ray."""
        from actors.runtime.ray_transport import RayTransport

        async def ask() -> bytes:
            return await RayTransport().call(host, b"")

        return dict(json.loads(asyncio.run(ask())))

    def send(self, host: str, payload: str) -> str:
        """Any bytes (hex) to the host, through Ray; its answer, in hex."""
        from actors.runtime.ray_transport import RayTransport

        async def call() -> bytes:
            return await RayTransport().call(host, bytes.fromhex(payload))

        return asyncio.run(call()).hex()

    def actors(self) -> str:
        """Everything that Ray's control store tells of actors, jobs and workers."""
        import ray
        from ray._private.state import state

        return repr([ray.nodes(), state.actor_table(None), state.job_table(), state.workers()])

    def stop(self) -> None:
        """Everything ends."""
        from actors.runtime.own_ray import end_node
        from actors.runtime.start import stop_runtime

        stop_runtime()
        for node in self.nodes[1:]:
            end_node(node)
        self.ray.stop()

    @staticmethod
    def _pid(node: Any, kind: str) -> int:
        return int(node.all_processes[kind][0].process.pid)


def main() -> None:
    settings = from_environment()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    prepare_ray(settings)
    driver = Driver(settings)
    try:
        print(json.dumps({"ok": driver.pids()}), file=answers)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            try:
                print(json.dumps({"ok": getattr(driver, name)(*arguments)}), file=answers)
            except Exception as error:
                print(json.dumps({"error": repr(error)}), file=answers)
    finally:
        driver.stop()


if __name__ == "__main__":
    main()
