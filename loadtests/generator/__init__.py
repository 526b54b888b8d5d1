"""Load generators: wrk where it is installed, raw asyncio clients elsewhere, and an open load at a constant rate.

Closed: each connection sends its next request when the last was answered; it finds the peak. Open: a
schedule decides when requests are sent, whatever the server does, and waits count from the intended
send; it finds what customers feel.
"""
