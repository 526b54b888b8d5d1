"""What the core asks of the world: Protocols, with the promise of each method."""
