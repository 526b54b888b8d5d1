"""Processes of the node, which no worker may take with it when it ends."""

import subprocess
import sys
from pathlib import Path
from typing import Final

LAUNCH: Final = '"$@" &'


def start_module(module: str, *arguments: str, log: Path) -> None:
    """Run ``python -m module`` in the background, its output appended to ``log``.

    Nobody's child: Ray kills the children of a worker that ends, wherever their session is.
    """
    with log.open("ab") as output:
        subprocess.run(
            ["/bin/sh", "-c", LAUNCH, "launch", sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            check=True,
        )
