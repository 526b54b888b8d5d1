"""Upkeep of the journal: old records leave for the lake, and are pruned once nobody needs them in the table."""
