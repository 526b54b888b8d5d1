"""Fakes that pass the contract suite of the real thing, and the seeded simulator."""
