"""``python -m actors.testing.stripe_simulator``: the simulator as a process of its own, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import signal

from actors.testing.stripe_simulator.control_api import serving
from actors.testing.stripe_simulator.plan import AutoPay
from actors.testing.stripe_simulator.server import Options


def arguments() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="stripe_simulator", description="A payment provider that speaks Stripe's wire format.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8702, help="0 takes a free one; the URL is printed")
    parser.add_argument("--webhook-url", default="", help="where events go; none are sent without it")
    parser.add_argument("--secret", default="whsec_simulator", help="signs webhooks")
    parser.add_argument("--api-key", default="sk_test_simulator")
    parser.add_argument("--publishable-key", default="pk_test_simulator")
    parser.add_argument("--state", default="", metavar="FILE", help="keeps payments over restarts")
    parser.add_argument("--search-lag", type=float, default=0.0, metavar="S", help="how far the search index is behind")
    parser.add_argument("--auto-pay", default="", metavar="MIN:MAX", help="customers pay by themselves after so many ms")
    parser.add_argument("--decline-share", type=float, default=0.0, help="of the customers who pay by themselves, 0 to 1")
    parser.add_argument("--abandon-share", type=float, default=0.0, help="of payments that nobody pays, 0 to 1")
    parser.add_argument("--seed", type=int, default=1, help="of the customers who pay by themselves")
    return parser


def auto_pay(told: argparse.Namespace) -> AutoPay:
    """The customers' plan from the command line. ValueError when the delays are not two whole numbers."""
    if not told.auto_pay:
        return AutoPay(on=False)
    lowest, _, highest = told.auto_pay.partition(":")
    return AutoPay(
        delay_ms_min=int(lowest),
        delay_ms_max=int(highest or lowest),
        decline_share=told.decline_share,
        abandon_share=told.abandon_share,
        seed=told.seed,
    )


async def run(told: argparse.Namespace) -> None:
    """Serve until told to stop."""
    options = Options(
        api_key=told.api_key,
        publishable_key=told.publishable_key,
        webhook_url=told.webhook_url,
        webhook_secret=told.secret,
        search_lag_s=told.search_lag,
        state_file=told.state,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(options, host=told.host, port=told.port) as (url, simulator):
        simulator.plan_customers(auto_pay(told))
        print(f"payment simulator at {url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
