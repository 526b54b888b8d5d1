"""The only door to entities: typed, routed, batched, with deadlines and safe retries."""
