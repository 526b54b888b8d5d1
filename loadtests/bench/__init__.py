"""The bench: the shop and the baselines, interleaved, on one machine, in one run. Ratios are its result.

Each system runs alone, started for its turn and stopped after it: an idle neighbour would take from the two cores.
"""
