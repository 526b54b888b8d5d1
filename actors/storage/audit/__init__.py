"""The books: promises 1 to 3 and 6, proven from the tables alone, from the outside, at any time."""

from actors.storage.audit.books import audit
from actors.storage.audit.report import Finding, Report

__all__ = ["Finding", "Report", "audit"]
