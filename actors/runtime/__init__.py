"""Ray, and nothing else of Ray's anywhere below: host processes, placement over nodes, transport, watchdog."""
