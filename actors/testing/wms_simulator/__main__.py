"""``python -m actors.testing.wms_simulator``: the simulator as a process of its own, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import signal

from actors.testing.wms_simulator.server import Options, serving


def arguments() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="wms_simulator", description="A warehouse that speaks stampede-wms/1.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8703, help="0 takes a free one; the URL is printed")
    parser.add_argument("--hook-url", default="", help="where webhooks go; none are sent without it")
    parser.add_argument("--shop-secret", required=True, help="what the shop signs with (our_secret of the connection)")
    parser.add_argument("--own-secret", required=True, help="what the simulator signs with (their_secret of the connection)")
    parser.add_argument("--numbered", action="store_true", help="number the changes of each SKU")
    return parser


async def run(told: argparse.Namespace) -> None:
    """Serve until told to stop."""
    options = Options(
        shop_secrets=(told.shop_secret,), own_secrets=(told.own_secret,), hook_url=told.hook_url, numbered=told.numbered
    )  # fmt: skip
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(options, host=told.host, port=told.port) as (url, _):
        print(f"warehouse simulator at {url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
