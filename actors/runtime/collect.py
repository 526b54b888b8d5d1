"""Garbage collection of processes that hold many live objects."""

import gc
from typing import Final

THRESHOLDS: Final = (1_000, 5, 10_000)
"""A pass over the young takes about a microsecond an object, in which nobody is answered: 50,000 at once were 50 ms. So
they are looked at in small portions, and the old, of which there may be millions, as good as never: with the default
and 100,000 entities in memory full passes took a tenth of the time."""


def tune_garbage_collection() -> None:
    """Leave what start-up made alone for ever, and look less often: hot objects have no cycles (``gc=False``)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
