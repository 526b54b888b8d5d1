"""``python -m loadtests.peak``: the highest rate of durable orders that this machine gives, and on which lane.

A closed load by wrk where it is installed, by several raw clients elsewhere; it says which.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec

from loadtests.bench.measure import Options, Results, report_of
from loadtests.bench.report import markdown
from loadtests.bench.shop import ShopBench
from loadtests.instance import ShopCopy


def main() -> int:
    """Measure both lanes once; exit 1 when the books do not balance."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.peak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--hosts", type=int, default=1)
    found = parser.parse_args()
    options = Options(rounds=1, seconds=found.seconds, connections=found.connections, users=found.users)
    with tempfile.TemporaryDirectory(prefix="stampede-peak-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with ShopCopy(Path(folder) / "shop", {"STAMPEDE_HOSTS": str(found.hosts)}) as shop:
            shop.seed(options.users)
            bench = ShopBench(shop, options)
            measures = (bench.orders("direct", shop.direct_port), bench.orders("ingress", shop.ingress_port))
            books = shop.audit()
    results = Results(options=options, measures=measures)
    print(markdown(report_of(msgspec.structs.replace(results, books=(books,)))))
    return 0 if books == "balanced" else 1


if __name__ == "__main__":
    sys.exit(main())
