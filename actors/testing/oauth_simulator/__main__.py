"""``python -m actors.testing.oauth_simulator``: the simulator as a process of its own, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import signal
from pathlib import Path

from actors.testing.oauth_simulator.server import serving
from actors.testing.oauth_simulator.settings_file import write_settings


def arguments() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="oauth_simulator", description="WeChat, QQ, Alipay and Apple logins, simulated.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8703, help="0 takes a free one; the URL is printed")
    parser.add_argument(
        "--settings", default="", metavar="DIR", help="writes the shop's keys and DIR/logins.env, to be sourced before it starts"
    )
    return parser


async def run(told: argparse.Namespace) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(host=told.host, port=told.port) as (url, simulator):
        print(f"login simulator at {url}", flush=True)
        if told.settings:
            print(f"settings in {write_settings(Path(told.settings), url, simulator.desk.keys.given)}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
