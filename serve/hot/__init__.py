"""The endpoints that a crowd meets: plain ASGI and msgspec, nothing in between."""
