"""The HTTP side of the shop: an ASGI application, and what carries it."""
