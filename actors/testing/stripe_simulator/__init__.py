"""A payment provider of our own that speaks Stripe's wire format and can be told to misbehave.

Run it: ``python -m actors.testing.stripe_simulator --port N --webhook-url URL --secret S``. Drive it
from a test with :class:`actors.testing.stripe_simulator.control.SimulatorControl`.
"""
