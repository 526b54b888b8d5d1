"""The search index: what products are found by, built and followed beside the database, read by every replica."""
