"""The exchange with warehouses, as one replica does it in the background: hearing, telling, asking, comparing."""
