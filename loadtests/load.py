"""``python -m loadtests.load``: every Locust scenario, one after the other, each ended by the books."""

import sys

from loadtests.run import run
from loadtests.scenario import load, names


def main() -> int:
    """Run all scenarios; exit 1 when one of them failed."""
    failed = [name for name in names() if run(name, load(name))]
    print(f"Failed: {', '.join(failed)}" if failed else "All scenarios ended as expected.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
