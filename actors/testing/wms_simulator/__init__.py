"""A warehouse that speaks ``stampede-wms/1`` both ways over HTTP, and misbehaves when told.

``serving(options)`` runs it in this event loop, ``python -m actors.testing.wms_simulator`` as a process of its own.
"""
