"""``python -m actors.testing.sms_simulator``: the simulator as a process of its own, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import signal

from actors.testing.sms_simulator.server import Options, serving


def arguments() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="sms_simulator", description="An SMS provider that speaks Alibaba Cloud's wire format.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8703, help="0 takes a free one; the URL is printed")
    parser.add_argument("--key-id", default=Options().key_id)
    parser.add_argument("--secret", default=Options().secret)
    parser.add_argument("--sign-name", default=Options().sign_name)
    parser.add_argument("--templates", default=",".join(Options().templates), help="template codes, with commas between them")
    parser.add_argument("--limits", action="store_true", help="one message a minute and ten a day for a phone, as the provider")
    return parser


async def run(told: argparse.Namespace) -> None:
    """Serve until told to stop."""
    options = Options(
        key_id=told.key_id,
        secret=told.secret,
        sign_name=told.sign_name,
        templates=tuple(told.templates.split(",")),
        limits=told.limits,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(options, host=told.host, port=told.port) as (url, _):
        print(f"SMS simulator at {url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
