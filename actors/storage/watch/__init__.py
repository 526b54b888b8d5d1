"""Watching goods in the background: sales are counted, facts refreshed, tags and proposals follow from them."""
