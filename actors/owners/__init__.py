"""Single writers in plain asyncio: turns, group commit, recovery, sends, reminders. No Ray in here."""
