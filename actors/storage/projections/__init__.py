"""Projections: tables that people query, filled from the journal in order, exactly once; never the truth.

A projection is one file with one class, and one line in :data:`actors.storage.projections.groups.GROUPS`.
"""
