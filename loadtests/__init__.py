"""Load tests, baselines and the bench: a customer's view over HTTP, and the books afterwards."""
